"""A progress bar where a person watches, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Passes ``items`` on and reports on standard error how many are done: a bar on a terminal, ten lines elsewhere."""
    if sys.stderr.isatty():
        yield from tqdm(items, desc=what, total=total)
        return
    started, tenth = time.monotonic(), max(total // 10, 1)
    for done, item in enumerate(items, start=1):
        yield item
        if done % tenth == 0 or done == total:
            print(f"{what}: {done}/{total} after {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
