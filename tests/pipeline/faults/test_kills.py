"""SIGKILL at random moments; `make test-kills` does 50 of each."""

import random
import shutil
import time

import pytest
from amount import KILLS, long
from report.results_folder import write_model
from test_config import CONFIG, ROOT
from tiny_training import SPEC, final_files

from doublemargin.experiment.grid import find_model
from doublemargin.files import read_json, write_json

KILLED = -9


def moments(seed, duration):
    """Random moments of a command; some come too late, as the first run, whose duration is known, is the slowest."""
    rng = random.Random(seed)
    return (rng.uniform(0, duration) for _ in range(10 * KILLS))


def test_a_training(trainings):
    """Whatever it had done at its kill comes out the same, and a save interval of work is lost at the most."""
    killed = resumed = 0
    for i, moment in enumerate(moments(0, trainings.duration)):
        every = (0, 0.1)[i % 2]
        ended = trainings.run(str(i), every, kill_after=moment)
        assert ended.code in (KILLED, 0), ended.stderr
        begun = dict(trainings.forks.steps())
        finished = (trainings.folder / str(i) / "training.json").exists()
        done = trainings.check(str(i))
        killed += not finished
        resumed += done > 0
        last = max(begun, default=0)
        # Behind step last - 1 there was a look at the clock: no more than an interval after the state was saved.
        assert finished or done >= last - 1 or begun[last - 1] - begun[done] <= every
        assert finished or every or done >= last
        if killed == KILLS:
            break
    print(f"{killed} kills of a training under way; {resumed} reruns went on from a state")
    assert killed == KILLS


@long
@pytest.mark.parametrize("point", ["create", "half of the bytes", "half of the tensors", "sync", "rename", "clean up"])
def test_a_training_at_every_file_it_writes(point, trainings):
    """Killed inside each write of a state, of the model and of the record, until none is left to be killed in."""
    for count in range(1, 200):
        name = f"{point}-{count}"
        ended = trainings.run(name, 0, kill_at=(point, count))
        last = max(dict(trainings.forks.steps()))
        finished = (trainings.folder / name / "training.json").exists()
        assert trainings.check(name) >= last or finished
        if ended.code == 0:
            break
    # A state a step, the model, the record; the state's own removal comes last.
    texts, tensors = 1, SPEC.training.steps + 1
    expected = {"half of the bytes": texts, "half of the tensors": tensors, "clean up": texts + tensors + 1}
    assert count - 1 == expected.get(point, texts + tensors)


COUNTS = {
    "normal/none": {"0": 198, "0.05": 20, "0.3": 0},
    "ibp/0.3": {"0": 190, "0.05": 180, "0.3": 0},
    "dm/0.3": {"0": 178, "0.05": 180, "0.3": 133},
}


def write_results(folder, counts):
    """Made-up results of models that the config knows."""
    for place, by_eps in counts.items():
        method, eps = place.split("/")
        write_model(folder, "mnist/small", method, eps, 0, 100.0, {"cnn-cert-relu": by_eps, "ibp": by_eps}, 200)
    for path in folder.glob("demo/mnist/**/*.json"):
        record = read_json(path)
        write_json(path, record | {"spec_hash": find_model(CONFIG, record["model"]).hash})


def made(folder):
    """Everything but the result files, by name."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in final_files(folder)
        if "mnist" not in path.relative_to(folder).parts
    }


@pytest.mark.parametrize("command", ["collect", pytest.param("report", marks=long)])
def test_making_records_and_tables(command, forks, tmp_path):
    """Every file is that of before or that of after, and in the end all are those of an undisturbed run."""
    killed = 0
    options = ["--schedule", "demo", "--out"] if command == "collect" else ["--config", ROOT / "config.yaml", "demo"]

    def run(folder, **kill):
        places = [folder / "demo"] if command == "collect" else []
        return forks.run(command, "--results", folder, *options, *places, **kill)

    before, whole = tmp_path / "before", tmp_path / "whole"
    write_results(before, dict(list(COUNTS.items())[:2]))
    assert run(before).code == 0
    write_results(before, COUNTS)
    shutil.copytree(before, whole)
    started = time.perf_counter()
    assert run(whole).code == 0
    duration = time.perf_counter() - started
    old, new = made(before), made(whole)
    assert old.keys() == new.keys()
    assert old["demo/certified_accuracy.csv"] != new["demo/certified_accuracy.csv"]
    for i, moment in enumerate(moments(2, duration)):
        folder = tmp_path / str(i)
        shutil.copytree(before, folder)
        ended = run(folder, kill_after=moment)
        assert ended.code in (KILLED, 0), ended.stderr
        killed += ended.code == KILLED
        after = made(folder)
        assert after.keys() == new.keys()
        sums = set(after.pop("demo/SHA256SUMS").splitlines())  # of both, while files are being replaced
        assert sums <= {line for both in (old, new) for line in both["demo/SHA256SUMS"].splitlines()}
        assert all(content in (old[name], new[name]) for name, content in after.items())
        ended = run(folder)
        assert ended.code == 0, ended.stderr
        assert made(folder) == new
        assert not list(folder.rglob(".*"))
        shutil.rmtree(folder)
        if killed == KILLS:
            break
    print(f"{killed} kills of `{command}` under way")
    assert killed == KILLS
