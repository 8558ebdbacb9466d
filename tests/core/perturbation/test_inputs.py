"""What a public function takes as points, labels and ε, and what it refuses in one line."""

import math
from fractions import Fraction
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from conftest import MILP
from torch import nn

from dmcore.attacks.evaluate import attack_points
from dmcore.bounds import double_margins, interval_bounds
from dmcore.certify import certify_points, margin_bounds
from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.extras.exact import exact_margins
from dmcore.radius import certified_radius

CALLS = {
    "margin_bounds": lambda net, x, y, eps, **more: margin_bounds(net, x, y, eps, **more),
    "certify_points": lambda net, x, y, eps, **more: certify_points(net, x, y, eps, **more).margin,
    "exact_margins": lambda net, x, y, eps, **more: exact_margins(net, x, y, eps, **more).lower,
    "interval_bounds": lambda net, x, y, eps, **more: torch.stack(interval_bounds(net, x, eps, **more)),
    "double_margins": lambda net, x, y, eps, **more: torch.stack(double_margins(net, x, eps, **more)),
    "attack_points": lambda net, x, y, eps, **more: attack_points(net, x, y, eps, restarts=1, steps=2, **more).margin,
}
if find_spec("highspy") is None:
    del CALLS["exact_margins"]
BATCHED = [name for name in CALLS if name != "attack_points"]


