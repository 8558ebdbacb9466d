"""An ONNX file as a network of ours: the usual exports of classifiers; what is not understood is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dmcore.errors import UserError
from dmcore.extras.exchange.package import onnx_package
from dmcore.extras.exchange.simplify import simplify
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, Normalize, ReLU, Scale, Sum
from dmcore.nets.layers.affine import Padding, same_padding
from dmcore.nets.network import INPUT, Network, Shape

LARGEST = 2**31 - 1  # bytes; protobuf reads no more
OLDEST_OPSET = 7  # before it Add and Mul did not broadcast by position
AUTO_PADS = (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER")
DTYPES: dict[str, np.dtype] = {"FLOAT": np.dtype(np.float32), "DOUBLE": np.dtype(np.float64)}


def import_onnx(path: Path | str) -> Network:
    """The network of an ONNX file with one input (batch, …) and one output, in evaluation mode and the file's dtype.

    Known are Conv (2-d), Gemm, MatMul and Add, Relu, MaxPool, Flatten, Reshape to (batch, −1), sums of branches, and
    addition, subtraction, multiplication and division by constants; Identity, Constant and Dropout pass. Reading runs
    nothing of the file and opens no other. Logits agree with the file's up to rounding.

    Raises:
        UserError: no readable ONNX file, data kept in other files, or an operator, attribute or shape that is not known
            here; it names the node.
    """
    path = Path(path)
    model = _load(path)
    graph, reader = model.graph, _Reader(path)
    for tensor in graph.initializer:
        reader.constants[tensor.name] = reader.array(tensor)
    inputs = [i for i in graph.input if i.name not in reader.constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise UserError(f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs; only one of each is known")
    reader.start(inputs[0])
    (output,) = (o.name for o in graph.output)
    for node in _needed(graph, output):
        reader.read(node)
    if reader.at.get(output, INPUT) == INPUT:
        raise UserError(f"{path} computes nothing: its output is its input or a constant")
    return simplify(reader.net).eval()


def _load(path: Path) -> Any:
    """The model as protobuf, its structure checked."""
    onnx = onnx_package()
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is larger than 2 GiB, which no ONNX file without external data can be")
    try:
        model = onnx.load(path, load_external_data=False)
        inside = [a.t for node in model.graph.node for a in node.attribute]
        if any(t.data_location == onnx.TensorProto.EXTERNAL for t in [*model.graph.initializer, *inside]):
            raise UserError(f"{path} keeps weights in other files (external data): save it again with all inside")
        onnx.checker.check_model(model)
    except (ValueError, TypeError, onnx.checker.ValidationError, _decode_error()) as error:
        raise UserError(f"{path} is no valid ONNX file: {' '.join(str(error).split())[:200]}") from error
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET or model.graph.sparse_initializer:
        found = "sparse weights" if opset >= OLDEST_OPSET else f"operators of opset {opset}"
        raise UserError(f"{path} has {found}, which are not known: export it again, with opset {OLDEST_OPSET} or newer")
    return model


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError  # protobuf comes with onnx

    return DecodeError


def _needed(graph: Any, output: str) -> list[Any]:
    """The nodes that the output depends on, in their order; the rest, such as unused constants, does not matter."""
    wanted, nodes = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    return nodes[::-1]


@dataclass
class _Reader:
    """The network under way.

    Attributes:
        at: the network's node that holds a tensor of the file; ``shapes`` are those of the network's nodes.
        constants: tensors of the file that are known beforehand.
        batch: the input's batch axis, 1 if it is symbolic.
        node: what is being read, for messages.
    """

    path: Path
    net: Network = field(default_factory=Network)
    at: dict[str, int] = field(default_factory=dict)
    shapes: list[Shape] = field(default_factory=list)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    dtype: np.dtype = DTYPES["FLOAT"]
    batch: int = 1
    node: Any = None

    def start(self, value: Any) -> None:
        """Takes the input's name, type and shape."""
        kind = value.type.tensor_type
        types = {number: name for name, number in onnx_package().TensorProto.DataType.items()}
        name = types.get(kind.elem_type, "of no known type")
        if name not in DTYPES:
            raise UserError(f"{self.path}: the input '{value.name}' is {name}; only FLOAT and DOUBLE are known")
        dims = [d.dim_value for d in kind.shape.dim]  # 0 where symbolic
        if len(dims) < 2 or min(dims[1:]) < 1:
            raise UserError(f"{self.path}: the input '{value.name}' must be (batch, …) with fixed sizes, not {dims}")
        self.dtype, self.batch = DTYPES[name], dims[0] or 1
        self.at[value.name] = INPUT
        self.shapes.append(tuple(dims[1:]))

    def read(self, node: Any) -> None:
        """Appends what one node of the file does."""
        self.node = node
        read, known = _OPERATORS.get(node.op_type, (None, frozenset()))
        if read is None or node.domain not in ("", "ai.onnx"):
            raise self.refusal(f"is not known here; known: {', '.join(sorted(_OPERATORS))}")
        attributes = {a.name: onnx_package().helper.get_attribute_value(a) for a in node.attribute}
        strange = sorted(attributes.keys() - known)
        if strange:
            raise self.refusal(f"has the attribute '{strange[0]}', which is not known here")
        result = read(self, attributes)
        if isinstance(result, np.ndarray):
            self.constants[node.output[0]] = result
        else:
            self.at[node.output[0]] = result

    def refusal(self, why: str) -> UserError:
        """The error that names the node."""
        return UserError(f"{self.path}: {self.node.op_type} '{self.node.name or self.node.output[0]}' {why}")

    def array(self, tensor: Any) -> np.ndarray:
        """A tensor's values."""
        try:
            return onnx_package().numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:  # KeyError: a type of number that does not exist
            raise UserError(f"{self.path}: the tensor '{tensor.name}' is damaged ({error})") from error

    def name(self, number: int) -> str:
        """The name of an input of the node; empty if it is left out."""
        return self.node.input[number] if number < len(self.node.input) else ""

    def data(self, number: int = 0) -> int:
        """The network's node that is an input of the file's node."""
        name = self.name(number)
        if name in self.constants:
            raise self.refusal(f"has the constant '{name}' in a place where only a computed value is known")
        if name not in self.at:
            raise self.refusal(f"reads '{name}', a secondary output of another node")
        return self.at[name]

    def is_constant(self, number: int) -> bool:
        return self.name(number) in self.constants

    def weight(self, number: int) -> Tensor:
        """Constant numbers of the network's own type."""
        name = self.name(number)
        if name not in self.constants:
            raise self.refusal(f"has '{name}', which is computed, in a place where only a constant is known")
        value = self.constants[name]
        if value.dtype != self.dtype or not value.size or not np.isfinite(value).all():
            raise self.refusal(f"has the constant '{name}', which is not made of finite numbers of the input's type")
        return torch.from_numpy(value.copy())

    def beside(self, number: int, index: int) -> Tensor:
        """A constant that is broadcast to the values of a node, with as many axes as these have (without the batch)."""
        value, shape = self.weight(number), self.shapes[index]
        if value.dim() == len(shape) + 1 and len(value) == 1:
            value = value[0]
        value = value.reshape((1,) * (len(shape) - value.dim()) + value.shape)
        if value.dim() != len(shape) or any(v not in (1, s) for v, s in zip(value.shape, shape, strict=True)):
            raise self.refusal(f"has a constant of shape {tuple(value.shape)} beside values of shape {shape}")
        return value

    def append(self, layer: nn.Module, *parents: int) -> int:
        """Appends a layer; returns its node."""
        try:
            with torch.no_grad():
                value = layer(*(torch.from_numpy(np.zeros((1, *self.shapes[p]), self.dtype)) for p in parents))
        except (RuntimeError, MemoryError) as error:
            raise self.refusal(f"does not fit its input: {' '.join(str(error).split())[:150]}") from error
        self.shapes.append(tuple(value.shape[1:]))
        return self.net.add(layer, parents)

    def window(self, attributes: Mapping[str, Any], kernel: tuple[int, ...], index: int) -> tuple[Any, Any, Padding]:
        """(stride, dilation, padding in F.pad's order) of a window that slides over images."""
        shape = self.shapes[index]
        if len(kernel) != 2 or len(shape) != 3:
            raise self.refusal(f"has a window {kernel} over values of shape {shape}; only 2-d images are known")
        stride, dilation = (tuple(attributes.get(name, (1, 1))) for name in ("strides", "dilations"))
        rule, pads = attributes.get("auto_pad", b"NOTSET"), attributes.get("pads", (0, 0, 0, 0))
        sizes = [len(stride), len(dilation), len(pads)]
        if sizes != [2, 2, 4] or min(stride + dilation) < 1 or min(pads) < 0 or rule not in AUTO_PADS:
            raise self.refusal("has strides, dilations or a padding that are not known here")
        if rule in (b"SAME_UPPER", b"SAME_LOWER"):
            reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
            ends = [same_padding(size, r, s) for size, r, s in zip(shape[1:], reach, stride, strict=True)]
            (top, bottom), (left, right) = ends if rule == b"SAME_UPPER" else (end[::-1] for end in ends)
        else:
            top, left, bottom, right = pads if rule == b"NOTSET" else (0, 0, 0, 0)
        return stride, dilation, (left, right, top, bottom)


