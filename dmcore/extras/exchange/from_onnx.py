"""An ONNX file as a network of ours: the usual exports of classifiers; what is not understood is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from dmcore.errors import UserError
from dmcore.extras.exchange.package import load_model, needed_nodes, onnx_package
from dmcore.extras.exchange.simplify import simplify
from dmcore.nets import translate
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, ReLU, Sum
from dmcore.nets.layers.affine import Padding, same_padding
from dmcore.nets.network import INPUT, Network, Shape
from dmcore.nets.reading import HINTS, folded
from dmcore.nets.translate import At, Reader, made

AUTO_PADS = (b"NOTSET", b"VALID", b"SAME_UPPER", b"SAME_LOWER")
DTYPES: dict[str, np.dtype] = {"FLOAT": np.dtype(np.float32), "DOUBLE": np.dtype(np.float64)}
SIZES = {"Cast", "Concat", "ConstantOfShape", "Gather", "Reshape", "Slice", "Transpose", "Unsqueeze"}
"""Operators by which exporters work out shapes and paddings: done at once on a few whole numbers."""
MOST_SIZES = 64


def import_onnx(path: Path | str) -> Network:
    """The network of an ONNX file with one input (batch, …) and one output, in evaluation mode and the file's dtype.

    Known is what ``torch.onnx.export`` writes for the layers of docs/certifiers.md, weights in a file beside included.
    The network computes what the file does for a batch of the input's size, or of one where that is symbolic; logits
    agree up to rounding. Reading runs nothing of the file but arithmetic with sizes.

    Raises:
        UserError: no readable ONNX file, or an operator, attribute or shape that is not known here; it names the node.
    """
    return load_onnx(path)[0]


def load_onnx(path: Path | str) -> tuple[Network, Shape, str]:
    """The network as :func:`import_onnx` reads it, the shape of one input, and a hash of the whole file."""
    path = Path(path)
    model, content = load_model(path)
    graph, reader = model.graph, _Reader(path, model.opset_import)
    for tensor in graph.initializer:
        reader.values[tensor.name] = reader.array(tensor)
    inputs = [i for i in graph.input if i.name not in reader.values]
    if len(inputs) != 1 or len(graph.output) != 1:
        raise UserError(f"{path} has {len(inputs)} inputs and {len(graph.output)} outputs; only one of each is known")
    reader.start(inputs[0])
    (output,) = (o.name for o in graph.output)
    for node in needed_nodes(graph, output):
        reader.read(node)
    if reader.values.get(output) != At(reader.net.output) or not reader.net.parents:
        raise UserError(f"{path} computes nothing: its output is its input or a constant")
    return simplify(folded(reader.net, reader.factors)).eval(), reader.shapes[INPUT], content


@dataclass
class _Reader(Reader):
    """The reading of a file, under way.

    Attributes:
        opsets: the versions of the file's operators.
        values: what each tensor of the file is: a node of the network, or a constant.
        batch: the input's batch axis, 1 if it is symbolic.
        node: what is being read, for messages.
    """

    MISFIT: ClassVar = (RuntimeError, MemoryError, UserError)

    path: Path
    opsets: Any
    values: dict[str, At | np.ndarray] = field(default_factory=dict)
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
        self.values[value.name] = At(INPUT)
        self.shapes.append(tuple(dims[1:]))

    def read(self, node: Any) -> None:
        """Appends what one node of the file does."""
        self.node = node
        inputs: dict[str, Any] = {name: self.values.get(name) for name in node.input if name}
        constant = bool(inputs) and all(isinstance(value, np.ndarray) for value in inputs.values())
        if constant and node.op_type in SIZES and node.domain in ("", "ai.onnx"):
            self.values[node.output[0]] = self.computed(inputs)
            return
        read, known = _OPERATORS.get(node.op_type, (None, frozenset()))
        if read is None or node.domain not in ("", "ai.onnx"):
            hint = HINTS.get(node.op_type.lower(), "")
            raise self.refuse(f"is not known here; known: {', '.join(sorted(_OPERATORS))}{hint}")
        attributes = {a.name: onnx_package().helper.get_attribute_value(a) for a in node.attribute}
        strange = sorted(attributes.keys() - known)
        if strange:
            raise self.refuse(f"has the attribute '{strange[0]}', which is not known here")
        self.values[node.output[0]] = read(self, attributes)

    def computed(self, inputs: dict[str, Any]) -> np.ndarray:
        """What an operator makes of a few whole numbers."""
        large = self.node.op_type == "ConstantOfShape" and not all(0 <= v.prod() <= MOST_SIZES for v in inputs.values())
        if large or any(value.dtype.kind != "i" or value.size > MOST_SIZES for value in inputs.values()):
            raise self.refuse("works out a constant that is no shape: export with constants folded")
        from onnx.reference import ReferenceEvaluator

        onnx, opsets = onnx_package(), {o.domain: o.version for o in self.opsets}
        ends = [
            [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, None) for name in names]
            for names in (inputs, self.node.output)
        ]
        try:
            (result,) = ReferenceEvaluator(onnx.helper.make_graph([self.node], "size", *ends), opsets).run(None, inputs)
        except Exception as error:  # whatever onnx's own code raises
            raise self.misfit(" ".join(str(error).split())[:150]) from error
        return np.asarray(result)

    def refuse(self, why: str) -> UserError:
        return UserError(f"{self.path}: {self.node.op_type} '{self.node.name or self.node.output[0]}': {why}")

    def array(self, tensor: Any) -> np.ndarray:
        """A tensor's values."""
        try:
            return onnx_package().numpy_helper.to_array(tensor)
        except (ValueError, TypeError, KeyError) as error:  # KeyError: a type of number that does not exist
            raise UserError(f"{self.path}: the tensor '{tensor.name}' is damaged ({error})") from error

    @property
    def like(self) -> Tensor:
        return torch.from_numpy(np.zeros((), self.dtype))

    def name(self, number: int) -> str:
        """The name of an input of the node; empty if it is left out."""
        return self.node.input[number] if number < len(self.node.input) else ""

    def data(self, number: int = 0) -> int:
        """The network's node that is an input of the file's node."""
        value = self.values.get(self.name(number))
        if isinstance(value, np.ndarray):
            raise self.refuse(f"has the constant '{self.name(number)}' in a place where only a computed value is known")
        if value is None:
            raise self.refuse(f"reads '{self.name(number)}', a secondary output of another node")
        return value.index

    def constant(self, number: int) -> np.ndarray:
        """An input that is known beforehand."""
        value = self.values.get(self.name(number))
        if not isinstance(value, np.ndarray):
            raise self.refuse(
                f"has '{self.name(number)}', which is computed, in a place where only a constant is known"
            )
        return value

    def weight(self, number: int) -> Tensor:
        """Constant numbers of the network's own type."""
        value = self.constant(number)
        if value.dtype != self.dtype or not value.size or not np.isfinite(value).all():
            name = self.name(number)
            raise self.refuse(f"has the constant '{name}', which is not made of finite numbers of the input's type")
        return torch.from_numpy(value.copy())

    def window(self, attributes: Mapping[str, Any], kernel: tuple[int, ...], index: int) -> tuple[Any, Any, Padding]:
        """(stride, dilation, padding in F.pad's order) of a window that slides over images."""
        shape = self.shapes[index]
        if len(kernel) != 2 or len(shape) != 3:
            raise self.refuse(f"has a window {kernel} over values of shape {shape}; only 2-d images are known")
        stride, dilation = (tuple(attributes.get(name, (1, 1))) for name in ("strides", "dilations"))
        rule, pads = attributes.get("auto_pad", b"NOTSET"), attributes.get("pads", (0, 0, 0, 0))
        sizes = [len(stride), len(dilation), len(pads)]
        if sizes != [2, 2, 4] or min(stride + dilation) < 1 or min(pads) < 0 or rule not in AUTO_PADS:
            raise self.refuse("has strides, dilations or a padding that are not known here")
        if rule in (b"SAME_UPPER", b"SAME_LOWER"):
            reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
            ends = [same_padding(size, r, s) for size, r, s in zip(shape[1:], reach, stride, strict=True)]
            (top, bottom), (left, right) = ends if rule == b"SAME_UPPER" else (end[::-1] for end in ends)
        else:
            top, left, bottom, right = pads if rule == b"NOTSET" else (0, 0, 0, 0)
        return stride, dilation, (left, right, top, bottom)

    def pool(self, attributes: Mapping[str, Any], index: int) -> tuple[Any, Any, tuple[int, int]]:
        """(kernel, stride, padding) of a pooling, the padding (height, width) on both sides."""
        kernel = tuple(attributes["kernel_shape"])
        stride, dilation, (left, right, top, bottom) = self.window(attributes, kernel, index)
        if attributes.get("ceil_mode", 0) or dilation != (1, 1) or left != right or top != bottom:
            raise self.refuse(
                "has ceil_mode, dilations or a padding that differs from side to side, which are not known"
            )
        return kernel, stride, (top, left)


