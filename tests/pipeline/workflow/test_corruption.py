"""A Snakemake run that meets a damaged file ends with one line, and the command of that line mends it."""

import json
import os
import re
import shutil
import subprocess

import pytest
from flips import flip
from test_config import ROOT
from tiny import environment

MODELS = "results/demo/mnist/small"
TRAINED = f"{MODELS}/dm/0.1/seed0/model.safetensors"
CELLS = [f"{MODELS}/{model}/seed0/certify/ibp/linf/n4.json" for model in ("dm/0.1", "normal/none")]


def rot(path):
    """Changes a byte and leaves the file's age, as a disk does."""
    age = path.stat()
    flip(path, age.st_size // 2, 1)
    os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))


def typed(project, command):
    """What a user types in the project's folder."""
    done = subprocess.run(
        command, shell=True, cwd=project, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def damaged(pipeline, folder, *files):
    """A copy of all that was made, with two files of cells to be made again and some files damaged."""
    project = pipeline.with_its_own_code(folder)
    shutil.copytree(ROOT / "workflow/profiles", project.folder / "profiles")
    before = {cell: json.loads((project.folder / cell).read_text()) for cell in CELLS}
    for cell in CELLS:
        (project.folder / cell).unlink()
    for file in files:
        rot(project.folder / file)
    return project, before


def lines(output):
    """What a run says of each damaged file."""
    assert "Traceback" not in output
    told = re.findall(r"^dmcore: error: (\S+) is damaged(.*)$", output, re.M)
    assert len(told) == output.count("dmcore: error: ")
    return dict(told)


def made_as_before(project, before, cells):
    for cell in cells:
        now = json.loads((project.folder / cell).read_text())
        assert now["model_sha256"] == before[cell]["model_sha256"]
        for eps in ("0", "0.05"):
            for key in ("margins", "certified"):
                assert now["cells"][eps][key] == before[cell]["cells"][eps][key]


def test_a_damaged_checkpoint_is_named_and_the_named_command_mends_it(pipeline, tmp_path):
    project, before = damaged(pipeline, tmp_path / "project", TRAINED)
    told = lines(project.run(CELLS[0], ok=False))
    assert told.keys() == {TRAINED}
    typed(project.folder, told[TRAINED].split("model again): ")[1])
    project.run(CELLS[0])
    made_as_before(project, before, CELLS[:1])


@pytest.mark.skipif("KILLS" not in os.environ, reason="takes long: `make test-kills`")
def test_damaged_data_and_records_are_mended_and_nothing_is_trained_again(pipeline, tmp_path):
    data, records = "data/mnist.safetensors", "results/demo/training.csv"
    project, before = damaged(pipeline, tmp_path / "project", data, records)
    told = lines(project.run(*CELLS, "tables", ok=False))
    assert told.keys() == {data, records}
    typed(project.folder, told[data].split("trained again: ")[1])
    typed(project.folder, told[records].split("again: ")[1].split("; ")[0])
    assert "train" not in project.planned("demo")
    assert project.planned(*CELLS) == {"certify": 2}  # of the cells that are gone
    project.run(*CELLS)
    made_as_before(project, before, CELLS)
