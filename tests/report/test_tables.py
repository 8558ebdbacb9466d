"""From result files with known verdicts to the printed tables."""

import copy
from dataclasses import replace

import pytest
from results_folder import COUNTS, EXHIBIT, write_results

from dmcore.report.records import collect, read_records, write_records
from dmcore.report.render import html, latex, markdown, plain, write_table
from dmcore.report.tables import build_table

DASH = "–"


@pytest.fixture
def records(tmp_path):
    write_results(tmp_path, COUNTS)
    write_records(collect(tmp_path, "demo"), tmp_path / "demo")
    return read_records(tmp_path / "demo")


def test_values_are_means_over_seeds_and_the_best_are_marked(records):
    (panel,) = build_table(EXHIBIT, records).panels
    texts = {row.label: [v.text for v in row.values] for row in panel.rows}
    assert texts == {
        "Normal": ["98.5%", "9.5%", "0.0%", DASH],
        "IBP *": ["94.5%", "89.5%", "0.0%", DASH],
        "Double Margin": ["88.5%", "89.5%", "66.0%", DASH],
        "DM + L1": [DASH] * 4,
    }
    assert {row.label: [v.best for v in row.values] for row in panel.rows} == {
        "Normal": [False] * 4,  # the best of its column, but a baseline
        "IBP *": [True, True, False, False],
        "Double Margin": [False, True, True, False],  # ties share the mark
        "DM + L1": [False] * 4,
    }
    assert [row.time for row in panel.rows] == ["105.0", "105.0", "105.0", DASH]
    assert [row.eps_train for row in panel.rows] == ["", "0.3", "0.3", "0.3"]


def test_a_column_of_zeros_has_no_best(tmp_path):
    counts = {k: {"cnn-cert-relu": {"0": 100, "0.3": 0}} for k in COUNTS}
    write_results(tmp_path, counts)
    (panel,) = build_table(EXHIBIT, collect(tmp_path, "demo")).panels
    assert not any(row.values[2].best for row in panel.rows)


def test_the_finding_follows_the_records(records):
    exhibit = copy.deepcopy(EXHIBIT)
    exhibit["panels"][0]["eps_cert"] = ["0", "0.05", "0.3"]
    (panel,) = build_table(exhibit, records).panels
    assert panel.finding == (
        "At ε = 0.3, Double Margin 66.0% [59.2, 72.2] against IBP * 0.0% [0.0, 1.9]: "
        "Double Margin is ahead by 66.0 points."
    )
    exhibit["panels"][0]["eps_cert"] = ["0"]
    assert "Double Margin is behind by 6.0 points." in build_table(exhibit, records).panels[0].finding
    exhibit["panels"][0]["eps_cert"] = ["0.05"]
    assert build_table(exhibit, records).panels[0].finding.endswith("Double Margin is level.")
    exhibit["panels"][0]["eps_cert"] = ["0", "0.4"]
    assert build_table(exhibit, records).panels[0].finding == "At ε = 0.4: not run."


def test_the_std_of_the_lower_half(records):
    exhibit = copy.deepcopy(EXHIBIT)
    exhibit["panels"][0]["std"] = True
    (panel,) = build_table(exhibit, records).panels
    assert panel.rows[2].values[2].text == "66.0 (3.4)%"  # √(.66·.34/100 · 100/199)


def test_notes_say_how_the_numbers_were_made(records):
    notes = "\n".join(build_table(EXHIBIT, records).notes)
    for part in (
        "Schedule demo",
        "mnist (official)",
        "9 of 16 cells have been run",
        "200 test points",
        "not cut to [0, 1]",
        "CPU (test)",
    ):
        assert part in notes
    assert "commit abc123" in notes


def test_nothing_run_yet(tmp_path):
    table = build_table(EXHIBIT, read_records(tmp_path))
    assert all(v.text == DASH for row in table.panels[0].rows for v in row.values)
    assert "nothing has been run yet" in table.notes[0]
    assert DASH in markdown(table)


def test_markdown(records):
    lines = markdown(build_table(EXHIBIT, records)).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["Method", "ε_train", "Training time (s)", "ε = 0", "ε = 0.05", "ε = 0.30", "ε = 0.40"]
    assert cells[4] == ["Double Margin", "0.3", "105.0", "88.5%", "**89.5%**", "**66.0%**", DASH]


def test_latex(records):
    text = latex(build_table(EXHIBIT, records))
    assert r"\caption{A caption with 5\% \& more." in text
    assert (
        r"IBP $^*$ & \multirow{3}{*}{$\epsilon=0.3$} & 105.0 & \textbf{94.5\%} & \textbf{89.5\%} & 0.0\% & -- \\"
        in text
    )
    assert r"Double Margin &  & 105.0 & 88.5\% & \textbf{89.5\%} & \textbf{66.0\%} & -- \\" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    for line in text.splitlines():
        if " & " in line:
            assert line.count("&") - line.count(r"\&") == 6


def test_html_escapes(records):
    exhibit = copy.deepcopy(EXHIBIT)
    exhibit["caption"] = "<script>"
    assert "<script>" not in html(build_table(exhibit, records))


def test_all_formats_are_written(records, tmp_path):
    table = build_table(EXHIBIT, records)
    write_table(table, tmp_path / "out" / "table2")
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".md", ".txt", ".tex", ".csv", ".html"}
    assert "89.5% *" in plain(table)
    lines = (tmp_path / "out/table2.csv").read_text().splitlines()
    assert (
        lines[11] == '"Small CNN MNIST, 4 layer, CNN-Cert-ReLU (200 points)",Double Margin,0.3,105.0,0.30,200,0.66,True'
    )


def test_a_copy_of_the_data_that_is_not_official_is_marked(records):
    official = build_table(EXHIBIT, records).panels[0].title
    changed = records.certified_accuracy.assign(variant="JPEG quality 75 re-encoded")
    again = build_table(EXHIBIT, replace(records, certified_accuracy=changed)).panels[0].title
    assert again == f"{official} [data: JPEG quality 75 re-encoded]"
    assert "[data" not in official
