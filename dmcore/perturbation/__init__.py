"""What may be done to an input: a ball in some norm around it, and boxes; and the checks of what callers give."""

from dmcore.perturbation.ball import Ball
from dmcore.perturbation.box import Box

__all__ = ["Ball", "Box"]
