"""From result files with known verdicts to the printed tables."""

import copy
import csv
import io
import math
from dataclasses import replace

import pytest
from made_rows import cell
from results_folder import COUNTS, EXHIBIT, write_attack, write_results

from dmcore.errors import UserError
from doublemargin.records.statistics import std_of_hundreds, wilson_interval
from doublemargin.records.tidy import collect
from doublemargin.report.build_table import Lookup
from doublemargin.report.build_table import build_table as built
from doublemargin.report.render import comma_separated, html, latex, markdown, plain
from doublemargin.report.render.layout import head, upper

DASH = "–"


def build_table(exhibit, records):
    return built(exhibit, Lookup.of(records, None))


def test_values_are_means_over_seeds_and_the_best_are_marked(records):
    (panel,) = build_table(EXHIBIT, records).panels
    texts = {row.label: [v.text for v in row.cells] for row in panel.rows}
    assert texts == {
        "Normal": ["98.5% ± 0.7 (2)", "9.5% ± 0.7 (2)", "0.0% ± 0.0 (2)", DASH],
        "IBP *": ["94.5% ± 0.7 (2)", "89.5% ± 0.7 (2)", "0.0% ± 0.0 (2)", DASH],
        "Double Margin": ["88.5% ± 0.7 (2)", "89.5% ± 0.7 (2)", "66.0% ± 0.7 (2)", DASH],
        "DM + L1": [DASH] * 4,
    }
    assert {row.label: [v.best for v in row.cells] for row in panel.rows} == {
        "Normal": [False] * 4,  # the best of its column, but a baseline
        "IBP *": [True, True, False, False],
        "Double Margin": [False, True, True, False],  # ties share the mark
        "DM + L1": [False] * 4,
    }
    assert [row.time for row in panel.rows] == ["105.0", "105.0", "105.0", DASH]
    assert [row.eps for row in panel.rows] == ["", "0.3", "0.3", "0.3"]


def test_a_time_that_others_may_have_prolonged_is_marked(records):
    timing = ["undisturbed"] * 2 + ["disturbed", "undisturbed"] + ["undisturbed"] * 2
    slowed = replace(records, training=records.training.assign(timing=timing))
    table = build_table(EXHIBIT, slowed)
    assert [row.time for row in table.panels[0].rows] == ["105.0", "105.0‡", "105.0", DASH]
    assert any(note.startswith("‡: other work") for note in table.notes)
    assert not any("‡" in note for note in build_table(EXHIBIT, records).notes)


def test_a_column_of_zeros_has_no_best(tmp_path):
    counts = {k: {"cnn-cert-relu": {"0": 100, "0.3": 0}} for k in COUNTS}
    write_results(tmp_path, counts)
    (panel,) = build_table(EXHIBIT, collect(tmp_path, "demo")).panels
    assert not any(row.cells[2].best for row in panel.rows)


MODEL = "demo/mnist/small/dm/0.3/seed{}"
ATTACKED = EXHIBIT | {"panels": [EXHIBIT["panels"][0] | {"attack": "pgd"}]}
"""Certified of Double Margin at 0.05 and 0.3: 180 and 133 points, of the second seed 178 and 131."""


def test_columns_of_an_attack_bound_the_certified_shares_from_above(tmp_path):
    write_results(tmp_path, COUNTS)
    for seed in (0, 1):
        write_attack(tmp_path, MODEL.format(seed), {"0.3": 140 - seed} | ({"0.05": 190} if seed else {}))
    table = build_table(ATTACKED, collect(tmp_path, "demo"))
    (panel,) = table.panels
    names = head(panel)
    assert names[3:] == ["ε_cert = 0", "0.05", "0.30", "0.40", "0.05, pgd", "0.30, pgd", "0.40, pgd"]
    of_dm = upper(panel, panel.rows[2])
    assert of_dm == [DASH, "69.8%", DASH]  # at 0.05 one of two was attacked
    assert upper(panel, panel.rows[0]) == [DASH] * 3
    assert any(note.startswith("pgd: the share of points that this attack does not break.") for note in table.notes)
    assert not any("pgd" in note for note in build_table(EXHIBIT, collect(tmp_path, "demo")).notes)
    line = [part.strip() for part in markdown.accuracies(table).splitlines() if "| Double Margin" in part]
    assert [cell.strip() for cell in line[0].split("|")][-4:-1] == of_dm
    assert plain.accuracies(table).count("69.8%") == html.accuracies(table).count("<td>69.8%</td>") == 1
    assert latex.accuracies(table).count(r" & 69.8\%") == 1
    lines = {(line["method"], line["eps_cert"]): line for line in _lines(table)}
    assert [lines["dm", eps]["not_broken"] for eps in ("0", "0.05", "0.3")] == ["", "", "0.6975"]


