"""SIGTERM, by which schedulers announce the end of a job's time: work stops where it can be taken up again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_CODE = 128 + signal.SIGTERM
"""What a stopped command exits with: not 0, so that a workflow tries again, which then goes on."""


class StoppedError(Exception):
    """The process was asked to stop; what it says is where the next one goes on."""


class Stopper:
    """Whether the process has been asked to stop.

    Attributes:
        at_once: raise :class:`StoppedError` wherever the work is, rather than only set ``asked``.
    """

    def __init__(self) -> None:
        self.asked = False
        self.at_once = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        if self.at_once:
            raise StoppedError("stopped by SIGTERM")


@contextmanager
def stoppable() -> Iterator[Stopper]:
    """Catches SIGTERM while the block runs; elsewhere it ends the process. No effect outside the main thread."""
    stopper = Stopper()
    if threading.current_thread() is not threading.main_thread():
        yield stopper
        return
    before = signal.signal(signal.SIGTERM, stopper)
    try:
        yield stopper
    finally:
        signal.signal(signal.SIGTERM, before)
