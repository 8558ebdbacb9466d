"""What stands for torch's modules, functions and operators in a network of ours (:mod:`dmcore.nets.reading`).

The public functions serve other readers, too: that of ONNX files (:mod:`dmcore.extras.exchange.from_onnx`).
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmcore.errors import UserError
from dmcore.nets import layers
from dmcore.nets.network import Network, Shape, apply


@dataclass(kw_only=True)
class Reader(ABC):
    """A reading under way.

    Attributes:
        net: what has been read.
        shapes: of its nodes; none where the input's is not known.
        factors: of the layers that stand for a BatchNorm, its factor and addend for each channel, in float64.
        training: whether a BatchNorm stays a layer of its own, whose statistics are those of batches.
    """

    MISFIT: ClassVar[tuple[type[Exception], ...]] = (RuntimeError,)
    """What a layer raises that does not fit its input, to be told as :meth:`misfit` has it."""

    net: Network = field(default_factory=Network)
    shapes: list[Shape] = field(default_factory=list)
    factors: dict[nn.Module, tuple[Tensor, Tensor]] = field(default_factory=dict)
    training: bool = False

    @property
    @abstractmethod
    def like(self) -> Tensor:
        """A tensor of the network's dtype, on its device."""

    @abstractmethod
    def refuse(self, why: str) -> UserError:
        """The error that names what is being read."""

    def misfit(self, reason: str) -> UserError:
        """The error for a layer that does not fit its input."""
        return self.refuse(f"does not fit its input: {reason}")

    def append(self, layer: nn.Module, *parents: int) -> int:
        """Appends a layer; returns its node."""
        if self.shapes:
            try:
                with torch.no_grad():
                    out = apply(layer, *(self.like.new_zeros((1, *self.shapes[p])) for p in parents))
            except self.MISFIT as error:
                raise self.misfit(" ".join(str(error).split())[:150]) from error
            self.shapes.append(tuple(out.shape[1:]))
        return self.net.add(layer, parents)

    def sizes(self, index: int, why: str) -> Shape:
        """The shape of a node's values."""
        if not self.shapes:
            raise self.refuse(f"{why}, which needs the input's shape: as_network(net, shape)")
        return self.shapes[index]


@dataclass(frozen=True)
class At:
    """A value that is a node of the network."""

    index: int


class Batch:
    """The size of the batch axis, which nothing may depend on."""


# Modules: the reader, the module and the node of its input to the node of its output.


def _conv(r: Reader, conv: Any, x: int) -> int:
    if conv.padding_mode != "zeros":
        raise r.refuse(f"padding_mode '{conv.padding_mode}' cannot be bounded, only 'zeros'")
    layer = _bare(layers.Conv, conv.weight, conv.bias)
    # torch keeps the padding it resolved ('same', 'valid', or numbers) in F.pad's order.
    layer.padding = tuple(conv._reversed_padding_repeated_twice)
    layer.stride, layer.dilation, layer.groups = _pair(conv.stride), _pair(conv.dilation), conv.groups
    return r.append(layer, x)


def _linear(r: Reader, linear: Any, x: int) -> int:
    return r.append(_bare(layers.Linear, linear.weight, linear.bias), x)


def _batch_norm(r: Reader, norm: Any, x: int) -> int:
    if norm.training or norm.running_mean is None or norm.running_var is None:
        raise r.refuse("depends on the whole batch in training mode or without running statistics: call net.eval()")
    features = isinstance(norm, nn.BatchNorm1d)
    if features and r.shapes and len(r.shapes[x]) != 1:
        raise r.refuse(f"is known on features, not on values of shape {r.shapes[x]}")
    if r.training:
        return r.append(layers.BatchNorm.of(norm), x)
    return batch_norm(r, x, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias, features)


def _max_pool(r: Reader, pool: Any, x: int) -> int:
    if pool.ceil_mode or pool.return_indices or _pair(pool.dilation) != (1, 1):
        raise r.refuse(f"{pool}: ceil_mode, dilation and return_indices cannot be bounded")
    return r.append(layers.MaxPool(_pair(pool.kernel_size), _pair(pool.stride), _pair(pool.padding)), x)


