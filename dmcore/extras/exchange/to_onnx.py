"""A network of ours as an ONNX file, in the few operators that verifiers know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import dmcore
from dmcore.errors import UserError
from dmcore.extras.exchange.package import onnx_package
from dmcore.files import write_bytes
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, Normalize, ReLU, Scale, Sum
from dmcore.nets.network import INPUT, Shape
from dmcore.nets.reading import as_network

OPSET, IR_VERSION = 13, 7  # of ONNX 1.8 (2020): old enough for every verifier, new enough for all operators used
NAMES = ("input", "logits")
LAYERS = {Conv, Flatten, Linear, MaxPool, Normalize, ReLU, Scale, Sum}


def export_onnx(
    net: nn.Module, path: Path | str, in_shape: Sequence[int], metadata: Mapping[str, str] | None = None
) -> None:
    """Writes ``net`` as an ONNX file with one input ``input``, ``(1, *in_shape)``, and one output ``logits``, (1, K).

    The batch axis is 1, as in VNN-COMP: some verifiers take no other. The input is pixels in [0, 1]; a normalisation is
    part of the graph. Weights are float32, as they are; nothing is folded or simplified.

    Args:
        net: a network of ours in float32, or a module that :func:`as_network` reads.
        path: file to write, atomically.
        in_shape: shape of one input, without the batch axis.
        metadata: what else the file shall say of itself, such as the hash of the weights.

    Raises:
        UserError: a layer that has no counterpart here, weights of another type, an ``in_shape`` that does not fit, or
            the package onnx is missing.
    """
    graph = as_network(net, tuple(in_shape))
    for name, tensor in graph.state_dict().items():
        if tensor.dtype != torch.float32:
            raise UserError(
                f"ONNX export writes float32, but {name} is {tensor.dtype}: convert the network by .float()"
            )
    like = next(iter(graph.state_dict().values()), torch.empty(0))
    shapes = graph.shapes(torch.zeros(1, *in_shape, device=like.device))
    writer = _Writer(shapes, graph.output)
    for node in graph.nodes():
        if type(node.layer) not in LAYERS:  # one of a subclass might compute something else
            raise UserError(f"layer {node.index} ({type(node.layer).__name__}) cannot be written as ONNX")
        writer.write(node.layer, node.index, [writer.name(p) for p in node.parents])
    write_bytes(path, writer.model(dict(metadata or {})))


@dataclass
class _Writer:
    """The graph under way: what node i of the network becomes is the tensor ``name(i)``."""

    shapes: list[Shape]
    output: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.onnx = onnx_package()

    def name(self, index: int) -> str:
        """The tensor that holds a node of the network."""
        return {INPUT: NAMES[0], self.output: NAMES[1]}.get(index, f"n{index}")

    def constant(self, name: str, value: Tensor | float) -> str:
        """Stores raw float32 values; returns their name."""
        array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value, dtype=np.float32)
        self.constants.append(self.onnx.numpy_helper.from_array(array, name))
        return name

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Appends an operator, named as its output; returns that name."""
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def write(self, layer: nn.Module, index: int, inputs: list[str]) -> None:
        """Appends what a layer does."""
        out = self.name(index)
        match layer:
            case Conv(padding=(left, right, top, bottom)):  # F.pad's order; ONNX wants all begins, then all ends
                geometry = {"kernel_shape": layer.kernel, "strides": layer.stride, "dilations": layer.dilation}
                inputs = [*inputs, self.constant(f"{out}.weight", layer.weight), *self.bias(layer, out)]
                self.add("Conv", inputs, out, pads=[top, left, bottom, right], group=layer.groups, **geometry)
            case Linear() if len(self.shapes[index]) == 1:
                inputs = [*inputs, self.constant(f"{out}.weight", layer.weight), *self.bias(layer, out)]
                self.add("Gemm", inputs, out, transB=1)
            case Linear():  # Gemm takes matrices only
                bias = self.bias(layer, out)
                product = f"{out}.product" if bias else out
                self.add("MatMul", [*inputs, self.constant(f"{out}.weight", layer.weight.T)], product)
                if bias:
                    self.add("Add", [product, *bias], out)
            case Normalize():
                centred = self.add("Sub", [*inputs, self.constant(f"{out}.mean", layer.mean[None])], f"{out}.centred")
                self.add("Div", [centred, self.constant(f"{out}.std", layer.std[None])], out)
            case Scale():
                self.add("Mul", [*inputs, self.constant(f"{out}.factor", layer.factor[None])], out)
            case Sum():
                total, *rest = inputs
                for number, branch in enumerate(rest, start=1):
                    last = number == len(rest) and layer.scale == 1.0
                    total = self.add("Add", [total, branch], out if last else f"{out}.sum{number}")
                if total != out:
                    self.add("Mul", [total, self.constant(f"{out}.scale", layer.scale)], out)
            case MaxPool():
                pads = [*layer.padding, *layer.padding]
                self.add("MaxPool", inputs, out, kernel_shape=layer.kernel, pads=pads, strides=layer.stride)
            case ReLU():
                self.add("Relu", inputs, out)
            case Flatten():
                self.add("Flatten", inputs, out, axis=1)

    def bias(self, layer: Conv | Linear, out: str) -> list[str]:
        """The name of a layer's bias, if it has one."""
        return [] if layer.bias is None else [self.constant(f"{out}.bias", layer.bias)]

    def model(self, metadata: dict[str, str]) -> bytes:
        """The whole file."""
        helper, float32 = self.onnx.helper, self.onnx.TensorProto.FLOAT
        ends = [
            helper.make_tensor_value_info(name, float32, [1, *self.shapes[index]])
            for name, index in zip(NAMES, (INPUT, self.output), strict=True)
        ]
        graph = helper.make_graph(self.nodes, "network", ends[:1], ends[1:], self.constants)
        model = helper.make_model(
            graph,
            producer_name="dmcore",
            producer_version=dmcore.__version__,
            ir_version=IR_VERSION,
            opset_imports=[helper.make_opsetid("", OPSET)],
        )
        helper.set_model_props(model, {"input": "pixels in [0, 1]", **metadata})
        self.onnx.checker.check_model(model)
        return model.SerializeToString(deterministic=True)
