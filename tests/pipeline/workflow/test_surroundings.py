"""A full disk and a wrong clock, noticed before a job starts."""

import os
import shutil
import time
from collections import namedtuple

import pytest

from dmcore.errors import UserError
from doublemargin.experiment.preflight import check_clock, check_room

Usage = namedtuple("Usage", "total used free")


def test_a_disk_with_less_than_10_mib_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 0, 10 * 2**20))
    check_room(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 0, 10 * 2**20 - 1))
    with pytest.raises(UserError) as error:
        check_room(tmp_path)
    assert str(error.value) == f"the disk of {tmp_path} is full (10239 KiB left): make room, then run again"


def test_a_file_from_the_future_is_named(tmp_path):
    good, late = tmp_path / "good", tmp_path / "late"
    for path, ahead in ((good, 30), (late, 600)):
        path.touch()
        os.utime(path, (time.time() + ahead,) * 2)
    check_clock([good])
    with pytest.raises(UserError, match=rf"^{late} is dated 10 minutes ahead of the clock, so Snakemake would remove"):
        check_clock([good, late])


def test_snakemake_starts_nothing_on_a_full_disk(pipeline, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(
        "import shutil, types\nshutil.disk_usage = lambda folder: types.SimpleNamespace(free=1)\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    assert f"the disk of {pipeline.folder} is full (0 KiB left): make room" in pipeline.run("demo", ok=False)


def test_snakemake_starts_nothing_with_data_from_the_future(pipeline):
    """It would train again, say that the model is older than its data, and remove it."""
    data = pipeline.folder / "data/mnist.safetensors"
    dated = data.stat()
    model = pipeline.folder / "results/demo/mnist/small/dm/0.1/seed0/model.safetensors"
    before = model.stat().st_mtime_ns
    os.utime(data, (time.time() + 3600,) * 2)
    try:
        output = pipeline.run("demo", ok=False)
    finally:
        os.utime(data, ns=(dated.st_atime_ns, dated.st_mtime_ns))
    assert "data/mnist.safetensors is dated 60 minutes ahead of the clock" in output
    assert "localrule" not in output
    assert model.stat().st_mtime_ns == before
