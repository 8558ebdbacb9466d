"""What holds of all regularisers, or of all of a kind: gradients, bounds, ε = 0, random numbers, wrong options."""

import pytest
import torch
from batches import EPS, PGD, batch_of

from dmcore.errors import UserError
from dmcore.linear import chunks
from dmcore.registries import regularizer
from dmcore.regularizers import Batch

TERMS = {
    "interval": ("worst_case", {"domain": "interval", "form": "elided", "clip_input": True}),
    "double margin": ("worst_case", {"domain": "double_margin"}),
    "single margin": ("worst_case", {"domain": "single_margin"}),
    "interval margin": ("worst_case", {"domain": "interval_margin"}),
    "small box": ("worst_case", {"domain": "interval", "around": PGD, "share": 0.4}),
    "convex outer": ("convex_outer", {}),
    "projections": ("convex_outer", {"projections": 7, "clip_input": True}),
    "crown": ("crown_ibp", {"beta_end": 0.3}),
    "mtl": ("expressive", {"blend": "mtl", "alpha": 0.3, "attack": PGD}),
    "cc": ("expressive", {"blend": "cc", "alpha": 0.3, "attack": PGD | {"random_start": True}}),
    "exp": ("expressive", {"blend": "exp", "alpha": 0.3, "attack": PGD}),
    "trades": ("trades", {"steps": 3, "step_of_eps": 0.5}),
    "mmr": ("mmr", {"gamma_b_of_eps": 3.0, "gamma_d_of_eps": 5.0, "nearest": 0.5}),
    "stability": ("relu_stability", {"clip_input": True}),
    "warm-up": ("shi_warmup", {"tolerance": 0.9}),
    "l1": ("weight_norm", {"norm": "l1"}),
    "l2": ("weight_norm", {"norm": "l2", "form": "product"}),
}
OF_LOGITS = [name for name in TERMS if name not in ("mmr", "stability", "warm-up", "l1", "l2")]
BOUNDS = ["interval", "convex outer", "crown", "mtl"]
DRAWING = ["projections", "cc", "trades"]


def term(name, **options):
    kind, usual = TERMS[name]
    return regularizer.get(kind)(**usual | options)


def test_every_regularizer_is_here():
    assert {kind for kind, _ in TERMS.values()} == set(regularizer.names())


@pytest.mark.parametrize("net", ["conv", "residual"])
@pytest.mark.parametrize("name", TERMS)
def test_gradient_against_finite_differences(name, net):
    """Along a random direction of all parameters."""
    step, seen = 1e-7 if name == "mmr" else 1e-6, []
    scale = 3 if name == "trades" else 1  # else predictions hardly differ
    for sign in (0, 1, -1):
        batch = batch_of(net)
        parameters, generator = list(batch.net.parameters()), torch.Generator().manual_seed(3)
        directions = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
        with torch.no_grad():
            for parameter, direction in zip(parameters, directions, strict=True):
                parameter.mul_(scale).add_(direction, alpha=sign * step)
        value = term(name).value(batch)
        if sign:
            seen.append(value.item())
        else:
            gradients = torch.autograd.grad(value, parameters, materialize_grads=True)
            slope = sum((g * d).sum().item() for g, d in zip(gradients, directions, strict=True))
    assert abs(slope) > 1e-3
    assert (seen[0] - seen[1]) / (2 * step) == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize("name", TERMS)
def test_the_gradient_of_dead_neurons_is_finite(name):
    """Behind a layer that is off for all inputs nothing varies: u − l = 0."""
    batch = batch_of()
    with torch.no_grad():
        batch.net.layers[0].bias.fill_(-100.0)
    value = term(name).value(batch)
    value.backward()
    assert value.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in batch.net.parameters())


@pytest.mark.parametrize("name", OF_LOGITS)
def test_nothing_to_regularise_at_eps_0(name):
    assert abs(term(name).value(batch_of(eps=0.0)).item()) < 1e-12


@pytest.mark.parametrize("net", ["conv", "pool", "residual"])
@pytest.mark.parametrize("name", BOUNDS)
def test_no_sampled_margin_is_below_the_bound(name, net):
    batch, generator = batch_of(net, ramp=0.5), torch.Generator().manual_seed(1)
    term(name, clip_input=False).value(batch)
    for _ in range(100):
        delta = EPS * (2 * torch.rand(batch.x.shape, generator=generator, dtype=torch.float64) - 1).sign()
        z = batch.net(batch.x + delta)
        slack = (z.gather(1, batch.y[:, None]) - z + batch.worst_logits).min()
        assert -1e-12 <= slack < 1


@pytest.mark.parametrize("name", DRAWING)
def test_random_numbers_come_from_the_batchs_generator(name):
    torch.manual_seed(0)
    one, again, other = (term(name).value(batch_of(seed=seed)).item() for seed in (1, 1, 2))
    assert one == again != other
    batch = batch_of()
    with pytest.raises(UserError, match="enerator"):
        term(name).value(Batch(batch.net, batch.x, batch.y, EPS))


@pytest.mark.parametrize("name", ["convex outer", "crown", "mmr"])
def test_the_same_whatever_part_of_the_batch_fits(name, monkeypatch):
    whole = batch_of()
    value = term(name).value(whole)
    monkeypatch.setitem(chunks.TRAINING_POINTS, "cpu", 2)
    monkeypatch.setitem(chunks.PROJECTED_POINTS, "cpu", 2)
    parts = batch_of()
    torch.testing.assert_close(term(name).value(parts), value)


@pytest.mark.parametrize("name", ["double margin", "crown"])
def test_eps_and_the_ramp_may_be_tensors_on_the_device(name):
    values = [term(name).value(batch_of(eps=of(EPS), ramp=of(0.25))) for of in (float, torch.tensor)]
    torch.testing.assert_close(*values)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("convex outer", {"projections": -1}, "projections must be ≥ 0"),
        ("crown", {"beta_end": -1}, r"beta_end is in \[0, 1\], got -1"),
        ("mtl", {"alpha": 2}, r"alpha is in \[0, 1\], got 2"),
        ("mtl", {"attack_of_eps": 0.0}, "attack_of_eps must be > 0"),
        ("mmr", {"nearest": 2}, r"nearest is a share in \(0, 1\], got 2"),
        ("mmr", {"gamma_d_of_eps": 0.0}, "γ must be > 0"),
        ("trades", {"step": 0.1}, "give either step"),
        ("interval", {"domain": "intervl"}, "unknown forward domain 'intervl': did you mean 'interval'"),
        ("small box", {"share": 0}, r"share is in \(0, 1\], got 0"),
        ("small box", {"around": None}, "give around, too"),
        ("small box", {"norm": "l2"}, "of the norm linf, not l2"),
    ],
)
def test_a_wrong_option_is_named(name, options, message):
    with pytest.raises(UserError, match=message):
        term(name, **options)


@pytest.mark.parametrize("name", ["projections", "mmr"])
def test_a_layer_without_a_rule_is_named(name):
    with pytest.raises(UserError, match="no rule for the layer MaxPool"):
        term(name).value(batch_of("pool"))
