"""Files of others: each operator against ONNX Runtime."""

import numpy as np
import pytest
import torch
from onnx import TensorProto, numpy_helper
from onnx_files import check, node, numbers, write_onnx

from dmcore.certify import margin_bounds
from dmcore.nets.layers import Conv, Flatten, Linear, Normalize, ReLU, Scale, Sum


def kinds(net):
    return [type(layer) for layer in net.layers]


def test_a_usual_export_of_a_fully_connected_net(tmp_path):
    """MatMul and Add, a Reshape to a Constant (-1 among it), a normalisation by scalars, an Identity, a second bias."""
    nodes = [
        node("Softmax", "x", "unused"),
        node("Constant", "", "mean", value=numpy_helper.from_array(np.float32(0.5))),
        node("Constant", "", "std", value_float=0.25),
        node("Sub", "x mean", "centred"),
        node("Div", "centred std", "normal"),
        node("Constant", "", "shape", value=numpy_helper.from_array(np.array([0, -1]))),
        node("Reshape", "normal shape", "flat"),
        node("MatMul", "flat w", "product"),
        node("Add", "b product", "hidden"),
        node("Relu", "hidden", "active"),
        node("Identity", "active", "also"),
        node("Gemm", "also v c", "biased", alpha=0.5, beta=2.0),
        node("Add", "biased d", "y"),
    ]
    constants = {"w": numbers(0, 12, 5), "b": numbers(1, 5), "v": numbers(2, 5, 3), "c": numbers(3, 1, 3)}
    constants["d"] = numbers(4, 3)
    path = write_onnx(tmp_path / "net.onnx", nodes, (3, 2, 2), constants)
    net = check(path, (3, 2, 2))
    assert kinds(net) == [Normalize, Flatten, Linear, ReLU, Linear, Normalize]
    assert net.layers[2].bias.tolist() == constants["b"].tolist()
    x = torch.rand(1, 3, 2, 2)
    margins = margin_bounds(net, x, torch.tensor([1]), 0.05)
    assert (margins[0, [0, 2]] <= (net(x)[0, 1] - net(x)[0, [0, 2]])).all()


def test_a_residual_net_with_branches_in_between(tmp_path):
    nodes = [
        node("Conv", "x w", "a"),
        node("Conv", "x v", "b"),
        node("Add", "a p", "a1"),
        node("Add", "q b", "b1"),
        node("Sum", "a1 b1 a", "c"),
        node("Mul", "c half", "d"),
        node("Add", "d d", "e"),
        node("Mul", "minus e", "f"),
        node("Flatten", "f", "g", axis=-3),
        node("Flatten", "g", "y"),
    ]
    constants = {"w": numbers(0, 2, 1, 1, 1), "v": numbers(1, 2, 1, 1, 1), "p": numbers(2, 1, 2, 1, 1)}
    constants |= {"q": numbers(3, 2, 1, 1), "half": np.float32(0.5), "minus": numbers(4, 2, 3, 2)}
    net = check(write_onnx(tmp_path / "net.onnx", nodes, (1, 3, 2), constants), (1, 3, 2))
    # a is read twice, so its addend is a layer of its own; b's is its bias.
    assert kinds(net) == [Conv, Conv, Normalize, Sum, Sum, Scale, Flatten]
    assert net.layers[3].scale == 0.5


def test_only_what_is_one_layer_is_merged(tmp_path):
    nodes = [
        node("Sub", "x v", "a"),
        node("Sub", "a u", "b"),
        node("Div", "b t", "c"),
        node("Add", "c x", "sum"),
        node("Relu", "c", "r"),
        node("Add", "sum r", "more"),
        node("Mul", "more minus", "y"),
    ]
    constants = {"v": numbers(0, 3), "u": numbers(1, 3), "t": abs(numbers(2, 3)), "minus": np.float32(-2)}
    net = check(write_onnx(tmp_path / "net.onnx", nodes, (3,), constants), (3,))
    # The two sums have another layer between them; a negative factor would swap the bounds of a Sum.
    assert kinds(net) == [Normalize, Normalize, Sum, ReLU, Sum, Scale]
    assert net.layers[1].mean.tolist() == constants["u"].tolist()


@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
def test_paddings_by_name(rule, tmp_path):
    pads = {"pads": [1, 0, 2, 3]} if rule == "NOTSET" else {}
    stride = {"strides": [2, 1], "auto_pad": rule}
    nodes = [
        node("Conv", "x w b", "a", group=2, kernel_shape=[3, 4], **stride, **pads),
        node("Relu", "a", "r"),
        node("MaxPool", "r", "m", kernel_shape=[3, 2], pads=[1, 1, 1, 1]),
        node("Flatten", "m", "y"),
    ]
    constants = {"w": numbers(0, 4, 1, 3, 4), "b": numbers(1, 4)}
    check(write_onnx(tmp_path / "net.onnx", nodes, (2, 7, 6), constants), (2, 7, 6))


