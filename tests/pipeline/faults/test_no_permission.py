"""Folders that cannot be written: results, and the cache of downloads."""

import json
from contextlib import contextmanager

import pytest
from forking import NO_NAMESPACES
from small_disk import SmallDisk
from test_config import CONFIG, ROOT
from tiny_training import names, untimed, weights

from doublemargin.experiment.resolve import data_spec


@contextmanager
def read_only(folder):
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


def refused(ended, line):
    if ended.code == NO_NAMESPACES:
        pytest.skip("no namespaces for users here, and root may write anywhere")
    assert (ended.code, ended.stderr.splitlines()[-1]) == (2, f"dmcore: error: {line}"), ended.stderr
    assert "Traceback" not in ended.stderr


def test_results_that_may_not_be_written(trainings, tmp_path):
    with read_only(tmp_path):
        ended = trainings.run(tmp_path / "out", powerless=True)
        refused(ended, f"cannot write {tmp_path}/out/model.safetensors: Permission denied; nothing was started")
        assert names(tmp_path) == []
    assert trainings.run(tmp_path / "out", powerless=True).code == 0
    assert untimed(tmp_path / "out/training.json") == trainings.whole


def test_results_that_became_read_only_stay(trainings, tmp_path):
    """A state is kept, and a rerun that may write again goes on from it."""
    out = tmp_path / "out"
    assert trainings.run(out, 0, kill_at=("sync", 6)).code == -9
    with read_only(out):
        ended = trainings.run(out, 0, powerless=True)
        refused(ended, f"cannot write {out}/model.safetensors: Permission denied; nothing was started")
        assert len(list(out.glob("unfinished-*"))) == 1
    ended = trainings.run(out)
    assert "resuming at step 5," in ended.stderr
    assert names(out) == ["model.safetensors", "training.json"]
    assert weights(out / "model.safetensors") == trainings.whole["model_sha256"]


def test_a_read_only_file_system(trainings, tmp_path):
    disk = SmallDisk(tmp_path / "disk", kib=3000)
    try:
        out = disk.inside / "out"
        assert trainings.run(out).code == 0
        disk.remount("ro")
        model = out / "model.safetensors"
        refused(trainings.run(out), f"cannot write {model}: Read-only file system; nothing was started")
        assert weights(model) == trainings.whole["model_sha256"]
        assert untimed(out / "training.json") == trainings.whole
    finally:
        disk.close()


@pytest.mark.parametrize("used_before", [False, True])
def test_a_cache_of_downloads_that_may_not_be_written(used_before, forks, tmp_path):
    """It is named with the option for another one; sources that need no download are found all the same."""
    spec = data_spec(CONFIG, "mnist")
    for source in spec["sources"]:
        source.pop("urls", None)
    out, cache = tmp_path / "mnist.safetensors", tmp_path / "cache"
    folder = cache / "mnist" if used_before else cache
    folder.mkdir(parents=True)
    arguments = ["data", "mnist", "--spec", json.dumps(spec), "--out", out, "--cache", cache]
    with read_only(folder):
        nowhere = ["--resources", tmp_path / "none", "--places", "http://127.0.0.1:9"]
        ended = forks.run(*arguments, *nowhere, powerless=True)
        if ended.code != NO_NAMESPACES:
            line = ended.stderr.splitlines()[-1]
            assert (ended.code, "Traceback" in ended.stderr) == (2, False), ended.stderr
            assert f"cannot write {cache}/mnist: Permission denied; name another folder with --cache" in line
        assert not out.exists()
        assert forks.run(*arguments, "--resources", ROOT / "resources", powerless=True).code in (0, NO_NAMESPACES)
