"""One batch on its way through the objective, and what the terms learn about it on the way."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dmcore.attacks import Attack
from dmcore.domains import Domain
from dmcore.linear.chunks import TRAINING_POINTS, map_chunks
from dmcore.nets import Network
from dmcore.perturbation import Ball

if TYPE_CHECKING:
    from dmcore.regularizers.stack import Stack

Known = TypeVar("Known")


class Batch:
    """Inputs x (B, C, H, W), labels y (B,), the net and the ε of this step.

    A term that happens to compute the clean logits sets :attr:`logits`; otherwise they are computed on first use.
    ``worst_logits`` are those of the last term that has any, for the robust batch accuracy. Balls, attacks and passes
    of a domain are made once, however many terms ask for them; a ``stack``, if any, makes passes for several
    batches, of which this is one. Random numbers come from ``generator`` alone, which is on x's device.

    Args:
        ramp: how far ε has grown, in [0, 1].
    """

    def __init__(
        self,
        net: Network,
        x: Tensor,
        y: Tensor,
        eps: Tensor | float,
        generator: torch.Generator | None = None,
        ramp: Tensor | float = 1.0,
    ) -> None:
        self.net, self.x, self.y, self.eps, self.generator, self.ramp = net, x, y, eps, generator, ramp
        self.worst_logits: Tensor | None = None
        self.stack: tuple[Stack, int] | None = None
        self._known: dict[Hashable, Any] = {}

    @cached_property
    def logits(self) -> Tensor:
        """Clean logits (B, K)."""
        if self.stack is None:
            return self.net(self.x)
        stack, place = self.stack
        return stack.logits(place)

    @cached_property
    def clean_loss(self) -> Tensor:
        """CE(z, y), the base loss L."""
        return F.cross_entropy(self.logits, self.y)

    @cached_property
    def own(self) -> Tensor:
        """(B, K) bool, which class is the label. A GPU can repeat a gather's gradient to the bit only by sorting."""
        return self.y[:, None] == torch.arange(self.logits.shape[1], device=self.y.device)

    def ball(self, norm: str, clip_input: bool) -> Ball:
        """The ε-balls around x."""
        return self._once(("ball", norm, clip_input), lambda: Ball(self.x, self.eps, norm, clip_input))

    def attacked(self, attack: Attack, eps_factor: float = 1.0) -> tuple[Tensor, Tensor]:
        """What ``attack`` makes of x within ``eps_factor`` · ε, and the logits there, which can be differentiated."""

        def made() -> tuple[Tensor, Tensor]:
            x = attack.perturb(self.net, self.x, self.y, eps_factor * self.eps, self.generator)
            return x, self.net(x)

        return self._once(("attack", repr(attack), eps_factor), made)

    def states(self, domain: Domain, ball: Ball) -> list[Any]:
        """The domain's state of every node over one of this batch's balls."""

        def made() -> list[Any]:
            if self.stack is None or ball is not self.ball("linf", ball.clip_input):
                return domain.states(self.net, ball)
            stack, place = self.stack
            return stack.states(place, domain, ball.clip_input)

        return self._once(("states", type(domain), ball), made)

    def recomputed(self, work: Callable[[slice], Tensor]) -> Tensor:
        """``work`` on some points at a time, put together, and done again in the backward pass.

        The coefficients that it makes for all points at once would fill the memory.
        """

        def checkpointed(points: slice) -> Tensor:
            return checkpoint(work, points, use_reentrant=False, preserve_rng_state=False)

        return torch.cat(map_chunks(len(self.x), TRAINING_POINTS[self.x.device.type], checkpointed))

    def _once(self, key: Hashable, make: Callable[[], Known]) -> Known:
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]
