"""Short real trainings: they are reproducible, and each method moves what it is meant to move."""

from dataclasses import replace

import pytest
import torch
from small_images import L1, digits, model, weights, worst_case

from dmcore.certify import certify_points
from dmcore.data import Split
from dmcore.errors import UserError
from dmcore.spec import ModelSpec
from dmcore.training.batches import Batches
from dmcore.training.loop import train
from dmcore.training.step import seeded_net

CPU = torch.device("cpu")
LATER_VALUES = {"clip": 10.0, "lr_divisor": 5.0, "ramp_shape": "smooth"}


def test_same_spec_same_weights_other_seed_others_and_torchs_random_state_left_alone():
    def trained(seed=0):
        return train(model(worst_case("double_margin"), eps="0.1", steps=8, warmup=1, ramp=3, seed=seed), digits(), CPU)

    state = torch.get_rng_state()
    one, two, other = trained(), trained(), trained(seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(weights(one.net), weights(two.net))
    assert one.history == two.history
    assert not torch.equal(weights(one.net), weights(other.net))


@pytest.fixture(scope="module")
def plainly_trained():
    return train(model(steps=120, warmup=0, ramp=0), digits(), CPU)


def test_normal_training_learns_digits(plainly_trained):
    history = plainly_trained.history
    assert plainly_trained.accuracies["test"] > 0.85
    assert history[-1]["accuracy"] > 0.85 > 0.5 > history[0]["accuracy"]
    assert [entry["step"] for entry in history] == list(range(6, 121, 6))
    assert [entry["epoch"] for entry in history] == [step / 40 for step in range(6, 121, 6)]
    assert "robust_accuracy" not in history[0]


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["interval", "double_margin", "single_margin", "interval_margin"])
def test_robust_methods_certify_where_normal_training_does_not(domain, plainly_trained):
    robust = train(model(worst_case(domain), eps="0.05", steps=200, warmup=20, ramp=80, lr=2e-3), digits(), CPU)
    x, y = digits().test.x[:60].float() / 255, digits().test.y[:60]
    plain, certified = (certify_points(t.net, x, y, 0.05).certified_accuracy for t in (plainly_trained, robust))
    assert plain < 0.05
    assert certified > 0.7
    assert robust.history[-1]["robust_accuracy"] > 0.6


def test_the_loss_is_the_clean_one_plus_the_weighted_terms():
    (entry,) = train(model(worst_case("interval"), L1, eps="0.01", steps=1, warmup=0, ramp=2), digits(), CPU).history
    assert entry["ramp"] == 0.5
    assert entry["eps"] == pytest.approx(0.005)
    expected = entry["clean"] + 0.25 * entry["worst_case_interval"] + 2e-5 * entry["weight_norm_l1"]
    assert entry["loss"] == pytest.approx(expected, rel=1e-6)


def test_batches_cover_an_epoch_once_and_drop_the_rest():
    data = Split(torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1), torch.arange(10))
    batches = Batches(data, size=3, seed=0)
    seen = [batches[step] for step in range(6)]
    first, second = (torch.cat([y for _, y in part]) for part in (seen[:3], seen[3:]))
    for epoch in (first, second):
        assert len(set(epoch.tolist())) == 9
    assert first.tolist() != second.tolist()
    x, y = seen[0]
    assert x.flatten().tolist() == y.tolist()
    for start in range(6):
        later = Batches(data, size=3, seed=0)
        assert all(torch.equal(later[step][1], seen[step][1]) for step in range(start, 6))


def test_a_batch_larger_than_the_data_is_refused():
    with pytest.raises(UserError, match="batch size 5000, but only 2000 training points"):
        train(model(steps=2, batch=5000), digits(), CPU)


def test_the_initial_net_depends_on_the_seed_alone():
    assert torch.equal(seeded_net(model()).layers[0].weight, seeded_net(model(L1, steps=9)).layers[0].weight)
    assert not torch.equal(seeded_net(model()).layers[0].weight, seeded_net(model(seed=1)).layers[0].weight)


def test_clipped_gradients_have_at_most_that_norm():
    """SGD's first step moves the weights by the learning rate times the gradients."""

    def moved(clip):
        spec = model(L1, steps=1, warmup=0, ramp=0, lr=0.5, optimizer="sgd")
        spec = replace(spec, training=replace(spec.training, clip=clip, lr_drops=()))
        before, after = seeded_net(spec).parameters(), train(spec, digits(), CPU).net.parameters()
        return torch.cat([(a - b).flatten() for a, b in zip(after, before, strict=True)]).norm().item() / 0.5

    free = moved(0.0)
    assert moved(free / 3) == pytest.approx(free / 3, rel=1e-3)
    assert moved(3 * free) == pytest.approx(free, rel=1e-4)


def test_settings_that_came_later_leave_old_hashes_alone():
    spec = model(eps="0.1")
    assert not {"init", "clip", "lr_divisor", "ramp_shape"} & {*spec.to_dict()["method"], *spec.to_dict()["training"]}
    changed = [
        replace(spec, method=replace(spec.method, init="ibp")),
        *(replace(spec, training=replace(spec.training, **{key: value})) for key, value in LATER_VALUES.items()),
    ]
    assert len({one.hash for one in (spec, *changed)}) == 5
    assert all(ModelSpec.from_dict(one.to_dict()) == one for one in (spec, *changed))