def _avg_pool(r: Reader, pool: Any, x: int) -> int:
    padding = _pair(pool.padding)
    if pool.ceil_mode or (any(padding) and not pool.count_include_pad):
        raise r.refuse(f"{pool}: ceil_mode and padding that does not count cannot be bounded")
    kernel = _pair(pool.kernel_size)
    count = pool.divisor_override or math.prod(kernel)
    return average(r, x, kernel, _pair(pool.stride), padding, count)


def _adaptive(r: Reader, pool: Any, x: int) -> int:
    if _pair(pool.output_size) != (1, 1):
        raise r.refuse("only an average over all positions, AdaptiveAvgPool2d(1), can be bounded")
    return over_positions(r, x)


def _flatten(r: Reader, flatten: Any, x: int) -> int:
    if (flatten.start_dim, flatten.end_dim) != (1, -1):
        raise r.refuse("only a Flatten of everything but the batch axis, flatten(1), is known")
    return r.append(layers.Flatten(), x)


def _dropout(r: Reader, dropout: Any, x: int) -> int:
    if dropout.training and dropout.p > 0:
        raise r.refuse("drops values at random in training mode: call net.eval()")
    return x


MODULES: dict[type[nn.Module], Callable[..., int]] = {
    nn.Conv2d: _conv,
    nn.Linear: _linear,
    nn.BatchNorm1d: _batch_norm,
    nn.BatchNorm2d: _batch_norm,
    nn.ReLU: lambda r, module, x: r.append(layers.ReLU(), x),
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool2d: _adaptive,
    nn.ZeroPad2d: lambda r, pad, x: zero_pad(r, x, pad.padding),
    nn.Flatten: _flatten,
    nn.Identity: lambda r, module, x: x,
    nn.Dropout: _dropout,
    nn.Dropout2d: _dropout,
}


def normalize(r: Reader, module: Any, x: int) -> int:
    """What stands for torchvision's Normalize, which is told by its name: torchvision is not imported."""
    mean, std = (r.like.new_tensor(list(values))[:, None, None] for values in (module.mean, module.std))
    return r.append(_shifted(mean, std), x)


# Functions, operators and methods.


def _as_layer(make: Callable[..., nn.Module]) -> Callable[..., At]:
    """A function that does what a module of torch does: ``make`` takes its arguments."""

    def read(r: Reader, x: At, *args: Any, **options: Any) -> At:
        try:
            module = make(*args, **options)
        except TypeError as error:
            raise r.refuse(f"called in a way that is not known ({error})") from error
        return At(MODULES[type(module)](r, module, x.index))

    return read


def add(r: Reader, a: Any, b: Any, *, alpha: float = 1) -> At:
    """A sum of two branches, or of a value and a constant."""
    if alpha != 1:
        raise r.refuse("alpha cannot be bounded")
    if isinstance(a, At) and isinstance(b, At):
        return At(r.append(layers.Sum(), a.index, b.index))
    x, constant = (a, b) if isinstance(a, At) else (b, a)
    if not isinstance(x, At):
        raise r.refuse("adds constants: work them out in __init__")
    value = _constant(r, constant, x.index)
    return At(r.append(_shifted(-value, torch.ones_like(value)), x.index))


def subtract(r: Reader, x: Any, constant: Any) -> At:
    """A value minus a constant."""
    if not isinstance(x, At):
        raise r.refuse("a constant minus a value cannot be bounded: multiply by -1 in the layer before")
    value = _constant(r, constant, x.index)
    return At(r.append(_shifted(value, torch.ones_like(value)), x.index))


def multiply(r: Reader, a: Any, b: Any) -> Any:
    """A value times a constant; of sizes their product."""
    if not isinstance(a, At) and not isinstance(b, At):
        if isinstance(a, Batch) or isinstance(b, Batch):
            raise r.refuse("computes with the size of the batch")
        return a * b
    x, constant = (a, b) if isinstance(a, At) else (b, a)
    value = _constant(r, constant, x.index)
    return At(r.append(layers.Scale(value.expand(r.sizes(x.index, "multiplies by a constant")).contiguous()), x.index))


def divide(r: Reader, x: Any, constant: Any) -> At:
    """A value over a constant > 0."""
    if not isinstance(x, At):
        raise r.refuse("a constant over a value cannot be bounded")
    value = _constant(r, constant, x.index)
    if not bool((value > 0).all()):
        raise r.refuse("divides by numbers that are not all > 0: multiply by their inverse")
    return At(r.append(_shifted(torch.zeros_like(value), value), x.index))


