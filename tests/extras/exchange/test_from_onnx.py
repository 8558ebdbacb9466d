"""Files of others: each operator against ONNX Runtime, and refusals of what is not understood."""

import re
import sys

import numpy as np
import onnx
import pytest
import torch
from conftest import NETS
from onnx import TensorProto, helper, numpy_helper
from onnx_files import node, numbers, run_onnx, write_onnx

from dmcore.certify import margin_bounds
from dmcore.errors import UserError
from dmcore.extras.exchange import export_onnx, import_onnx
from dmcore.extras.exchange.from_onnx import load_onnx
from dmcore.nets import as_network, build_net
from dmcore.nets.layers import Conv, Flatten, Linear, Normalize, ReLU, Scale, Sum


def check(path, shape, dtype=torch.float32):
    """The network of a file, after its logits on random inputs were found to be the file's."""
    net = import_onnx(path)
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
    expected = run_onnx(path, x)
    torch.testing.assert_close(net(x).detach(), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 1e-2
    return net


def kinds(net):
    return [type(layer) for layer in net.layers]


def same(net, other):
    return (
        str(net) == str(other)
        and net.parents == other.parents
        and all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), other.state_dict().values(), strict=True))
    )


@pytest.mark.parametrize("name", NETS)
def test_our_own_networks_come_back_as_they_were(name, tmp_path):
    make, shape = NETS[name]
    net = as_network(make(4))
    export_onnx(net, tmp_path / "net.onnx", shape)
    back = import_onnx(tmp_path / "net.onnx")
    assert same(net, back)
    assert not back.training
    x, y = torch.rand(3, *shape), torch.tensor([0, 2, 1])
    for norm, eps in (("linf", 0.02), ("l2", 0.1)):
        for certifier in ("cnn-cert-ada", "ibp"):
            bounds = [margin_bounds(n, x, y, eps, norm, certifier) for n in (net, back)]
            assert torch.equal(*bounds)


def test_a_normalised_ensemble_comes_back_as_it_was(tmp_path):
    net = build_net("pooling", (2, 9, 8), 3, mean=[0.2, 0.4], std=[0.3, 0.7], members=4)
    export_onnx(net, tmp_path / "net.onnx", (2, 9, 8))
    assert same(net, import_onnx(tmp_path / "net.onnx"))


def test_a_usual_export_of_a_fully_connected_net(tmp_path):
    """MatMul and Add, a Reshape to a Constant (-1 among it), a normalisation by scalars, an Identity."""
    nodes = [
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
        node("Gemm", "also v c", "y", alpha=0.5, beta=2.0),
    ]
    constants = {"w": numbers(0, 12, 5), "b": numbers(1, 5), "v": numbers(2, 5, 3), "c": numbers(3, 1, 3)}
    path = write_onnx(tmp_path / "net.onnx", nodes, (3, 2, 2), constants)
    net = check(path, (3, 2, 2))
    assert kinds(net) == [Normalize, Flatten, Linear, ReLU, Linear]
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


def test_a_layer_that_another_name_reads_keeps_its_values(tmp_path):
    nodes = [
        node("Conv", "x w", "a"),
        node("Identity", "a", "same"),
        node("Add", "same b", "c"),
        node("Add", "c a", "y"),
    ]
    constants = {"w": numbers(0, 2, 1, 2, 2), "b": numbers(1, 2, 1, 1)}
    check(write_onnx(tmp_path / "net.onnx", nodes, (1, 3, 3), constants, axes=4), (1, 3, 3))


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


@pytest.mark.parametrize("rule", ["SAME_UPPER", "SAME_LOWER"])
def test_an_uneven_padding_of_a_pooling_is_refused(rule, tmp_path):
    pool = node("MaxPool", "x", "y", kernel_shape=[2, 2], auto_pad=rule)
    refused(
        write_onnx(tmp_path / "net.onnx", [pool], (1, 4, 4)), "MaxPool 'the_y': has ceil_mode, dilations or a padding"
    )


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


