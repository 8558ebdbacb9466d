"""Training steps on a pretended GPU: no mix of devices, no wait of the host, and no more kernels than we know of."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretended_gpu import GPU, pretended_gpu

from dmcore.data import Split
from dmcore.training.captured import CapturedStep
from dmcore.training.step import Step
from doublemargin.experiment.config import load_config
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.resolve import model_spec, needs_eps, resolved

CONFIG = load_config(Path(__file__).parents[3] / "config.yaml")
METHODS = sorted({path.split("/")[3] for path in Grid(CONFIG, "paper").model_paths()})
MOST = {  # kernels of a step, Adam's beginnings included
    **dict.fromkeys(METHODS, 450),
    **{"normal": 120, "mmr": 550, "bounded": 650, "dm_ensemble": 800},
    **dict.fromkeys(("adv", "adv_rs_pruning", "trades"), 1800),
}


@pytest.mark.parametrize(("make", "method"), [(Step, "dm"), *((CapturedStep, method) for method in METHODS)])
def test_a_step_stays_on_the_device(make, method):
    eps = "0.1" if needs_eps(resolved(CONFIG["methods"][method], "mnist")) else "none"
    spec = model_spec(CONFIG, "paper", "mnist", "small", method, eps, 0)
    training = replace(spec.training, steps=4, warmup=0, ramp=2, batch=2, lr_drops=())
    spec = replace(spec, training=training, dataset={"shape": [1, 8, 8], "classes": 10, "augment": {"pad": 1}})
    with pretended_gpu() as gpu:
        data = Split(torch.randint(256, (8, 1, 8, 8), dtype=torch.uint8, device=GPU), torch.arange(8, device=GPU))
        step = make(spec, data, GPU)
        assert step.schedule.ramp_factor(0) > 0
        gpu.forget()
        step(0)
    assert not gpu.waits
    assert not gpu.mixed
    assert 50 < sum(gpu.kernels.values()) <= MOST[method]