def _constant(r: Reader, value: Any, index: int) -> Tensor:
    """A constant beside the values of a node, without the batch axis."""
    if isinstance(value, At | Batch) or not isinstance(value, Tensor | int | float):
        raise r.refuse("takes two computed values, which cannot be bounded")
    if isinstance(value, Tensor) and value.requires_grad:
        raise r.refuse("uses trainable weights in the forward: put them into a layer")
    tensor = torch.as_tensor(value, dtype=r.like.dtype, device=r.like.device).detach()
    if tensor.dim() <= 1 and tensor.numel() == 1:
        return tensor.reshape(1)
    shape = r.sizes(index, "uses a tensor in the forward")
    if tensor.dim() == len(shape) + 1 and len(tensor) == 1:
        tensor = tensor[0]
    tensor = tensor.reshape((1,) * (len(shape) - tensor.dim()) + tensor.shape)
    if tensor.dim() != len(shape) or any(own not in (1, size) for own, size in zip(tensor.shape, shape, strict=True)):
        raise r.refuse(f"has a constant of shape {tuple(tensor.shape)} beside values of shape {shape}")
    return tensor


def _view(r: Reader, x: At, *sizes: Any) -> At:
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list | torch.Size):
        sizes = tuple(sizes[0])
    if len(sizes) != 2 or not (isinstance(sizes[0], Batch) or sizes[0] == -1):
        raise r.refuse("only x.view(x.size(0), -1), everything but the batch axis in one, is known: use flatten(1)")
    if sizes[1] != -1 and sizes[1] != math.prod(r.sizes(x.index, "names the number of features")):
        raise r.refuse(f"names {sizes[1]} features where there are {math.prod(r.sizes(x.index, ''))}")
    if sizes == (-1, -1):
        raise r.refuse("has two unknown sizes")
    return At(r.append(layers.Flatten(), x.index))


def _size(r: Reader, x: At, axis: int | None = None) -> Any:
    sizes = _attribute(r, x, "shape")
    return sizes if axis is None else _item(r, sizes, axis)


def _attribute(r: Reader, x: Any, name: str) -> Any:
    if name != "shape" or not isinstance(x, At):
        raise r.refuse(f"'.{name}' cannot be bounded")
    return (Batch(), *r.shapes[x.index]) if r.shapes else (Batch(),)


def _item(r: Reader, values: Any, index: Any) -> Any:
    if isinstance(values, At):
        raise r.refuse("indexing cannot be bounded")
    if len(values) == 1 and index != 0:
        raise r.refuse("asks for sizes, which needs the input's shape: as_network(net, shape)")
    return values[index]


def mean(r: Reader, x: At, dim: Any = None, keepdim: bool = False) -> At:
    """The average over all positions of an image."""
    axes = tuple(sorted(axis % 4 for axis in ((dim,) if isinstance(dim, int) else dim or ())))
    if axes != (2, 3) or len(r.sizes(x.index, "averages over positions")) != 3:
        raise r.refuse("only a mean over all positions of an image, mean((2, 3)), can be bounded")
    averaged = over_positions(r, x.index)
    return At(averaged if keepdim else r.append(layers.Flatten(), averaged))


OPERATIONS: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((operator.add, operator.iadd, torch.add, "add", "add_"), add),
    **dict.fromkeys((operator.sub, operator.isub, torch.sub, "sub", "sub_"), subtract),
    **dict.fromkeys((operator.mul, operator.imul, torch.mul, "mul", "mul_"), multiply),
    **dict.fromkeys((operator.truediv, operator.itruediv, torch.div, "div", "div_"), divide),
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, "relu", "relu_"), _as_layer(nn.ReLU)),
    **dict.fromkeys(
        (torch.flatten, "flatten"), _as_layer(lambda start_dim=0, end_dim=-1: nn.Flatten(start_dim, end_dim))
    ),
    **dict.fromkeys((torch.reshape, "view", "reshape"), _view),
    **dict.fromkeys((torch.mean, "mean"), mean),
    **dict.fromkeys((F.max_pool2d, torch.max_pool2d), _as_layer(nn.MaxPool2d)),
    **dict.fromkeys((F.avg_pool2d, torch._C._nn.avg_pool2d), _as_layer(nn.AvgPool2d)),
    F.adaptive_avg_pool2d: _as_layer(nn.AdaptiveAvgPool2d),
    F.dropout: _as_layer(lambda p=0.5, training=True, inplace=False: nn.Dropout(p).train(training)),
    "contiguous": lambda r, x: x,
    "size": _size,
    getattr: _attribute,
    operator.getitem: _item,
}

