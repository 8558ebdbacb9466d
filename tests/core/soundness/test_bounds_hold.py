"""Random networks of all kinds of layers: no point of a ball beats a bound, and bounds are as tight as they must be."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from norm_balls import all_changes, farthest
from soundness import descriptions
from soundness.descriptions import RADII, Convolve, Residual, Single, cases, examples, seeded
from soundness.networks import build, kinds
from soundness.trials import EXACT, FEASIBILITY, ROUNDING, Effort, Trial, certifiers, run, slow_certifiers

from dmcore.crown.bounds import linear_bounds, node_box, relaxed_network
from dmcore.crown.margins import margin_rows
from dmcore.crown.relaxed import RelaxedNetwork
from dmcore.crown.relaxers import fixed_slope

EFFORT = Effort(random=100, extreme=100, attacks=32)


@pytest.mark.parametrize("norm", RADII)
def test_no_point_beats_a_bound(norm):
    @examples(8)
    @given(cases(norms=[norm]))
    def holds(case):
        assert run(case, EFFORT, certifiers()).violations == {}

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_no_point_beats_a_bound_of_a_large_case(seed):
    """Hypothesis prefers small ones."""
    assert run(seeded(seed), EFFORT, certifiers(), seed).violations == {}


@pytest.mark.slow
@pytest.mark.parametrize("norm", RADII)
def test_exact_without_nonlinear_layers(norm):
    """Margins and all nodes reach what their linear forms reach over the ball."""

    @examples(8)
    @given(cases(affine=True, norms=[norm]))
    def exact(case):
        _assert_exact(case)

    exact()
    first = 30 * list(RADII).index(norm)
    for seed in range(first, first + 30):  # larger than what hypothesis prefers
        _assert_exact(seeded(seed, affine=True, norms=[norm]))


@pytest.mark.parametrize("norm", RADII)
def test_windows_of_one_size_in_two_places(norm):
    """Even kernels padded before and after, over the same values: exactly, and below a ReLU and other convolutions."""
    early, late = (
        Convolve(2, (2, 2), (1, 1), padding, (1, 1), groups=1, bias=True) for padding in ((0, 0, 0, 0), (1, 0, 1, 0))
    )
    stem = (early, Residual(((early,), (late,)), 1.0))
    case = replace(seeded(0), shape=(2, 8, 7), stem=stem, members=((),), bare=False, clip=False)
    case = replace(case, norm=norm, eps=RADII[norm][0], intersect=False)
    _assert_exact(case)
    relu = Single("relu")
    for above in ((relu, early, relu), (relu, Residual(((early,), (late,)), 0.5), relu, early, relu)):
        for below in (stem, stem[1:]):
            for shape in ((1, 2, 2), (2, 8, 7)):
                case = replace(case, shape=shape, stem=below + above)
                assert run(case, EFFORT, []).violations == {}


def _assert_exact(case):
    trial = Trial(case if case.norm in ("linf", "l0") else replace(case, clip=False))  # ℓ1 and ℓ2 cut: no promise
    ranges = [_ranges(trial, i) for i in range(len(trial.x))]
    worst = torch.stack([margin for margin, _ in ranges])
    for name in certifiers():
        torch.testing.assert_close(*_over_size(trial, trial.bounds(name), worst), rtol=0, atol=ROUNDING)
    relaxed = RelaxedNetwork(trial.net, trial.ball, fixed_slope("relu"))
    for node in range(1, trial.net.output):
        box, size = node_box(relaxed, node), trial.sizes[node] + 1e-30
        lower, upper = (torch.stack([nodes[node][side] for _, nodes in ranges]) for side in (0, 1))
        torch.testing.assert_close(box.lower / size, lower / size, rtol=0, atol=ROUNDING)
        torch.testing.assert_close(box.upper / size, upper / size, rtol=0, atol=ROUNDING)


def _ranges(trial, i):
    """The least margins, (K,), and every node's (lower, upper), from the values at x and one step along each pixel."""
    x = trial.x[i].flatten()
    steps = torch.cat([torch.zeros(1, len(x)), torch.eye(len(x))]).double()
    values = trial.values((x + steps).reshape(-1, *trial.x[i].shape))
    margins = values[-1][:, trial.y[i], None] - values[-1]
    nodes = [(_least(v, x, trial.case), -_least(-v, x, trial.case)) for v in values]
    return _least(margins, x, trial.case), nodes


def _least(values, x, case):
    """The least value over the ball of what is affine, from its values at x and one step along each pixel."""
    at, slopes = values[0], (values[1:] - values[0]).flatten(1).T
    if case.clip and case.norm == "linf":
        low, high = ((x + side * case.eps).clamp(0, 1) for side in (-1, 1))
        delta = torch.where(slopes > 0, low, high) - x
    else:
        delta = farthest(-slopes, x, case.eps, case.norm)
    return at + (slopes * delta).sum(1).reshape(at.shape)


def _over_size(trial, *margins):
    return [(m / trial.margin_size)[trial.others] for m in margins]


