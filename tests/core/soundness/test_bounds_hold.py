"""Random networks of all kinds of layers: no point of a ball beats a bound, and bounds are as tight as they must be."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from norm_balls import all_changes, farthest
from soundness.cases import RADII, Case, cases, examples, seeded
from soundness.trials import EXACT, FEASIBILITY, ROUNDING, Effort, certifiers, run, slow_certifiers

from dmcore.crown.bounds import linear_bounds, node_box, relaxed_network
from dmcore.crown.margins import by_class, margin_rows
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.nets import Network
from dmcore.nets.layers import Conv, Flatten, Linear, MaxPool, ReLU, Sum

EFFORT = Effort(random=100, extreme=100, attacks=32)


@pytest.mark.parametrize("norm", RADII)
@examples(8)
@given(data=st.data())
def test_no_point_beats_a_bound(norm, data):
    assert run(data.draw(cases(norms=[norm])), EFFORT, certifiers()).violations == {}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_no_point_beats_a_bound_of_a_large_case(seed):
    """Hypothesis prefers small ones."""
    assert run(seeded(seed), EFFORT, certifiers(), seed).violations == {}


@pytest.mark.slow
@pytest.mark.parametrize("norm", RADII)
@examples(8)
@given(data=st.data())
def test_exact_without_nonlinear_layers(norm, data):
    """Margins and all nodes reach what their linear forms reach over the ball."""
    assert_exact(data.draw(cases(affine=True, norms=[norm])))


@pytest.mark.slow
@pytest.mark.parametrize("norm", RADII)
def test_exact_without_nonlinear_layers_in_large_cases(norm):
    first = 30 * list(RADII).index(norm)
    for seed in range(first, first + 30):
        assert_exact(seeded(seed, affine=True, norms=[norm]))


def assert_exact(case):
    if case.norm in ("l1", "l2"):  # cut: no promise
        case = replace(case, clip=False)
    ranges = [exact_ranges(case, i) for i in range(len(case.x))]
    worst = torch.stack([margin for margin, _ in ranges])
    for name in certifiers():
        assert_close(case, case.bounds(name), worst)
    relaxed = RelaxedNetwork(case.net, case.ball, "relu")
    for node in range(1, case.net.output):
        box, size = node_box(relaxed, node), case.sizes[node]
        lower, upper = (torch.stack([nodes[node][side] for _, nodes in ranges]) for side in (0, 1))
        torch.testing.assert_close(box.lower / size, lower / size, rtol=0, atol=ROUNDING)
        torch.testing.assert_close(box.upper / size, upper / size, rtol=0, atol=ROUNDING)


def exact_ranges(case, i):
    """The least margins, (K,), and every node's (lower, upper), from the values at x and one step along each pixel."""
    x = case.x[i].flatten()
    steps = torch.cat([torch.zeros(1, len(x)), torch.eye(len(x))]).double()
    values = case.values((x + steps).reshape(-1, *case.x[i].shape))

    def least(values):
        at, slopes = values[0], (values[1:] - values[0]).flatten(1).T
        if case.clip and case.norm == "linf":
            low, high = ((x + side * case.eps).clamp(0, 1) for side in (-1, 1))
            delta = torch.where(slopes > 0, low, high) - x
        else:
            delta = farthest(-slopes, x, case.eps, case.norm)
        return at + (slopes * delta).sum(1).reshape(at.shape)

    margins = values[-1][:, case.y[i], None] - values[-1]
    return least(margins), [(least(v), -least(-v)) for v in values]


def assert_close(case, *margins):
    """Margins but for the labels' own are equal up to rounding."""
    ours, theirs = ((m / case.margin_size)[case.others] for m in margins)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("norm", RADII)
def test_windows_of_one_size_in_two_places(norm):
    """Even kernels padded before and after, over the same values: exactly, and below a ReLU and other convolutions."""
    for above in ("", "rer", "rmrer"):
        for first in ("e", ""):
            for shape in ((1, 2, 2), (2, 8, 7)):
                torch.manual_seed(0)
                net, channels = Network(), shape[0]
                for kind in f"{first}m{above}":
                    early, late = (Conv(channels, 2, (2, 2), padding=side) for side in ((0, 1, 0, 1), (1, 0, 1, 0)))
                    at = net.output
                    if kind == "m":
                        net.add(Sum(0.5), [net.add(early, [at]), net.add(late, [at])])
                    else:
                        net.add(ReLU() if kind == "r" else early)
                    channels = 2
                net.add(Flatten())
                net.add(Linear(2 * shape[1] * shape[2], 3))
                case = Case(net.double().requires_grad_(False), torch.rand(2, *shape).double(), norm, RADII[norm][0])
                if above:
                    assert run(case, EFFORT, []).violations == {}
                else:
                    assert_exact(case)


@examples(20)
@given(cases(tiny=True, affine=True, norms=["l0"], count=1))
def test_l0_without_nonlinear_layers_by_brute_force(case):
    """Every choice of the changed inputs, and each of them 0 or 1."""
    case = replace(case, eps=min(case.eps, 3, case.x[0].numel()))
    z = case.net(torch.stack([p for k in range(case.eps + 1) for p in all_changes(case.x[0], k)]))
    worst = (z[:, case.y[0], None] - z).amin(0, keepdim=True)
    for name in certifiers():
        assert_close(case, case.bounds(name), worst)


