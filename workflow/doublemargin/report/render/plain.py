"""For a terminal, laid out as on paper; a star before the best of a column. Formulas stay in TeX."""

from __future__ import annotations

from tabulate import tabulate

from doublemargin.report.render.layout import blocks, cells, groups, head, ruled
from doublemargin.report.tables import Panel, Table
from doublemargin.report.text_tables import TextTable, inline

MAX_WIDTH = 60  # characters of a column of words; longer cells go on in the next line, but formulas are not broken


def accuracies(table: Table) -> str:
    """An accuracy table."""
    parts = [table.caption, *(_block(panels) for panels in blocks(table)), *table.notes[:1]]
    return "\n\n".join(parts) + "\n" + "".join(f"{note}\n" for note in table.notes[1:])


def text(table: TextTable) -> str:
    """A table of words and formulas."""
    head, *body = [[source(cell) for cell in row] for row in (table.head, *table.rows)]
    widest = [None if any("$" in cell for cell in column) else MAX_WIDTH for column in zip(*body, strict=True)]
    grid = tabulate(body, head, tablefmt="simple", maxcolwidths=widest)
    notes = [source(note) for note in table.notes]
    return "\n\n".join([source(table.caption), grid, *(["\n".join(notes)] if notes else [])]) + "\n"


def source(cell: str) -> str:
    """Inline Markdown without its marks; formulas as TeX between dollars."""
    return inline(cell, words=str, formula="${}$".format, bold=str)


def _block(panels: list[Panel]) -> str:
    """Panels under one head, their columns as wide in all of them."""
    body = [
        [row.label, "" if i else eps, *cells(panel, row, "*{}")]
        for panel in panels
        for eps, rows in groups(panel)
        for i, row in enumerate(rows)
    ]
    names = head(panels[0])
    align = ["left", "left", *["right"] * (len(names) - 2)]
    lines = iter(tabulate(body, names, tablefmt="simple", colalign=align, disable_numparse=True).splitlines())
    out = [next(lines), next(lines)]
    rule = "-" * len(out[1])
    for i, panel in enumerate(panels):
        out += [rule] * (i > 0) + [panel.title.center(len(rule)).rstrip(), rule]
        for j, (_, rows) in enumerate(groups(panel)):
            out += [rule] * (j > 0 and ruled(panel)) + [next(lines).rstrip() for _ in rows]
        out += [rule, *panel.findings] if panel.findings else []
    return "\n".join([*out, rule] if not panels[-1].findings else out)
