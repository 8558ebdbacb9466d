"""The commit that the code is of."""

from __future__ import annotations

import subprocess
from pathlib import Path


def commit() -> str | None:
    """The commit of the working tree, with ``+`` if tracked files other than results differ; None outside git."""
    root = Path(__file__).parents[3]

    def git(*args: str) -> str:
        command = ["git", "-C", str(root), *args]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + (
            "+" if git("status", "--porcelain", "-uno", "--", ":/", ":!/results") else ""
        )
    except (OSError, subprocess.SubprocessError):
        return None