_Read = Callable[[_Reader, Mapping[str, Any]], "int | np.ndarray"]
_OPERATORS: dict[str, tuple[_Read, frozenset[str]]] = {}


def _operator(name: str, *attributes: str) -> Callable[[_Read], _Read]:
    """Registers how an operator is read, and the attributes that this heeds."""

    def register(read: _Read) -> _Read:
        _OPERATORS[name] = (read, frozenset(attributes))
        return read

    return register


@_operator("Constant", "value", "value_float", "value_floats", "value_int", "value_ints")
def _constant(r: _Reader, attributes: Mapping[str, Any]) -> np.ndarray:
    if len(attributes) != 1:
        raise r.refusal("has not exactly one value")
    ((name, value),) = attributes.items()
    return r.array(value) if name == "value" else np.array(value, np.float32 if "float" in name else np.int64)


@_operator("Identity")
def _identity(r: _Reader, attributes: Mapping[str, Any]) -> int | np.ndarray:
    return r.constants[r.name(0)] if r.is_constant(0) else r.data()


@_operator("Dropout", "ratio", "seed")
def _dropout(r: _Reader, attributes: Mapping[str, Any]) -> int:
    if r.name(2) and not (r.is_constant(2) and not r.constants[r.name(2)].any()):
        raise r.refusal("is in training mode: export the network in evaluation mode")
    return r.data()


