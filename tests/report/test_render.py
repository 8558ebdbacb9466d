"""What the golden files do not show of an accuracy table's layout and escapes."""

import re
from dataclasses import replace

import pytest
from made_rows import cell, row

from doublemargin.report.render import html, latex
from doublemargin.report.render.layout import groups, ruled
from doublemargin.report.tables import Panel, Table

NORMAL = row(cell("normal", "1", eps_train="none"))
IBP, DM = (replace(row(cell(method, "1", eps_train="0.3")), group=1) for method in ("ibp", "dm"))


def panel(*rows):
    return Panel("Small", "mnist", "small", "ibp", "linf", ["0.3"], list(rows))


def test_groups_are_rows_of_a_line_of_the_config_and_an_eps():
    assert [(eps, len(rows)) for eps, rows in groups(panel(NORMAL, IBP, DM))] == [("", 1), ("ε = 0.3", 2)]
    assert ruled(panel(NORMAL, IBP, DM))
    in_pixels = replace(DM, group=2)  # 0.3 here is no radius in the norm of the row before
    apart = panel(replace(IBP, eps_train="8_255"), DM, in_pixels)
    assert [(eps, len(rows)) for eps, rows in groups(apart)] == [("ε = 8/255", 1), ("ε = 0.3", 1), ("ε = 0.3", 1)]
    assert not ruled(apart)


def test_latex_lets_a_page_end_only_between_groups_of_long_panels():
    short, long = panel(NORMAL, DM, IBP), panel(NORMAL, *[DM] * 15, IBP)
    for shown, between in ((short, "tie"), (long, "break")):
        rules = re.findall(r"^\\(tie|break)rule$", latex.accuracies(Table("", [shown, shown])), re.MULTILINE)
        assert rules == ["tie", "tie", between, "break", "tie", between]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("50% & more_#1 {x} $2 ~^", r"50\% \& more\_\#1 \{x\} \$2 \textasciitilde{}\textasciicircum{}"),
        ("ℓ∞, ℓ1, ℓp, ℓ", r"$\ell_\infty$, $\ell_1$, $\ell_p$, $\ell$"),
        ("ε_train = 8/255 – λ†", r"$\epsilon_{train}$ = 8/255 -- $\lambda$$^\dagger$"),
        ("a\\b < ×3 (·)", r"a\textbackslash{}b $<$ $\times$3 ($\cdot$)"),
    ],
)
def test_latex_escapes(text, escaped):
    assert latex.escape(text) == escaped


def test_a_table_keeps_the_number_of_its_name():
    assert re.findall(r"\\setcounter{table}{(\d+)}\n\\input", latex.document("demo", ["table2", "table12"])) == [
        "1",
        "11",
    ]


def test_html_escapes():
    assert "<script>" not in html.accuracies(Table("<script>", [panel(DM)]))


def test_html_folds_the_rows_of_which_nothing_was_run():
    not_run, trained = row(cell("trades")), row(cell("adv"), times=(9,))
    page = html.accuracies(Table("Accuracies.", [panel(NORMAL, not_run, trained)], name="table2"))
    assert re.findall("<title>(.*)</title>", page) == ["Table 2. Accuracies."]
    assert re.findall('<tr class="[^"]*"><td>(.*?)</td>', page) == ["NORMAL", "ADV"]
    assert re.findall("<details.*?><summary>(.*?)</summary>(.*?)</details>", page) == [
        ("1 not run", "TRADES at ε = 0.3")
    ]
