"""ONNX files as another implementation computes them, and files put together by hand."""

import numpy as np
import onnx
import onnxruntime
import torch
from flips import named
from onnx import TensorProto, helper, numpy_helper

from dmcore.extras.exchange import import_onnx


def run_onnx(path, x):
    """Logits by ONNX Runtime, one input at a time as the batch axis is 1."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (feed,) = (i.name for i in session.get_inputs())
    return torch.cat([torch.from_numpy(session.run(None, {feed: part.numpy()})[0]) for part in x.split(1)])


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], name=f"the_{output}", **attributes)


def write_onnx(path, nodes, shape, constants=(), output="y", opset=13, dtype=TensorProto.FLOAT, batch=1, axes=2):
    """A file whose input is x (batch, *shape); ``constants`` by name."""
    graph = helper.make_graph(
        nodes,
        "hand",
        [helper.make_tensor_value_info("x", dtype, [batch, *shape])],
        [helper.make_tensor_value_info(output, dtype, [f"axis{i}" for i in range(axes)])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(constants).items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.other", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=7)
    onnx.save(model, path)
    return path


def numbers(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def check(path, shape, dtype=torch.float32):
    """The network of a file, after its logits on random inputs were found to be the file's."""
    net = import_onnx(path)
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(2), dtype=dtype)
    expected = run_onnx(path, x)
    torch.testing.assert_close(net(x).detach(), expected, rtol=1e-5, atol=1e-5)
    assert expected.std() > 1e-2
    return net


def refused(path, message):
    with named(message, path):
        import_onnx(path)
