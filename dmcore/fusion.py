"""Chains of element-wise operations as one kernel, by ``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any, TypeVar

import torch

F = TypeVar("F", bound=Callable[..., Any])
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


def fusible(function: F) -> F:
    """Marks a function of tensors that works element by element."""

    @cache
    def compiled() -> Callable[..., Any]:  # when it is first needed: the compiler takes seconds to import
        return torch.compile(function, dynamic=False, fullgraph=True)

    @wraps(function)
    def either(*tensors: Any) -> Any:
        return compiled()(*tensors) if _on else function(*tensors)

    return either  # type: ignore[return-value]
