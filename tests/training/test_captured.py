"""Steps replayed as CUDA graphs against the same steps made one by one."""

import pytest
import torch
from small_images import digits, model, worst_case

from dmcore.spec import AttackSpec, Pruning
from dmcore.training.loop import train

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
SPECS = {
    "normal": model(steps=60),
    "double margin, pruned": model(worst_case("double_margin"), eps="0.1", steps=60, pruning=Pruning(weights=0.01)),
    "interval": model(worst_case("interval", clip_input=True), eps="0.1", steps=60),
    "attacked": model(eps="0.1", steps=60, attack=AttackSpec("pgd", {"steps": 3, "step": 0.05})),
    "sgd": model(steps=60, lr=0.05, optimizer="sgd"),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_replayed_run_is_the_run_itself(name):
    device = torch.device("cuda")
    eager, captured = (train(SPECS[name], digits(), device, cuda_graphs=graphs) for graphs in (False, True))
    for ours, theirs in zip(captured.net.parameters(), eager.net.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert [e["step"] for e in captured.history] == [e["step"] for e in eager.history]
    for ours, theirs in zip(captured.history, eager.history, strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-2)
    again = train(SPECS[name], digits(), device, cuda_graphs=True)
    assert all(torch.equal(a, b) for a, b in zip(again.net.parameters(), captured.net.parameters(), strict=True))
