"""What a trade-off draws and writes, against results with known verdicts."""

import copy
import csv

import numpy as np
import pytest
from results_folder import PANEL, write_model
from test_config import CONFIG

from dmcore.errors import UserError
from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.looks import METHODS
from doublemargin.records.tidy import collect
from doublemargin.report.figures import tradeoff
from doublemargin.report.figures.style import house_style

# method, line, seeds: clean and certified points of 100
ROWS = [
    ("sweep-alpha0.2", "Sweep", [(98, 40), (96, 50), (97, 48)]),  # 97, 46
    ("sweep-alpha0.1", "Sweep", [(95, 60)]),
    ("sweep-alpha0.3", "Sweep", [(94, 50)]),  # dominated
    ("alone", "Alone", [(96, 55)]),
    ("never", "Never", []),
]


def exhibit(rows=ROWS, reference=None):
    lines = list(dict.fromkeys(line for _, line, _ in rows))
    made = [
        {
            "method": method, "label": method, "line": line, "baseline": False, "own": False, "eps": "0.3", "group": 0,
            "look": lines.index(line), "models": [f"mnist/small-{method}-0.3-{s}" for s in range(max(len(seeds), 1))],
        }
        for method, line, seeds in rows
    ]  # fmt: skip
    panel = PANEL | {
        "title": "Small CNN MNIST",
        "certifier": "ibp",
        "points": 100,
        "eps_cert": ["0.3", "0"],
        "rows": made,
    }
    return {"name": "t", "schedule": "demo", "shortened": None, "reference": reference, "panels": [panel]}


@pytest.fixture
def records(tmp_path):
    for method, _, seeds in ROWS:
        for seed, (clean, certified) in enumerate(seeds):
            counts = {"ibp": {"0": clean, "0.3": certified}}
            write_model(tmp_path, "mnist/small", method, "0.3", seed, 1.0, counts, 100)
    return collect(tmp_path, "demo")


def lines_of(axis):
    return {line.get_label(): line.get_xydata() for line in axis.lines}


def test_lines_markers_seeds_and_front(records):
    (axis,) = tradeoff.draw(exhibit(), records).axes
    lines = lines_of(axis)
    assert set(lines) == {"Sweep", "Alone", "front"}
    np.testing.assert_allclose(lines["Sweep"], [(94, 50), (95, 60), (97, 46)])
    np.testing.assert_allclose(lines["Alone"], [(96, 55)])
    (left, _), (bottom, _) = axis.get_xlim(), axis.get_ylim()
    steps = [(left, 60), (95, 60), (95, 55), (96, 55), (96, 46), (97, 46), (97, bottom)]
    np.testing.assert_allclose(lines["front"], steps)
    dots = np.concatenate([one.get_offsets() for one in axis.collections])
    assert sorted(map(tuple, dots)) == [(94, 50), (95, 60), (96, 50), (97, 48), (98, 40)]
    assert axis.get_ylabel() == "certified at ε = 0.3 (%)"


def test_the_legend_gives_hypervolumes_and_the_note_how_the_front_was_chosen(records):
    figure = tradeoff.draw(exhibit(), records)
    # Sweep: 0.97·0.46 + 0.95·0.14; of all: 0.97·0.46 + 0.96·0.09 + 0.95·0.05.
    assert [text.get_text() for text in figure.legends[0].texts] == [
        *("Sweep  0.579", "Alone  0.528", "front of all  0.580", "single trainings"),
    ]
    note = figure.get_supxlabel().replace("\n", " ")
    assert "Points of the front are chosen by the test points themselves" in note
    assert "A marker is the mean over trainings that differ in their seed alone." in note
    assert note.endswith("Not run: never at 0.3.")


def test_nothing_run_yet(tmp_path):
    figure = tradeoff.draw(exhibit(), collect(tmp_path, "demo"))
    assert figure.get_supxlabel() == "Nothing has been run yet."
    assert not figure.axes[0].lines
    assert figure.axes[0].get_xlim() == (0, 100)
    beside = tradeoff.draw(exhibit(reference="resources/modern/published.csv"), collect(tmp_path, "demo"))
    assert beside.get_supxlabel().startswith("Nothing has been run yet.\nGrey: published numbers")


