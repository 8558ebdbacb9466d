"""Pages of their own, for Snakemake's report; formulas as MathML, which browsers draw themselves."""

from __future__ import annotations

from html import escape

from latex2mathml.converter import convert

from dmcore.report.render.layout import blocks, groups, head
from dmcore.report.render.templates import WEB
from dmcore.report.tables import Table
from dmcore.report.text_tables import TextTable, inline


def accuracies(table: Table) -> str:
    """An accuracy table."""
    return WEB.get_template("accuracies.html.j2").render(table=table, blocks=blocks, head=head, groups=groups)


def text(table: TextTable) -> str:
    """A table of words and formulas."""
    return WEB.get_template("text.html.j2").render(table=table, rich=_rich)


def _rich(cell: str) -> str:
    """Inline Markdown as HTML."""
    return inline(cell, words=escape, formula=convert, bold="<b>{}</b>".format)
