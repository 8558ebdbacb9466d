"""ONNX files that are refused, by name and with a remedy; weights that lie beside a file."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_files import check, node, numbers, refused, write_onnx

from dmcore.extras.exchange.from_onnx import load_onnx

W = {"w": numbers(0, 3, 3), "k": numbers(1, 3, 3, 1, 1)}
REFUSED = [
    ("Sigmoid", "x", "is not known here; known: Add, AveragePool, "),
    ("BatchNormalization", "x v v v one", "over values of shape (3,) is not known"),
    ("ReduceMean", "x", "only a mean over all positions of an image", {"axes": [1]}),
    ("Pad", "x ends", "is known only around an image, in height and width"),
    ("Pad", "x ends", "pads with other numbers than zeros", {"mode": "reflect"}),
    ("Add", "one v", "computes with constants alone: export with constants folded"),
    ("Relu", "x", "is not known here", {"domain": "com.other"}),
    ("MatMul", "w x", "has the constant 'w' in a place where only a computed value is known"),
    ("MatMul", "x x", "has 'x', which is computed, in a place where"),
    ("MatMul", "x v", "multiplies by a constant of shape (3,); only matrices are known"),
    ("Mul", "x x", "takes two computed values, which cannot be bounded"),
    ("Sub", "one x", "a constant minus a value cannot be bounded"),
    ("Add", "x wide", "has a constant of shape (2, 3) beside values of shape (3,)"),
    ("Gemm", "x w tall", "has an addend of shape (3, 1)"),
    ("Gemm", "x w", "is known only as a product of values", {"transA": 1}),
    ("Gemm", "x small", "does not fit its input"),
    ("Div", "x minus", "divides by numbers that are not all > 0"),
    ("Add", "x inf", "has the constant 'inf', which is not made of finite numbers"),
    ("Add", "x whole", "has the constant 'whole', which is not made of finite numbers"),
    ("Reshape", "x to_batch", "gives the shape (-1, 1); only (batch, 3) is known"),
    ("Dropout", "x r yes", "is in training mode"),
    ("Conv", "x k", "has a window (1, 1) over values of shape (3,)"),
]
SEVERAL = {
    "large": ("ConstantOfShape whole s|Reshape x s y", "works out a constant that is no shape"),
    "no shape": ("Transpose w s|Gemm x s y", "works out a constant that is no shape"),
    "misfit": ("Gather whole whole s|Reshape x s y", "Gather 'the_s': does not fit its inp"),
    "computed shape": ("Gemm x w s|Reshape x s y", "Reshape 'the_y': has 's', which is computed, in a place where"),
    "nothing": ("Identity x y", "computes nothing"),
    "shapes": ("Gemm x tall a|Add a x y", "Add 'the_y': does not fit its input: a sum"),
}
CONSTANTS = W | {
    "v": numbers(2, 3),
    "one": np.float32(1),
    "wide": numbers(3, 2, 3),
    "tall": numbers(4, 3, 1),
    "small": numbers(5, 2, 2),
    "minus": np.float32([1, -1, 1]),
    "inf": np.float32([1, np.inf, 1]),
    "whole": np.array([10, 20, 30]),
    "ends": np.array([0, 1, 0, 0]),
    "to_batch": np.array([-1, 1]),
    "r": np.float32(0.5),
    "yes": np.array(True),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_operator_that_is_not_understood_is_refused_by_name(case, tmp_path):
    op, inputs, message, *attributes = case
    nodes = [node(op, inputs, "y", **dict(*attributes))]
    refused(write_onnx(tmp_path / "net.onnx", nodes, (3,), CONSTANTS), f"{op} 'the_y': {message}")


@pytest.mark.parametrize("case", SEVERAL)
def test_operators_that_do_not_fit_together_are_refused(case, tmp_path):
    lines, message = SEVERAL[case]
    calls = [line.split() for line in lines.split("|")]
    nodes = [node(op, " ".join(inputs), output) for op, *inputs, output in calls]
    refused(write_onnx(tmp_path / "net.onnx", nodes, (3,), CONSTANTS), message)


def test_a_secondary_output_and_an_unknown_attribute_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "net.onnx"
    dropout = helper.make_node("Dropout", ["x"], ["d", "mask"])
    refused(write_onnx(path, [dropout, node("Relu", "mask", "y")], (3,)), "reads 'mask', a secondary output")
    slope = write_onnx(path, [node("Relu", "x", "y", slope=0.1)], (3,))
    refused(slope, "is no valid ONNX file: Unrecognized attribute: slope")
    monkeypatch.setattr(onnx.checker, "check_model", lambda model: None)
    refused(slope, "has the attribute 'slope', which")  # as a newer operator may have: it could change the result


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
    message("MaxPool", "x", "MaxPool 'the_y': has ceil_mode", kernel_shape=[2, 2], auto_pad="SAME_UPPER")
    message("AveragePool", "x", "has padding that does not count", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    message("Flatten", "x", "Flatten 'the_y': has axis 2", axis=2)


def test_what_a_newer_opset_says_otherwise_is_refused(tmp_path):
    def message(op, inputs, text, **attributes):
        constants = {"to": np.array([0, 4]), "v": abs(numbers(0, 2))}
        nodes = [node(op, inputs, "y", **attributes)]
        refused(write_onnx(tmp_path / "n", nodes, (2, 2), constants, opset=14), f"{op} 'the_y': {text}")

    message("Reshape", "x to", "gives the shape (0, 4)", allowzero=1)
    message("BatchNormalization", "x v v v v", "depends on the whole batch in training mode", training_mode=1)


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
