"""The config's grid is the paper's: each model and cell of its tables, none missing, none more."""

from collections import Counter

import pandas as pd
from test_config import CONFIG, ROOT

from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.records.paper import read_reported

REPORTED = read_reported(ROOT / "resources/paper/reported.csv")


def papers(schedule):
    """The grid of the paper's own tables; supplements are beyond it."""
    grid = Grid(CONFIG, schedule)
    return grid.part("tables", *(name for name in grid.report["tables"] if not name.startswith("supplement")))


GRID = papers("paper")
MODEL = ["dataset", "arch", "method", "eps_train"]
CELL = [*MODEL, "certifier", "norm", "points", "eps_cert"]


def averaged(path):
    """A model beyond the paper's count: Table 5 averages Double Margin over three."""
    return path.split("/")[5] != "seed0"


def cell(path):
    _, dataset, arch, method, eps_train, _, _, certifier, norm, points, eps = path.split("/")
    return dataset, arch, method, eps_train, certifier, norm, int(points[1:]), eps


def test_the_models_are_the_papers_130():
    models = [path for path in GRID.model_paths() if not averaged(path)]
    assert len(models) == 130
    assert {tuple(path.split("/")[1:5]) for path in models} == set(REPORTED[MODEL].itertuples(index=False, name=None))
    assert [path for path in GRID.model_paths() if averaged(path)] == [
        f"paper/{model}/seed{seed}" for model in ("cifar10/small/dm/8_255", "mnist/small/dm/0.2") for seed in (1, 2)
    ]


def test_the_cells_are_the_papers_1716():
    cells = [path for path in GRID.cell_paths() if not averaged(path)]
    assert len(cells) == 1716
    assert {cell(path) for path in cells} == set(REPORTED[CELL].itertuples(index=False, name=None))
    assert len([path for path in GRID.cell_paths() if averaged(path)]) == 4 * 9


def test_each_table_has_the_papers_rows_and_columns():
    tables = {name: exhibit for name, exhibit in GRID.report["tables"].items() if "panels" in exhibit}
    assert sorted(tables) == sorted(REPORTED["table"].unique())
    for name, exhibit in tables.items():
        ours = Counter(
            (panel["dataset"], panel["arch"], row.method, row.eps, *(resolved[key] for key in CELL[4:7]), eps)
            for panel, resolved in zip(exhibit["panels"], _panel_specs(name), strict=True)
            for row in GRID.rows(panel)
            for eps in resolved["eps_cert"]
        )
        papers = Counter(REPORTED[REPORTED["table"] == name][CELL].itertuples(index=False, name=None))
        assert ours == papers, name


def test_blocks_and_lines_come_in_the_papers_order():
    for name in REPORTED["table"].unique():
        papers = REPORTED[REPORTED["table"] == name]
        lines = papers[["panel", *MODEL]].drop_duplicates().drop(columns="panel")
        ours = [
            (panel["dataset"], panel["arch"], row["method"], row["eps"])
            for panel in _panel_specs(name)
            for row in panel["rows"]
        ]
        assert ours == list(lines.itertuples(index=False, name=None)), name


def test_a_certification_has_a_file():
    assert len({job.path for job in GRID.evaluations}) == len(GRID.evaluations) == 214


def test_the_papers_numbers_are_read_in_our_names():
    first = REPORTED.iloc[0]
    assert first[["table", "method", "eps_train", "eps_cert", "norm"]].tolist() == [
        "table2",
        "normal",
        "none",
        "0",
        "linf",
    ]
    assert (first["accuracy"], first["seconds"], first["points"]) == (0.985, 185.7, 200)
    l1 = REPORTED[(REPORTED["table"] == "table4") & (REPORTED["method"] == "dm_for_l1") & (REPORTED["norm"] == "l1")]
    assert l1[l1["dataset"] == "mnist"]["eps_cert"].tolist() == ["0", "0.25", "0.5", "0.75", "1"]
    assert l1[l1["dataset"] == "mnist"]["accuracy"].tolist() == [0.685, 0.625, 0.53, 0.355, 0.11]
    assert pd.isna(REPORTED[REPORTED["status"] == "missing"]["accuracy"]).all()
    assert len(REPORTED) == 2133


def _panel_specs(name):
    return exhibit_spec(GRID, "tables", name)["panels"]


def test_rows_know_their_group_and_whose_method_they_are():
    _, _, _, cifar, *_ = _panel_specs("table4")
    assert [(row["eps"], row["group"]) for row in cifar["rows"]] == [("8_255", 0), ("2", 1), ("2", 2)]  # ℓ∞, ℓ1, ℓ0
    (gtsrb,) = _panel_specs("table6")
    rows = [(row["method"], row["eps"], row["group"], row["baseline"], row["own"]) for row in gtsrb["rows"]]
    assert rows == [
        ("normal", "none", 0, True, False),
        ("ibp", "2_255", 1, False, False),
        ("dm", "2_255", 1, False, True),
        ("ibp", "8_255", 1, False, False),
        ("dm", "8_255", 1, False, True),
    ]
    own = {name for name, method in CONFIG["methods"].items() if method.get("own")}
    assert own == {name for name in CONFIG["methods"] if name.startswith("dm")}
