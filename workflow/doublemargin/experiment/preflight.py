"""What the pipeline asks of the machine before it starts a job: some room, and a clock that is not behind its files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from dmcore.errors import UserError

ROOM = 10 * 2**20
"""Bytes. With less, Snakemake cannot even write down what it does."""
AHEAD = 60.0
"""Seconds that a file server's clock may be ahead of ours."""


def check_room(folder: Path) -> None:
    """Refuses a disk that is full.

    Raises:
        UserError: fewer than :data:`ROOM` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if free < ROOM:
        raise UserError(f"the disk of {folder.absolute()} is full ({free // 1024} KiB left): make room, then run again")


def check_clock(inputs: Iterable[Path]) -> None:
    """Refuses input files from the future.

    Whatever is made from them is older than they are; Snakemake would do the work, call it outdated and remove it.

    Raises:
        UserError: a file's modification time is more than :data:`AHEAD` seconds from now.
    """
    now = time.time()
    for path in inputs:
        ahead = path.stat().st_mtime - now
        if ahead > AHEAD:
            raise UserError(
                f"{path} is dated {ahead / 60:.0f} minutes ahead of the clock, so Snakemake would remove what is made "
                "from it: set the clock right, or give the file today's date (docs/operations.md)"
            )