def test_a_batch_norm_in_training_mode_is_refused(tmp_path):
    norm = node("BatchNormalization", "x v v v v", "y", training_mode=1)
    path = write_onnx(tmp_path / "net.onnx", [norm], (3,), {"v": abs(numbers(0, 3))}, opset=14)
    refused(path, "BatchNormalization 'the_y': depends on the whole batch in training mode: export the network in eval")


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


def test_an_average_whose_padding_does_not_count_is_refused(tmp_path):
    pool = node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    refused(
        write_onnx(tmp_path / "net.onnx", [pool], (1, 4, 4)), "AveragePool 'the_y': has padding that does not count"
    )


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


def test_a_second_bias_is_a_layer_of_its_own(tmp_path):
    nodes = [node("Gemm", "x w b", "g"), node("Add", "g c", "y")]
    constants = {"w": numbers(0, 3, 4), "b": numbers(1, 4), "c": numbers(2, 4)}
    net = check(write_onnx(tmp_path / "net.onnx", nodes, (3,), constants), (3,))
    assert kinds(net) == [Linear, Normalize]
    assert net.layers[0].bias.tolist() == constants["b"].tolist()


def test_a_zero_in_a_shape_is_the_batch_unless_it_says_otherwise(tmp_path):
    for attributes in ({}, {"allowzero": 0}, {"allowzero": 1}):
        nodes = [node("Reshape", "x to", "f", **attributes), node("Gemm", "f w", "y")]
        constants = {"to": np.array([0, 4]), "w": numbers(0, 4, 2)}
        path = write_onnx(tmp_path / "net.onnx", nodes, (2, 2), constants, opset=14)
        if attributes.get("allowzero"):
            refused(path, "Reshape 'the_f': gives the shape (0, 4)")
        else:
            check(path, (2, 2))


def test_what_does_not_reach_the_output_does_not_matter(tmp_path):
    nodes = [node("Softmax", "x", "p"), node("Gemm", "x w", "y", transB=1), node("Softmax", "y", "q")]
    net = check(write_onnx(tmp_path / "net.onnx", nodes, (3,), {"w": numbers(0, 2, 3)}), (3,))
    assert kinds(net) == [Linear]


def test_reading_draws_no_random_numbers(tmp_path):
    export_onnx(build_net("small", (1, 6, 6), 3), tmp_path / "net.onnx", (1, 6, 6))
    torch.manual_seed(0)
    import_onnx(tmp_path / "net.onnx")
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(1))


