"""What of a report has been run, counted from the records."""

from dataclasses import replace

import pytest
from results_folder import EXHIBIT, PANEL

from doublemargin.report.overview import build_overview


def spec(**changes):
    few = EXHIBIT | {"name": "table5", "panels": [PANEL | {"rows": PANEL["rows"][2:], "eps_cert": ["0.3", "0.4"]}]}
    words = EXHIBIT | {"name": "table3", "kind": "text", "panels": []}
    report = {"schedule": "demo", "shortened": None, "reported": None, "figures": {}}
    return report | {"tables": {"table2": EXHIBIT, "table3": words, "table5": few}} | changes


def test_a_table_counts_its_models_and_cells(records):
    overview = build_overview(spec(), records)
    table2, table5 = overview.exhibits
    assert (table2.name, table2.trained, table2.models, table2.run, table2.cells) == ("table2", 6, 8, 18, 32)
    assert (table5.name, table5.trained, table5.models, table5.run, table5.cells) == ("table5", 2, 4, 2, 8)
    assert table2.hours == pytest.approx(3 * (100 + 110) / 3600)
    assert table2.variants == ("mnist (official)",)
    total = overview.total  # a cell in two tables counts once
    assert (total.trained, total.models, total.run, total.cells, total.hours) == (6, 8, 18, 32, table2.hours)


def test_hours_by_device(records):
    training = records.training.assign(device=["GPU"] * 2 + ["CPU (test)"] * 4)
    devices = build_overview(spec(), replace(records, training=training)).devices
    assert [(name, models) for name, models, _, _ in devices] == [("CPU (test)", 4), ("GPU", 2)]
    assert devices[0][2] + devices[1][2] == pytest.approx(630 / 3600)
    assert [certified for *_, certified in devices] == pytest.approx([18 * 1.5 / 3600, 0])
