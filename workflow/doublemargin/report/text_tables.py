"""Tables of words and formulas, read from a Markdown file: a pipe table, formulas between dollars, notes below it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dmcore.errors import UserError
from doublemargin.files import shipped

_INLINE = re.compile(r"\*\*(?P<bold>.+?)\*\*|\$(?P<formula>[^$]+)\$")


@dataclass(frozen=True)
class TextTable:
    """A table whose cells and notes are inline Markdown: words, ``**bold**`` and ``$formulas$``.

    The ``warnings`` are among the notes.
    """

    caption: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    name: str = ""

    def column(self, name: str) -> list[str]:
        """The cells below a name of the head."""
        at = self.head.index(name)
        return [row[at] for row in self.rows]


def read_text_table(exhibit: Mapping[str, Any]) -> TextTable:
    """The table in an exhibit's ``source``, under the exhibit's caption; the paragraphs and points after it are notes.

    Raises:
        UserError: the file cannot be read, has no table, or one with rows that are not as long as its head.
    """
    path = shipped(exhibit["source"])
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}, the source of {exhibit['name']}, cannot be read: {error}") from error
    at = [i for i, line in enumerate(lines) if line.startswith("|")]
    if len(at) < 3:
        raise UserError(f"{path}, the source of {exhibit['name']}, has no Markdown table: lines that begin with |")
    head, _, *rows = (_cells(lines[i]) for i in at)
    for i, row in zip(at[2:], rows, strict=True):
        if len(row) != len(head):
            raise UserError(f"{path}, line {i + 1}: {len(row)} cells under a head of {len(head)}")
    below = "\n".join(lines[at[-1] + 1 :])
    notes = [" ".join(part.split()) for part in re.split(r"\n\s*\n|^- ", below, flags=re.MULTILINE) if part.strip()]
    return TextTable(exhibit["caption"], head, rows, notes, name=exhibit["name"])


def inline(text: str, words: Callable[[str], str], formula: Callable[[str], str], bold: Callable[[str], str]) -> str:
    """Inline Markdown in another form: each part put through the function of its kind, bold ones within included."""
    parts, at = [], 0
    for match in _INLINE.finditer(text):
        parts.append(words(text[at : match.start()]))
        parts.append(bold(inline(match["bold"], words, formula, bold)) if match["bold"] else formula(match["formula"]))
        at = match.end()
    return "".join([*parts, words(text[at:])])


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
