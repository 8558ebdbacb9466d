"""One accuracy table in five formats: the same layout, marks and escapes."""

import csv
import io
import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from made_rows import cell

from doublemargin.report.render import comma_separated, html, latex, markdown, plain
from doublemargin.report.render.formats import write_table
from doublemargin.report.render.layout import blocks, groups, head, ruled
from doublemargin.report.tables import Panel, Row, Table, Timing


def panel(title, eps_ids, rows, training_time=True):
    return Panel(title, "mnist", "small", "ibp", "linf", eps_ids, rows, training_time)


def row(label, eps_train, counts, best=(), **others):
    """A row of cells with so many of 200 points certified."""
    cells = [
        cell(label.lower(), "1" * n + "0" * (200 - n) if n is not None else (), eps_train=eps_train, eps_cert=eps)
        for n, eps in zip(counts, ("0", "0.1"), strict=False)
    ]
    cells = tuple(replace(c, best=i in best) for i, c in enumerate(cells))
    made = {"group": 0, "baseline": False, "own": False, "timings": (Timing(105.0, "GPU", "1", 0),)} | others
    return Row(
        "table2", "a panel", "mnist", "small", label.lower(), label, eps_train, paper_seconds=None, cells=cells, **made
    )


NORMAL = row("Normal", "none", [197, 19], baseline=True)
IBP = row("IBP *", "0.3", [189, 0], best=[0], group=1)
DM = row("DM ℓ∞", "0.3", [177, 132], best=[1], group=1, own=True)
FIRST = panel("Small & MNIST", ["0", "0.1"], [NORMAL, IBP, DM])
TABLE = Table("50% <of> λ", [FIRST, replace(FIRST, title="Large")], ["A note."])


def test_a_head_stands_where_the_columns_change():
    other_eps = panel("b", ["0", "8_255"], FIRST.rows)
    timeless = panel("c", ["0", "8_255"], FIRST.rows, training_time=False)
    table = Table("", [FIRST, FIRST, other_eps, timeless, timeless, FIRST])
    assert [len(panels) for panels in blocks(table)] == [2, 1, 2, 1]
    assert head(FIRST) == ["Method", "", "Training time (s)", "ε_cert = 0", "0.1"]
    assert head(timeless) == ["Method", "", "ε_cert = 0", "8/255"]


def test_groups_are_rows_of_a_line_of_the_config_and_an_eps():
    assert [(eps, len(rows)) for eps, rows in groups(FIRST)] == [("", 1), ("ε = 0.3", 2)]
    assert ruled(FIRST)
    in_pixels = replace(DM, group=2)  # 0.3 here is no radius in the norm of the row before
    apart = panel("", ["0", "0.1"], [replace(IBP, eps_train="8_255"), DM, in_pixels])
    assert [(eps, len(rows)) for eps, rows in groups(apart)] == [("ε = 8/255", 1), ("ε = 0.3", 1), ("ε = 0.3", 1)]
    assert not ruled(apart)


def test_markdown():
    lines = markdown.accuracies(TABLE).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert cells[0] == ["Method", "", "Training time (s)", "ε_cert = 0", "0.1"]
    assert cells[3] == ["IBP *", "ε = 0.3", "105.0", "**94.5%**", "0.0%"]
    assert cells[4] == ["DM ℓ∞", "ε = 0.3", "105.0", "88.5%", "**66.0%**"]
    assert [line for line in lines if line.startswith("###")] == ["### Small & MNIST", "### Large"]


def test_plain_text_has_one_head_centred_titles_and_rules():
    lines = plain.accuracies(TABLE).splitlines()
    assert sum(line.startswith("Method") for line in lines) == 1
    rule = "-" * len(lines[5])
    assert lines[2:5] == [lines[2], lines[3], "Small & MNIST".center(len(rule)).rstrip()]
    assert [line == rule for line in lines[4:16]] == [c == "-" for c in " - -  - - - "]
    assert re.fullmatch(r"IBP \* +ε = 0\.3 +105\.0 +\*94\.5% +0\.0%", lines[8])
    assert re.fullmatch(r"DM ℓ∞ +105\.0 +88\.5% +\*66\.0%", lines[9])
    assert len({len(line) for line in lines if "%" in line and "105" in line}) == 1  # the columns are in line


