"""Methods that are worked out once for each of their arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def once(method: Method) -> Method:
    """Keeps what a method finds for each of its positional arguments, as long as its object lives."""

    @wraps(method)
    def kept(self: Any, *args: Any) -> Any:
        found = self.__dict__.setdefault(f"_{method.__name__}", {})
        if args not in found:
            found[args] = method(self, *args)
        return found[args]

    return kept  # type: ignore[return-value]
