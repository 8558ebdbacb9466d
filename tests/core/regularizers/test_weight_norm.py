import pytest
import torch
from conftest import conv_net

from dmcore.nets import as_network, build_net
from dmcore.registries import regularizer
from dmcore.regularizers import Batch
from dmcore.regularizers.weight_norm import Product


def by_loops(net, norm, form):
    values = []
    for layer in net:
        if hasattr(layer, "weight"):
            rows = [row.flatten().tolist() for row in layer.weight]
            if norm != "l2":
                values.append((max if norm == "l1" else sum)(sum(abs(w) for w in row) for row in rows))
            else:
                square = sum(w * w for row in rows for w in row)
                values.append(square if form == "sum" else square**0.5)
    total = 0.0 if form == "sum" else 1.0
    for value in values:
        total = total + value if form == "sum" else total * value
    return total


@pytest.mark.parametrize("norm", ["l1", "l2", "entries"])
@pytest.mark.parametrize("form", ["sum", "product"])
def test_value_by_loops(norm, form):
    net = conv_net(0, torch.float64)
    value = regularizer.get("weight_norm")(norm=norm, form=form).value(Batch(as_network(net), None, None, 0.0))
    assert value.item() == pytest.approx(by_loops(net, norm, form), rel=1e-12)


def test_a_fixed_normalisation_has_no_weight_to_penalise():
    value = regularizer.get("weight_norm")(norm="l1").value
    torch.manual_seed(0)
    plain = build_net("small", (1, 28, 28), 10)
    torch.manual_seed(0)
    scaled = build_net("small", (1, 28, 28), 10, [0.1], [0.3])
    torch.testing.assert_close(value(Batch(plain, None, None, 0.0)), value(Batch(scaled, None, None, 0.0)))


def test_the_products_gradient_has_the_bits_of_torchs():
    numbers = 0.1 + torch.rand(4, generator=torch.Generator().manual_seed(0))
    found, expected = numbers.clone().requires_grad_(), numbers.clone().requires_grad_()
    (1e-5 * Product.apply(found)).backward()
    (1e-5 * expected.prod()).backward()
    assert torch.equal(found.grad, expected.grad)
