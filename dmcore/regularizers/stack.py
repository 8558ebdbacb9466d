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
        self.batches, self.net = batches, stacked([batch.net for batch in batches])
        self.x = torch.cat([batch.x for batch in batches])
        self._known: dict[Hashable, Sequence[Any]] = {}
        for batch in batches:
            batch.stack = self

    def logits(self, batch: Batch) -> Tensor:
        """The clean logits of one of the batches, (B, K)."""
        return self._of(batch, "logits", lambda: self.net(self.x))

    def states(self, batch: Batch, domain: Domain, clip_input: bool) -> list[Any]:
        """The domain's state of every node over the ℓ∞ balls of one of the batches."""

        def made() -> list[Any]:
            eps = torch.cat([b.x.new_ones(len(b.x)) * b.eps for b in self.batches])
            return domain.states(self.net, Ball(self.x, eps, "linf", clip_input))

        return self._of(batch, (type(domain), clip_input), made)

    def _of(self, batch: Batch, key: Hashable, make: Callable[[], Any]) -> Any:
        if key not in self._known:
            self._known[key] = _parts(make(), len(self.batches))
        return self._known[key][self.batches.index(batch)]


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
