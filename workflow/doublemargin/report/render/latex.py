r"""LaTeX: a file a table, to be read with ``\input`` from a document of one's own or from that of all tables.

Accuracy tables are `longtable`s, one for each head: they break over pages, which Tables 8 and 9 need to be legible.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from doublemargin.report.render.layout import TIME, blocks, groups, head, ruled, upper
from doublemargin.report.render.templates import TEX
from doublemargin.report.tables import Panel, Table
from doublemargin.report.text_tables import TextTable, inline

MAX_UNBROKEN_ROWS = 15  # of a panel that is kept on a page; longer ones may break between their groups
MAX_UNBROKEN_WIDTH = 40  # characters of a column of words; a wider one is broken into lines
BROKEN = r">{\raggedright\arraybackslash}X"

_SPECIAL = {c: f"\\{c}" for c in "%&#_${}"} | {c: f"${c}$" for c in "<>|"}
_SPECIAL |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "*": "$^*$", "–": "--"}
_MATH = {"ε": "epsilon", "λ": "lambda", "ℓ": "ell", "θ": "theta", "σ": "sigma", "∞": "infty", "·": "cdot", "×": "times"}
_MATH |= {"≤": "leq", "≥": "geq", "±": "pm"}
_SPECIAL |= {c: rf"$\{name}$" for c, name in _MATH.items()} | {"†": r"$^\dagger$", "‡": r"$^\ddagger$"}
_TOKEN = re.compile(r"ℓ(?P<norm>[∞\dp])|ε_(?P<of>[a-z]+)|.", re.DOTALL)


def accuracies(table: Table) -> str:
    """An accuracy table as the paper sets it: blocks, groups with their ε_train, the best in bold, own methods blue."""
    return TEX.get_template("accuracies.tex.j2").render(
        table=table,
        blocks=blocks,
        groups=groups,
        head=_head,
        ruled=ruled,
        upper=upper,
        escape=escape,
        number=_number,
        together=MAX_UNBROKEN_ROWS,
    )


def text(table: TextTable) -> str:
    """A table of words and formulas."""
    columns = [BROKEN if _words(table.rows, i) > MAX_UNBROKEN_WIDTH else "l" for i in range(len(table.head))]
    if BROKEN not in columns:
        columns[-1] = BROKEN
    return TEX.get_template("text.tex.j2").render(table=table, columns="".join(columns), line=_line, rich=_rich)


def document(schedule: str, names: Sequence[str]) -> str:
    """A document of all tables of a schedule, which lie beside it; each keeps the number that its name ends in."""
    numbers = [int(match[0]) if (match := re.search(r"\d+$", name)) else None for name in names]
    tables = list(zip(names, numbers, strict=True))
    return TEX.get_template("all-tables.tex.j2").render(schedule=schedule, tables=tables, escape=escape)


def escape(text: str) -> str:
    """Plain text for LaTeX; ``ℓ∞`` and ``ε_cert`` with subscripts."""
    return _TOKEN.sub(_tex, text)


def _tex(token: re.Match[str]) -> str:
    if token["norm"]:
        return r"$\ell_\infty$" if token["norm"] == "∞" else rf"$\ell_{token['norm']}$"
    if token["of"]:
        return rf"$\epsilon_{{{token['of']}}}$"
    return _SPECIAL.get(token[0], token[0])


def _head(panel: Panel) -> list[str]:
    return [r"\shortstack[r]{Training\\time (s)}" if name == TIME else escape(name) for name in head(panel)]


def _number(text: str) -> str:
    """An accuracy; its spread over trainings below it, as nine of them side by side are wider than a page."""
    mean, there, spread = text.partition(" ± ")
    return rf"\shortstack[r]{{{escape(mean)}\\\scriptsize $\pm$ {escape(spread)}}}" if there else escape(text)


def _line(row: Sequence[str]) -> str:
    return " & ".join(_rich(cell) for cell in row)


def _rich(cell: str) -> str:
    """Inline Markdown as LaTeX."""
    return inline(cell, words=escape, formula="${}$".format, bold=r"\textbf{{{}}}".format)


def _words(rows: Sequence[Sequence[str]], column: int) -> int:
    """The most characters of words, formulas aside, in a column."""
    return max(len(inline(row[column], words=str, formula=lambda _: "", bold=str)) for row in rows)
