"""What ``torch.onnx.export`` itself writes, by either of its exporters, is read as the module computes it."""

import pytest
import torch
from torch import nn

from dmcore.certify import margin_bounds
from dmcore.extras.exchange import import_onnx
from dmcore.nets import as_network

pytestmark = pytest.mark.filterwarnings("ignore")  # torch's and onnxscript's own remarks on what they deprecate


class Residual(nn.Module):
    """A network in which everything occurs that is read."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding="same", bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Dropout2d())
        self.pool = nn.Sequential(nn.ZeroPad2d((1, 0, 2, 0)), nn.MaxPool2d(2), nn.AvgPool2d(2, 1))
        self.last = nn.Sequential(nn.Dropout(), nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, x):
        x = self.first((x - 0.4) / 0.25)
        x = self.pool(torch.relu(x + self.second(x)))
        return self.last(nn.functional.adaptive_avg_pool2d(x, 1).view(x.size(0), -1))


def evaluated(net):
    """In evaluation mode, with statistics that differ from channel to channel."""
    torch.manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return net.eval()


WAYS = {
    "plain": {},
    "dynamic": {"dynamic_shapes": ({0: torch.export.Dim("N")},)},
    "old": {"dynamo": False},
    "old dynamic": {"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_what_torch_exports_is_read(way, tmp_path):
    net, path = evaluated(Residual()), tmp_path / "net.onnx"
    x = torch.rand(2, 1, 8, 8)
    torch.onnx.export(net, (x,), path, **WAYS[way])
    read = import_onnx(path)
    torch.testing.assert_close(read(x), net(x), rtol=1e-5, atol=1e-5)
    _, *layers = as_network(net, (1, 8, 8)).layers  # a file's Sub and Div are read as one layer
    assert [type(layer) for layer in read.layers] == [type(layer) for layer in layers]
    y = net(x).argmax(1)
    bounds = [margin_bounds(one, x, y, 0.01) for one in (net, read)]
    torch.testing.assert_close(*bounds, rtol=1e-4, atol=1e-4)
