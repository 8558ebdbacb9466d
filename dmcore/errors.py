"""Errors that are the user's to mend: one clear line that names the culprit and the remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in the input. Its text is one line; the command line prints it without a traceback."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a misspelt ``word``: ``"did you mean 'x'? known: a, b"``."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}known: {', '.join(names) or 'none'}"
