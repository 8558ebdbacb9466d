"""A progress bar where a person watches, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """Passes ``items`` on and reports on standard error how many are done."""
    with progress_bar(total, what) as bar:
        for item in items:
            yield item
            bar.update(1)


def progress_bar(total: int, what: str) -> tqdm | Lines:
    """What :meth:`update` tells of things that are done: a bar on a terminal, ten lines elsewhere."""
    return tqdm(desc=what, total=total) if sys.stderr.isatty() else Lines(total, what)


class Lines:
    """A line on standard error for each tenth of ``total`` that is done."""

    def __init__(self, total: int, what: str) -> None:
        self.total, self.what, self.done, self.started = total, what, 0, time.monotonic()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, count: int) -> None:
        """So many more are done."""
        tenth, before = max(self.total // 10, 1), self.done
        self.done += count
        if self.done // tenth > before // tenth or (count and self.done == self.total):
            seconds = time.monotonic() - self.started
            print(f"{self.what}: {self.done}/{self.total} after {seconds:.0f} s", file=sys.stderr, flush=True)
