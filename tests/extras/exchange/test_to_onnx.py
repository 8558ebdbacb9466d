"""Exported networks compute the same in ONNX Runtime, which shares nothing with ours, and come back as they were."""

import onnx
import pytest
import torch
from onnx_files import run_onnx
from torch import nn

from dmcore.errors import UserError
from dmcore.extras.exchange import export_onnx, import_onnx
from dmcore.nets import Network, as_network, build_net
from dmcore.nets.layers import Conv, Diagonal, Linear
from dmcore.registries import architecture

# What αβ-CROWN, nnenum and others of VNN-COMP read in image classifiers.
KNOWN = {"Add", "Conv", "Div", "Flatten", "Gemm", "MatMul", "MaxPool", "Mul", "Relu", "Sub"}


def check(net, path, shape, **metadata):
    export_onnx(net, path, shape, metadata)
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {n.op_type for n in model.graph.node} <= KNOWN
    x = torch.rand(3, *shape, generator=torch.Generator().manual_seed(1))
    z = net(x).detach()
    torch.testing.assert_close(run_onnx(path, x), z, rtol=1e-5, atol=1e-5)
    assert z.std() > 1e-3  # or equal logits would say little
    state, net = torch.get_rng_state(), as_network(net, shape)
    back = import_onnx(path)
    assert torch.equal(torch.get_rng_state(), state)
    assert (str(back), back.parents, back.training) == (str(net), net.parents, False)
    assert all(torch.equal(a, b) for a, b in zip(back.state_dict().values(), net.state_dict().values(), strict=True))
    return model


def test_logits_of_every_kind_of_net(any_net, tmp_path):
    check(any_net.make(3), tmp_path / "net.onnx", any_net.shape)


@pytest.mark.parametrize("name", architecture.names())
def test_logits_of_the_papers_networks(name, tmp_path):
    torch.manual_seed(0)
    net = build_net(name, (2, 19, 18), 4, mean=[0.3, 0.6], std=[0.2, 0.5])
    nn.init.normal_(net.layers[1].bias)
    check(net, tmp_path / "net.onnx", (2, 19, 18))


def test_a_convolution_with_all_that_it_can_have(tmp_path):
    net = Network()
    net.add(Conv(2, 4, (3, 2), stride=(2, 1), padding=(0, 1, 2, 3), dilation=(1, 2), groups=2, bias=False))
    model = check(net, tmp_path / "net.onnx", (2, 5, 4))
    attributes = {a.name: list(a.ints) for a in model.graph.node[0].attribute}
    assert attributes["pads"] == [2, 0, 3, 1]  # top, left, bottom, right
    assert (attributes["strides"], attributes["dilations"]) == ([2, 1], [1, 2])


def test_the_file_says_what_it_is(tmp_path):
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2))
    values = net[1].weight.data
    values[0] = torch.tensor([1e-42, -0.0, 3.4e30, 1e-3])
    model = check(net, tmp_path / "net.onnx", (1, 2, 2), model_sha256="abc", spec_hash="0f")
    assert {p.key: p.value for p in model.metadata_props} == {
        "input": "pixels in [0, 1]",
        "model_sha256": "abc",
        "spec_hash": "0f",
    }
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 13)]
    ends = [
        (e.name, [d.dim_value for d in e.type.tensor_type.shape.dim]) for e in (*model.graph.input, *model.graph.output)
    ]
    assert ends == [("input", [1, 1, 2, 2]), ("logits", [1, 2])]
    weight = next(t for t in model.graph.initializer if t.name == "n2.weight")
    assert weight.raw_data == values.numpy().astype("<f4").tobytes()  # nothing is rounded, folded or pruned
    export_onnx(net, tmp_path / "again", (1, 2, 2), {"model_sha256": "abc", "spec_hash": "0f"})
    assert (tmp_path / "again").read_bytes() == (tmp_path / "net.onnx").read_bytes()


class Doubled(Diagonal):
    def linear(self, x):
        return 2 * x

    def offset(self):
        return None


def test_what_cannot_be_written_is_refused(tmp_path):
    path = tmp_path / "net.onnx"
    net = Network()
    net.add(Linear(3, 2))
    net.add(Doubled())
    with pytest.raises(UserError, match=r"layer 2 \(Doubled\) cannot be written as ONNX"):
        export_onnx(net, path, (3,))
    with pytest.raises(UserError, match=r"layers\.0\.weight is torch\.float64: convert the network by \.float\(\)"):
        export_onnx(net.double(), path, (3,))
    with pytest.raises(UserError, match="does not fit the network"):
        export_onnx(nn.Sequential(nn.Linear(3, 2)), path, (4,))
    assert not path.exists()