def test_batch_norms_are_folded_where_a_layer_is_before_them(tmp_path):
    nodes = [
        node("Conv", "x w c", "a"),
        node("BatchNormalization", "a s t m v", "b", epsilon=0.01),
        node("Relu", "b", "r"),
        node("BatchNormalization", "r t s m v", "d"),
        node("Flatten", "d", "f"),
        node("BatchNormalization", "f s8 t8 m8 v8", "y"),
    ]
    constants = {"w": numbers(0, 2, 1, 2, 2), "c": numbers(1, 2), "s": numbers(2, 2), "t": numbers(3, 2)}
    constants |= {"m": numbers(4, 2), "v": abs(numbers(5, 2)), "s8": numbers(6, 8), "t8": numbers(7, 8)}
    constants |= {"m8": numbers(8, 8), "v8": abs(numbers(9, 8))}
    net = check(write_onnx(tmp_path / "net.onnx", nodes, (1, 3, 3), constants), (1, 3, 3))
    assert kinds(net) == [Conv, ReLU, Conv, Flatten, Linear]


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("opset", [13, 18])
def test_averages(opset, flat, tmp_path):
    """Over windows, with zeros that count, and over all positions in either way to write it."""
    axes = {"axes": [-1, 2]} if opset < 18 else {}
    mean = node("ReduceMean", "a" if opset < 18 else "a axes", "m", keepdims=int(not flat), **axes)
    nodes = [
        node("AveragePool", "x", "a", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0], count_include_pad=1),
        mean if flat else node("GlobalAveragePool", "a", "m"),
        node("Identity" if flat else "Flatten", "m", "f"),
        node("Gemm", "f w", "y"),
    ]
    constants = {"w": numbers(0, 2, 3), "axes": np.array([2, 3])}
    check(write_onnx(tmp_path / "net.onnx", nodes, (2, 5, 4), constants, opset=opset), (2, 5, 4))


@pytest.mark.parametrize("written", ["attribute", "input", "axes"])
def test_zeros_around_an_image(written, tmp_path):
    ends = {"attribute": [0, 0, 2, 1, 0, 0, 0, 3], "input": [0, 0, 2, 1, 0, 0, 0, 3], "axes": [1, 2, 3, 0]}[written]
    constants = {"ends": np.array(ends), "zero": np.float32(0), "axes": np.array([-1, 2]), "w": numbers(0, 2, 1, 2, 2)}
    names = {"attribute": "x", "input": "x ends zero", "axes": "x ends zero axes"}[written]
    pad = node("Pad", names, "p", **({"pads": ends} if written == "attribute" else {}))
    nodes = [pad, node("Conv", "p w", "c"), node("Flatten", "c", "y")]
    opset = {"attribute": 10, "input": 13, "axes": 18}[written]
    check(write_onnx(tmp_path / "net.onnx", nodes, (1, 3, 2), constants, opset=opset), (1, 3, 2))


@pytest.mark.parametrize("batch", ["N", 1])
def test_a_view_by_the_size_of_the_batch(batch, tmp_path):
    """What older exporters write for ``x.view(x.size(0), -1)``."""
    nodes = [
        node("Shape", "x", "all"),
        node("Gather", "all first", "n", axis=0),
        node("Unsqueeze", "n axis", "rows"),
        node("Concat", "rows rest", "to", axis=0),
        node("Reshape", "x to", "f"),
        node("Gemm", "f w", "y"),
    ]
    constants = {"first": np.array(0), "axis": np.array([0]), "rest": np.array([-1]), "w": numbers(0, 12, 3)}
    path = write_onnx(tmp_path / "net.onnx", nodes, (3, 2, 2), constants, batch=batch)
    assert kinds(check(path, (3, 2, 2))) == [Flatten, Linear]


def test_old_and_double_files(tmp_path):
    nodes = [node("Dropout", "x", "d", ratio=0.5), node("MatMul", "d w", "m"), node("Add", "m b", "y")]
    constants = {"w": numbers(0, 3, 4).astype(float), "b": numbers(1, 1, 4).astype(float)}
    path = write_onnx(tmp_path / "net.onnx", nodes, (3,), constants, opset=7, dtype=TensorProto.DOUBLE, batch="N")
    net = check(path, (3,), torch.float64)
    assert kinds(net) == [Linear]
    assert net.layers[0].weight.dtype == torch.float64
