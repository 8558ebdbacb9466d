"""A disk that fills up: one line, nothing lost, and once there is room a rerun ends as if nothing had been."""

import os
import re
import sys
from pathlib import Path

import pytest
from amount import long
from small_disk import SmallDisk
from snakemakes import CELL
from test_config import ROOT
from tiny_training import names, untimed, weights
from workflow.tiny import Pipeline

from dmcore.data import load_images

LINE = r"dmcore: error: cannot write (.*): (No space left on device|File too large); nothing was replaced"


def only_line(ended):
    """The file that could not be written, from the one line that says so."""
    assert ended.code == 2, ended.stderr
    assert "Traceback" not in ended.stderr
    (line,) = (line for line in ended.stderr.splitlines() if "error" in line)
    assert line == ended.stderr.splitlines()[-1]
    found = re.fullmatch(LINE, line)
    assert found, line
    return os.path.basename(found[1])


@pytest.fixture
def disk(tmp_path):
    disk = SmallDisk(tmp_path / "disk", kib=3000)
    yield disk
    disk.close()


# A state takes 973 KiB, the model 323, the record 8.
@pytest.mark.parametrize(
    ("room", "fails_at", "kept"),
    [
        pytest.param(4, "unfinished", [], marks=long),
        (1200, "unfinished", ["unfinished"]),
    ],
)
def test_a_training(room, fails_at, kept, disk, trainings):
    disk.fill(leave=room)
    out = disk.inside / "out"
    assert only_line(trainings.run(out, save_every=0)).startswith(fails_at)
    assert [name.split("-")[0] for name in names(out)] == kept
    disk.make_room()
    ended = trainings.run(out)
    assert ("resuming at step 1," in ended.stderr) == bool(kept)
    assert names(out) == ["model.safetensors", "training.json"]
    assert weights(out / "model.safetensors") == trainings.whole["model_sha256"]
    assert untimed(out / "training.json") == trainings.whole


def test_the_end_of_a_training(disk, trainings):
    disk.fill(leave=328)
    out = disk.inside / "out"
    assert only_line(trainings.run(out)) == "training.json"
    assert names(out) == ["model.safetensors"]
    disk.make_room()
    assert trainings.run(out).code == 0
    assert untimed(out / "training.json") == trainings.whole


def test_a_limit_on_the_size_of_files(trainings, tmp_path):
    """The same where no file system can be mounted: a process that may write no file of more than 500 kB."""
    out = tmp_path / "out"
    assert only_line(trainings.run(out, save_every=0, largest_file=500_000)).startswith("unfinished-")
    assert names(out) == []
    assert trainings.run(out).code == 0
    assert untimed(out / "training.json") == trainings.whole


def test_a_certification(disk, trainings):
    """A file that could not be written is not there; then it is, whole."""
    out, radii = disk.inside / "out", ["0", "0.05"]
    model = trainings.folder / "whole/model.safetensors"
    arguments = ["certify", "--model", model, "--data", trainings.data, "--certifier", "ibp", "--points", 5]
    arguments += ["--eps", *radii, "--out", out / "n5.json", "--device", "cpu"]
    disk.fill(leave=1)
    assert only_line(trainings.forks.run(*arguments)) == "n5.json"
    assert names(out) == []
    disk.make_room()
    assert trainings.forks.run(*arguments).code == 0
    assert names(out) == ["n5.json"]
    assert list(untimed(out / "n5.json")["cells"]) == radii


@long
def test_snakemake(disk):
    """Where the disk fills up, the job says so; where it is full, Snakemake does before it starts any."""
    disk.remount("size=40m")
    ours = Pipeline(disk.inside / "run")

    def run(target):
        path = f"PATH={Path(sys.executable).parent}:{os.environ['PATH']}"
        snakemake = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores", "2", target]
        return disk.run("env", "-C", disk.path / "run", path, *snakemake)

    data = "data/mnist.safetensors"
    code, output = run(data)
    assert code == 1
    assert f"dmcore: error: cannot write {data}: No space left on device" in output
    assert not list(ours.folder.glob("data/*"))
    disk.remount("size=120m")
    code, output = run(data)
    assert code == 0, output
    assert load_images(ours.folder / data).info["train"] == 60000
    made = (ours.folder / data).stat().st_mtime_ns
    disk.fill(leave=5000)
    code, output = run(CELL)
    assert code == 1
    assert re.search(r"the disk of \S+/run is full \(\d+ KiB left\): make room, then run again", output)
    disk.make_room()
    code, output = run(CELL)
    assert code == 0, output
    assert (ours.folder / data).stat().st_mtime_ns == made
