"""Methods that are worked out once for each of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Self = TypeVar("Self")
Arguments = ParamSpec("Arguments")
Found = TypeVar("Found")


def once(
    method: Callable[Concatenate[Self, Arguments], Found],
) -> Callable[Concatenate[Self, Arguments], Found]:
    """Keeps what a method finds for each of its positional arguments, as long as its object lives."""

    @wraps(method)
    def kept(self: Self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Found:
        found = self.__dict__.setdefault(f"_{method.__name__}", {})
        if args not in found:
            found[args] = method(self, *args, **kwargs)
        result: Found = found[args]
        return result

    return kept
