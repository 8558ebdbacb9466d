"""Chains of element-wise operations as one kernel, by ``torch.compile``; it caches what it compiled on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

F = TypeVar("F", bound=Callable[..., Any])
KINDS = 100  # of calls, by which inputs there are and which ask for gradients
_on = False


@contextmanager
def fusion(on: bool = True) -> Iterator[None]:
    """Has the functions marked :func:`fusible` run as one kernel each, forwards and backwards, while the block runs."""
    global _on
    before, _on = _on, on
    try:
        yield
    finally:
        _on = before


def fusing() -> bool:
    """Whether functions are fused now: not without gradients, which a training asks for once an epoch."""
    return _on and torch.is_grad_enabled()


def can_fuse(device: torch.device) -> bool:
    """Whether there is a compiler for the device; tried on a small function."""
    try:
        torch.compile(torch.neg)(torch.zeros(2, device=device))
    except (RuntimeError, ImportError, OSError):
        return False
    return True


def fusible(function: F) -> F:
    """Marks a function that works element by element on tensors, or on tuples of them, and returns a tuple of them.

    Fused, it takes all tensors as vectors of one length, so that it is compiled once for all shapes. Only its inputs
    are kept for the gradient: to work out all else again costs less than to store and load it.
    """

    @cache
    def compiled() -> Callable[..., Any]:  # when it is first needed: the compiler takes seconds to import
        def forgetful(*arguments: Any) -> Any:
            return checkpoint(function, *arguments, use_reentrant=False, preserve_rng_state=False)

        # Torch counts the kinds of calls of all functions together, and beyond 8 it gives up.
        torch._dynamo.config.cache_size_limit = max(torch._dynamo.config.cache_size_limit, KINDS)
        return torch.compile(forgetful, dynamic=True, fullgraph=True)

    @wraps(function)
    def either(*arguments: Any) -> Any:
        if not fusing():
            return function(*arguments)
        shape = torch.broadcast_shapes(*(t.shape for t in _tensors(arguments)))

        def flat(argument: Any) -> Any:
            if isinstance(argument, tuple):
                return tuple(map(flat, argument))
            return argument.expand(shape).reshape(-1) if isinstance(argument, Tensor) else argument

        return tuple(result.view(shape) for result in compiled()(*map(flat, arguments)))

    return either  # type: ignore[return-value]


def _tensors(arguments: tuple[Any, ...]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, tuple):
            yield from _tensors(argument)
        elif isinstance(argument, Tensor):
            yield argument
