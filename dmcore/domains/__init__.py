"""Abstract domains: what a set of inputs does to a network, each in its own terms."""

from dmcore.domains.ball import Ball
from dmcore.domains.box import Box
from dmcore.domains.domain import Domain
from dmcore.domains.double_margin import DoubleMargin, IntervalMargin, Margins, SingleMargin
from dmcore.domains.interval import Interval
from dmcore.domains.magnitude import Magnitude
from dmcore.norms import NORMS

__all__ = [
    "NORMS",
    "Ball",
    "Box",
    "Domain",
    "DoubleMargin",
    "Interval",
    "IntervalMargin",
    "Magnitude",
    "Margins",
    "SingleMargin",
]
