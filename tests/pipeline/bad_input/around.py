"""Mistakes of the environment: packages, devices, places to write to; and what looks like a mistake and is none."""

from mistakes import Mistake
from on_the_command_line import command, wrong

MISTAKES = [
    wrong("without-onnx", "onnx", "ONNX files need the package onnx: pip install 'doublemargin[onnx]'", without="onnx"),
    wrong("unwritable", "certify", "cannot write /proc/new.json: <reason>; nothing was started", out="/proc/new.json"),
]

REAL = [
    Mistake(
        "without-torch",
        "dmcore train --spec '{}' --data digits.safetensors --model new --record new.json",
        "dmcore: error: the package torch is not installed for <this Python>: is its environment active?",
        without="torch",
    ),
    Mistake(
        "no-gpu",
        command("certify", device="cuda"),
        "dmcore: error: device 'cuda' was asked for<, and that there is none>",
        environment={"CUDA_VISIBLE_DEVICES": "99"},
    ),
    Mistake("disk-full", "dmcore spec digits > /dev/full", "dmcore: error: No space left on device"),
]
"""As processes of their own."""

HARMLESS = {
    "a reader that has gone": ("dmcore spec demo | true", {}),
    "an output that is closed": ("dmcore spec demo >&-", {}),
    "a terminal without Greek letters": ("dmcore info --config", {"PYTHONIOENCODING": "ascii"}),
    "no HOME, no git, no number of threads": (
        "dmcore spec demo",
        {"HOME": None, "PATH": "/nowhere", "OMP_NUM_THREADS": "many"},
    ),
}
"""What looks like a mistake and is none: the command, and the variables that are set."""
