"""Training steps on a pretended GPU: no mix of devices, no wait of the host, and no more kernels than we know of."""

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended_gpu import GPU, pretended_gpu

from dmcore.data import Split
from dmcore.regularizers import Batch
from dmcore.regularizers.stack import Stack
from dmcore.training.captured import CapturedStep
from dmcore.training.objective import Objective
from dmcore.training.step import Learner, Step, seeded_net
from doublemargin.experiment.config import load_config
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.resolve import model_spec, needs_eps, resolved

CONFIG = load_config(Path(__file__).parents[3] / "config.yaml")
METHODS = sorted({path.split("/")[3] for path in Grid(CONFIG, "paper").model_paths()})
MODERN = sorted({path.split("/")[3] for path in Grid(CONFIG, "modern").model_paths()})
MOST = {  # kernels of a step
    **dict.fromkeys(METHODS, 450),
    **{"normal": 120, "mmr": 550, "bounded": 650, "dm_ensemble": 800},
    **dict.fromkeys(("adv", "adv_rs_pruning", "trades"), 1800),
}


def spec_of(method, eps="0.1", seed=0, **data):
    eps = eps if needs_eps(resolved(CONFIG["methods"][method], "mnist")) else "none"
    spec = model_spec(CONFIG, "paper", "mnist", "small", method, eps, seed)
    training = replace(spec.training, steps=4, warmup=0, ramp=2, batch=2, lr_drops=())
    return replace(spec, training=training, dataset={"shape": [1, 8, 8], "classes": 10, **data})


def kernels(make, *specs):
    """Those of the second step; Adam makes its averages in the first."""
    with pretended_gpu() as gpu:
        data = Split(torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8, device=GPU), torch.arange(8, device=GPU))
        step = make([Learner(spec, data, GPU, make.recordable) for spec in specs])
        assert step.schedule.ramp_factor(0) > 0
        for number in (0, 1):
            gpu.forget()
            step(number)
            assert not gpu.waits
            assert not gpu.mixed
    return sum(gpu.kernels.values())


@pytest.mark.parametrize(("make", "method"), [(Step, "dm"), *((CapturedStep, method) for method in METHODS)])
def test_a_step_stays_on_the_device(make, method):
    assert 50 < kernels(make, spec_of(method, augment={"pad": 1})) <= MOST[method]


@pytest.mark.parametrize(("method", "most"), [("dm", 105), ("ibp", 95), ("normal", 50)])
def test_a_stack_takes_the_kernels_of_its_passes_once(method, most):
    specs = [spec_of(method, eps, seed) for eps in ("0.1", "0.2") for seed in range(4)]
    assert kernels(CapturedStep, *specs) <= most * len(specs)


def losses(specs, stacked):
    """The losses and their gradients in float64."""
    batches = []
    for spec in specs:
        torch.manual_seed(spec.seed)
        x, y = torch.rand(3, 1, 8, 8, dtype=torch.float64), torch.tensor([1, 2, 3])
        generator = torch.Generator().manual_seed(spec.seed)
        batches.append(Batch(seeded_net(spec).double(), x, y, spec.eps_value / 2, generator, 0.5))
    if stacked:
        Stack(batches)
    found = [Objective(spec.method)(batch)[0] for spec, batch in zip(specs, batches, strict=True)]
    torch.autograd.backward(found)
    grads = [p.grad.flatten() for batch in batches for p in batch.net.parameters()]
    return torch.stack(found).detach(), torch.cat(grads)


def test_a_stack_is_gone_with_its_batches():
    """Without Python's collector of cycles: what it keeps is a whole step's memory."""
    gc.disable()
    try:
        batches = [Batch(seeded_net(spec_of("dm")), torch.rand(2, 1, 8, 8), torch.tensor([1, 2]), 0.1) for _ in "ab"]
        stack = weakref.ref(Stack(batches))
        Objective(spec_of("dm").method)(batches[0])
        assert stack() is not None
        del batches
        assert stack() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("method", [*METHODS, *MODERN])
def test_stacked_models_have_their_own_losses_and_gradients(method):
    specs = [spec_of(method), spec_of(method, "0.3", 1)]
    torch.testing.assert_close(losses(specs, stacked=True), losses(specs, stacked=False), rtol=1e-9, atol=1e-11)
