"""A Snakemake run that meets a damaged file ends with one line, and the command of that line mends it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from flips import flip
from test_config import ROOT

MODELS = "results/demo/mnist/small"
CELLS = [f"{MODELS}/{model}/seed0/certify/ibp/linf/n4/0.05.json" for model in ("dm/0.1", "normal/none")]


def rot(path):
    """Changes a byte and leaves the file's age, as a disk does."""
    age = path.stat()
    flip(path, age.st_size // 2, 1)
    os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))


def typed(project, command):
    """What a user types in the project's folder."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, shell=True, cwd=project, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_damaged_files_are_named_and_the_named_commands_mend_them(pipeline, tmp_path):
    project = pipeline.with_its_own_code(tmp_path / "project")
    shutil.copytree(ROOT / "workflow/profiles", project.folder / "profiles")
    before = {cell: json.loads((project.folder / cell).read_text()) for cell in CELLS}
    for cell in CELLS:
        (project.folder / cell).unlink()
    model, data, records = (
        f"{MODELS}/dm/0.1/seed0/model.safetensors",
        "data/mnist.safetensors",
        "results/demo/training.csv",
    )
    for file in (model, data, records):
        rot(project.folder / file)

    output = project.run(*CELLS, "tables", ok=False)
    told = re.findall(r"^dmcore: error: (.*)$", output, re.M)
    assert "Traceback" not in output
    assert len(told) == 3
    lines = {
        file: next(line for line in told if line.startswith(f"{file} is damaged")) for file in (model, data, records)
    }

    typed(project.folder, lines[data].split("trained again: ")[1])
    typed(project.folder, lines[records].split("again: ")[1].split("; ")[0])
    typed(project.folder, lines[model].split("model again): ")[1])
    jobs = project.planned("demo")
    assert "train" not in jobs
    assert jobs["certify_demo_mnist_linf_n4_2"] == 3  # two of the model that was trained again, one whose cell is gone
    project.run(*CELLS)
    for cell, was in before.items():
        now = json.loads((project.folder / cell).read_text())
        for key in ("model_sha256", "margins", "certified"):
            assert now[key] == was[key]
