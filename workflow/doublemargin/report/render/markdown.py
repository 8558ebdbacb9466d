"""GitHub's Markdown; the best of a column in bold. It has no centred lines, so each panel is a table with a heading."""

from __future__ import annotations

from tabulate import tabulate

from doublemargin.report.render.layout import cells, groups, head
from doublemargin.report.tables import Panel, Table
from doublemargin.report.text_tables import TextTable


def words(text: str) -> str:
    """A label or caption of the config's, on one line: no tag, and no end of a table's cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("<", "\\<").replace("|", "\\|")


def accuracies(table: Table) -> str:
    """An accuracy table."""
    parts = [f"**{words(table.caption)}**"]
    for panel in table.panels:
        parts += [f"### {words(panel.title)}", _grid(panel)]
        if panel.finding:
            parts.append(words(panel.finding))
    return _page([*parts, _list([words(note) for note in table.notes])])


def text(table: TextTable) -> str:
    """A table of words and formulas, which is Markdown already."""
    return _page([f"**{words(table.caption)}**", tabulate(table.rows, table.head, tablefmt="pipe"), _list(table.notes)])


def _grid(panel: Panel) -> str:
    body = [[words(row.label), eps, *cells(panel, row, "**{}**")] for eps, rows in groups(panel) for row in rows]
    names = head(panel)
    align = ["left", "left", *["right"] * (len(names) - 2)]
    return tabulate(body, names, tablefmt="pipe", colalign=align, disable_numparse=True)


def _list(notes: list[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