def refused(path, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        import_onnx(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)


W = {"w": numbers(0, 3, 3), "k": numbers(1, 3, 3, 1, 1)}
REFUSED = {
    "unknown": ([node("Sigmoid", "x", "y")], "Sigmoid 'the_y': is not known here; known: Add, AveragePool, "),
    "norm's size": (
        [node("BatchNormalization", "x v v v one", "y")],
        "BatchNormalization 'the_y': over values of shape (3,) is not known",
    ),
    "mean": (
        [node("ReduceMean", "x", "y", axes=[1])],
        "ReduceMean 'the_y': only a mean over all positions of an image",
    ),
    "pad": ([node("Pad", "x ends", "y")], "Pad 'the_y': is known only around an image, in height and width"),
    "reflected": ([node("Pad", "x ends", "y", mode="reflect")], "Pad 'the_y': pads with other numbers than zeros"),
    "constants": (
        [node("Add", "one v", "y")],
        "Add 'the_y': computes with constants alone: export with constants folded",
    ),
    "large": (
        [node("ConstantOfShape", "whole", "s"), node("Reshape", "x s", "y")],
        "works out a constant that is no shape",
    ),
    "no shape": ([node("Transpose", "w", "s"), node("Gemm", "x s", "y")], "works out a constant that is no shape"),
    "misfit": (
        [node("Gather", "whole whole", "s"), node("Reshape", "x s", "y")],
        "Gather 'the_s': does not fit its inp",
    ),
    "domain": ([node("Relu", "x", "y", domain="com.other")], "Relu 'the_y': is not known here"),
    "attribute": ([node("Relu", "x", "y", slope=0.1)], "is no valid ONNX file: Unrecognized attribute: slope"),
    "from the left": (
        [node("MatMul", "w x", "y")],
        "MatMul 'the_y': has the constant 'w' in a place where only a comp",
    ),
    "two values": ([node("MatMul", "x x", "y")], "MatMul 'the_y': has 'x', which is computed, in a place where"),
    "vector": ([node("MatMul", "x v", "y")], "multiplies by a constant of shape (3,); only matrices are known"),
    "bilinear": ([node("Mul", "x x", "y")], "Mul 'the_y': takes two computed values, which cannot be bounded"),
    "difference": ([node("Sub", "one x", "y")], "Sub 'the_y': a constant minus a value cannot be bounded"),
    "broadcast": (
        [node("Add", "x wide", "y")],
        "Add 'the_y': has a constant of shape (2, 3) beside values of shape (3,)",
    ),
    "batchwise": ([node("Gemm", "x w tall", "y")], "Gemm 'the_y': has an addend of shape (3, 1)"),
    "transposed": ([node("Gemm", "x w", "y", transA=1)], "Gemm 'the_y': is known only as a product of values"),
    "mismatch": ([node("Gemm", "x small", "y")], "Gemm 'the_y': does not fit its input"),
    "negative": ([node("Div", "x minus", "y")], "Div 'the_y': divides by numbers that are not all > 0"),
    "infinite": (
        [node("Add", "x inf", "y")],
        "Add 'the_y': has the constant 'inf', which is not made of finite numbers",
    ),
    "type": (
        [node("Add", "x whole", "y")],
        "Add 'the_y': has the constant 'whole', which is not made of finite numbers",
    ),
    "into the batch": (
        [node("Reshape", "x to_batch", "y")],
        "Reshape 'the_y': gives the shape (-1, 1); only (batch, 3) is known",
    ),
    "computed shape": (
        [node("Gemm", "x w", "s"), node("Reshape", "x s", "y")],
        "Reshape 'the_y': has 's', which is computed, in a place where only a constant is known",
    ),
    "training": ([node("Dropout", "x r yes", "y")], "Dropout 'the_y': is in training mode"),
    "mask": (
        [helper.make_node("Dropout", ["x"], ["d", "mask"]), node("Relu", "mask", "y")],
        "reads 'mask', a secondary output",
    ),
    "not an image": ([node("Conv", "x k", "y")], "Conv 'the_y': has a window (1, 1) over values of shape (3,)"),
    "nothing": ([node("Identity", "x", "y")], "computes nothing"),
    "shapes": (
        [node("Gemm", "x small2", "a"), node("Add", "a x", "y")],
        "Add 'the_y': does not fit its input: a sum",
    ),
}
CONSTANTS = W | {
    "v": numbers(2, 3),
    "one": np.float32(1),
    "wide": numbers(3, 2, 3),
    "tall": numbers(4, 3, 1),
    "small": numbers(5, 2, 2),
    "small2": numbers(5, 3, 1),
    "minus": np.float32([1, -1, 1]),
    "inf": np.float32([1, np.inf, 1]),
    "whole": np.array([10, 20, 30]),
    "ends": np.array([0, 1, 0, 0]),
    "to_batch": np.array([-1, 1]),
    "r": np.float32(0.5),
    "yes": np.array(True),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_understood_is_refused_by_name(case, tmp_path):
    nodes, message = REFUSED[case]
    refused(write_onnx(tmp_path / "net.onnx", nodes, (3,), CONSTANTS), message)


def test_an_unknown_attribute_is_refused(tmp_path, monkeypatch):
    """One that a newer operator may have: it could change what is computed."""
    monkeypatch.setattr(onnx.checker, "check_model", lambda model: None)
    refused(write_onnx(tmp_path / "n", [node("Relu", "x", "y", slope=0.1)], (3,)), "has the attribute 'slope', which")


def test_windows_that_are_not_known_are_refused(tmp_path):
    def message(op, inputs, text, **attributes):
        constants = {"k": numbers(1, 1, 1, 2, 2)}
        refused(write_onnx(tmp_path / "n", [node(op, inputs, "y", **attributes)], (1, 4, 4), constants), text)

    message("Conv", "x k", "Conv 'the_y': has a kernel_shape other than that of its weights", kernel_shape=[3, 3])
    message("Conv", "x k", "Conv 'the_y': has strides, dilations or a padding", pads=[0, -1, 0, 0])
    message("Conv", "x k", "Conv 'the_y': has strides, dilations or a padding", pads=[1, 1])
    message("Conv", "x k", "Conv 'the_y': has strides, dilations or a padding", strides=[0, 1], auto_pad="SAME_UPPER")
    message("Conv", "x k", "Conv 'the_y': does not fit its input", group=3)
    message("MaxPool", "x", "MaxPool 'the_y': has ceil_mode", kernel_shape=[2, 2], ceil_mode=1)
    message("MaxPool", "x", "MaxPool 'the_y': has ceil_mode", kernel_shape=[2, 2], dilations=[2, 1])
    message("MaxPool", "x", "has a window (2,) over values", kernel_shape=[2])
    message("Flatten", "x", "Flatten 'the_y': has axis 2", axis=2)


def test_files_that_are_none_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    refused(path, "does not exist")
    path.write_bytes(b"\xff\xff no protobuf")
    refused(path, "is no valid ONNX file")
    relu = [node("Relu", "x", "y")]
    refused(write_onnx(path, relu, (3,), opset=6), "has operators of opset 6, which are not known")
    refused(write_onnx(path, relu, (3,), dtype=TensorProto.FLOAT16), "the input 'x' is FLOAT16; only FLOAT and DOUBLE")
    refused(write_onnx(path, relu, ("H", 3)), "the input 'x' must be (batch, …) with fixed sizes, not [1, 0, 3]")
    two = write_onnx(path, [node("Add", "x b", "y")], (3,), {"b": numbers(0, 3)})
    model = onnx.load(two)
    model.graph.initializer[0].raw_data = b"short"
    onnx.save(model, path)
    refused(path, "is no valid ONNX file")
    model.graph.initializer[0].data_type = 33
    onnx.save(model, path)
    refused(path, "the tensor 'b' is damaged")
    del model.graph.initializer[:]
    model.graph.input.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, [3]))
    onnx.save(model, path)
    refused(path, "has 2 inputs and 1 outputs")
    monkeypatch.setattr("dmcore.extras.exchange.package.LARGEST", 10)
    refused(path, "is larger than 2 GiB")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"pip install 'doublemargin\[onnx\]'"):
        import_onnx(path)


