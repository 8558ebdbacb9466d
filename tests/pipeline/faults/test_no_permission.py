"""Folders that cannot be written: results, the cache of downloads, the home folder."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from amount import long
from forking import NO_NAMESPACES
from small_disk import SmallDisk
from test_config import CODE, CONFIG, ROOT
from tiny_training import names, untimed, weights

from dmcore.files import write_json
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


@long
def test_a_home_that_cannot_be_written(tmp_path):
    """matplotlib says what to set, and the figures are the same; so do all else."""
    figures = {}
    for home in (str(tmp_path), "/dev/null/home"):
        out = tmp_path / home.replace("/", "_")
        record = tmp_path / "record.json"
        write_json(record, RECORD)
        command = [sys.executable, "-m", "doublemargin", "history", "--record", record, "--out", out / "history.png"]
        environment = {k: v for k, v in os.environ.items() if k not in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
        environment |= {"HOME": home, "PYTHONPATH": CODE}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        figures[home] = (out / "history.png").read_bytes()
    assert "set the MPLCONFIGDIR environment variable to a writable directory" in done.stderr
    assert len(set(figures.values())) == 1


RECORD = {
    "model": "demo/mnist/small/dm/0.1/seed0",
    "data": {"variant": "official"},
    "provenance": {"device": "CPU (test)"},
    "history": [{"epoch": e, "step": e, "eps": 0.1, "ramp": 1.0, "lr": 1e-3, "loss": 1 / e} for e in (1, 2, 3)],
}


@long
def test_snakemake_without_a_home_says_which_folder_and_runs_with_another_cache(pipeline, tmp_path):
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores", "1", "-n", "demo"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"HOME": "/dev/null/home", "PATH": path}
    environment.pop("XDG_CACHE_HOME", None)
    options = {"cwd": pipeline.folder, "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, env=environment, **options)
    assert done.returncode == 1
    assert "NotADirectoryError: [Errno 20] Not a directory: '/dev/null/home" in done.stdout + done.stderr
    done = subprocess.run(command, env=environment | {"XDG_CACHE_HOME": str(tmp_path)}, **options)
    assert done.returncode == 0, done.stderr
