"""What a training gives besides weights: splits, votes, pruned ReLUs, the record, and the model as loaded again."""

import dataclasses
import json

import pytest
import torch
from small_images import digits, model, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import load_model
from dmcore.data import Split
from dmcore.domains.interval import unstable_relus
from dmcore.files import read_json
from dmcore.nets.ensemble import vote
from dmcore.nets.layers import Scale
from dmcore.perturbation import Ball
from dmcore.spec import Pruning
from dmcore.training.loop import accuracy, train
from doublemargin.experiment.jobs.train import train_job

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


@pytest.fixture
def prepared(tmp_path):
    path = tmp_path / "digits.safetensors"
    images = digits()
    tensors = {f"{s}_{a}": getattr(getattr(images, s), a) for s in ("train", "test") for a in "xy"}
    tensorfile.save(path, "dmcore.images", tensors, {"info": json.dumps({"name": "mnist", "variant": "made up"})})
    return path


@pytest.mark.slow
@pytest.mark.parametrize("members", [1, 2])
def test_pruned_relus_survive_saving_and_are_what_is_scored(prepared, tmp_path, members):
    spec = model(steps=40, pruning=Pruning(relus=0.1), members=members)
    record = train_job(spec, prepared, tmp_path / "m.safetensors", tmp_path / "training.json", CPU)
    assert read_json(tmp_path / "training.json") == json.loads(json.dumps(record))
    net, loaded, weights = load_model(tmp_path / "m.safetensors")
    assert (loaded, weights) == (spec, record["model_sha256"])
    assert record["test_accuracy"] == accuracy(digits().test, lambda x: net(x).argmax(1))
    assert record["data"]["variant"] == "made up"
    keep = torch.cat([layer.factor.flatten() for layer in list(net.layers) if isinstance(layer, Scale)])
    assert 0 < keep.mean() < 1
    plain = train(model(steps=40, members=members), digits(), CPU).net
    x = digits().test.x[:20].float() / 255
    assert not torch.equal(net(x), plain(x))
    ours, theirs = net.state_dict().values(), plain.state_dict().values()
    assert sum(t.numel() for t in ours) > sum(t.numel() for t in theirs)