def external(path, location="net.onnx.data"):
    """A file that keeps its weights in another one, as torch's exporter does."""
    nodes = [node("Gemm", "x w b", "y")]
    model = onnx.load(write_onnx(path, nodes, (3,), {"w": numbers(0, 3, 300), "b": numbers(1, 300)}))
    onnx.save(model, path, save_as_external_data=True, location=location, size_threshold=0)
    return path.parent / location


def test_weights_beside_the_file_are_read(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    weights = external(path)
    check(path, (3,))
    monkeypatch.chdir(tmp_path.parent)
    hashes = [load_onnx(path)[2]]
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(content)
    assert load_onnx(path)[2] not in hashes
    weights.write_bytes(content[:-4])
    refused(path, "is no valid ONNX file")
    with monkeypatch.context() as small:
        small.setattr("dmcore.extras.exchange.package.LARGEST", 1000)
        refused(path, "has weights of more than 2 GiB")
    weights.unlink()
    refused(path, "keeps weights in net.onnx.data, which is not beside it: copy both files together")


def test_weights_are_not_read_from_other_folders(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in/net.onnx"
    weights = external(path)
    weights.rename(tmp_path / "elsewhere")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        tensor.external_data[0].value = "../elsewhere"
    onnx.save(model, path)
    refused(path, "is no valid ONNX file")