@examples(20)
@given(cases(tiny=True, affine=True, norms=["l0"]))
def test_l0_without_nonlinear_layers_by_brute_force(case):
    """Every choice of the changed inputs, and each of them 0 or 1."""
    trial = Trial(replace(case, eps=min(case.eps, 3)), count=1)
    x, most = trial.x[0], min(trial.case.eps, trial.x[0].numel())
    points = torch.stack([p for k in range(most + 1) for p in all_changes(x, k)])
    z = trial.net(points)
    worst = (z[:, trial.y[0], None] - z).amin(0, keepdim=True)
    for name in certifiers():
        torch.testing.assert_close(*_over_size(trial, trial.bounds(name), worst), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("norm", RADII)
def test_zero_is_never_below_ibp(norm):
    @examples(10)
    @given(cases(norms=[norm]))
    def ordered(case):
        trial = Trial(case if norm in ("linf", "l0") else replace(case, clip=False))  # ℓ1 and ℓ2 cut: no promise
        trial.case = replace(trial.case, intersect=False)
        zero, ibp = _over_size(trial, trial.bounds("cnn-cert-zero"), trial.bounds("ibp"))
        assert (zero >= ibp - ROUNDING).all()

    ordered()


@pytest.mark.parametrize("slope", ["relu", "ada", "zero"])
def test_bounding_unstable_values_alone_changes_no_margin(slope):
    """A certifier leaves hidden boxes wide where they tell all signs; full boxes give the same margins."""

    @examples(10)
    @given(cases())
    def unchanged(case):
        trial = Trial(replace(case, intersect=False))
        full = relaxed_network(trial.net, trial.ball, fixed_slope(slope), exact=trial.net)
        rows = margin_rows(trial.y, trial.margin_size.shape[1], trial.x)
        margins, _ = linear_bounds(full, trial.net.output, rows, upper=False)
        certified = trial.bounds(f"cnn-cert-{slope}")
        torch.testing.assert_close(*_over_size(trial, certified, margins), rtol=0, atol=ROUNDING)

    unchanged()


@pytest.mark.parametrize("norm", RADII)
def test_slow_certifiers(norm):
    """On tiny networks: held by every point, never below CNN-Cert, and what is certified is robust by the exact one."""
    if not slow_certifiers(norm):
        pytest.skip("none is registered")

    @examples(3)
    @given(cases(tiny=True, norms=[norm]))
    def holds(case):
        assert run(case, EFFORT, slow_certifiers(norm)).violations == {}
        trial = Trial(case)
        fast = {name: trial.bounds(name)[trial.others] for name in certifiers()}
        for slow in slow_certifiers(norm):
            tolerance = (FEASIBILITY if slow == EXACT else ROUNDING) * trial.margin_size
            bound = trial.bounds(slow)
            for name in fast if slow == EXACT else ("cnn-cert-relu", "cnn-cert-ada", "cnn-cert-zero"):
                assert (fast[name] <= (bound + tolerance)[trial.others]).all(), (name, slow)
            for name in certifiers() if slow == EXACT else ():
                assert not (trial.verdicts(name).certified & (bound < -tolerance).any(1)).any(), name

    holds()


@examples(16)
@given(cases(), st.sampled_from(certifiers()))
def test_the_verdict_on_a_point_does_not_depend_on_the_others(case, name):
    trial = Trial(case, count=6)
    whole = trial.verdicts(name)
    for size in (1, 3):
        parts = [trial.verdicts(name, slice(start, start + size)) for start in range(0, 6, size)]
        assert torch.equal(torch.cat([part.certified for part in parts]), whole.certified)
        assert torch.equal(torch.cat([part.predicted for part in parts]), whole.predicted)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [24, 98, 131, 153])
def test_slow_certifiers_where_a_line_that_is_a_tenth_too_steep_shows(seed):
    case = seeded(seed, tiny=True)
    names = [name for name in slow_certifiers(case.norm) if name != EXACT]
    assert run(case, EFFORT, names, seed).violations == {}


def test_the_cases_cover_all_kinds_of_layers():
    """Each in at least five of 300 networks."""
    found = Counter(kind for seed in range(300) for kind in set(kinds(build(seeded(seed)))))
    expected = {
        "Conv, dilated", "Conv, grouped", "Conv, padded unevenly", "Conv, stride > kernel", "Flatten", "Linear",
        "MaxPool after MaxPool", "MaxPool on the input", "MaxPool, padded", "MaxPool, stride ≠ kernel", "Normalize",
        "ReLU after MaxPool", "ReLU on the input", "Scale", "Sum of a node with itself", "Sum, scaled",
        "affine after affine", "no non-linear layer", "tied weights", "two or more non-linear layers",
    }  # fmt: skip
    assert {kind for kind in expected if found[kind] < 5} == set()


def test_a_case_is_written_as_it_can_be_read():
    case = seeded(3)
    assert eval(repr(case), vars(descriptions)) == case


def test_an_unsound_bound_is_seen(monkeypatch):
    """A margin that is a billionth too high, at ε = 0, where nothing else than the margin itself is right."""
    case = seeded(8)
    assert run(case, EFFORT, ["ibp"]).violations == {}
    honest = Trial.bounds
    monkeypatch.setattr(Trial, "bounds", lambda trial, name: honest(trial, name) + 1e-9 * trial.margin_size)
    assert set(run(replace(case, eps=0.0), EFFORT, ["ibp"]).violations) == {"ibp"}
