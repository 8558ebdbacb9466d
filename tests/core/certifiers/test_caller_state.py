"""Whatever the caller has set in torch, a bound is the same, and the setting is as it was."""

import threading
import warnings
from importlib.util import find_spec

import pytest
import torch
from caller_states import FULL, PRECISIONS, STATES, precisions
from conftest import NETS
from torch import nn

from dmcore.attacks.evaluate import attack_points
from dmcore.bounds import interval_bounds
from dmcore.certify import certify_points, margin_bounds
from dmcore.extras.exact import exact_margins
from dmcore.precision import full_precision
from dmcore.radius import certified_radius

CERTIFIERS = ("cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero", "alpha", "ibp")


def computed(net, x, y):
    """Every public bound's value, in a list of tensors."""
    found = [margin_bounds(net, x, y, 0.05, certifier=certifier) for certifier in CERTIFIERS]
    found += [margin_bounds(net, x, y, 1, "l0"), margin_bounds(net, x, y, 0.2, "l2", clip_input=True)]
    found += [*interval_bounds(net, x, 0.05)]
    if find_spec("highspy"):
        found += [*exact_margins(net, x[:1], y[:1], 0.02)]
    verdicts = certify_points(net, x, y, 0.02)
    found += [verdicts.margin, verdicts.certified, verdicts.predicted]
    found += [certified_radius(net, x, y, certifier="ibp", tolerance=0.5).radius]
    attacked = attack_points(net, x, y, 0.05, restarts=1, steps=3)
    return [t.detach().clone() for t in (*found, attacked.margin, attacked.broken)]


@pytest.fixture(scope="module")
def usual():
    """A net, points, their classes, and what every bound says of them in torch's own state."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2, 1), nn.Flatten(), nn.Linear(2, 3))
    x = torch.rand(2, 1, 4, 4)
    y = net(x).argmax(1)
    return net, x, y, computed(net, x, y)


@pytest.mark.parametrize("state", STATES)
def test_every_bound_is_the_same_in_every_state(state, usual):
    net, x, y, elsewhere = usual
    with warnings.catch_warnings(action="ignore"), STATES[state]():  # of torch, on what is set
        before = precisions()
        here = computed(net, x, y)
        assert precisions() == before
    # Sums may go in another order, so bounds may differ by what they leave room for.
    exactly = state not in ("two threads", "without oneDNN")
    for ours, theirs in zip(here, elsewhere, strict=True):
        assert ours.dtype == theirs.dtype
        if exactly:
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("state", STATES)
def test_the_attack_before_alpha_is_the_same_in_every_state(state):
    """IBP certifies two of the points, alpha is asked for one, and the attack breaks the last."""
    torch.manual_seed(36)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    x = torch.rand(4, 1, 4, 4)
    y = net(x).argmax(1)
    with warnings.catch_warnings(action="ignore"), STATES[state]():
        found = certify_points(net, x, y, 0.05, certifier="alpha")
    assert found.stage.tolist() == [0, 4, 0, 3]
    assert found.certified.tolist() == [True, False, True, False]


def test_a_net_and_points_made_in_inference_mode_are_bounded_as_any_others():
    with torch.inference_mode():
        net = NETS["conv"].make(0, torch.float32)
        torch.manual_seed(1)
        x = torch.rand(2, *NETS["conv"].shape)
        y = net(x).argmax(1)
    usual = margin_bounds(NETS["conv"].make(0, torch.float32), torch.tensor(x.tolist()), y, 0.05, certifier="alpha")
    torch.testing.assert_close(margin_bounds(net, x, y, 0.05, certifier="alpha"), usual, rtol=0, atol=0)


@pytest.mark.parametrize("state", PRECISIONS)
def test_precision_settings_are_put_aside_and_given_back(state):
    with PRECISIONS[state]():
        before = precisions()
        with full_precision():
            assert precisions() == FULL
            with full_precision():
                pass
            assert precisions() == FULL
        assert precisions() == before
        with pytest.raises(ZeroDivisionError), full_precision():
            _ = 1 / 0
        assert precisions() == before


def test_a_thread_that_ends_first_takes_nothing_from_another():
    first_is_in, second_is_out = threading.Event(), threading.Event()
    seen = []

    def first():
        with full_precision():
            first_is_in.set()
            second_is_out.wait(10)
            seen.append(torch.get_float32_matmul_precision())

    with PRECISIONS["matmul medium"]():
        thread = threading.Thread(target=first)
        thread.start()
        first_is_in.wait(10)
        with full_precision():
            pass
        second_is_out.set()
        thread.join()
        assert seen == ["highest"]
        assert torch.get_float32_matmul_precision() == "medium"