def test_attacks_of_other_weights_data_or_points_are_not_set_beside(tmp_path):
    write_results(tmp_path, COUNTS)
    for seed in (0, 1):
        write_attack(tmp_path, MODEL.format(seed), {"0.3": 140})
    records = collect(tmp_path, "demo")
    for column, value in (("model_sha256", "n" * 16), ("variant", "other"), ("points_seed", 1), ("points", 100)):
        other = replace(records, robust_accuracy=records.robust_accuracy.assign(**{column: value}))
        (panel,) = build_table(ATTACKED, other).panels
        assert upper(panel, panel.rows[2]) == [DASH] * 3, column


def test_a_point_that_is_certified_and_broken_is_never_shown(tmp_path):
    write_results(tmp_path, COUNTS)
    write_attack(tmp_path, MODEL.format(0), {"0.3": 130})
    records = collect(tmp_path, "demo")
    points = " ".join(str(2 * i) for i in range(200))
    with pytest.raises(UserError, match=r"^UNSOUND: test point 260 \(of 3\) of mnist/small/dm/0\.3/seed0 is certified"):
        build_table(ATTACKED, replace(records, points=records.points.assign(indices=points)))


def _lines(table):
    return csv.DictReader(io.StringIO(comma_separated.accuracies(table)))


def certified(*counts, points=200, **others):
    """The cell of models of which so many points are certified."""
    return replace(cell(strings=tuple("1" * n + "0" * (points - n) for n in counts), points=points), **others)


def test_decimals_are_those_that_the_points_can_differ_in():
    counts = {20: 17, 100: 85, 200: 171, 1000: 855, 10000: 8551}
    texts = [certified(n, points=points).text for points, n in counts.items()]
    assert texts == ["85%", "85%", "85.5%", "85.5%", "85.51%"]
    assert certified(18, 19, points=20, models=2).text == "92.5% ± 3.5 (2)"
    assert certified(604, points=1000, with_std=True).text == "60.4 (4.6)%"  # √(.604·.396/100 · 900/999)


def test_what_is_missing_from_a_mean():
    cells = whole, part, none = certified(90, 100, 110, models=3), certified(90, 110, models=3), certified(models=3)
    assert [c.status for c in cells] == ["run", "partly", "not run"]
    assert [c.text for c in cells] == ["50.0% ± 5.0 (3)", "50.0% ± 7.1 (2)†", DASH]  # √50 points of 100
    assert certified(90, models=3).text == "45.0%†"  # one has no spread
    assert none.std_over_hundreds is none.std_over_seeds is none.interval is None
    assert part.interval == wilson_interval(100, 200)
    assert whole.std_over_hundreds == std_of_hundreds(0.5, 200)


def test_the_papers_std_and_the_one_over_seeds_are_never_taken_for_each_other(records):
    exhibit = copy.deepcopy(EXHIBIT)
    (panel,) = exhibit["panels"]
    panel["std"] = True
    panel["rows"][0]["models"] = panel["rows"][0]["models"][:1]
    table = build_table(exhibit, records)
    of_one, of_two = (row.cells[0] for row in table.panels[0].rows[:2])
    assert (of_one.text, of_two.text) == ("99.0 (0.7)%", "94.5% ± 0.7 (2)")  # √(.99·.01/100 · 100/199)
    assert "In brackets before the %: the standard deviation over random hundreds of the points." in table.notes
    assert any(note.startswith("± s (n): the mean over n trainings that differ in their seed") for note in table.notes)
    lines = {(line["method"], line["eps_cert"]): line for line in _lines(table)}
    assert lines["normal", "0"]["std_over_seeds"] == "" != lines["normal", "0"]["std_over_hundreds"]
    assert float(lines["ibp", "0"]["std_over_seeds"]) == pytest.approx(0.01 / math.sqrt(2), abs=1e-6)
    for row in panel["rows"]:
        row["models"] = row["models"][:1]
    alone = build_table(exhibit, records)
    assert "std_over_seeds" not in comma_separated.accuracies(alone)
    assert "In brackets: the standard deviation over random hundreds of the points." in alone.notes
