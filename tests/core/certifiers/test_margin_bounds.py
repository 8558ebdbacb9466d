"""Margin bounds against the dense reference, against every point that can be tried, and in the cases with an answer."""

from itertools import pairwise

import dense_reference as reference
import pytest
import torch
from conftest import NETS, conv_net, pool_net
from torch import nn

from dmcore.certify import margin_bounds
from dmcore.errors import UserError
from dmcore.linear import chunks, patches
from dmcore.nets import as_network
from dmcore.registries import certifier as registry

CERTIFIERS = ["cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "ibp"]


def points(in_shape, count, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, *in_shape, generator=generator, dtype=dtype)


def margins_at(net, x, y):
    z = net(x)
    return z.gather(1, y[:, None]) - z


def tolerance(make, certifier, usual=1e-4):
    """Room for rounding unties the equal maxima of overlapping windows, where ``zero`` then takes another line."""
    return 2e-2 if make is pool_net and certifier == "cnn-cert-zero" else usual


def test_registry_has_exactly_these():
    assert set(registry.names()) == set(CERTIFIERS) | {"alpha", "milp"}  # the slow ones have tests of their own


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("eps", [0.02, 0.15])
@pytest.mark.parametrize("name", CERTIFIERS)
@pytest.mark.parametrize(
    ("make", "in_shape"), [NETS[n] for n in ("conv", "pool", "chain", "rows")], ids=["conv", "pool", "chain", "rows"]
)
def test_equal_to_the_dense_reference(make, in_shape, name, eps, clip):
    for seed in range(2):
        net, x = make(seed), points(in_shape, 3, seed)
        classes = net(x).shape[1]
        y = torch.arange(3) % classes
        ours = margin_bounds(net, x, y, eps, certifier=name, clip_input=clip)
        steps = reference.matrices(make(seed), in_shape)
        for i in range(3):
            flat, label = x[i].double().flatten().numpy(), int(y[i])
            if name == "ibp":
                expected = reference.margins_ibp(steps, flat, label, eps, clip)
            else:
                expected = reference.margins_linear(steps, flat, label, eps, name.split("-")[-1], clip)
            others = torch.arange(classes) != label
            expected = torch.tensor(expected)
            assert ours[i, label] == torch.inf
            torch.testing.assert_close(ours[i, others].double(), expected[others], rtol=0, atol=tolerance(make, name))
            assert (ours[i, others].double() <= expected[others] + 1e-6).all()


@pytest.mark.parametrize("name", CERTIFIERS)
def test_never_above_a_margin_that_occurs(any_net, name):
    """4,000 random points, 500 corners and 500 attacked points of each ball."""
    make, in_shape = any_net
    eps = 0.1
    for seed in range(2):
        net = make(seed, torch.float64)
        x = points(in_shape, 2, seed, torch.float64)
        for clip in (False, True):
            for i in range(len(x)):
                y = net(x[i : i + 1]).argmax(1)
                bound = margin_bounds(net, x[i : i + 1], y, eps, certifier=name, clip_input=clip)[0]
                tried = torch.cat([*candidates(net, x[i], y, eps, clip, seed)])
                seen = margins_at(net, tried, y.expand(len(tried))).amin(0)
                others = torch.arange(len(seen)) != y
                assert (bound[others] <= seen[others] + 1e-9).all()


def candidates(net, x, y, eps, clip, seed):
    """Points of the ball: random, corners, and found by projected gradient descent on each margin."""
    generator = torch.Generator().manual_seed(seed)
    low, high = (x - eps, x + eps) if not clip else ((x - eps).clamp(0, 1), (x + eps).clamp(0, 1))
    yield low + (high - low) * torch.rand(4000, *x.shape, generator=generator, dtype=x.dtype)
    corner = torch.rand(500, *x.shape, generator=generator) < 0.5
    yield torch.where(corner, low, high)
    at = low + (high - low) * torch.rand(500, *x.shape, generator=generator, dtype=x.dtype)
    classes = net(x[None]).shape[1]
    target = (torch.arange(500) % (classes - 1) + 1 + y) % classes
    for _ in range(20):
        at.requires_grad_(True)
        z = net(at)
        (gradient,) = torch.autograd.grad((z[:, y[0]] - z.gather(1, target[:, None])[:, 0]).sum(), at)
        at = torch.minimum(torch.maximum(at.detach() - eps / 4 * gradient.sign(), low), high)
    yield at.detach()


@pytest.mark.parametrize("name", CERTIFIERS)
def test_exact_on_a_linear_net(name):
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, stride=2, padding=1), nn.Flatten(), nn.Linear(18, 5), nn.Linear(5, 3)
    ).double()
    x, y, eps = points((1, 5, 5), 4, dtype=torch.float64), torch.tensor([0, 1, 2, 0]), 0.1
    jacobian = torch.stack(
        [torch.autograd.functional.jacobian(net, x[i : i + 1])[0, :, 0].flatten(1) for i in range(4)]
    )
    rows = jacobian.gather(1, y[:, None, None].expand(-1, 1, 25)) - jacobian
    exact = (margins_at(net, x, y) - eps * rows.abs().sum(2)).scatter(1, y[:, None], torch.inf)
    torch.testing.assert_close(margin_bounds(net, x, y, eps, certifier=name), exact.detach())