@_operator("Conv", "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
def _conv(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index, weight = r.data(), r.weight(1)
    kernel = tuple(weight.shape[2:])
    if tuple(attributes.get("kernel_shape", kernel)) != kernel:
        raise r.refusal(f"has a kernel_shape other than that of its weights, {kernel}")
    layer = _weighted(Conv, weight, r.weight(2) if r.name(2) else None)
    layer.stride, layer.dilation, layer.padding = r.window(attributes, kernel, index)
    layer.groups = attributes.get("group", 1)
    return r.append(layer, index)


@_operator("Gemm", "alpha", "beta", "transA", "transB")
def _gemm(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index, weight = r.data(), r.weight(1)
    if attributes.get("transA", 0) or len(r.shapes[index]) != 1 or weight.dim() != 2:
        raise r.refusal("is known only as a product of values (batch, features) with a matrix")
    weight = (weight if attributes.get("transB", 0) else weight.T.contiguous()) * attributes.get("alpha", 1.0)
    bias = r.weight(2) * attributes.get("beta", 1.0) if r.name(2) else None
    if bias is not None:
        if bias.numel() > 1 and not bias.numel() == bias.shape[-1] == len(weight):
            raise r.refusal(f"has an addend of shape {tuple(bias.shape)}; only one number for each output is known")
        bias = bias.flatten().expand(len(weight)).contiguous()
    return r.append(_weighted(Linear, weight, bias), index)


@_operator("MatMul")
def _matmul(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index, weight = r.data(), r.weight(1)
    if weight.dim() != 2:
        raise r.refusal(f"multiplies by a constant of shape {tuple(weight.shape)}; only matrices are known")
    return r.append(_weighted(Linear, weight.T.contiguous(), None), index)


@_operator("Relu")
def _relu(r: _Reader, attributes: Mapping[str, Any]) -> int:
    return r.append(ReLU(), r.data())


@_operator("MaxPool", "auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
def _max_pool(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index, kernel = r.data(), tuple(attributes["kernel_shape"])
    stride, dilation, (left, right, top, bottom) = r.window(attributes, kernel, index)
    if attributes.get("ceil_mode", 0) or dilation != (1, 1) or left != right or top != bottom:
        raise r.refusal("has ceil_mode, dilations or a padding that differs from side to side, which are not known")
    return r.append(MaxPool(kernel, stride, (top, left)), index)


@_operator("Flatten", "axis")
def _flatten(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index, axis = r.data(), attributes.get("axis", 1)
    if axis not in (1, -len(r.shapes[index])):
        raise r.refusal(f"has axis {axis}; only a Flatten of everything but the batch axis is known")
    return _flat(r, index)


@_operator("Reshape", "allowzero")
def _reshape(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index = r.data()
    features = int(np.prod(r.shapes[index]))
    target = tuple(r.constants[r.name(1)].ravel().tolist()) if r.is_constant(1) else None
    rows = (r.batch,) if attributes.get("allowzero", 0) else (r.batch, 0)
    # -1 for the batch says nothing of the features, which must then be all of them.
    if target not in {(-1, features), *((n, m) for n in rows for m in (-1, features))}:
        shown = "a computed shape" if target is None else f"the shape {target}"
        raise r.refusal(f"gives {shown}; only (batch, {features}) is known: export with a fixed batch of 1")
    return _flat(r, index)


@_operator("Add")
def _add(r: _Reader, attributes: Mapping[str, Any]) -> int:
    constants = [number for number in (0, 1) if r.is_constant(number)]
    if not constants:
        return _total(r, 2)
    index = r.data(1 - constants[0])
    value = r.beside(constants[0], index)
    return r.append(_shifted(-value, torch.ones_like(value)), index)


@_operator("Sum")
def _sum(r: _Reader, attributes: Mapping[str, Any]) -> int:
    return _total(r, len(r.node.input))


@_operator("Sub")
def _sub(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index = r.data()
    value = r.beside(1, index)
    return r.append(_shifted(value, torch.ones_like(value)), index)


@_operator("Mul")
def _mul(r: _Reader, attributes: Mapping[str, Any]) -> int:
    number = 0 if r.is_constant(0) else 1
    index = r.data(1 - number)
    return r.append(Scale(r.beside(number, index).expand(r.shapes[index]).contiguous()), index)


@_operator("Div")
def _div(r: _Reader, attributes: Mapping[str, Any]) -> int:
    index = r.data()
    value = r.beside(1, index)
    if not (value > 0).all():
        raise r.refusal("divides by numbers that are not all > 0, which is not known: multiply by their inverse")
    return r.append(_shifted(torch.zeros_like(value), value), index)


def _total(r: _Reader, count: int) -> int:
    """The sum of branches of one shape."""
    parents = [r.data(number) for number in range(count)]
    if len({r.shapes[p] for p in parents}) > 1:
        raise r.refusal(f"adds values of different shapes, {', '.join(str(r.shapes[p]) for p in parents)}")
    return r.append(Sum(), *parents)


def _flat(r: _Reader, index: int) -> int:
    return index if len(r.shapes[index]) == 1 else r.append(Flatten(), index)


def _weighted(kind: type[nn.Module], weight: Tensor, bias: Tensor | None) -> Any:
    """A layer made without random weights of its own, which would change torch's random state."""
    layer: Any = kind.__new__(kind)
    nn.Module.__init__(layer)
    layer.weight, layer.bias = nn.Parameter(weight), None if bias is None else nn.Parameter(bias)
    return layer


def _shifted(mean: Tensor, std: Tensor) -> Normalize:
    """``(x − mean) / std`` with numbers of any shape."""
    layer = Normalize([0.0], [1.0])
    layer.mean, layer.std = mean, std
    return layer
