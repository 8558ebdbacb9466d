"""Abstract domains: what a set of inputs does to a network, each in its own terms."""

from dmcore.domains.domain import Domain
from dmcore.domains.double_margin import DoubleMargin, IntervalMargin, Margins, SingleMargin
from dmcore.domains.interval import Interval
from dmcore.domains.rounding import Magnitude

__all__ = [
    "Domain",
    "DoubleMargin",
    "Interval",
    "IntervalMargin",
    "Magnitude",
    "Margins",
    "SingleMargin",
]