_Read = Callable[[_Reader, Mapping[str, Any]], "At | np.ndarray"]
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
        raise r.refuse("has not exactly one value")
    ((name, value),) = attributes.items()
    return r.array(value) if name == "value" else np.array(value, np.float32 if "float" in name else np.int64)


@_operator("Identity")
def _identity(r: _Reader, attributes: Mapping[str, Any]) -> At | np.ndarray:
    value = r.values.get(r.name(0))
    return value if isinstance(value, np.ndarray) else At(r.data())


@_operator("Dropout", "ratio", "seed")
def _dropout(r: _Reader, attributes: Mapping[str, Any]) -> At:
    if r.name(2) and np.any(r.constant(2)):
        raise r.refuse("is in training mode: export the network in evaluation mode")
    return At(r.data())


@_operator("Shape", "end", "start")
def _shape(r: _Reader, attributes: Mapping[str, Any]) -> np.ndarray:
    sizes = np.array([r.batch, *r.shapes[r.data()]])
    return sizes[attributes.get("start", 0) : attributes.get("end", len(sizes))]


@_operator("Conv", "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
def _conv(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index, weight = r.data(), r.weight(1)
    kernel = tuple(weight.shape[2:])
    if tuple(attributes.get("kernel_shape", kernel)) != kernel:
        raise r.refuse(f"has a kernel_shape other than that of its weights, {kernel}")
    layer = made(Conv, weight, r.weight(2) if r.name(2) else None, weight.dtype)
    layer.stride, layer.dilation, layer.padding = r.window(attributes, kernel, index)
    layer.groups = attributes.get("group", 1)
    return At(r.append(layer, index))


@_operator("Gemm", "alpha", "beta", "transA", "transB")
def _gemm(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index, weight = r.data(), r.weight(1)
    if attributes.get("transA", 0) or len(r.shapes[index]) != 1 or weight.dim() != 2:
        raise r.refuse("is known only as a product of values (batch, features) with a matrix")
    weight = (weight if attributes.get("transB", 0) else weight.T.contiguous()) * attributes.get("alpha", 1.0)
    bias = r.weight(2) * attributes.get("beta", 1.0) if r.name(2) else None
    if bias is not None:
        if bias.numel() > 1 and not bias.numel() == bias.shape[-1] == len(weight):
            raise r.refuse(f"has an addend of shape {tuple(bias.shape)}; only one number for each output is known")
        bias = bias.flatten().expand(len(weight)).contiguous()
    return At(r.append(made(Linear, weight, bias, weight.dtype), index))


@_operator("MatMul")
def _matmul(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index, weight = r.data(), r.weight(1)
    if weight.dim() != 2:
        raise r.refuse(f"multiplies by a constant of shape {tuple(weight.shape)}; only matrices are known")
    return At(r.append(made(Linear, weight.T.contiguous(), None, weight.dtype), index))


@_operator("BatchNormalization", "epsilon", "momentum", "spatial", "training_mode")
def _batch_norm(r: _Reader, attributes: Mapping[str, Any]) -> At:
    if attributes.get("training_mode", 0) or not attributes.get("spatial", 1) or len(r.node.output) > 1:
        raise r.refuse("depends on the whole batch in training mode: export the network in evaluation mode")
    index, (weight, bias, mean, var) = r.data(), (r.weight(number) for number in range(1, 5))
    shape = r.shapes[index]
    if len(shape) not in (1, 3) or {t.shape for t in (weight, bias, mean, var)} != {(shape[0],)}:
        raise r.refuse(f"over values of shape {shape} is not known: only features and images are")
    eps = attributes.get("epsilon", 1e-5)
    return At(translate.batch_norm(r, index, mean, var, eps, weight, bias, features=len(shape) == 1))


@_operator("MaxPool", "auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides")
def _max_pool(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index = r.data()
    return At(r.append(MaxPool(*r.pool(attributes, index)), index))


@_operator("AveragePool", "auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides")
def _average_pool(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index = r.data()
    kernel, stride, padding = r.pool(attributes, index)
    if any(padding) and not attributes.get("count_include_pad", 0):
        raise r.refuse("has padding that does not count, which is not known: set count_include_pad")
    return At(translate.average(r, index, kernel, stride, padding, math.prod(kernel)))


@_operator("ReduceMean", "axes", "keepdims", "noop_with_empty_axes")
def _mean(r: _Reader, attributes: Mapping[str, Any]) -> At:
    axes = r.constant(1).tolist() if r.name(1) else attributes.get("axes", ())
    return translate.mean(r, At(r.data()), axes, bool(attributes.get("keepdims", 1)))


@_operator("Pad", "mode", "pads", "value")
def _pad(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index = r.data()
    rank = len(r.shapes[index]) + 1
    value = r.constant(2) if r.name(2) else attributes.get("value", 0)
    if attributes.get("mode", b"constant") != b"constant" or np.any(value):
        raise r.refuse("pads with other numbers than zeros, which is not known")
    pads = r.constant(1).tolist() if r.name(1) else attributes.get("pads", ())
    axes = r.constant(3).tolist() if r.name(3) else range(rank)
    half = len(pads) // 2
    sides = {axis % rank: ends for axis, *ends in zip(axes, pads[:half], pads[half:], strict=False)}
    (top, bottom), (left, right) = (sides.pop(axis, [0, 0]) for axis in (2, 3))
    if rank != 4 or half != len(axes) or any(map(any, sides.values())):
        raise r.refuse("is known only around an image, in height and width")
    return At(translate.zero_pad(r, index, (left, right, top, bottom)))


@_operator("Flatten", "axis")
def _flatten(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index, axis = r.data(), attributes.get("axis", 1)
    if axis not in (1, -len(r.shapes[index])):
        raise r.refuse(f"has axis {axis}; only a Flatten of everything but the batch axis is known")
    return _flat(r, index)


@_operator("Reshape", "allowzero")
def _reshape(r: _Reader, attributes: Mapping[str, Any]) -> At:
    index, target = r.data(), tuple(r.constant(1).ravel().tolist())
    features = math.prod(r.shapes[index])
    rows = (r.batch,) if attributes.get("allowzero", 0) else (r.batch, 0)
    # -1 for the batch says nothing of the features, which must then be all of them.
    if target not in {(-1, features), *((n, m) for n in rows for m in (-1, features))}:
        raise r.refuse(f"gives the shape {target}; only (batch, {features}) is known: use x.flatten(1)")
    return _flat(r, index)


_operator("Relu")(lambda r, attributes: At(r.append(ReLU(), r.data())))
_operator("GlobalAveragePool")(lambda r, attributes: At(translate.over_positions(r, r.data())))
_operator("Sum")(lambda r, attributes: At(r.append(Sum(), *map(r.data, range(len(r.node.input))))))


def _arithmetic(name: str, compute: Callable[[Any, Any, Any], At]) -> None:
    """Registers an operator on two values, or on a value and a constant."""

    @_operator(name)
    def read(r: _Reader, attributes: Mapping[str, Any]) -> At:
        constants = [isinstance(r.values.get(r.name(number)), np.ndarray) for number in (0, 1)]
        if all(constants):
            raise r.refuse("computes with constants alone: export with constants folded")
        return compute(r, *(r.weight(n) if constants[n] else At(r.data(n)) for n in (0, 1)))


_arithmetic("Add", translate.add)
_arithmetic("Sub", translate.subtract)
_arithmetic("Mul", translate.multiply)
_arithmetic("Div", translate.divide)


def _flat(r: _Reader, index: int) -> At:
    return At(index if len(r.shapes[index]) == 1 else r.append(Flatten(), index))
