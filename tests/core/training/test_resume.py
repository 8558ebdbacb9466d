"""A training that was interrupted and taken up again ends with the same bits as one that never was."""

import json

import pytest
import torch
from small_images import Killed, digits, model, weights, worst_case

from dmcore import tensorfile
from dmcore.errors import UserError
from dmcore.spec import AttackSpec, Pruning
from dmcore.training import loop
from dmcore.training.loop import Saving, train
from dmcore.training.state import KIND

CPU = torch.device("cpu")
PGD = AttackSpec("pgd", {"steps": 2, "step": 0.05})  # its random start must go on where it stopped
SPECS = {
    "double margin, pruned": model(
        worst_case("double_margin"), eps="0.1", steps=60, warmup=5, ramp=20, pruning=Pruning(weights=0.02)
    ),
    "attacked": model(eps="0.1", steps=45, warmup=5, ramp=10, attack=PGD),
    "augmented": model(steps=45, augment={"pad": 2, "flip": True}),
    "ensemble": model(worst_case("double_margin"), eps="0.1", steps=45, batch=20, warmup=5, ramp=10, members=2),
    "sgd": model(steps=45, lr=0.05, optimizer="sgd"),
}


def interrupted(spec, saving, step, monkeypatch):
    """Runs until ``step`` steps are done and saved, and no further."""
    save = loop.Run.save

    def save_and_die(run):
        if run.at.step == step:
            save(run)
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop.Run, "save", save_and_die)
        with pytest.raises(Killed):
            train(spec, digits(), CPU, saving)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_bit_identical_after_interruptions_anywhere(name, tmp_path, monkeypatch):
    spec = SPECS[name]
    whole = train(spec, digits(), CPU)
    saving = Saving(tmp_path / "state", "key", every=0.0)
    for step in (1, 17, 40, 43):  # in the warm-up and the ramp, at an epoch's end (40 steps), behind it
        interrupted(spec, saving, step, monkeypatch)
    resumed = train(spec, digits(), CPU, Saving(tmp_path / "state", "key"))
    assert torch.equal(weights(resumed.net), weights(whole.net))
    assert resumed.history == whole.history
    assert resumed.accuracies == whole.accuracies


@pytest.mark.parametrize("spoilt", ["key", "truncated", "flipped"])
def test_a_state_that_does_not_fit_is_not_used(spoilt, tmp_path, monkeypatch, capsys):
    spec, path = SPECS["sgd"], tmp_path / "state"
    interrupted(spec, Saving(path, "key", 0.0), 10, monkeypatch)
    content = bytearray(path.read_bytes())
    if spoilt == "flipped":
        content[-3] ^= 1
    path.write_bytes(content[:1000] if spoilt == "truncated" else content)
    again = train(spec, digits(), CPU, Saving(path, "other" if spoilt == "key" else "key"))
    assert "starting anew: " in capsys.readouterr().err
    assert torch.equal(weights(again.net), weights(train(spec, digits(), CPU).net))


def test_the_seconds_of_all_parts_are_added_up(tmp_path, monkeypatch):
    saving = Saving(tmp_path / "state", "key", 0.0)
    interrupted(SPECS["sgd"], saving, 30, monkeypatch)
    before = json.loads(tensorfile.load(saving.path, KIND)[1]["progress"])
    trained = train(SPECS["sgd"], digits(), CPU, Saving(saving.path, "key"))
    assert trained.seconds > before["seconds"] > 0
    assert trained.cpu_seconds > before["cpu_seconds"] > 0


def test_a_loss_that_is_not_finite_names_the_step_and_leaves_the_last_good_state(tmp_path):
    spec = model(worst_case("interval"), eps="0.3", steps=20, warmup=0, ramp=0, lr=1e18, name="wild")
    saving = Saving(tmp_path / "state", "key", 0.0)
    with pytest.raises(UserError) as error:
        train(spec, digits(), CPU, saving)
    at = int(str(error.value).split(" at step ")[1].split()[0])
    assert "the loss of the method 'wild' is no longer finite" in str(error.value)
    assert "lower the learning rate (1e+18) or lengthen the ramp (0 steps)" in str(error.value)
    assert str(error.value).endswith(f"the last good state is {saving.path}")
    tensors, meta = tensorfile.load(saving.path, KIND)
    progress = json.loads(meta["progress"])
    assert progress["step"] == at - 1
    assert all(t.isfinite().all() for name, t in tensors.items() if name.startswith("totals."))