IN_PLACE: set[Any] = {operator.iadd, operator.isub, operator.imul, operator.itruediv, torch.relu_}
IN_PLACE |= {"add_", "sub_", "mul_", "div_", "relu_"}
VIEWS: set[Any] = {torch.flatten, torch.reshape, F.dropout, "flatten", "view", "reshape", "contiguous"}
VIEWS |= {nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d}
"""What may share the memory of its input."""


# Layers of ours.


def batch_norm(
    r: Reader, x: int, mean: Tensor, var: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None, features: bool
) -> int:
    """The normalisation by fixed statistics, of features or of an image's channels."""
    layer, r.factors[layer] = fixed_norm(mean, var, eps, weight, bias, features)
    return r.append(layer, x)


def fixed_norm(
    mean: Tensor, var: Tensor, eps: float, weight: Tensor | None, bias: Tensor | None, features: bool
) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A layer for it, of the mean's dtype, and its factor and addend for each channel, worked out in float64."""
    scale = (var.double() + eps).rsqrt()
    scale = scale if weight is None else scale * weight.detach().double()
    shift = -mean.double() * scale
    shift = shift if bias is None else shift + bias.detach().double()
    if features:
        return made(layers.Linear, torch.diag(scale), shift, mean.dtype), (scale, shift)
    return _depthwise(scale, shift, mean.dtype), (scale, shift)


def zero_pad(r: Reader, x: int, padding: Sequence[int]) -> int:
    """Zeros around an image: (left, right, top, bottom)."""
    if min(padding) < 0:
        raise r.refuse("negative padding cannot be bounded")
    layer = _depthwise(r.like.new_ones(r.sizes(x, "pads an image")[0]), None, r.like.dtype)
    left, right, top, bottom = padding
    layer.padding = left, right, top, bottom
    return r.append(layer, x)


def average(
    r: Reader, x: int, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], count: int
) -> int:
    """Sums over windows, then divided: both exact, where the weights 1/count would be rounded."""
    channels = r.sizes(x, "averages over windows")[0]
    layer = _depthwise(r.like.new_ones(channels), None, r.like.dtype, kernel)
    layer.stride, layer.padding = stride, (padding[1], padding[1], padding[0], padding[0])
    total = r.append(layer, x)
    return r.append(_shifted(r.like.new_zeros(1, 1, 1), r.like.new_full((1, 1, 1), count)), total)


def over_positions(r: Reader, x: int) -> int:
    """The average over all positions of an image: (C, 1, 1)."""
    shape = r.sizes(x, "averages over all positions")
    if len(shape) != 3:
        raise r.refuse(f"averages over the positions of an image, not of values of shape {shape}")
    return average(r, x, shape[1:], (1, 1), (0, 0), shape[1] * shape[2])


def _depthwise(
    factor: Tensor, shift: Tensor | None, dtype: torch.dtype, kernel: tuple[int, int] = (1, 1)
) -> layers.Conv:
    """A convolution of each channel by itself, with one number all over the kernel."""
    layer = made(layers.Conv, factor.view(-1, 1, 1, 1).expand(-1, 1, *kernel).contiguous(), shift, dtype)
    layer.stride, layer.padding, layer.dilation, layer.groups = (1, 1), (0, 0, 0, 0), (1, 1), len(factor)
    return layer


def made(kind: type[nn.Module], weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Any:
    """A layer with copies of weights."""
    own = (None if t is None else nn.Parameter(t.detach().to(dtype)) for t in (weight, bias))
    return _bare(kind, *own)


def _bare(kind: type[nn.Module], weight: Tensor | None, bias: Tensor | None) -> Any:
    """A layer made without random weights of its own, which would change torch's random state."""
    layer: Any = kind.__new__(kind)
    nn.Module.__init__(layer)
    layer.weight, layer.bias = weight, bias
    return layer


def _shifted(mean: Tensor, std: Tensor) -> layers.Normalize:
    """``(x − mean) / std`` with numbers of any shape."""
    layer = layers.Normalize([0.0], [1.0])
    layer.mean, layer.std = mean, std
    return layer


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
