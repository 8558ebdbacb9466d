"""A grid of 16 jobs, run by Snakemake with stand-ins for their work: each once, in the order that is wanted."""

import copy
import json
import random

import pytest
from simulated import Simulation
from test_config import CONFIG

from doublemargin.experiment.config import check_config
from doublemargin.experiment.grid import Grid

PANEL = {
    "dataset": "mnist", "arch": "small", "points": 4, "eps_cert": [0, 0.05, 0.1],
    "rows": [{"methods": ["normal"]}, {"methods": ["ibp"], "eps_train": 0.1}],
}  # fmt: skip
TABLES = {f"table{i}": {"caption": "C.", "panels": [PANEL | {"certifier": c}]} for i, c in enumerate(("ibp", "alpha"))}


def made(simulation, *arguments):
    """Runs one job at a time; the models and certifications, in the order in which they were made."""
    simulation.run("-q", "all", "--cores", "1", "certified", *arguments)
    results = simulation.folder / "results"
    paths = [*results.glob("**/model.safetensors"), *results.glob("**/certify/*/linf/n4.json")]
    paths.sort(key=lambda path: path.stat().st_mtime_ns)
    paths = [path.parent if path.name == "model.safetensors" else path.with_suffix("") for path in paths]
    return [path.relative_to(results).as_posix() for path in paths]


@pytest.fixture
def config():
    config = copy.deepcopy(CONFIG) | {"seeds": [0, 1], "schedule": "demo"}
    config["reports"]["demo"] = {"tables": TABLES, "figures": {}}
    return config


def test_trainings_go_first_and_every_job_is_run_once(tmp_path, config):
    simulation = Simulation(tmp_path / "run", config)
    paths = made(simulation)
    jobs = Grid(check_config(config), "demo").certifications
    assert set(paths[:4]) == {job.model for job in jobs}
    assert set(paths[4:]) == {job.path for job in jobs}
    assert sorted(simulation.calls()) == ["certify"] * 8 + ["data"] + ["train"] * 4


def test_an_order_is_kept(tmp_path, config, monkeypatch):
    jobs = Grid(check_config(config), "demo").certifications
    random.Random(0).shuffle(jobs)
    paths = []  # of a certification its model's first, if that is not there yet
    for job in jobs:
        paths += [job.model] * (job.model not in paths) + [job.path]
    order = tmp_path / "order.json"
    order.write_text(json.dumps({path: len(paths) - place for place, path in enumerate(paths)}))
    monkeypatch.setenv("DMCORE_ORDER", str(order))
    assert made(Simulation(tmp_path / "run", config)) == paths
