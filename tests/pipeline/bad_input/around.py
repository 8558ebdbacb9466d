"""Mistakes of the environment: packages, devices, places to write to; and what looks like a mistake and is none."""

from mistakes import Mistake
from on_the_command_line import command, wrong

TITLE = "The environment"
CUDA = command("certify", device="cuda")
MISTAKES = [
    wrong("without-onnx", "the optional package onnx is not installed", "onnx",
          "ONNX files need the package onnx: pip install 'doublemargin[onnx]'", without="onnx"),
    wrong("without-onnx-vnnlib", "the same, for properties", "vnnlib",
          "ONNX files need the package onnx: pip install 'doublemargin[onnx]'", without="onnx"),
    wrong("without-art", "the optional toolbox of attacks is not installed", "attack",
          "the attack 'auto' needs the adversarial-robustness-toolbox: pip install 'doublemargin[attacks]'",
          attack="auto", without="art"),
    wrong("unwritable", "a folder that cannot be written", "certify",
          "cannot write /proc/new/0.05.json: <reason>; nothing was started", out="/proc/new"),
    wrong("out-too-long", "a name that is too long for the disk", "radius",
          "cannot write <the name>: File name too long; nothing was started", out="n" * 300),
]  # fmt: skip

REAL = [
    Mistake("without-torch", "PyTorch is not installed, as in the light environment of `make tables`",
            "dmcore train --spec '{}' --data digits.safetensors --model new --record new.json",
            "dmcore: error: the package torch is not installed for <this Python>: is its environment active?",
            without="torch", shown="dmcore train …"),
    Mistake("no-gpu", "a GPU by name, where `CUDA_VISIBLE_DEVICES` shows none", CUDA[0],
            "dmcore: error: device 'cuda' was asked for<, and that there is none>",
            environment={"CUDA_VISIBLE_DEVICES": "99"}, shown=CUDA[1]),
    Mistake("disk-full", "output to a full disk", "dmcore spec digits > /dev/full",
            "dmcore: error: No space left on device"),
]  # fmt: skip
"""As processes of their own."""

HARMLESS = [
    ("a reader that has gone", "dmcore spec demo | true", {}, "ends without a word, as other tools do"),
    ("an output that is closed", "dmcore spec demo >&-", {}, "goes on"),
    (
        "a terminal without Greek letters",
        "dmcore info --config",
        {"PYTHONIOENCODING": "ascii"},
        r"writes ≥ as `\u2265`",
    ),
    ("`HOME` is not set", "dmcore spec demo", {"HOME": None}, "goes on"),
    ("no git", "dmcore spec demo", {"PATH": "/nowhere"}, "goes on; records say `commit: null`"),
    ("`OMP_NUM_THREADS=many`", "dmcore spec demo", {"OMP_NUM_THREADS": "many"}, "goes on: `--threads` says how many"),
]
