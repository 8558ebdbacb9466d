"""Pages of their own, for Snakemake's report; formulas as MathML, which browsers draw themselves."""

from __future__ import annotations

from html import escape

from latex2mathml.converter import convert

from doublemargin.report.render.layout import blocks, groups, head
from doublemargin.report.render.templates import web_page
from doublemargin.report.tables import Table
from doublemargin.report.text_tables import TextTable, inline


def accuracies(table: Table) -> str:
    """An accuracy table."""
    return web_page("accuracies.html.j2", table=table, blocks=blocks, head=head, groups=groups)


def text(table: TextTable) -> str:
    """A table of words and formulas."""
    return web_page("text.html.j2", table=table, rich=_rich)


def _rich(cell: str) -> str:
    """Inline Markdown as HTML."""
    return inline(cell, words=escape, formula=convert, bold="<b>{}</b>".format)
