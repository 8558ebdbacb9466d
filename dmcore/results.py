"""What the results of many points have in common."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from typing import Any

from torch import Tensor

from dmcore.errors import UserError


class PointResults:
    """A dataclass of tensors whose first axis is the points'."""

    def __len__(self) -> int:
        return len(self._columns()[0][1])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} points, {self._summary()})"

    def to_pandas(self) -> Any:
        """A :class:`pandas.DataFrame` with a row for each point and a column for each number of a point.

        Raises:
            UserError: pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise UserError("to_pandas needs the package pandas: pip install pandas") from error
        return pandas.DataFrame({name: values.cpu().numpy() for name, values in self._columns() if values.ndim == 1})

    def _columns(self) -> list[tuple[str, Tensor]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]  # type: ignore[arg-type]

    def _summary(self) -> str:
        raise NotImplementedError


def share(verdicts: Tensor) -> float:
    """How many of all say yes, as a fraction; NaN for none at all."""
    return verdicts.double().mean().item()
