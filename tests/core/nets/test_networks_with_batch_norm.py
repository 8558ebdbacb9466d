"""Networks with batch normalisation: one pass is observed, others share its statistics; weights have them at last."""

import pytest
import torch
import torch.nn.functional as F
from flips import named
from torch import nn

from dmcore.certify import margin_bounds
from dmcore.nets import INPUT, Network, build_net
from dmcore.nets.batch_norm import has_batch_norm, observed, with_population
from dmcore.nets.builder import Builder
from dmcore.nets.layers import BatchNorm
from dmcore.perturbation import Ball
from dmcore.registries import forward_domain

SHAPE = (2, 6, 6)


def module(seed=0):
    """One BatchNorm has nothing before it that could take it in, one is in a residual branch."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.before = nn.BatchNorm2d(2)
            self.first, self.of_first = nn.Conv2d(2, 4, 3, 2, 1), nn.BatchNorm2d(4, eps=1e-3)
            self.second, self.of_second = nn.Conv2d(4, 4, 3, 1, 1, bias=False), nn.BatchNorm2d(4)
            self.third, self.of_third = nn.Linear(36, 5), nn.BatchNorm1d(5)
            self.last = nn.Linear(5, 3)

        def forward(self, x):
            x = self.of_first(self.first(self.before(x))).relu()
            x = (self.of_second(self.second(x)) + x).relu()
            return self.last(self.of_third(self.third(x.flatten(1))).relu())

    torch.manual_seed(seed)
    net = Net().double()
    for p in net.parameters():
        nn.init.normal_(p)
    return net


def build(net, training=True):
    """As an architecture that returns the module is built."""
    made = Network()
    Builder(made, INPUT, SHAPE, training).append(net)
    return made


def images(count=10, seed=0):
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_observed_pass_is_torchs():
    net, x = module(), images()
    made = build(net)
    torch.testing.assert_close(observed(made, x), net.train()(x))
    pull = torch.randn(10, 3, dtype=torch.float64)
    expected = torch.autograd.grad((net(x) * pull).sum(), [*net.parameters()])
    torch.testing.assert_close(torch.autograd.grad((observed(made, x) * pull).sum(), [*made.parameters()]), expected)


def test_one_batch_is_its_own_population():
    net, x = build(module()), images()
    logits = observed(net, x)
    merged = with_population(net, [x])
    assert has_batch_norm(net)
    assert not has_batch_norm(merged)
    torch.testing.assert_close(merged(x), logits)
    assert merged.state_dict().keys() == build(module(), training=False).state_dict().keys()
    assert with_population(merged, []) is merged


@pytest.mark.parametrize("name", forward_domain.names())
def test_every_domain_takes_the_layer_as_part_of_the_weights_before_it(name):
    net, x = build(module()), images()
    merged, ball = with_population(net, [x]), Ball(images(4, seed=1), 0.1)
    observed(net, x)
    domain = forward_domain.get(name)()
    bounds = [domain.bounds(domain.output(one, ball)) for one in (net, merged)]
    torch.testing.assert_close(*bounds)


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("certifier", ["ibp", "cnn-cert-ada"])
def test_certifiers_bound_it_as_what_it_computes_now(certifier, norm):
    net, x, y = build(module()), images(), torch.arange(10) % 3
    merged = with_population(net, [x])
    with torch.no_grad():
        observed(net, x)
    margins = [margin_bounds(one, x, y, 0.05, norm, certifier) for one in (net, merged)]
    torch.testing.assert_close(*margins, rtol=1e-6, atol=1e-6)


def test_statistics_of_unequal_batches_are_those_of_all_images():
    """For the first layer, whose inputs no statistics precede: the law of total variance."""
    net, x = build(module()), images(30)
    merged, norm = with_population(net, x.split([7, 20, 3])), net.layers[0]
    torch.testing.assert_close(merged.layers[0](x), F.batch_norm(x, None, None, norm.weight, norm.bias, training=True))


def test_what_a_module_fixes_is_not_trained():
    made = build(nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, affine=False), nn.Flatten(), nn.Linear(48, 3)))
    assert [p.requires_grad for p in made.layers[1].parameters()] == [False, False]


def test_a_module_of_an_architecture_may_come_in_any_mode_but_draws_nothing():
    dropping = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(), nn.Flatten(), nn.Linear(48, 3))
    assert has_batch_norm(build(dropping.eval()))
    with named("drops values at random in training mode"):
        build(dropping.train())


def test_cnn7_normalises_all_but_its_last_layer_in_training():
    plain, net = (build_net("cnn7", (1, 9, 8), 10, training=training) for training in (False, True))
    kinds = [type(layer).__name__ for layer in net.layers]
    assert kinds == [*["Conv", "BatchNorm", "ReLU"] * 5, "Flatten", "Linear", "BatchNorm", "ReLU", "Linear"]
    assert [kind for kind in kinds if kind != "BatchNorm"] == [type(layer).__name__ for layer in plain.layers]
    channels = [len(layer.weight) for layer in net.layers if isinstance(layer, BatchNorm)]
    assert channels == [64, 64, 64, 128, 128, 512]
