"""A job that a scheduler ends with SIGTERM goes on in the retry."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from test_config import ROOT
from tiny import Pipeline, tiny_config

TARGET = "results/demo/mnist/small/dm/0.1/seed0/training.json"


def processes(folder, command):
    """The processes of a command of dmcore whose working folder that is."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if words[1:4] == ["-m", "doublemargin", command] and os.readlink(path / "cwd") == str(folder):
                found.append(int(path.name))
        except OSError:
            continue
    return found


def test_a_training_that_is_ended_by_sigterm_goes_on_in_the_retry(tmp_path):
    pipeline = Pipeline(tmp_path / "run")
    config = tiny_config()
    config["schedules"]["demo"]["training"]["mnist"]["epochs"] = 0.2
    pipeline.write(config)
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "-s",
        str(ROOT / "Snakefile"),
        "--cores",
        "1",
        "--retries",
        "1",
        TARGET,
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    running = subprocess.Popen(
        command, cwd=pipeline.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PATH": path},
    )  # fmt: skip
    log = pipeline.folder / "logs/train/demo/mnist/small/dm/0.1/seed0.log"
    while not (log.exists() and "12/120 after" in log.read_text()):
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    (process,) = processes(pipeline.folder, "train")
    os.kill(process, signal.SIGTERM)
    output = running.communicate()[0]
    assert running.returncode == 0, output
    assert "stopped by SIGTERM after step " in output
    assert "Trying to restart job" in output
    assert "resuming at step " in log.read_text()
    assert not list((pipeline.folder / TARGET).parent.glob("unfinished-*"))
