"""The reports of all schedules on record."""

import copy
from typing import get_args

import pytest
from results_folder import spec_hash, write_model
from test_config import CONFIG

from dmcore.errors import UserError
from dmcore.registry import use_plugins
from doublemargin.experiment.config_report import Table
from doublemargin.experiment.grid import Grid
from doublemargin.records.columns import FILES
from doublemargin.records.tidy import read_records
from doublemargin.report.make import make_figures, report_on


@pytest.fixture
def config(monkeypatch):
    """The project's config, with a demo of one table; a model's hash is as the made-up results have it."""
    config = copy.deepcopy(CONFIG)
    config["schedule"] = "demo"
    (panel, *_) = config["reports"]["demo"]["tables"]["table2"]["panels"]
    table = {"kind": "accuracies", "caption": "Of the demo.", "panels": [panel]}
    config["reports"]["demo"] = {"tables": {"table2": table}, "figures": {}}
    config["reports"]["paper"] = {"tables": {"table2": table}, "figures": {}}

    def made_up(grid, path):
        _, dataset, arch, method, eps, seed = path.split("/")
        return spec_hash(method, eps, int(seed[4:]), f"{dataset}/{arch}")

    monkeypatch.setattr(Grid, "spec_hash", made_up)
    return config


def test_every_kind_of_exhibit_can_be_made():
    assert {table["kind"] for table in CONFIG["reports"]["paper"]["tables"].values()} == set(
        get_args(Table.model_fields["kind"].annotation)
    )


def test_without_results_the_configs_own_schedule_says_that_nothing_was_run(config, tmp_path):
    assert report_on(config, tmp_path) == ["demo"]
    assert "nothing has been run yet" in (tmp_path / "demo/tables/table2.md").read_text()
    assert not list(tmp_path.rglob("training.csv"))  # or the schedule would count as one with results


def test_schedules_with_results_are_reported_and_their_records_kept(config, tmp_path):
    write_model(tmp_path, "mnist/small", "dm", "0.3", 0, 12.5, {"cnn-cert-relu": {"0.3": 87}}, 200)
    config["schedule"] = "paper"
    assert report_on(config, tmp_path) == ["demo"]
    assert "43.5%" in (tmp_path / "demo/tables/table2.md").read_text()
    assert read_records(tmp_path / "demo").certified_accuracy["certified"].tolist() == [87]
    assert not (tmp_path / "paper").exists()


def test_records_alone_are_enough_and_stay_as_they_are(config, tmp_path):
    write_model(tmp_path, "mnist/small", "dm", "0.3", 0, 12.5, {"cnn-cert-relu": {"0.3": 87}}, 200)
    report_on(config, tmp_path)
    for path in (tmp_path / "demo/mnist").rglob("*.json"):
        path.unlink()
    records = [tmp_path / "demo" / file for file in FILES.values()]
    before = [path.stat().st_mtime_ns for path in records]
    table = (tmp_path / "demo/tables/table2.md").read_text()
    assert report_on(config, tmp_path) == ["demo"]
    assert (tmp_path / "demo/tables/table2.md").read_text() == table
    assert [path.stat().st_mtime_ns for path in records] == before


def test_a_schedule_that_is_none(config, tmp_path):
    with pytest.raises(UserError, match=r"no schedule 'dmo' .*: did you mean 'demo'\?"):
        report_on(config, tmp_path, ["dmo"])


def test_a_plugin_adds_a_kind_of_figure(tmp_path):
    (tmp_path / "mine.py").write_text(
        'from doublemargin.experiment.registries import figure\n\n@figure("names")\n'
        'def write(exhibit, records, stem):\n    stem.with_suffix(".txt").write_text(exhibit["name"])\n'
    )
    try:
        use_plugins([tmp_path / "mine.py"])
        (tmp_path / "figures").mkdir()
        make_figures({"figure9": {"kind": "names", "name": "figure9"}}, read_records(tmp_path), tmp_path)
    finally:
        use_plugins([])
    assert (tmp_path / "figures/figure9.txt").read_text() == "figure9"