def test_zero_is_never_below_ibp(any_net):
    make, in_shape = any_net
    for seed in range(5):
        net, x = make(seed, torch.float64), points(in_shape, 4, seed, torch.float64)
        y = net(x).argmax(1)
        for eps in (0.01, 0.1, 0.5):
            zero = margin_bounds(net, x, y, eps, certifier="cnn-cert-zero")
            ibp = margin_bounds(net, x, y, eps, certifier="ibp")
            others = zero.isfinite()
            assert (zero[others] >= ibp[others] - 1e-9).all()


@pytest.mark.parametrize("name", CERTIFIERS)
def test_at_eps_0_the_margins_themselves(any_net, name):
    make, in_shape = any_net
    net, x = make(0, torch.float64), points(in_shape, 5, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1])
    expected = margins_at(net, x, y).scatter(1, y[:, None], torch.inf)
    torch.testing.assert_close(margin_bounds(net, x, y, 0.0, certifier=name), expected)


@pytest.mark.parametrize("name", CERTIFIERS)
def test_exact_when_every_relu_is_dead_or_active(name):
    """Biases of ±10 decide every ReLU, so the net is linear on the ball and the bound is attained at a corner."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    net[1].bias.data = torch.tensor([10.0, -10.0] * 4, dtype=torch.float64)
    x, y, eps = points((1, 2, 3), 3, dtype=torch.float64), torch.tensor([0, 1, 2]), 0.2
    bound = margin_bounds(net, x, y, eps, certifier=name)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 6).reshape(-1, 1, 2, 3)
    for i in range(3):
        exact = margins_at(net, x[i] + eps * signs, y[i].expand(64)).amin(0)
        others = torch.arange(3) != y[i]
        if name != "ibp":  # linear bounds lose nothing here
            torch.testing.assert_close(bound[i, others], exact[others])
        assert (bound[i, others] <= exact[others] + 1e-9).all()
    net[1].bias.data.fill_(-10.0)  # all dead: the output is constant
    constant = (net[3].bias[y][:, None] - net[3].bias).scatter(1, y[:, None], torch.inf)
    torch.testing.assert_close(margin_bounds(net, x, y, eps, certifier=name), constant.detach())


@pytest.mark.parametrize("name", CERTIFIERS)
def test_falls_as_eps_grows(any_net, name):
    make, in_shape = any_net
    net, x = make(1, torch.float64), points(in_shape, 2, dtype=torch.float64)
    y = net(x).argmax(1)
    smallest = [margin_bounds(net, x, y, eps, certifier=name).amin(1) for eps in (0.0, 0.05, 0.1, 0.2)]
    if name in ("ibp", "cnn-cert-zero"):  # the others may gain where a slope flips
        assert all((a >= b - 1e-9).all() for a, b in pairwise(smallest))
    assert (smallest[0] >= smallest[-1]).all()


def test_clipping_the_ball_never_loosens():
    net, x = conv_net(0), points((2, 5, 5), 4)
    y = net(x).argmax(1)
    for name in ("ibp", "cnn-cert-zero"):
        free, cut = (margin_bounds(net, x, y, 0.3, certifier=name, clip_input=c) for c in (False, True))
        assert (cut >= free - 1e-5).all()


@pytest.mark.parametrize("name", CERTIFIERS)
def test_splitting_the_work_changes_nothing(any_net, name, monkeypatch):
    make, in_shape = any_net
    net, x = make(0, torch.float64), points(in_shape, 6, dtype=torch.float64)
    y = net(x).argmax(1)
    whole = margin_bounds(net, x, y, 0.1, certifier=name)
    one_by_one = torch.cat([margin_bounds(net, x[i : i + 1], y[i : i + 1], 0.1, certifier=name) for i in range(6)])
    torch.testing.assert_close(one_by_one, whole)
    most = max(torch.Size(shape).numel() for shape in as_network(net).shapes(x))
    monkeypatch.setattr(chunks, "BUDGET", 40 * most)  # room for a few neurons of one point at a time
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1, certifier=name), whole)
    monkeypatch.setattr(chunks, "BUDGET", 1)
    if name != "ibp":
        with pytest.raises(MemoryError, match="coefficients at once, budget 1"):
            margin_bounds(net, x, y, 0.1, certifier=name)


def test_the_two_ways_to_grow_a_patch_agree(monkeypatch):
    net, x = conv_net(0, torch.float64), points((2, 5, 5), 6, dtype=torch.float64)
    y = net(x).argmax(1)
    unrolled = margin_bounds(net, x, y, 0.1)
    monkeypatch.setattr(patches, "UNROLLED", 0)
    torch.testing.assert_close(margin_bounds(net, x, y, 0.1), unrolled)


def test_a_stride_larger_than_the_kernel_and_a_one_pixel_image():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 1, stride=3), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3)).double()
    x, y = torch.full((1, 1, 1, 1), 0.5, dtype=torch.float64), torch.tensor([1])
    tried = margins_at(net, torch.linspace(0.3, 0.7, 401, dtype=torch.float64).reshape(-1, 1, 1, 1), y.expand(401))
    for name in CERTIFIERS:
        bound = margin_bounds(net, x, y, 0.2, certifier=name)[0]
        assert (bound[[0, 2]] <= tried.amin(0)[[0, 2]] + 1e-9).all()


def test_an_empty_batch_gives_an_empty_answer():
    assert margin_bounds(conv_net(0), torch.zeros(0, 2, 5, 5), torch.zeros(0, dtype=torch.long), 0.1).shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"certifier": "cnn-cert-rel"}, "unknown certifier 'cnn-cert-rel': did you mean 'cnn-cert-relu'"),
        ({"norm": "linff"}, "unknown norm 'linff': did you mean 'linf'"),
        ({"eps": -0.1}, "eps must be a finite number ≥ 0"),
        ({"eps": float("nan")}, "eps must be a finite number ≥ 0"),
        ({"y": torch.tensor([0, 9])}, "labels must be 2 integers in 0..2"),
        ({"y": torch.tensor([0.0, 1.0])}, "labels must be 2 integers in 0..2, got (2,) torch.float32"),
        ({"y": torch.tensor([0])}, "labels must be 2 integers in 0..2"),
        ({"x": torch.zeros(2, 1, 8, 7, dtype=torch.uint8)}, "x must be float32 or float64"),
        ({"x": torch.zeros(2, 1, 8, 7, dtype=torch.float16)}, "x must be float32 or float64"),
        ({"x": torch.zeros(2, 3, 8, 7)}, "input (3, 8, 7) does not fit the network: layer 0 (Conv2d)"),
        ({"x": torch.zeros(2, 1, 8, 7).double()}, "does not fit the network"),
        ({"net": nn.Sequential(nn.Flatten(), nn.Linear(56, 3), nn.Sigmoid())}, "layer 2 (Sigmoid) cannot be bounded"),
        ({"net": nn.LSTM(2, 2)}, "cannot read the forward of LSTM"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"net": pool_net(0), "x": points((1, 8, 7), 2), "y": torch.tensor([0, 1]), "eps": 0.1} | change
    with pytest.raises(UserError) as error:
        margin_bounds(**arguments)
    assert message in str(error.value)
    assert "\n" not in str(error.value)
