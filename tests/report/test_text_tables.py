"""Tables of words and formulas, and the measured cost."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from golden_files import EXHIBITS
from test_config import CONFIG

from dmcore.errors import UserError
from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.records.columns import COLUMNS
from doublemargin.report.cost import cost_table, ratios
from doublemargin.report.render import html, latex, plain
from doublemargin.report.text_tables import TextTable, read_text_table

PAPERS = {name: exhibit_spec(Grid(CONFIG, "paper"), "tables", name) for name in ("table1", "table3", "table12")}
TABLE = TextTable("C & D", ["Head", "$R$"], [["**a $\\ell_1$ b**", "$\\frac{1}{2}$"], ["50%", "x < y"]], ["See $g$."])


pytestmark = pytest.mark.usefixtures("at_the_root")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "source.md, the source of table3, cannot be read"),
        ("words\n", "source.md, the source of table3, has no Markdown table"),
        ("| a | b |\n| - | - |\n| 1 | 2 |\n| 1 |\n", "source.md, line 4: 1 cells under a head of 2"),
    ],
)
def test_a_source_that_is_no_table_is_named(tmp_path, text, message):
    if text is not None:
        (tmp_path / "source.md").write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        read_text_table({"name": "table3", "caption": "", "source": str(tmp_path / "source.md")})


def test_long_words_are_broken_into_lines_and_formulas_are_not():
    words, formula = "word " * 20, "$" + "x + " * 40 + "x$"
    table = TextTable("", ["a", "b", "c"], [["1", words, formula]])
    assert "{@{}l>{\\raggedright\\arraybackslash}Xl@{}}" in latex.text(table)
    assert formula in plain.text(table)
    assert words not in plain.text(table)


@pytest.mark.parametrize("name", PAPERS)
def test_every_formula_of_the_papers_tables_has_a_form_for_browsers(name):
    table = read_text_table(PAPERS[name])
    page = html.text(table)
    formulas = sum(cell.count("$") // 2 for part in (table.head, *table.rows, table.notes) for cell in part)
    assert page.count("<math") == formulas > 0
    assert "$" not in page
    assert not re.search(r"\\[a-z]", page)  # no command was left as it was


def test_the_cost_is_measured_on_methods_that_exist():
    methods = [m for line in read_text_table(PAPERS["table1"]).column("Methods") for m in line.split(", ")]
    assert set(methods) <= set(CONFIG["methods"])
    assert len(methods) == len(set(methods))


def trained(**columns):
    frame = pd.DataFrame({"dataset": "mnist", "arch": "small", "device": "CPU", "threads": "1", "steps": 100} | columns)
    frame = frame.assign(timing=columns.get("timing", "undisturbed"))
    return frame.reindex(columns=COLUMNS["training"])


def test_times_are_compared_a_step_and_only_between_like_trainings():
    training = trained(
        method=["normal", "normal", "dm", "dm", "dm", "dm", "ibp"],
        seconds=[10.0, 20.0, 30.0, 30.0, 30.0, 30.0, 1.0],
        steps=[100, 100, 100, 50, 100, 100, 100],
        arch=["small", "medium", "small", "medium", "large", "small", "small"],
        threads=["1", "1", "1", "1", "1", "2", "1"],
    )
    # 0.3/0.1 and 0.6/0.2: there is no normal large one, and none on two threads
    assert ratios(training, ["dm"]).tolist() == pytest.approx([3.0, 3.0])
    assert ratios(training, ["ibp", "trades"]).tolist() == [pytest.approx(0.1)]
    assert ratios(training, ["trades"]).empty
    slowed = training.assign(timing=["undisturbed"] * 2 + ["disturbed", *["unknown"] * 3] + ["undisturbed"])
    assert ratios(slowed, ["dm"]).empty
    assert len(ratios(slowed, ["ibp"])) == 1


ALONE = {"method": ["normal", "ibp", "ibp_quarter", "ibp", "dm"], "seconds": [1.0, 2.0, 4.0, 2.5, 1234.0]}
BESIDE_OTHERS = {
    "method": ["normal", "ibp", "ibp_quarter", "dm"], "seconds": [1.0, 2.0, 3.0, 4.0],
    "timing": ["undisturbed", "disturbed", "unknown", "undisturbed"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("trainings", "models", "measured"),
    [
        (ALONE, "abcde", ["×2.50 (2.00–4.00)", "not run", "×1234"]),
        (ALONE, "abe", ["×2.00", "not run", "×1234"]),  # what the config no longer describes is left out
        (BESIDE_OTHERS, "abcd", ["not comparable‡", "not run", "×4.00"]),
        (BESIDE_OTHERS, "bcd", ["not comparable‡", "not run", "not comparable‡"]),  # no normal training
        (BESIDE_OTHERS, "ad", ["not run", "not run", "×4.00"]),
    ],
)
def test_the_cost_table_shows_median_and_range_or_why_there_is_none(nothing, trainings, models, measured):
    training = trained(**trainings, spec_hash=list("abcde")[: len(trainings["method"])])
    exhibit = EXHIBITS["table1"] | {"models": list(models)}
    table = cost_table(exhibit, replace(nothing, training=training))
    assert table.head == ["Training method", "$R$", "Cost in the paper", "Measured"]
    assert table.column("Cost in the paper") == ["×3", "> 10 (empirically)", "**×3**"]
    assert table.column("Measured") == measured
    *others, last = table.notes
    note = "‡: trained, but beside other work that may have slowed it down, or without a"
    assert last.startswith(note if "not comparable‡" in measured else "Measured (schedule demo, on CPU)")
    assert not any("‡" in other for other in others)


def test_a_cost_table_must_name_its_methods(nothing):
    with pytest.raises(UserError, match="has no column 'Methods'"):
        cost_table(EXHIBITS["table1"] | {"source": PAPERS["table12"]["source"]}, nothing)
