import copy

import pandas as pd
import pytest
from test_config import CONFIG

from doublemargin.experiment.backlog.items import cells_on_record, count_places, missing, models_here
from doublemargin.experiment.grid import Grid
from doublemargin.records.columns import COLUMNS

GRID = Grid(CONFIG, "demo")
MODELS = GRID.model_paths()
DM, IBP, L1, NORMAL = MODELS


class Fixed:
    """A training of ``train`` seconds; certifications by certifier."""

    def __init__(self, train=100.0, **certifiers):
        self.train, self.certifiers = train, {"cnn-cert-relu": 10.0, "ibp": 1.0} | certifiers

    def training(self, model):
        return self.train[model] if isinstance(self.train, dict) else self.train

    def evaluation(self, job):
        return self.certifiers[job.by]


def shown(items):
    return [str(item) for item in items]


def test_a_model_is_trained_with_the_certifications_that_make_the_best_of_it():
    items = missing(GRID, set(), set(), set(), Fixed(train={DM: 100.0, IBP: 50.0, L1: 20.0, NORMAL: 10.0}))
    assert [item.model for item in items] == [NORMAL, L1, IBP, DM]
    assert str(items[0]) == f"{NORMAL}: train, ibp linf n200, cnn-cert-relu linf n200"
    # 8 ε with two certifiers, in Table 2 and Figure 1.
    assert [(item.trains, item.cells, item.places, item.seconds) for item in items[:2]] == [
        (True, 16, 32, 21.0), (True, 16, 32, 31.0),
    ]  # fmt: skip


def test_what_would_lower_the_priority_of_a_training_comes_later():
    items = missing(GRID, set(), set(), set(), Fixed(10.0, **{"cnn-cert-relu": 1e4}))
    assert shown(items) == [f"{model}: train, ibp linf n200" for model in MODELS] + [
        f"{model}: cnn-cert-relu linf n200" for model in MODELS
    ]
    assert [item.trains for item in items] == [True] * 4 + [False] * 4


def test_what_took_no_time_that_could_be_measured_comes_first():
    free = Fixed(0.0, **{"cnn-cert-relu": 0.0, "ibp": 0.0})
    assert [item.cells for item in missing(GRID, set(), set(), set(), free)] == [16] * 4
    assert str(missing(GRID, set(), {DM}, set(), Fixed(ibp=0.0))[0]) == f"{DM}: ibp linf n200"


def test_a_model_that_is_there_is_not_trained():
    items = missing(GRID, set(), {DM}, set(), Fixed())
    assert shown(items[:2]) == [f"{DM}: ibp linf n200", f"{DM}: cnn-cert-relu linf n200"]
    assert [item.trains for item in items] == [False, False, True, True, True]


def test_what_is_on_record_is_not_run_again():
    done = {cell for cell in GRID.cell_paths() if "/ibp/linf/" in cell or cell.endswith(("n200/0", "n200/0.1"))}
    items = missing(GRID, done, set(MODELS), set(), Fixed())
    assert shown(items) == [f"{model}: cnn-cert-relu linf n200" for model in MODELS]
    assert {(item.cells, item.places) for item in items} == {(6, 12)}
    assert items[0].targets == [f"results/{DM}/certify/cnn-cert-relu/linf/n200.json"]  # with all its ε
    assert missing(GRID, set(GRID.cell_paths()), set(), set(), Fixed()) == []


def test_what_was_begun_comes_first():
    items = missing(GRID, set(), {L1}, {NORMAL, f"{L1}/certify/cnn-cert-relu/linf/n200"}, Fixed())
    assert shown(items[:2]) == [
        f"{L1}: cnn-cert-relu linf n200",
        f"{NORMAL}: train, ibp linf n200, cnn-cert-relu linf n200",
    ]
    assert [item.begun for item in items] == [True, True] + [False] * 3


def test_a_cell_fills_a_place_in_each_panel_that_shows_it():
    grid = Grid(CONFIG, "short")
    shown_in = count_places(grid)
    end = "seed0/certify/cnn-cert-relu/linf/n200/0.1"
    # Normal training: Tables 2, 8 and 14 and Figure 1. Ibp at 0.1: Table 8 and Figure 1.
    assert shown_in[f"short/mnist/small/normal/none/{end}"] == 4
    assert shown_in[f"short/mnist/small/ibp/0.1/{end}"] == 2
    assert set(shown_in) == set(grid.cell_paths())
    assert count_places(grid.part("tables", "table8", "table14"))[f"short/mnist/small/normal/none/{end}"] == 2


def lines(kind, *rows):
    origin = {"spec_hash": GRID.spec_hash(DM), "model_sha256": "m" * 16}
    model = {"schedule": "demo", "dataset": "mnist", "arch": "small", "method": "dm", "eps_train": "0.3", "seed": 0}
    cell = {
        "certifier": "ibp",
        "norm": "linf",
        "points": 200,
        "points_seed": 0,
        "clip_input": "False",
        "variant": "official",
    }
    full = [origin | model | cell | {"intersect_ibp": "False", "eps_cert": "0.1"} | row for row in rows]
    return pd.DataFrame(full, columns=COLUMNS[kind], dtype=object)


class Records:
    def __init__(self, *rows):
        self.certified_accuracy = lines("certified_accuracy", *(row for row in rows if "attack" not in row))
        self.robust_accuracy = lines("robust_accuracy", *(row for row in rows if "attack" in row))


CELL = f"{DM}/certify/ibp/linf/n200/0.1"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, {CELL}),
        ({"points": 100}, {CELL.replace("n200", "n100")}),
        ({"spec_hash": "of another config"}, set()),
        ({"method": "no such method"}, set()),
        ({"points_seed": 1}, set()),
        ({"variant": "official, validation split"}, set()),
        ({"clip_input": "True"}, set()),
        ({"intersect_ibp": "True"}, set()),
        ({"attack": "pgd"}, {CELL.replace("certify/ibp", "attack/pgd")}),
        ({"attack": "pgd", "points_seed": 1}, set()),
    ],
)
def test_a_cell_counts_if_it_was_run_as_the_config_says(change, found):
    assert cells_on_record(GRID, Records(change)) == found


def test_options_of_the_config_are_those_of_the_cells():
    config = copy.deepcopy(CONFIG)
    config["certification"] |= {"clip_input": True, "intersect_ibp": True}
    grid = Grid(config, "demo")
    assert cells_on_record(grid, Records({"clip_input": "True", "intersect_ibp": "True"})) == {CELL}
    assert cells_on_record(grid, Records({})) == set()


def test_a_model_counts_as_there_if_it_was_trained_as_the_config_says():
    assert models_here(GRID, lines("training", {})) == {DM}
    assert models_here(GRID, lines("training", {"spec_hash": "of another config"})) == set()
