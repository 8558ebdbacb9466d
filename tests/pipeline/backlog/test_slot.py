import os
import time
from pathlib import Path

import pytest
from flips import stopped
from test_config import CONFIG

from doublemargin.experiment.backlog.items import Item
from doublemargin.experiment.backlog.slot import Watch, _begun, batch, chosen, listing
from doublemargin.experiment.grid import Evaluation, Grid

GRID = Grid(CONFIG, "short")


def item(seconds, name="dm/0.3", trains=True):
    model = f"short/mnist/small/{name}/seed0"
    jobs = (Evaluation(model, "certify", "ibp", "linf", 200, ("0", "0.1")),)
    return Item(model, trains, jobs, cells=2, places=3, seconds=seconds)


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        ([], {"mnist", "cifar10", "gtsrb"}),
        (["mnist"], {"mnist"}),
        (["mnist/small/dm", "gtsrb/"], {"mnist/small/dm", "gtsrb"}),
        (["*/medium"], {"cifar10/medium", "mnist/medium"}),
        (["mnist/small/dm/0.2/seed1"], {"mnist/small/dm/0.2/seed1"}),
        (["mnis"], set()),
        (["small"], set()),
    ],
)
def test_models_are_chosen_by_the_beginning_of_their_path(patterns, found):
    models = {model for model in GRID.model_paths() if any(f"/{name}/" in f"/{model}/" for name in found)}
    assert set(chosen(GRID, patterns)) == models


def test_abatch_fills_the_time_and_every_slot():
    items = [item(60.0, f"dm/0.{i}") for i in range(1, 9)]
    assert batch(items, 150.0, 1) == items[:3]
    assert batch(items, 150.0, 5) == items[:5]
    assert batch(items[:2], 1e6, 1) == items[:2]
    assert len(batch([item(0.0)] * 500, 150.0, 1)) == 100


def test_the_list_adds_up():
    first, second = listing([item(1800.0), item(3600.0, trains=False)])
    assert first == {
        "cells": 2, "places": 3, "minutes": 30.0, "all cells": 2, "all hours": 0.5,
        "what": "short/mnist/small/dm/0.3/seed0: train, ibp linf n200",
    }  # fmt: skip
    assert (second["all cells"], second["all hours"]) == (4, 1.5)
    assert second["what"] == "short/mnist/small/dm/0.3/seed0: ibp linf n200"


def test_what_comes_to_be_is_told_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stale = Path("results/short/mnist/small/dm/0.3/seed0/training.json")
    stale.parent.mkdir(parents=True)
    stale.write_text("of an earlier run")
    os.utime(stale, (time.time() - 100,) * 2)
    told = []
    watch = Watch([item(1.0)], told.append)
    watch.look()
    assert told == []
    stale.write_text("anew")
    cell = Path(watch.targets[0])
    cell.parent.mkdir(parents=True)
    cell.touch()
    watch.look()
    watch.look()
    assert told == [
        "short/mnist/small/dm/0.3/seed0: trained", "short/mnist/small/dm/0.3/seed0: ibp linf, 200 points at 2 ε",
    ]  # fmt: skip


def test_what_left_a_state_was_begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = "short/mnist/small/dm/0.3/seed0"
    for state in ("unfinished-0123", "certify/ibp/linf/unfinished-n200"):
        path = Path(f"results/{model}/{state}.safetensors")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert _begun(GRID) == {model, f"{model}/certify/ibp/linf/n200"}


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "give --minutes, to run what is missing, or --list, to see it"),
        (["--minutes", "0.5"], "--minutes 0.5 is too short to start anything; give 1 or more"),
        (["--minutes", "-1"], "'-1' is not a number > 0"),
        (
            ["--list", "--schedule", "shrot"],
            "has no schedule 'shrot' (did you forget ",
        ),
        (["--list", "--tables", "table88"], "has no table 'table88': did you mean 'table8'?"),
        (["--list", "--models", "mnist/smal"], "no model of schedule 'paper' begins with mnist/smal"),
        (["--list", "--config", "no.yaml"], "no.yaml"),
        (["--minutes", "8", "--cores", "0"], "'0' is not a whole number > 0"),
        (["--minutes", "8", "--coers", "1"], "unknown argument '--coers': did you mean '--cores'?"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(arguments, line, capsys):
    (told,) = stopped(capsys, "next", *arguments)
    assert line in told


def test_it_is_for_the_projects_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (line,) = stopped(capsys, "next", "--list")
    assert "there is no Snakefile here: run `dmcore next` in the project's folder" in line