def test_csv_has_a_line_a_cell():
    lines = list(csv.DictReader(io.StringIO(comma_separated.accuracies(TABLE))))
    assert len(lines) == 2 * 3 * 2
    assert lines[5] == {
        "panel": "Small & MNIST", "dataset": "mnist", "arch": "small", "certifier": "ibp", "norm": "linf",
        "method": "dm ℓ∞", "label": "DM ℓ∞", "eps_train": "0.3", "training_seconds": "105.0", "eps_cert": "0.1",
        "points": "200", "models": "1", "models_run": "1", "accuracy": "0.66", "std": "0.03358",
        "wilson_low": "0.591885", "wilson_high": "0.722085", "best": "True", "status": "run", "warning": "",
    }  # fmt: skip
    nothing = panel("", ["0"], [row("x", "none", [None])])
    (line,) = csv.DictReader(io.StringIO(comma_separated.accuracies(Table("", [nothing]))))
    assert (line["accuracy"], line["std"], line["wilson_low"], line["status"]) == ("", "", "", "not run")


def test_latex():
    text = latex.accuracies(TABLE)
    assert r"\caption{50\% $<$of$>$ $\lambda$} \\" in text
    assert text.count(r"\begin{longtable}") == 1
    assert text.count(r"\multicolumn{5}{@{}c@{}}{Small \& MNIST} \\*") == 1
    lines = [line for line in text.splitlines() if "105.0" in line][:3]
    assert lines == [
        r"Normal &  & 105.0 & 98.5\% & 9.5\% \\",
        r"IBP $^*$ & \multirow{2}{*}{$\epsilon$ = 0.3} & 105.0 & \textbf{94.5\%} & 0.0\% \\*",
        r"\textcolor{blue!70!black}{DM $\ell_\infty$} &  & 105.0 & 88.5\% & \textbf{66.0\%} \\",
    ]


def test_latex_lets_a_page_end_only_between_groups_of_long_panels():
    short, long = panel("", ["0", "0.1"], [NORMAL, DM, IBP]), panel("", ["0", "0.1"], [NORMAL, *[DM] * 15, IBP])
    for shown, between in ((short, "tie"), (long, "break")):
        rules = re.findall(r"^\\(tie|break)rule$", latex.accuracies(Table("", [shown, shown])), re.MULTILINE)
        assert rules == ["tie", "tie", between, "break", "tie", between]


def test_a_panel_without_training_times_has_none_anywhere():
    table = Table("", [replace(FIRST, training_time=False)])
    for module in (markdown, plain, latex, html):
        text = module.accuracies(table)
        assert "105" not in text
        assert "time" not in text
    assert r"IBP $^*$ & \multirow{2}{*}{$\epsilon$ = 0.3} & \textbf{94.5\%} & 0.0\% \\*" in latex.accuracies(table)


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


def test_html_has_a_body_a_panel_and_spans_its_groups():
    page = ET.fromstring(re.sub(r"<!doctype html>|<meta [^>]*>", "", html.accuracies(TABLE)))
    (table,) = page.iter("table")
    assert ["".join(th.itertext()) for th in table.find("thead").iter("th")] == head(FIRST)
    first, second = table.findall("tbody")
    rows = [[("".join(cell.itertext()), cell.get("rowspan")) for cell in tr] for tr in first]
    assert rows == [
        [("Small & MNIST", None)],
        [("Normal", None), ("", "1"), ("105.0", None), ("98.5%", None), ("9.5%", None)],
        [("IBP *", None), ("ε = 0.3", "2"), ("105.0", None), ("94.5%", None), ("0.0%", None)],
        [("DM ℓ∞", None), ("105.0", None), ("88.5%", None), ("66.0%", None)],
    ]
    assert [b.text for b in first.iter("b")] == ["94.5%", "66.0%"]
    assert [tr.get("class").split() for tr in first] == [["title"], ["first", "baseline"], ["first"], ["own"]]
    assert "".join(second[0].itertext()) == "Large"
    assert page.find("body/article/h1").text == "50% <of> λ"


def test_html_escapes():
    assert "<script>" not in html.accuracies(replace(TABLE, caption="<script>"))


def test_all_formats_are_written(tmp_path):
    write_table(TABLE, tmp_path / "out" / "table2")
    assert {p.suffix for p in (tmp_path / "out").iterdir()} == {".md", ".txt", ".tex", ".csv", ".html"}
