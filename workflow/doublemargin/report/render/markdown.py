"""GitHub's Markdown; the best of a column in bold. It has no centred lines, so each panel is a table with a heading."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tabulate import tabulate

from doublemargin.report.render.layout import cells, groups, head
from doublemargin.report.tables import Table
from doublemargin.report.text_tables import TextTable


def words(text: str) -> str:
    """A label or caption of the config's, on one line: no tag, and no end of a table's cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("<", "\\<").replace("|", "\\|")


def bullets(lines: Iterable[str]) -> str:
    """A list."""
    return "\n".join(f"- {line}" for line in lines)


def grid(head: list[str], body: list[list[str]], align: Sequence[str] | None = None) -> str:
    """A table, each column aligned as said."""
    return tabulate(body, head, tablefmt="pipe", colalign=align, disable_numparse=True)


def page(parts: Iterable[str]) -> str:
    """Paragraphs, tables and lists, without those that are empty."""
    return "\n\n".join(part for part in parts if part) + "\n"


def accuracies(table: Table) -> str:
    """An accuracy table."""
    parts = [f"**{words(table.caption)}**"]
    for panel in table.panels:
        names = head(panel)
        body = [[words(row.label), eps, *cells(panel, row, "**{}**")] for eps, rows in groups(panel) for row in rows]
        align = ["left", "left", *["right"] * (len(names) - 2)]
        parts += [f"### {words(panel.title)}", grid(names, body, align)]
        parts += [words(finding) for finding in panel.findings]
    return page([*parts, bullets([words(note) for note in table.notes])])


def text(table: TextTable) -> str:
    """A table of words and formulas, which is Markdown already."""
    return page(
        [f"**{words(table.caption)}**", tabulate(table.rows, table.head, tablefmt="pipe"), bullets(table.notes)]
    )