@pytest.mark.parametrize("norm", RADII)
@examples(10)
@given(data=st.data())
def test_zero_and_all_intersected_bounds_are_never_below_ibp(norm, data):
    case = data.draw(cases(norms=[norm]))
    case = replace(case, clip=case.clip and norm in ("linf", "l0"))  # ℓ1 and ℓ2 cut: no promise
    for name, intersect in (("cnn-cert-zero", False), ("cnn-cert-relu", True), ("cnn-cert-ada", True)):
        gain = replace(case, intersect=intersect).bounds(name) - case.bounds("ibp")
        assert (gain / case.margin_size)[case.others].min() >= -ROUNDING


@pytest.mark.parametrize("slope", ["relu", "ada", "zero"])
@examples(10)
@given(case=cases())
def test_bounding_unstable_values_alone_changes_no_margin(slope, case):
    """A certifier leaves hidden boxes wide where they tell all signs; full boxes give the same margins."""
    case = replace(case, intersect=False)
    full = relaxed_network(case.net, case.ball, slope, exact=case.net)
    rows = margin_rows(case.y, case.margin_size.shape[1], case.x)
    margins, _ = linear_bounds(full, case.net.output, rows, upper=False)
    assert_close(case, case.bounds(f"cnn-cert-{slope}"), by_class(margins, case.y, torch.inf))


@pytest.mark.parametrize("norm", RADII)
@examples(3)
@given(data=st.data())
def test_slow_certifiers(norm, data):
    """On tiny networks: held by every point, never below CNN-Cert, and what is certified is robust by the exact one."""
    case = data.draw(cases(tiny=True, norms=[norm]))
    assert run(case, EFFORT, slow_certifiers(norm)).violations == {}
    fast = {name: case.bounds(name)[case.others] for name in certifiers()}
    for slow in slow_certifiers(norm):
        tolerance = (FEASIBILITY if slow == EXACT else ROUNDING) * case.margin_size
        bound = case.bounds(slow)
        for name in fast if slow == EXACT else ("cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero"):
            assert (fast[name] <= (bound + tolerance)[case.others]).all(), (name, slow)
        for name in fast if slow == EXACT else ():
            assert not (case.verdicts(name).certified & (bound < -tolerance).any(1)).any(), name


@examples(16)
@given(cases(count=6), st.sampled_from(certifiers()))
def test_the_verdict_on_a_point_does_not_depend_on_the_others(case, name):
    whole = case.verdicts(name)
    for size in (1, 3):
        parts = [case.verdicts(name, slice(start, start + size)) for start in range(0, 6, size)]
        assert torch.equal(torch.cat([part.certified for part in parts]), whole.certified)
        assert torch.equal(torch.cat([part.predicted for part in parts]), whole.predicted)


def kinds(net):
    """Which kinds of layers, and which neighbourhoods that a domain could get wrong, are in a network."""
    found = {type(layer).__name__ for layer in net.layers}
    for node in net.nodes():
        layer, before = node.layer, net.node(node.parents[0]).layer if node.parents[0] else None
        if isinstance(layer, Conv | Linear):
            found |= {"affine after affine"} if isinstance(before, Conv | Linear) else set()
        if isinstance(layer, ReLU | MaxPool):
            found.add(f"{type(layer).__name__} after {type(before).__name__}")
        if isinstance(layer, Conv):
            left, right, top, bottom = layer.padding
            longer = [s > k for s, k in zip(layer.stride, layer.kernel, strict=True)]
            traits = layer.dilation != (1, 1), layer.groups > 1, (left, top) != (right, bottom), any(longer)
            names = "Conv, dilated", "Conv, grouped", "Conv, padded unevenly", "Conv, stride > kernel"
            found |= {name for name, has in zip(names, traits, strict=True) if has}
        if isinstance(layer, MaxPool):
            found |= {"MaxPool, padded"} if any(layer.padding) else set()
            found |= {"MaxPool, stride ≠ kernel"} if layer.stride != layer.kernel else set()
        if isinstance(layer, Sum) and len(set(node.parents)) < len(node.parents):
            found.add("Sum of a node with itself")
    weights = [layer.weight for layer in net.layers if isinstance(layer, Conv | Linear)]
    return found | ({"tied weights"} if len({id(w) for w in weights}) < len(weights) else set())


def test_the_cases_cover_all_kinds_of_layers():
    """Each in at least five of 300 networks."""
    found = Counter(kind for seed in range(300) for kind in kinds(seeded(seed).net))
    expected = {
        "Conv, dilated", "Conv, grouped", "Conv, padded unevenly", "Conv, stride > kernel", "Flatten", "Linear",
        "MaxPool after MaxPool", "MaxPool after NoneType", "MaxPool, padded", "MaxPool, stride ≠ kernel", "Normalize",
        "ReLU after MaxPool", "ReLU after NoneType", "Scale", "Sum of a node with itself", "affine after affine",
        "tied weights",
    }  # fmt: skip
    assert {kind for kind in expected if found[kind] < 5} == set()


def test_an_unsound_bound_is_seen(monkeypatch):
    """A margin that is a billionth too high, at ε = 0, where nothing else than the margin itself is right."""
    case = replace(seeded(8), eps=0.0)
    assert run(case, EFFORT, ["ibp"]).violations == {}
    honest = Case.bounds
    monkeypatch.setattr(Case, "bounds", lambda case, name: honest(case, name) + 1e-9 * case.margin_size)
    assert set(run(case, EFFORT, ["ibp"]).violations) == {"ibp"}