@pytest.fixture(scope="module")
def case():
    """A net on 1 × 3 × 3 images, as many points as an image is wide, and their classes."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)).double()
    x = torch.rand(3, 1, 3, 3, dtype=torch.float64)
    return net, x, net(x).argmax(1)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "eps",
    [
        "8/255",
        "8_255",
        Fraction(8, 255),
        Eps.parse("8/255"),
        np.float64(8 / 255),
        np.array(8 / 255),
        torch.tensor(8 / 255, dtype=torch.float64),
    ],
    ids=lambda eps: type(eps).__name__,
)
def test_eps_may_be_written_in_many_ways(call, eps, case):
    assert CALLS[call](*case, eps).equal(CALLS[call](*case, 8 / 255))


NO_EPS = [
    *(torch.tensor(eps) for eps in (-0.5, math.nan, [0.1, 0.1], [0.1, -0.1, 0.1], [[0.1], [0.1], [0.1]], True, 0.1j)),
    *(np.array(["a"]), np.array([0.1, math.inf, 0.1]), -1e-300, math.inf, 10**400, -(10**400), Fraction(-1, 3)),
    *(True, None, 0.1j, [0.1, 0.1, 0.1], "a lot", "-0.1", "1e400"),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("eps", NO_EPS, ids=lambda eps: repr(eps)[:20])
def test_anything_else_is_one_line(call, eps, case):
    with pytest.raises(UserError, match=r"^eps ") as error:
        CALLS[call](*case, eps)
    assert "\n" not in str(error.value)


RADII = {"linf": [0.4, 0.0, 0.01], "l2": [0.4, 0.0, 0.01], "l1": [0.4, 0.0, 0.01], "l0": [2.0, 0.0, 1.0]}


@pytest.mark.parametrize("norm", RADII)
@pytest.mark.parametrize("call", BATCHED)
def test_one_eps_for_each_point_is_its_own(call, norm, case):
    net, x, y = case
    if call == "exact_margins" and norm == "l2":
        pytest.skip("the exact certifier has no l2")
    axis = 1 if call in ("interval_bounds", "double_margins") else 0
    for more in ({}, {"clip_input": True}) if call != "double_margins" else ({},):
        together = CALLS[call](net, x, y, torch.tensor(RADII[norm]), norm=norm, **more)
        for i, eps in enumerate(torch.tensor(RADII[norm]).double().tolist()):
            alone = CALLS[call](net, x[i : i + 1], y[i : i + 1], eps, norm=norm, **more)
            torch.testing.assert_close(together.narrow(axis, i, 1), alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("certifier", ["cnn-cert-ada", "cnn-cert-zero", "alpha", "ibp", MILP])
@pytest.mark.parametrize("norm", ["linf", "l0"])
def test_every_certifier_keeps_each_point_at_its_own_eps(certifier, norm, case):
    net, x, y = case
    together = margin_bounds(net, x, y, torch.tensor(RADII[norm]), norm, certifier)
    for i, eps in enumerate(torch.tensor(RADII[norm]).double().tolist()):
        alone = margin_bounds(net, x[i : i + 1], y[i : i + 1], eps, norm, certifier)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-9, atol=1e-9)


def test_fractions_of_an_input_are_refused_for_each_point(case):
    net, x, y = case
    with pytest.raises(UserError, match=r"a whole number, not 0\.5"):
        margin_bounds(net, x, y, torch.tensor([1.0, 0.5, 2.0]), "l0")


def test_an_attack_takes_one_eps(case):
    with pytest.raises(UserError, match="one eps for all points"):
        attack_points(*case, torch.tensor([0.1, 0.1, 0.1]))


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x * 255, r"x\[0, 0, 0, 0\] is \S+, outside \[0, 1\]: scale the inputs, or name"),
        (lambda x: x - 0.5, r"outside \[0, 1\]"),
        (lambda x: x.where(x > x.min(), math.nan), r"is nan, outside"),
        (lambda x: x[0, 0, 0], r"x must be a batch of inputs, \(B, ...\), got shape \(3,\)"),
        (lambda x: x[0], r"takes a batch of images \(B, C, H, W\), got \(B, 3, 3\)"),
        (lambda x: x.tolist(), "x must be a torch.Tensor of shape"),
        (lambda x: x.half(), "x must be float32 or float64"),
        (lambda x: x.to("meta"), "x is on meta, whose rounding is not known"),
    ],
    ids=["bytes", "centred", "nan", "row", "image", "list", "half", "device"],
)
def test_points_that_are_none_are_refused(call, change, told, case):
    net, x, y = case
    if call == "attack_points" and "batch of images" in told:
        pytest.skip("an attack takes any module, and torch says what it takes")
    with pytest.raises(UserError, match=told) as error:
        CALLS[call](net, change(x), y, 0.1)
    assert "\n" not in str(error.value)


def centred(net):
    """The same network, of pixels z = 2 x − 1."""
    layers = [nn.Conv2d(1, 3, 2).double(), *net[1:]]
    layers[0].weight.data = net[0].weight / 2
    layers[0].bias.data = (net[0].bias + net[0].weight.sum((1, 2, 3)) / 2).detach()
    return nn.Sequential(*layers)


@pytest.mark.parametrize("call", CALLS)
def test_inputs_of_another_range_are_taken_by_its_name(call, case):
    net, x, y = case
    theirs = CALLS[call](centred(net), 2 * x - 1, y, 0.2, input_range=(-1, 1))
    torch.testing.assert_close(theirs, CALLS[call](net, x, y, 0.1), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("norm", "eps", "wide"), [("linf", 0.6, 1.2), ("l2", 0.6, 1.2), ("l1", 0.6, 1.2), ("l0", 2, 2)]
)
def test_a_cut_and_changed_inputs_keep_to_the_range(norm, eps, wide, case):
    net, x, y = case
    ours = margin_bounds(net, x, y, eps, norm, clip_input=True)
    theirs = margin_bounds(centred(net), 2 * x - 1, y, wide, norm, clip_input=True, input_range=(-1, 1))
    torch.testing.assert_close(theirs, ours, rtol=1e-9, atol=1e-9)
    found = attack_points(centred(net), 2 * x - 1, y, wide, norm, restarts=2, steps=5, input_range=(-1, 1))
    assert found.inputs.abs().max() <= 1
    assert (found.margin >= theirs.amin(1) - 1e-9).all()


@pytest.mark.parametrize("input_range", [(0, 0), (1, 0), (math.nan, 1), (0,), 1, "01x", None])
def test_a_range_is_two_numbers(input_range, case):
    with pytest.raises(UserError, match="input_range must be two numbers"):
        margin_bounds(*case, 0.1, input_range=input_range)


def test_without_a_range_no_input_can_be_anything(case):
    net, x, y = case
    everything = (-math.inf, math.inf)
    assert margin_bounds(net, 9 * x, y, 0.1, input_range=everything).isfinite().any()
    with pytest.raises(UserError, match=r"under the norm l0 .* must be finite"):
        margin_bounds(net, x, y, 1, "l0", input_range=everything)
    with pytest.raises(UserError, match="upper must be a finite radius"):
        certified_radius(net, x, y, input_range=everything)


@pytest.mark.parametrize("kind", [list, tuple, np.array, np.uint16, lambda y: torch.tensor(y, dtype=torch.int8)])
def test_labels_may_be_a_list(kind, case):
    net, x, y = case
    given = kind(y.tolist())
    assert margin_bounds(net, x, given, 0.1).equal(margin_bounds(net, x, y, 0.1))
    assert certify_points(net, x, given, 0.0).certified.all()
    assert (certified_radius(net, x, given, certifier="ibp").radius >= 0).all()
    assert attack_points(net, x, given, 0.0, restarts=1, steps=1).margin.isfinite().all()


@pytest.mark.parametrize(
    "y",
    [[0, 1], [0, 1, 3], [0, 1, -1], [0.0, 1.0, 2.0], [True, False, True], ["a", "b", "c"], None, 1, [[0], [1], [2]]],
)
def test_labels_that_are_none_are_one_line(y, case):
    net, x, _ = case
    for call in CALLS.keys() - {"interval_bounds", "double_margins"}:
        with pytest.raises(UserError, match=r"labels must be 3 integers in 0..2, got"):
            CALLS[call](net, x, y, 0.1)


def test_a_single_logit_certifies_nothing(case):
    """There is no margin to another class; with the layer that is advised, the sign of the logit decides."""
    *body, _ = case[0]
    one, x = nn.Sequential(*body, nn.Linear(12, 1).double()), case[1]
    for call in CALLS.keys() - {"interval_bounds", "double_margins"}:
        with pytest.raises(UserError, match=r"the network has one logit z, .* append a Linear\(1, 2\)"):
            CALLS[call](one, x, [0, 0, 0], 0.1)
    two = nn.Linear(1, 2, bias=False).double()
    two.weight.data = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    sides = interval_bounds(one, x, 0.1)
    for y, margin in ((0, -sides[1]), (1, sides[0])):
        found = certify_points(nn.Sequential(*one, two), x, [y] * 3, 0.1, certifier="ibp").margin
        torch.testing.assert_close(found, margin[:, 0])


def test_images_without_channels_before_a_pooling_are_one_line():
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(UserError, match=r"a MaxPool takes a batch of images \(B, C, H, W\), got \(B, 4, 4\)"):
        margin_bounds(net, torch.rand(2, 4, 4), [0, 1], 0.1)


def test_no_points_are_fine(case):
    net, x, y = case
    for call in BATCHED:
        assert CALLS[call](net, x[:0], y[:0], torch.zeros(0)).numel() == 0
    assert certify_points(net, x[:0], [], 0.1).certified.shape == (0,)
