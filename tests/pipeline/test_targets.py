"""Which files the rules make, from which, and how they call dmcore."""

import copy
import json
import shlex
import subprocess

import pytest
from test_config import CONFIG, ROOT

from dmcore.errors import UserError
from dmcore.files import sha256
from doublemargin.experiment import targets
from doublemargin.experiment.calls import folder, how, our_dmcore, where, written_to_file
from doublemargin.experiment.config import check_config
from doublemargin.experiment.grid import Grid
from doublemargin.records.columns import REMARKS

DEMO, SHORT = Grid(CONFIG, "demo"), Grid(CONFIG, "short")
RESULTS = "results/demo"
MODELS = [f"{RESULTS}/mnist/small/{model}/seed0" for model in ("dm/0.3", "ibp/0.3", "l1/none", "normal/none")]


def test_a_schedules_files_are_those_of_its_report():
    records = [
        "training.csv",
        "certified_accuracy.csv",
        "verdicts.csv.gz",
        "robust_accuracy.csv",
        "points.csv.gz",
        "SHA256SUMS",
    ]
    shown = ["overview.md", "tables/table2.md", "figures/figure1.png"]
    histories = [f"{model}/history.png" for model in MODELS]
    assert targets.exhibit_files(DEMO) == [f"{RESULTS}/{name}" for name in records + shown] + histories


def test_an_exhibit_is_made_from_its_own_cells_or_for_costs_from_all_trainings():
    results = targets.result_files(DEMO)
    assert results == [f"{model}/training.json" for model in MODELS] + [
        f"{model}/certify/{certifier}/linf/n200.json" for model in MODELS for certifier in ("cnn-cert-relu", "ibp")
    ]
    assert targets.exhibit_input(DEMO, "tables", "table2") == results
    of_table10 = targets.exhibit_input(SHORT, "tables", "table10")
    assert [path.split("/")[2] for path in of_table10] == ["cifar10", "mnist"] * 2
    costs = targets.exhibit_input(SHORT, "tables", "table1")
    assert costs == [f"results/{model}/training.json" for model in SHORT.model_paths()]
    assert targets.exhibit_input(SHORT, "tables", "table3") == []


def test_the_hash_of_named_files_is_that_of_their_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = copy.deepcopy(CONFIG)
    config["reports"]["demo"]["reported"] = "mine/numbers.csv"
    grid = Grid(check_config(config), "demo")
    with pytest.raises(UserError, match=r"cannot read mine/numbers.csv, which the config names: No such file"):
        targets.exhibit_contents(grid, "tables", "table2")
    (tmp_path / "mine").mkdir()
    for name in ("numbers.csv", REMARKS):
        (tmp_path / "mine" / name).write_text(name)
    assert targets.exhibit_contents(grid, "tables", "table2") == targets.contents(["mine/numbers.csv"])
    both = targets.report_contents(grid)
    assert both == targets.contents(["mine/numbers.csv", f"mine/{REMARKS}"]) != targets.contents(["mine/numbers.csv"])
    (tmp_path / "mine" / REMARKS).write_text("another")
    assert targets.report_contents(grid) != both
    assert targets.report_contents(DEMO) == targets.contents([])


def test_a_job_calls_the_code_beside_the_rules(tmp_path):
    (tmp_path / "doublemargin.py").write_text("raise SystemExit('this is not it')")
    where_it_is = (
        f"{our_dmcore(None, None)} spec demo/mnist/small/dm/0.3/seed0 --config {shlex.quote(str(ROOT))}/config.yaml"
    )
    done = subprocess.run(where_it_is, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["arch"] == "small"


def test_parameters_of_a_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert where(None, 2, {}) == "--threads 2 --device auto --gpu-slots 1"
    assert where(None, 1, {"device": "a b", "gpu_slots": 3}) == "--threads 1 --device 'a b' --gpu-slots 3"
    assert how(None, 1, {"fused": 0}) == "--threads 1 --device auto --gpu-slots 1"
    assert how(None, 1, {"fused": 1, "cuda_graphs": True}).endswith("--gpu-slots 1 --cuda-graphs --fused")
    assert str(folder()(None, ["prefix/results/a/b.md", "c"])) == "prefix/results/a"
    assert str(folder(2)(None, ["prefix/results/a/b.md"])) == "prefix"
    path = written_to_file({"a": 1})(None, None)
    assert json.loads(path.read_text()) == {"a": 1}
    assert written_to_file({"a": 2})(None, None) != path == written_to_file({"a": 1})(None, None)


def test_unpinned_local_files_count_by_their_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = {"sources": [{"files": {"train.npz": {}, "test.npz": {"sha256": "0" * 64}}}]}
    assert targets.unpinned(spec, "set", ["a", "b"]) == []
    for place in ("b", "a"):
        (tmp_path / place / "set").mkdir(parents=True)
        (tmp_path / place / "set/train.npz").write_text(place)
        (tmp_path / place / "set/test.npz").write_text(place)
        assert targets.unpinned(spec, "set", ["a", "b"]) == [sha256(place.encode())]
    pinned = {"sources": [{**spec["sources"][0], "content": "0" * 64}]}
    assert targets.unpinned(pinned, "set", ["a", "b"]) == []
