"""Training with batch normalisation: all passes of a step share the clean batch's statistics; the result has none."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small_images import digits, model, weights, worst_case
from test_captured import on_a_gpu
from test_resume import interrupted

from dmcore import certify_points
from dmcore.checkpoint import load_model, save_model
from dmcore.data import pixels
from dmcore.device import reproducible
from dmcore.nets.layers import BatchNorm
from dmcore.registry import use_plugins
from dmcore.spec import AttackSpec, Term
from dmcore.training import captured, loop
from dmcore.training.captured import CapturedStep
from dmcore.training.loop import Run, Saving, finish, train
from dmcore.training.step import Learner

CPU = torch.device("cpu")
PGD = {"kind": "pgd", "steps": 1, "step_of_eps": 10}
PLUGIN = """
from dmcore.registries import architecture
from torch import nn

@architecture("normalised")
def normalised(b, num_classes):
    return nn.Sequential(
        nn.Conv2d(1, 6, 4, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
        nn.Linear(486, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, num_classes),
    )
"""


@pytest.fixture(autouse=True)
def _normalised(tmp_path):
    (tmp_path / "normalised.py").write_text(PLUGIN)
    use_plugins([tmp_path / "normalised.py"])
    yield
    use_plugins([])


def spec(*terms, **options):
    return replace(model(*terms, **({"eps": "0.1", "init": "ibp", "lr": 5e-3} | options)), arch="normalised")


IBP = spec(
    worst_case("interval", form="elided", clip_input=True), Term("shi_warmup", 0.5, "fall", {"clip_input": True})
)
MTL = Term("expressive", 1.0, False, {"blend": "mtl", "alpha": 0.3, "clip_input": True, "attack": PGD})


def test_the_trained_network_is_as_good_and_has_no_layer_more(tmp_path):
    trained = train(IBP, digits(), CPU)
    assert trained.accuracies["test"] == pytest.approx(trained.history[-1]["accuracy"], abs=0.1)
    images = digits().test
    certified = certify_points(trained.net, pixels(images.x), images.y, 0.1, certifier="ibp", clip_input=True)
    assert certified.certified_accuracy == pytest.approx(trained.history[-1]["robust_accuracy"], abs=0.1)
    assert certified.certified_accuracy > 0.15
    save_model(tmp_path / "m", trained.net, IBP)
    net, _, _ = load_model(tmp_path / "m")
    assert torch.equal(net(pixels(images.x)), trained.net(pixels(images.x)))
    assert [type(layer) for layer in net.layers] == [type(layer) for layer in trained.net.layers]
    assert not any(isinstance(layer, BatchNorm) for layer in net.layers)


def test_attacks_and_bounds_take_the_statistics_of_the_clean_batch():
    learner = Learner(spec(MTL, attack=AttackSpec("pgd", {"steps": 2, "step": 0.05})), digits().train, CPU)
    batch = learner.batch(*learner.batches[0], 0.1, 1.0)
    norm, before = learner.net.layers[1], learner.net.layers[0](batch.x)
    var, mean = torch.var_mean(before, (0, 2, 3), correction=0)
    learner.objective(batch)
    torch.testing.assert_close((norm.mean.flatten(), norm.var.flatten()), (mean, var))
    attacked = batch.attacked(learner.objective.attack)[0]
    assert (attacked != batch.x).any()
    expected = F.batch_norm(learner.net.layers[0](attacked), mean.detach(), var.detach())
    torch.testing.assert_close(norm(learner.net.layers[0](attacked)), expected)


@pytest.mark.parametrize("name", ["ibp", "attacked"])
def test_bit_identical_after_interruptions(name, tmp_path, monkeypatch):
    one = {"ibp": IBP, "attacked": spec(attack=AttackSpec("pgd", {"steps": 2, "step": 0.05}))}[name]
    whole, saving = train(one, digits(), CPU), Saving(tmp_path / "state", "key", every=0.0)
    for step in (1, 17, 60):  # the last when all steps are done
        interrupted(one, saving, step, monkeypatch)
    resumed = train(one, digits(), CPU, Saving(tmp_path / "state", "key"))
    assert torch.equal(weights(resumed.net), weights(whole.net))
    assert resumed.history == whole.history


def test_stacked_runs_are_those_alone_up_to_the_order_of_sums():
    specs = [replace(IBP, seed=seed, training=replace(IBP.training, steps=12)) for seed in (0, 1)]
    together = [Run(one, digits(), CPU) for one in specs]
    finish(together, stack=2)
    for run, one in zip(together, specs, strict=True):
        torch.testing.assert_close(
            weights(run.trained().net), weights(train(one, digits(), CPU).net), rtol=0, atol=1e-3
        )
    assert all(run.stacked for run in together)


@on_a_gpu
def test_a_replayed_run_is_the_run_itself():
    reproducible(1)
    eager, replayed = (train(IBP, digits(), torch.device("cuda"), cuda_graphs=graphs) for graphs in (False, True))
    torch.testing.assert_close(weights(replayed.net), weights(eager.net), rtol=1e-3, atol=1e-3)


def test_steps_that_take_everything_from_tensors_are_the_same_steps(monkeypatch):
    """On the CPU, without a recording: what a recording would do."""
    one = replace(IBP, training=replace(IBP.training, steps=15))
    expected = train(one, digits(), CPU)
    monkeypatch.setattr(captured, "EAGER_FIRST", one.training.steps)
    monkeypatch.setattr(loop, "Step", CapturedStep)
    rate = torch.tensor(one.training.lr)
    monkeypatch.setattr(
        Learner, "_make_optimizer", lambda self, _: torch.optim.Adam(self.net.parameters(), lr=rate, fused=True)
    )
    found = train(one, digits(), CPU)
    for ours, theirs in zip(found.history, expected.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
