"""The paper's architectures (Appendix G): filters from the paper, kernels and strides from the authors' code.

A new architecture is one function under ``@architecture("name")``; its name is then valid in ``config.yaml``.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from dmcore.errors import UserError
from dmcore.layers import Conv, Flatten, Linear, Normalize, ReLU
from dmcore.layers.affine import same_padding
from dmcore.nets.network import Network, Shape
from dmcore.registries import architecture


class Builder:
    """Appends layers to a network and keeps track of the shape, so that an architecture lists only its filters."""

    def __init__(self, in_shape: Shape) -> None:
        self.net = Network()
        self.shape = in_shape

    def add(self, layer: nn.Module) -> int:
        """Appends a layer that leaves the shape alone, or whose new shape the caller sets."""
        return self.net.add(layer)

    def conv(self, filters: int, kernel: int, stride: int = 1, same: bool = True) -> int:
        """A square convolution with TensorFlow's "same" or "valid" padding."""
        channels, height, width = self.shape
        top, bottom = same_padding(height, kernel, stride) if same else (0, 0)
        left, right = same_padding(width, kernel, stride) if same else (0, 0)
        self.shape = (
            filters,
            (height + top + bottom - kernel) // stride + 1,
            (width + left + right - kernel) // stride + 1,
        )
        if min(self.shape) < 1:
            raise UserError(f"input of {channels}x{height}x{width} is too small for a {kernel}x{kernel} convolution")
        return self.add(Conv(channels, filters, (kernel, kernel), (stride, stride), (left, right, top, bottom)))

    def relu(self) -> int:
        """A ReLU."""
        return self.add(ReLU())

    def fc(self, units: int) -> int:
        """A fully connected layer, after a flatten where the input still has channels."""
        if len(self.shape) > 1:
            self.add(Flatten())
            self.shape = (self.shape[0] * self.shape[1] * self.shape[2],)
        (features,) = self.shape
        self.shape = (units,)
        return self.add(Linear(features, units))


@architecture("small")
def _small(b: Builder, num_classes: int) -> None:
    """Small CNN, 4 layers."""
    b.conv(16, kernel=4, stride=2)
    b.relu()
    b.conv(32, kernel=4)
    b.relu()
    b.fc(100)
    b.relu()
    b.fc(num_classes)


def build_net(
    arch: str,
    in_shape: tuple,
    num_classes: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Network:
    """A freshly initialised network of the paper (weights normal with std 1/√fan_in, biases 0).

    Args:
        arch: one of ``architecture.names()``.
        in_shape: (channels, height, width) of the images; pixels in [0, 1].
        num_classes: K, the number of logits.
        mean, std: per-channel normalisation, put inside the network so that ε stays in pixel scale.

    Raises:
        UserError: unknown ``arch``, or an ``in_shape`` that is not a positive (C, H, W).
    """
    append_layers = architecture.get(arch)
    shape = tuple(int(n) for n in in_shape)
    if len(shape) != 3 or min(shape) < 1 or num_classes < 2:
        raise UserError(f"in_shape {in_shape} with {num_classes} classes: need (C, H, W) ≥ 1 and at least 2 classes")
    builder = Builder(shape)
    if mean is not None and std is not None:
        builder.add(Normalize(mean, std))
    append_layers(builder, num_classes)
    return builder.net