def test_the_legend_fits_on_the_page(nothing):
    with house_style():
        figure = tradeoff.draw(exhibit_spec(Grid(CONFIG, "modern"), "figures", "modern1"), nothing)
        figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width


def test_the_numbers_beside_it(records, tmp_path):
    tradeoff.write(exhibit(), records, tmp_path / "figures/t")
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png", ".svg", ".pdf", ".csv"}
    with (tmp_path / "figures/t.csv").open() as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert [row["on_front"] for row in rows.values()] == ["True", "True", "False", "True", ""]
    first = rows["sweep-alpha0.2"]
    assert (first["clean"], first["certified"], first["eps_cert"], first["models_run"]) == ("0.97", "0.46", "0.3", "3")
    assert float(first["clean_std_over_seeds"]) == pytest.approx(0.01)
    assert float(first["certified_std_over_seeds"]) == pytest.approx(np.std([0.4, 0.5, 0.48], ddof=1), abs=1e-6)
    assert float(first["hypervolume_of_line"]) == pytest.approx(0.97 * 0.46 + 0.95 * 0.14)
    assert (rows["alone"]["clean_std_over_seeds"], rows["never"]["clean"], rows["never"]["models_run"]) == ("", "", "0")


def test_published_numbers_are_marked_where_data_and_eps_are_theirs(records, tmp_path):
    path = tmp_path / "published.csv"
    head = "method,dataset,eps,network,clean,certified,source"
    rows = ["IBP,mnist,0.30,CNN7,99,70,A", "SABR,mnist,0.3,CNN7,98,71,B", "IBP,mnist,0.1,CNN7,99,95,A"]
    path.write_text("\n".join([head, *rows, "IBP,digits,0.3,CNN7,90,90,A"]))
    (axis,) = tradeoff.draw(exhibit(reference=str(path)), records).axes
    lines = lines_of(axis)
    np.testing.assert_allclose(lines["A, CNN7"], [(99, 70)])
    np.testing.assert_allclose(lines["B, CNN7"], [(98, 71)])
    assert lines["front"].max() < 98  # they are no part of it
    assert not {look["marker"] for look in METHODS} & set(tradeoff.MARKS)
    path.write_text("method,eps\nIBP,0.3\n")
    with pytest.raises(UserError, match=r"published\.csv is no table of published numbers, method, dataset, eps, "):
        tradeoff.draw(exhibit(reference=str(path)), records)


def test_variants_of_a_grid_are_one_line_with_one_look():
    spec = exhibit_spec(Grid(CONFIG, "modern"), "figures", "modern1")
    assert spec["reference"] == "resources/modern/published.csv"
    looks = {}
    for row in spec["panels"][0]["rows"]:
        looks.setdefault(row["line"], set()).add(row["look"])
    assert {len(found) for found in looks.values()} == {1}
    assert len(looks) == len(set().union(*looks.values())) == 12
    assert {row["line"] for row in spec["panels"][0]["rows"] if row["method"].startswith("shi_ibp-")} == {"IBP (Shi)"}


def test_a_title_for_each_of_several_panels(records):
    two = exhibit()
    two["panels"].append(copy.deepcopy(two["panels"][0]))
    two["panels"][1]["rows"] = two["panels"][1]["rows"][3:]
    figure = tradeoff.draw(two, records)
    titles = [axis.get_title(loc="left").replace("\n", " ") for axis in figure.axes]
    assert titles == [f"({letter}) Small CNN MNIST, schedule demo" for letter in "ab"]
    legend = figure.legends[0]
    assert legend.get_title().get_text() == "Method, and hypervolume in (a) and (b)"
    assert [text.get_text() for text in legend.texts][:2] == ["Sweep  0.579, –", "Alone  0.528, 0.528"]
