"""What a training gives besides weights: splits, votes, pruned ReLUs, the record, and the model as loaded again."""

import dataclasses

import pytest
import torch
from small_images import digits, model, worst_case

from dmcore.data import Split
from dmcore.domains.interval import unstable_relus
from dmcore.nets.ensemble import vote
from dmcore.perturbation import Ball
from dmcore.training.loop import train

CPU = torch.device("cpu")


def test_validation_points_are_scored_and_not_trained_on():
    whole = digits()
    held = Split(whole.train.x[:200], (whole.train.y[:200] + 1) % 10)  # labels that no training could learn
    images = dataclasses.replace(whole, validation=held)
    trained = train(model(steps=60, warmup=0, ramp=0), images, CPU)
    assert trained.accuracies["test"] > 0.7
    assert trained.accuracies["validation"] < 0.1
    assert "validation" not in train(model(steps=1), whole, CPU).accuracies


@pytest.mark.slow
def test_an_ensemble_is_scored_by_average_and_by_vote():
    spec = model(worst_case("double_margin"), eps="0.01", steps=60, warmup=20, ramp=20, members=3, lr=2e-3)
    trained = train(spec, digits(), CPU)
    x, y = digits().test.x.float() / 255, digits().test.y
    assert trained.accuracies["test"] == pytest.approx((trained.net(x).argmax(1) == y).float().mean().item())
    assert trained.accuracies["test_vote"] == pytest.approx((vote(trained.net, x) == y).float().mean().item())
    assert trained.accuracies["test"] > 0.7


def test_the_history_counts_the_unstable_relus_of_the_last_batch():
    spec = model(worst_case("interval"), eps="0.1", steps=40, warmup=0, ramp=0)
    trained = train(spec, digits(), CPU)
    entry = trained.history[-1]
    assert entry["step"] == 40
    order = torch.randperm(2000, generator=torch.Generator().manual_seed(0))
    last = digits().train.x[order[-50:]].float() / 255
    assert entry["unstable_relus"] == unstable_relus(trained.net, Ball(last, 0.1)).item() > 0
    assert "unstable_relus" not in train(model(steps=1), digits(), CPU).history[0]
