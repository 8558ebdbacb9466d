"""Networks by name: what an architecture is written with, and how one is put together."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from dmcore.errors import UserError
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, Normalize, ReLU, Sum
from dmcore.nets.layers.affine import same_padding
from dmcore.nets.network import INPUT, Network, Shape
from dmcore.nets.pruning import prune_nothing
from dmcore.nets.reading import as_network
from dmcore.registries import architecture


class Builder:
    """Appends layers to a network and keeps track of the shape, so that an architecture lists only its filters.

    Attributes:
        at: the node that the next layer reads, and ``shape`` its shape.
        training: whether the BatchNorms of modules are layers, or in the weights before them.
    """

    def __init__(self, net: Network, at: int, shape: Shape, training: bool = False) -> None:
        self.net, self.at, self.shape, self.training = net, at, shape, training

    def add(self, layer: nn.Module, *others: int) -> int:
        """Appends a layer fed by the current node and ``others``, whose new shape, if any, the caller sets."""
        self.at = self.net.add(layer, [self.at, *others])
        return self.at

    def conv(self, filters: int, kernel: int, stride: int = 1, same: bool = True) -> int:
        """A square convolution with TensorFlow's "same" or "valid" padding."""
        channels, height, width = self.shape
        top, bottom = same_padding(height, kernel, stride) if same else (0, 0)
        left, right = same_padding(width, kernel, stride) if same else (0, 0)
        padded = (height + top + bottom, width + left + right)
        self.shape = (filters, *self._slid(padded, kernel, stride, "convolution"))
        return self.add(Conv(channels, filters, (kernel, kernel), (stride, stride), (left, right, top, bottom)))

    def max_pool(self, size: int) -> int:
        """Max-pooling over size × size windows side by side; what does not fill a window is left out."""
        channels, *image = self.shape
        self.shape = (channels, *self._slid(image, size, size, "max-pooling"))
        return self.add(MaxPool((size, size), (size, size)))

    def _slid(self, image: Sequence[int], kernel: int, stride: int, what: str) -> tuple[int, int]:
        height, width = ((size - kernel) // stride + 1 for size in image)
        if min(height, width) < 1:
            channels, *size = self.shape
            raise UserError(f"input of {channels}x{size[0]}x{size[1]} is too small for a {kernel}x{kernel} {what}")
        return height, width

    def relu(self) -> int:
        """A ReLU."""
        return self.add(ReLU())

    def add_skip(self, node: int) -> int:
        """Adds the value of an earlier node of the same shape (a residual block's identity branch)."""
        return self.add(Sum(), node)

    def append(self, module: nn.Module) -> int:
        """The layers of a module, as :func:`dmcore.nets.as_network` reads them, with its weights."""
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.eval()
        like = next((p for p in module.parameters()), torch.zeros((), device="cpu"))
        with torch.device(like.device):  # "meta" where a network is only counted
            network = as_network(module, self.shape, self.training)
            shapes = network.shapes(like.new_zeros(1, *self.shape))
        places = [self.at]
        for node in network.nodes():
            places.append(self.net.add(node.layer, [places[parent] for parent in node.parents]))
        self.at, self.shape = places[-1], shapes[-1]
        return self.at

    def fc(self, units: int) -> int:
        """A fully connected layer, after a flatten where the input still has channels."""
        if len(self.shape) > 1:
            self.add(Flatten())
            self.shape = (self.shape[0] * self.shape[1] * self.shape[2],)
        (features,) = self.shape
        self.shape = (units,)
        return self.add(Linear(features, units))


def build_net(
    arch: str,
    in_shape: tuple,
    num_classes: int,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    members: int = 1,
    pruned_relus: bool = False,
    training: bool = False,
) -> Network:
    """A freshly initialised network of the paper (weights normal with std 1/√fan_in, biases 0).

    Args:
        arch: one of ``architecture.names()``.
        in_shape: (channels, height, width) of the images; pixels in [0, 1].
        num_classes: K, the number of logits.
        mean, std: per-channel normalisation, put inside the network so that ε stays in pixel scale.
        members: N, the size of the ensemble (Appendix H.2): N networks side by side behind one normalisation, each
            with weights of its own, their logits averaged. The first has the weights that it would have alone.
        pruned_relus: give every ReLU the masks of :func:`dmcore.nets.pruning.prune_relus`, with nothing pruned, so
            that the weights of a pruned network can be loaded.
        training: with the architecture's BatchNorms as layers; without them it is the network that
            :func:`dmcore.nets.batch_norm.with_population` makes of a trained one.

    Raises:
        UserError: unknown ``arch``, an ``in_shape`` that is not a positive (C, H, W) or is too small for ``arch``, or
            ``members`` < 1.
    """
    append_layers = architecture.get(arch)
    shape = tuple(int(n) for n in in_shape)
    if len(shape) != 3 or min(shape) < 1 or num_classes < 2:
        raise UserError(f"in_shape {in_shape} with {num_classes} classes: need (C, H, W) ≥ 1 and at least 2 classes")
    if members < 1:
        raise UserError(f"an ensemble of {members} members: need at least 1")
    net, start = Network(), INPUT
    if mean is not None and std is not None:
        start = net.add(Normalize(mean, std))
    logits = []
    for _ in range(members):
        builder = Builder(net, start, shape, training)
        try:
            made = append_layers(builder, num_classes)
            if made is not None:
                builder.append(made)
        except UserError as error:
            size = "x".join(map(str, shape))
            raise UserError(f"the architecture '{arch}' takes no images of {size}: {error}") from error
        logits.append(builder.at)
    if members > 1:
        net.add(Sum(1 / members), logits)
    return prune_nothing(net, torch.zeros(1, *shape)) if pruned_relus else net
