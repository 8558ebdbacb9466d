"""Pages of their own, for Snakemake's report; formulas as MathML, which browsers draw themselves."""

from __future__ import annotations

from html import escape

from latex2mathml.converter import convert

from doublemargin.experiment.exhibits import heading
from doublemargin.report.render.layout import blocks, by_run, groups, head, upper
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import Table
from doublemargin.report.text_tables import TextTable, inline


def accuracies(table: Table) -> str:
    """An accuracy table."""
    return web_page(
        "accuracies.html.j2",
        title=_title(table),
        shown=table,
        blocks=blocks,
        head=head,
        by_run=by_run,
        groups=groups,
        upper=upper,
    )


def text(table: TextTable) -> str:
    """A table of words and formulas."""
    return web_page(
        "text.html.j2",
        title=_title(table),
        head=map(_rich, table.head),
        rows=[map(_rich, row) for row in table.rows],
        remarks=map(_rich, table.notes),
    )


def _title(table: Table | TextTable) -> str:
    return f"{heading(table.name)}. {table.caption}"


def _rich(cell: str) -> str:
    """Inline Markdown as HTML."""
    return inline(cell, words=escape, formula=convert, bold="<b>{}</b>".format)
