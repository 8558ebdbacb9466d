"""Several trainings in one process: each computes what it computes alone."""

from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from small_images import at_step, digits, model, terminate, weights, worst_case

from dmcore.errors import UserError
from dmcore.regularizers.stack import Stack
from dmcore.signals import StoppedError
from dmcore.spec import AttackSpec, Pruning
from dmcore.training import plan
from dmcore.training.loop import Run, Saving, finish, train
from dmcore.training.plan import Plan
from dmcore.training.step import Learner, Step

CPU = torch.device("cpu")
SPECS = [
    model(worst_case("double_margin"), eps="0.1", steps=12, warmup=2, ramp=5, pruning=Pruning(weights=0.02)),
    model(eps="0.1", steps=8, warmup=2, ramp=3, attack=AttackSpec("pgd", {"steps": 2, "step": 0.05}), seed=1),
    model(steps=10, augment={"pad": 2, "flip": True}),
]


def runs(specs=SPECS):
    return [Run(spec, digits(), CPU) for spec in specs]


def saved(folder, specs=SPECS):
    """The same with their states in a folder, from which they go on."""
    return [Run(spec, digits(), CPU, Saving(folder / str(i), "key")) for i, spec in enumerate(specs)]


def test_together_as_alone_to_the_bit():
    ended = []
    together = runs()
    finish(together, done=ended.append)
    assert ended == [together[1], together[2], together[0]]  # in the order of their steps
    for run, spec in zip(together, SPECS, strict=True):
        alone = train(spec, digits(), CPU)
        assert torch.equal(weights(run.net), weights(alone.net))
        assert run.at.history == alone.history
        assert run.trained().accuracies == alone.accuracies
        assert min(run.at.seconds, run.at.cpu_seconds) > 0


STACKED = [
    model(
        worst_case("double_margin", weight),
        eps=eps,
        seed=seed,
        steps=12,
        warmup=2,
        ramp=5,
        batch=10,
        name=f"dm{weight}",
    )
    for weight, eps, seed in ((0.5, "0.1", 0), (0.25, "0.2", 1), (0.5, "0.3", 0))
]


def close(run, alone):
    torch.testing.assert_close(weights(run.net), weights(alone.net), rtol=0, atol=1e-3)
    for ours, theirs in zip(run.at.history, alone.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=0.03)


def test_stacked_runs_are_those_alone_up_to_the_order_of_sums(tmp_path, monkeypatch):
    alone = [train(spec, digits(), CPU) for spec in (*STACKED, SPECS[2])]
    stacks, make = [], Stack.__init__
    monkeypatch.setattr(Stack, "__init__", lambda self, some: stacks.append(len(some)) or make(self, some))
    with monkeypatch.context() as patch:
        at_step(patch, 8, terminate)
        with pytest.raises(StoppedError, match=r"after step 9 of 12.*after step 9 of 12"):
            finish(saved(tmp_path, [*STACKED, SPECS[2]]), stack=2)
    together = saved(tmp_path, [*STACKED, SPECS[2]])
    finish(together, stack=3)
    assert stacks == [2] * 9 + [3] * 3
    for run, one in zip(together, alone, strict=True):
        close(run, one)
    assert torch.equal(weights(together[3].net), weights(alone[3].net))


def test_one_that_cannot_go_on_leaves_its_stack(capsys):
    bad = replace(STACKED[1], method=replace(STACKED[1].method, regularizers=(worst_case("double_margin", 1e39),)))
    together = runs([STACKED[0], bad, STACKED[2]])
    finish(together, stack=3)
    assert "no longer finite at step 3 of 12" in capsys.readouterr().err
    for run, spec in zip(together[::2], STACKED[::2], strict=True):
        close(run, train(spec, digits(), CPU))


