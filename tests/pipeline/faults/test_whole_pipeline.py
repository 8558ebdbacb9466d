"""A whole Snakemake killed."""

import random
import shutil
import time

import pytest
from amount import KILLS, long
from pandas import read_csv
from snakemakes import kill, start, with_data_of
from tiny_training import untimed

from doublemargin.records.columns import FILES
from doublemargin.records.sums import write_sums

UNEQUAL = ("seconds", "cpu_seconds", "timing", "provenance", "commit")  # a commit may be made between two runs


def same_results(folder, reference):
    """Whether all result files in one folder are those in the other, but for the seconds."""
    paths = sorted(path.relative_to(folder) for path in (folder / "results").rglob("*.json"))
    return paths and all(untimed(folder / path, UNEQUAL) == untimed(reference / path, UNEQUAL) for path in paths)


def wait_for(pattern, folder, process):
    while not list(folder.glob(pattern)):
        assert process.poll() is None
        time.sleep(0.02)


@long
@pytest.mark.parametrize("whole_group", [True, False])
def test_kills_at_random_moments(whole_group, pipeline, tmp_path):
    """Where Snakemake alone is killed, its job goes on and the rerun's runs beside it: both write the same."""
    rng = random.Random(3)
    for i in range(max(KILLS // 10, 1)):
        ours = with_data_of(pipeline, tmp_path / f"run{i}")
        process = start(ours, "demo")
        time.sleep(rng.uniform(2, 25))
        kill(process, whole_group)
        made = list(ours.folder.rglob("results/**/*.json"))
        assert not made or same_results(ours.folder, pipeline.folder)
        ours.run("--unlock")
        ours.run("demo")
        assert same_results(ours.folder, pipeline.folder)
        for path in (pipeline.folder / "results/demo").rglob("*.md"):
            if path.name != "overview.md":
                assert (ours.folder / path.relative_to(pipeline.folder)).exists()
        for file in FILES.values():
            left, right = (read_csv(p.folder / "results/demo" / file) for p in (ours, pipeline))
            columns = [column for column in left.columns if column not in UNEQUAL]
            assert left[columns].equals(right[columns])
        assert ours.planned("demo") == {}
        shutil.rmtree(ours.folder)


@long
def test_records_from_elsewhere_outlive_kills_while_records_are_gathered(pipeline, tmp_path):
    """Those of models that have no result files here, which no rerun could make again."""
    ours = pipeline.with_its_own_code(tmp_path / "run")
    theirs = {}
    for name in ("training", "certified_accuracy", "verdicts"):
        path = ours.folder / "results/demo" / FILES[name]
        theirs[path] = read_csv(path, dtype=str, keep_default_na=False).assign(seed="7")
        theirs[path].to_csv(path, index=False, lineterminator="\n")
    folder = ours.folder / "results/demo"
    write_sums(folder, {file: (folder / file).read_bytes() for file in FILES.values()})
    for moment in (0, 0.3, 1):
        process = start(ours, "results/demo/training.csv", "-f", "--rerun-incomplete")
        wait_for(".snakemake/incomplete/*", ours.folder, process)  # the job is about to start
        time.sleep(moment)
        kill(process, whole_group=True)
        ours.run("--unlock")
    ours.run("results/demo/training.csv", "-f", "--rerun-incomplete")  # the copy has no profile that says so
    for path, before in theirs.items():
        after = read_csv(path, dtype=str, keep_default_na=False)
        assert len(after) == 2 * len(before)
        assert after[after["seed"] == "7"].reset_index(drop=True).equals(before)
