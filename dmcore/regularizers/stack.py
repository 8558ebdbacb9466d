"""Batches of several nets of one architecture, whose passes are made together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from dmcore.domains import Domain
from dmcore.nets.stacked import stacked
from dmcore.perturbation import Ball
from dmcore.regularizers.batch import Batch


class Stack:
    """Makes one pass of all the batches where the first of them asks for its own.

    That is so for the clean pass and for a domain's pass over the ℓ∞ balls. What else a batch asks for, an attack or a
    box around what it finds, it computes alone.

    Args:
        batches: of one size; what each asks for, all will ask for.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.net, self.x = stacked([batch.net for batch in batches]), torch.cat([batch.x for batch in batches])
        self._eps = [batch.eps for batch in batches]
        self._known: dict[Hashable, Sequence[Any]] = {}
        for place, batch in enumerate(batches):  # it knows none of them itself: a cycle would keep a step's memory
            batch.stack = self, place

    def logits(self, place: int) -> Tensor:
        """The clean logits (B, K) of the batch of that number."""
        return self._of(place, "logits", lambda: self.net(self.x))

    def states(self, place: int, domain: Domain, clip_input: bool) -> list[Any]:
        """The domain's state of every node over the ℓ∞ balls of the batch of that number."""

        def made() -> list[Any]:
            parts = zip(self.x.chunk(len(self._eps)), self._eps, strict=True)
            eps = torch.cat([x.new_ones(len(x)) * eps for x, eps in parts])
            return domain.states(self.net, Ball(self.x, eps, "linf", clip_input))

        return self._of(place, (type(domain), clip_input), made)

    def _of(self, place: int, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = _parts(make(), len(self._eps))
        return self._known[key][place]


def _parts(state: Any, n: int) -> Sequence[Any]:
    """What n batches have together, as what each of them has: tensors, lists or dataclasses of them, or None."""
    if state is None:
        return [None] * n
    if isinstance(state, Tensor):
        return state.chunk(n)
    if isinstance(state, list):
        return [list(some) for some in zip(*(_parts(one, n) for one in state), strict=True)]
    names = [field.name for field in dataclasses.fields(state)]
    values = zip(*(_parts(getattr(state, name), n) for name in names), strict=True)
    return [type(state)(**dict(zip(names, some, strict=True))) for some in values]