def test_what_torch_raises_of_one_leaves_the_others_alone(capsys, monkeypatch):
    def batch(self, *given, make=Learner.batch):
        if self.spec == SPECS[0]:
            raise RuntimeError("CUDA out of memory")
        return make(self, *given)

    monkeypatch.setattr(Learner, "batch", batch)
    together = runs()
    finish(together)
    assert f"{SPECS[0].path}: CUDA out of memory" in capsys.readouterr().err
    assert [run.left for run in together] == [12, 0, 0]
    for work in (lambda: finish(runs(SPECS[:1])), together[0].trained):
        with pytest.raises(RuntimeError, match="CUDA out of memory"):
            work()


def test_one_that_cannot_go_on_leaves_the_others_alone(capsys):
    together = runs([SPECS[2], model(steps=10, lr=1e30, optimizer="sgd")])
    finish(together)
    assert "no longer finite" in capsys.readouterr().err
    with pytest.raises(UserError, match="no longer finite"):
        together[1].trained()
    assert torch.equal(weights(together[0].trained().net), weights(train(SPECS[2], digits(), CPU).net))


def test_sigterm_saves_them_all(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        at_step(patch, 4, terminate)
        with pytest.raises(StoppedError, match=r"after step 5 of 12.*after step 5 of 8.*after step 5 of 10"):
            finish(saved(tmp_path))
    resumed = saved(tmp_path)
    finish(resumed)
    for run, spec in zip(resumed, SPECS, strict=True):
        assert torch.equal(weights(run.net), weights(train(spec, digits(), CPU).net))


@pytest.mark.parametrize("under_way", [False, True])
def test_a_loss_that_is_not_finite_at_sigterm_leaves_the_others_saved(under_way, tmp_path, monkeypatch):
    """Whether it shows in the run's own turn or, as on a GPU, in the block that is under way when all are put aside."""
    specs = [SPECS[0], model(steps=10, lr=1e30, optimizer="sgd", batch=30), SPECS[2]]
    call = Step.__call__

    def step_and_stop(self, step):
        call(self, step)
        if step == 1 and self.learners[0].spec == SPECS[2]:
            terminate()

    def record_event():
        answers = iter([False] * under_way)
        return SimpleNamespace(query=lambda: next(answers, True))

    together = saved(tmp_path, specs)
    with monkeypatch.context() as patch:
        patch.setattr(Step, "__call__", step_and_stop)
        patch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
        for run in together:
            run.stream = SimpleNamespace(record_event=record_event)
        told = r"after step 2 of 12; its state is saved.*after step 2 of 10; its state is saved"
        with pytest.raises(StoppedError, match=told):
            finish(together)
    assert "no longer finite at step 2 of 10" in str(together[1].error)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "2"]
    first, _, last = saved(tmp_path, specs)
    finish([first, last])
    for run in (first, last):
        assert torch.equal(weights(run.net), weights(train(run.spec, digits(), CPU).net))


def test_what_is_late_is_put_aside_with_its_state(tmp_path):
    (run,) = saved(tmp_path, SPECS[:1])
    finish([run], deadline=0.0)
    assert 0 < run.left < 12
    (again,) = saved(tmp_path, SPECS[:1])
    finish([again])
    assert torch.equal(weights(again.net), weights(train(SPECS[0], digits(), CPU).net))


class Paced(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.mark.parametrize(
    ("lefts", "expected"),
    [
        ([900, 900, 900, 900], 0),  # a tenth of the steps in 100 of 1,100 seconds
        ([950, 950, 950, 950], 2),  # half as fast as needed: half of them can be done
        ([950, 950, 950, 100], 2),  # the last is nearly done
        ([1000, 1000, 1000, 1000], 3),  # nothing at all was made
    ],
)
def test_the_last_runs_give_way_to_the_first(monkeypatch, lefts, expected):
    now = 1000.0
    monkeypatch.setattr(plan.time, "monotonic", lambda: now)
    some = [Paced(left=1000) for _ in lefts]
    watch = Plan(deadline=2100.0)
    assert watch.late(some) == []
    for run, left in zip(some, lefts, strict=True):
        run.left = left
    now += 10
    assert watch.late(some) == []  # too early to say
    now += 90
    late = watch.late(some)
    waiting = [run for run in some if run.left > 100]
    assert late == waiting[len(waiting) - expected :]
