"""Which of several runs can be done by a deadline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dmcore.training.team import Team

SETTLE = 30.0
"""Seconds before the pace is judged, and after a run was put aside; graphs are recorded at the beginning."""


class Plan:
    """Watches the pace of runs that share a device; all are slowed alike.

    Args:
        deadline: by :func:`time.monotonic`.
    """

    def __init__(self, deadline: float) -> None:
        self.deadline, self.since = deadline, time.monotonic()
        self.left: dict[Team, int] = {}

    def late(self, runs: Sequence[Team]) -> Sequence[Team]:
        """The runs to put aside now: the last ones, where the first that is late needs their share of the device.

        Args:
            runs: those that are not done, by priority.
        """
        now = time.monotonic()
        if now >= self.deadline:
            return runs
        if not self.left or now - self.since < SETTLE:
            self.left = self.left or {run: run.left for run in runs}
            return []
        spans = []  # what each needs, as a multiple of the time that is left
        for run in runs:
            made = self.left.get(run, run.left) - run.left
            needed = run.left * (now - self.since) / made if made else float("inf")
            spans.append(needed / (self.deadline - now))
        self.since, self.left = now, {run: run.left for run in runs}
        late = next((span for span in spans if span > 1), 1.0)
        # What is nearly done frees the device by itself.
        waiting = [run for run, span in zip(runs, spans, strict=True) if span > 0.3]
        return waiting[max(1, int(len(waiting) / late)) :] if late > 1 else []
