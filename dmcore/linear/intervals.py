"""Interval arithmetic of the layers that are linear: the one step that the interval domain and CROWN share."""

from __future__ import annotations

from torch import nn

from dmcore.nets.layers import Affine
from dmcore.perturbation.box import Box


def image(layer: nn.Module, *boxes: Box) -> Box:
    """The box around the outputs, ``W c + b`` and ``|W| r``, of an affine layer, a flatten or a sum of ``boxes``."""
    radius = layer.magnitude if isinstance(layer, Affine) else layer
    return Box(layer(*(box.center for box in boxes)), radius(*(box.radius for box in boxes)))
