"""Tables as Markdown, LaTeX, CSV and HTML."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import jinja2
from tabulate import tabulate

from dmcore.files import write_text
from dmcore.report.tables import Panel, Row, Table

TEX_DELIMITERS = {  # jinja's own braces mean something else in LaTeX
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "block_start_string": "<%",
    "block_end_string": "%>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}
HEAD = ["Method", "ε_train", "Training time (s)"]


def write_table(table: Table, stem: Path) -> None:
    """Writes ``stem.md``, ``.txt`` (for a terminal), ``.tex``, ``.csv`` and ``.html``."""
    for suffix, render in FORMATS.items():
        write_text(stem.with_suffix(suffix), render(table))


def markdown(table: Table) -> str:
    """GitHub's Markdown; the best of a column in bold."""
    parts = [f"**{table.caption}**"]
    for panel in table.panels:
        parts += [f"### {panel.title}", _grid(panel, "**{}**")]
        if panel.finding:
            parts.append(panel.finding)
    parts += ["\n".join(f"- {note}" for note in table.notes)]
    return "\n\n".join(parts) + "\n"


def plain(table: Table) -> str:
    """For a terminal; the best of a column with a star."""
    parts = []
    for panel in table.panels:
        parts += [panel.title, _grid(panel, "{} *", style="simple"), panel.finding]
    parts += ["\n".join(table.notes)]
    return "\n\n".join([table.caption, *(part for part in parts if part)]) + "\n"


def comma_separated(table: Table) -> str:
    """One line a cell, numbers unrounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["panel", "method", "eps_train", "training_seconds", "eps_cert", "points", "accuracy", "best"])
    for panel in table.panels:
        for row in panel.rows:
            for eps, value in zip(panel.eps, row.values, strict=True):
                seconds = "" if row.seconds is None else row.seconds
                share = "" if value.share is None else value.share
                writer.writerow([panel.title, row.label, row.eps_train, seconds, eps, value.points, share, value.best])
    return text.getvalue()


def latex(table: Table) -> str:
    """A LaTeX table with booktabs and multirow."""
    return _template("table.tex.j2").render(table=table, groups=_groups, columns=_columns(table), escape=_escape_latex)


def html(table: Table) -> str:
    """A page of its own, for the report."""
    return web_page("table.html.j2", table=table, head=HEAD)


FORMATS = {".md": markdown, ".txt": plain, ".tex": latex, ".csv": comma_separated, ".html": html}


def web_page(template: str, **values: Any) -> str:
    """A page from one of the templates, all text in it escaped."""
    return _template(template).render(**values)


def _grid(panel: Panel, best: str, style: str = "pipe") -> str:
    head = [*HEAD, *(f"ε = {eps}" for eps in panel.eps)]
    body = [
        [row.label, row.eps_train, row.time, *(best.format(v.text) if v.best else v.text for v in row.values)]
        for row in panel.rows
    ]
    align = ["left", "left", *["right"] * (len(head) - 2)]
    return tabulate(body, head, tablefmt=style, colalign=align, disable_numparse=True)


def _groups(rows: list[Row]) -> list[tuple[str, list[Row]]]:
    """Consecutive rows of one ε_train."""
    groups: list[tuple[str, list[Row]]] = []
    for row in rows:
        if not groups or groups[-1][0] != row.eps_train:
            groups.append((row.eps_train, []))
        groups[-1][1].append(row)
    return groups


def _columns(table: Table) -> int:
    return len(HEAD) + max(len(panel.eps) for panel in table.panels)


_LATEX = {"%": r"\%", "&": r"\&", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "–": "--", "*": "$^*$"}
_LATEX |= {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "ε": r"$\epsilon$",
    "ℓ": r"$\ell$",
}


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def _template(name: str) -> jinja2.Template:
    web = name.endswith(".html.j2")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=web,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        **({} if web else TEX_DELIMITERS),
    )
    return environment.get_template(name)
