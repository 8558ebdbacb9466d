"""Steps replayed as CUDA graphs against the same steps made one by one."""

from dataclasses import replace

import pytest
import torch
from small_images import digits, model, worst_case

from dmcore.device import reproducible
from dmcore.spec import AttackSpec, Pruning, Term
from dmcore.training import captured, loop
from dmcore.training.captured import CapturedStep
from dmcore.training.loop import train
from dmcore.training.step import Learner

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
PGD = {"kind": "pgd", "steps": 1, "step_of_eps": 10}
SPECS = {
    "normal": model(steps=60),
    "double margin, pruned": model(worst_case("double_margin"), eps="0.1", steps=60, pruning=Pruning(weights=0.01)),
    "interval": model(worst_case("interval", clip_input=True), eps="0.1", steps=60),
    "attacked": model(eps="0.1", steps=60, attack=AttackSpec("pgd", {"steps": 3, "step": 0.05})),
    "expressive": model(
        Term("expressive", 1.0, False, {"blend": "cc", "alpha": 0.3, "clip_input": True, "attack": PGD}),
        Term("shi_warmup", 0.5, "fall", {"clip_input": True}),
        Term("crown_ibp", 0.5, True, {"clip_input": True}),
        eps="0.1",
        steps=60,
        init="ibp",
    ),
    "sgd": model(steps=60, lr=0.05, optimizer="sgd"),
}


@on_a_gpu
@pytest.mark.parametrize("name", SPECS)
def test_a_replayed_run_is_the_run_itself(name):
    reproducible(1)
    device = torch.device("cuda")
    eager, captured = (train(SPECS[name], digits(), device, cuda_graphs=graphs) for graphs in (False, True))
    for ours, theirs in zip(captured.net.parameters(), eager.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert [e["step"] for e in captured.history] == [e["step"] for e in eager.history]
    for ours, theirs in zip(captured.history, eager.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
    again = train(SPECS[name], digits(), device, cuda_graphs=True)
    assert all(torch.equal(a, b) for a, b in zip(again.net.parameters(), captured.net.parameters(), strict=True))


@pytest.mark.parametrize("block", [1, 7])
@pytest.mark.parametrize("name", ["normal", "double margin, pruned", "interval", "expressive"])
def test_steps_that_take_everything_from_tensors_are_the_same_steps(name, block, monkeypatch):
    """On the CPU, without a recording: what a recording would do."""
    spec = SPECS[name]
    spec = replace(spec, training=replace(spec.training, steps=15, warmup=4, ramp=5, lr_drops=(10,)))
    expected = train(spec, digits(), torch.device("cpu"))
    monkeypatch.setattr(captured, "EAGER_FIRST", spec.training.steps)
    monkeypatch.setattr(loop, "Step", CapturedStep)
    monkeypatch.setitem(loop.BLOCK, "cpu", block)
    rate = torch.tensor(spec.training.lr)
    monkeypatch.setattr(
        Learner, "_make_optimizer", lambda self, _: torch.optim.Adam(self.net.parameters(), lr=rate, fused=True)
    )
    found = train(spec, digits(), torch.device("cpu"))
    for ours, theirs in zip(found.net.parameters(), expected.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=4e-3)  # λ, ε and the rate are float32 there
    assert [entry["step"] for entry in found.history] == [entry["step"] for entry in expected.history]
    for ours, theirs in zip(found.history, expected.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
