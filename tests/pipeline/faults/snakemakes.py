"""Snakemake runs that can be killed, of parts of the tiny grid whose data are there already."""

import os
import shutil
import signal
import subprocess
import sys

from workflow.tiny import Pipeline, environment

MODEL = "results/demo/mnist/small/normal/none/seed0"
CELL = f"{MODEL}/certify/ibp/linf/n4.json"


def with_data_of(pipeline, folder):
    """A pipeline that has made nothing but the data."""
    other = Pipeline(folder)
    (folder / "data").mkdir()
    shutil.copy2(pipeline.folder / "data/mnist.safetensors", folder / "data")
    return other


def start(pipeline, *arguments):
    """Starts Snakemake in a process group of its own; its output goes to a file."""
    command = [sys.executable, "-m", "snakemake", "-s", str(pipeline.code / "Snakefile"), "--cores", "2", *arguments]
    with (pipeline.folder / "output").open("w") as file:
        return subprocess.Popen(
            command, cwd=pipeline.folder, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
            env=environment(),
        )  # fmt: skip


def kill(process, whole_group):
    """SIGKILL, for Snakemake alone or with all its jobs."""
    (os.killpg if whole_group else os.kill)(process.pid, signal.SIGKILL)
    process.wait()
