"""A grid of 110 jobs, run by Snakemake with stand-ins for their work: what is run, in what order, how many."""

import copy
import json
import random

import pytest
from simulated import Simulation
from test_config import CONFIG

from doublemargin.experiment.config import check_config
from doublemargin.experiment.grid import Grid

SEEDS = 12
PANEL = {
    "dataset": "mnist", "arch": "small", "points": 4, "eps_cert": [0, 0.05, 0.1],
    "rows": [{"methods": ["normal"]}, {"methods": ["ibp", "dm"], "eps_train": 0.1}],
}  # fmt: skip
TABLES = {f"table{i}": {"caption": "C.", "panels": [PANEL | {"certifier": c}]} for i, c in enumerate(("ibp", "alpha"))}
MODELS, CERTIFICATIONS = 3 * SEEDS, 2 * 3 * SEEDS
RECORDS = "results/demo/training.csv"


def overlap(calls):
    """How many of some calls ran at once, at most."""
    moments = sorted([(call.began, 1) for call in calls] + [(call.ended, -1) for call in calls])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    return most


@pytest.fixture(scope="module")
def simulation(tmp_path_factory):
    """Run up to the records by more cores than there are GPUs."""
    config = copy.deepcopy(CONFIG) | {"seeds": list(range(SEEDS)), "schedule": "demo"}
    config["reports"]["demo"] = {"tables": TABLES, "figures": {}}
    simulation = Simulation(tmp_path_factory.mktemp("scheduling") / "run", config, seconds=0.02)
    simulation.run("-q", "all", "--cores", "4", "--resources", "gpu=2", "--", RECORDS)
    return simulation


def test_every_job_is_run_once(simulation):
    commands = [call.command for call in simulation.calls()]
    counts = {command: commands.count(command) for command in set(commands)}
    assert counts == {"data": 1, "train": MODELS, "certify": CERTIFICATIONS, "collect": 1}
    assert len(list(simulation.folder.glob("results/demo/**/certify/*/linf/n4.json"))) == CERTIFICATIONS


def test_as_many_jobs_at_once_as_there_are_gpus(simulation):
    on_gpus = [call for call in simulation.calls() if call.command in ("train", "certify")]
    assert overlap(on_gpus) == 2


def test_trainings_go_first(simulation):
    commands = [call.command for call in simulation.calls()]
    assert commands.index("certify") > MODELS // 2  # two start together, and either may be the first to say so
    last = len(commands) - 1 - commands[::-1].index("train")
    assert last - commands.index("certify") <= 1


def test_an_order_is_kept(tmp_path, monkeypatch):
    config = copy.deepcopy(CONFIG) | {"seeds": list(range(3)), "schedule": "demo"}
    config["reports"]["demo"] = {"tables": TABLES, "figures": {}}
    simulation = Simulation(tmp_path / "run", config)
    jobs = Grid(check_config(config), "demo").certifications
    random.Random(0).shuffle(jobs)
    paths = []  # of a certification its model's first, if that is not there yet
    for job in jobs:
        paths += [job.model] * (job.model not in paths) + [job.path]
    order = tmp_path / "order.json"
    order.write_text(json.dumps({path: len(paths) - place for place, path in enumerate(paths)}))
    monkeypatch.setenv("DMCORE_ORDER", str(order))
    simulation.run("-q", "all", "--cores", "1", "certified")
    results = simulation.folder / "results"
    made = [*results.glob("**/model.safetensors"), *results.glob("**/certify/*/linf/n4.json")]
    made.sort(key=lambda path: path.stat().st_mtime_ns)
    made = [path.parent if path.name == "model.safetensors" else path.with_suffix("") for path in made]
    assert [path.relative_to(results).as_posix() for path in made] == paths


def test_a_second_run_does_nothing(simulation):
    assert simulation.run("-n", "--cores", "4", "--", RECORDS).jobs == {}


@pytest.mark.parametrize(("jobs", "slots"), [(4, 1), (6, 2)])
def test_each_gpu_is_used_by_so_many_jobs_at_once_as_the_profile_allows(tmp_path, jobs, slots):
    """Four GPUs for four jobs; three GPUs for six jobs, two on each. The leases are real, the GPUs are not."""
    config = copy.deepcopy(CONFIG) | {"seeds": list(range(4)), "schedule": "demo"}
    config["reports"]["demo"] = {"tables": TABLES, "figures": {}}
    gpus = jobs // slots
    simulation = Simulation(tmp_path / "run", config, seconds=1.0, gpus=gpus)
    models = [f"results/demo/mnist/small/dm/0.1/seed{seed}/training.json" for seed in range(4)]
    models += [f"results/demo/mnist/small/ibp/0.1/seed{seed}/training.json" for seed in range(4)]
    limits = ["--cores", str(jobs), "--resources", f"gpu={jobs}", "--default-resources", f"gpu_slots={slots}"]
    simulation.run(*limits, "--", *models)
    trainings = [call for call in simulation.calls() if call.command == "train"]
    assert len(trainings) == 8
    assert {call.gpu for call in trainings} == {str(gpu) for gpu in range(gpus)}
    assert overlap(trainings) <= jobs
    for gpu in range(gpus):
        assert overlap([call for call in trainings if call.gpu == str(gpu)]) <= slots
