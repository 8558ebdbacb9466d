"""The templates in workflow/doublemargin/report/templates, for pages and for LaTeX; and how all texts are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jinja2

from dmcore.files import write_text

FOLDER = Path(__file__).parents[1] / "templates"


def _environment(**options: Any) -> jinja2.Environment:
    return jinja2.Environment(  # noqa: S701 (each caller says what it escapes)
        loader=jinja2.FileSystemLoader(FOLDER),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )


WEB = _environment(autoescape=True)
TEX = _environment(  # jinja's own braces mean something else in LaTeX
    variable_start_string="<<",
    variable_end_string=">>",
    block_start_string="<%",
    block_end_string="%>",
    comment_start_string="<#",
    comment_end_string="#>",
)


def web_page(template: str, **values: Any) -> str:
    """A page from one of the templates, all text in it escaped."""
    return WEB.get_template(template).render(**values)


def write_all(stem: Path, shown: Any, formats: Mapping[str, Callable[[Any], str]]) -> None:
    """Writes what is shown in some formats, given by their suffixes."""
    texts = {suffix: render(shown) for suffix, render in formats.items()}
    for suffix, text in texts.items():
        write_text(stem.with_suffix(suffix), text)
