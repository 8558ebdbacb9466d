"""What a substitution carries: linear forms of the deviations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from dmcore.linear.coefficients import Coefficients


@dataclass(frozen=True, eq=False)
class LowerUpper:
    """The coefficients of the lower and of the upper bounds, which may be one set; upper is None if not wanted."""

    lower: Coefficients
    upper: Coefficients | None

    @property
    def shared(self) -> bool:
        """Whether one set of coefficients serves both bounds."""
        return self.upper is self.lower

    def map(self, change: Callable[[Coefficients], Coefficients]) -> LowerUpper:
        """The same linear change of both sets of coefficients, made once where they are shared."""
        lower = change(self.lower)
        if self.upper is None:
            return LowerUpper(lower, None)
        return LowerUpper(lower, lower if self.shared else change(self.upper))


@dataclass(frozen=True, eq=False)
class MidRadius:
    """``middle − radius`` and ``middle + radius``, kept apart through affine layers and added up when asked for.

    Behind a fully connected layer and a convolution there are fewer coefficients to add up than between the two.
    """

    middle: Coefficients
    radius: Coefficients
    shared: ClassVar = False

    @cached_property
    def lower(self) -> Coefficients:
        return self.middle - self.radius

    @cached_property
    def upper(self) -> Coefficients:
        return self.middle + self.radius

    def map(self, change: Callable[[Coefficients], Coefficients]) -> MidRadius:
        """The same linear change of both."""
        return MidRadius(change(self.middle), change(self.radius))


Form = LowerUpper | MidRadius
"""``lower · (z − ẑ)`` and ``upper · (z − ẑ)``, of the lower and the upper bounds."""


def added(one: Form, two: Form) -> LowerUpper:
    """The sum of two forms."""
    lower = one.lower + two.lower
    if one.upper is None or two.upper is None:
        return LowerUpper(lower, None)
    return LowerUpper(lower, lower if one.shared and two.shared else one.upper + two.upper)
