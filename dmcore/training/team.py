"""Runs that make their steps together."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING

import torch

from dmcore.errors import UserError
from dmcore.training.step import Step

if TYPE_CHECKING:
    from dmcore.training.loop import Run


def teams(runs: Sequence[Run], most: int) -> list[Team]:
    """The runs, those of one kind in teams of at most ``most``; in the order of their first ones."""
    alike: dict[Hashable, list[Run]] = {}
    for run in runs:
        alike.setdefault(run.kind if most > 1 else run, []).append(run)
    return [Team(some[at : at + most]) for some in alike.values() for at in range(0, len(some), most)]


class Team:
    """One run, or several of one kind, that stand at the same step and do all others together.

    Attributes:
        runs: those that go on; one that cannot leaves.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs, self.stream = list(runs), runs[0].stream
        for run in runs:
            run.stacked = len(runs) > 1
        if len(runs) > 1 and self.stream is not None:
            torch.cuda.synchronize()  # each was made on a stream of its own
            for run in runs:
                run.stream = self.stream
        self._step: Step | None = None
        self._under_way = False

    @property
    def left(self) -> int:
        """The number of steps that each must still make."""
        return max((run.left for run in self.runs), default=0)

    def go_on(self, blocks: Iterator[None]) -> bool:
        """Whether there is more to do; makes or waits for a block. What goes wrong is left in the runs' ``error``."""
        try:
            with torch.cuda.stream(self.stream):
                next(blocks)
        except StopIteration:
            return False
        except (UserError, RuntimeError, MemoryError) as error:
            self._leave(self.runs, error)
        return bool(self.runs)

    def blocks(self) -> Iterator[None]:
        """Makes the steps that are left, in blocks; yields while the device works on one, and after each."""
        while self.left:
            first = self.runs[0]
            self._step = self._step or first.make_step([run.learner for run in self.runs])
            count, self._under_way = first.block(), True
            for step in range(first.at.step, first.at.step + count):
                self._step(step)
            if self.stream is not None:
                done = self.stream.record_event()
                while not done.query():
                    yield
            self._under_way = False
            for run in list(self.runs):
                try:
                    run.made(count)
                except UserError as error:
                    self._leave([run], error)
            yield

    def put_aside(self, blocks: Iterator[None]) -> None:
        """Ends the block under way and saves the states."""
        while self._under_way and self.go_on(blocks):
            pass
        for run in self.runs:
            run.save()

    def _leave(self, runs: Sequence[Run], error: Exception) -> None:
        for run in runs:
            run.error = error
        self.runs = [run for run in self.runs if run.error is None]
        self._step = None
