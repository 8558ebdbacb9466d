"""The warm-up regulariser of Shi et al. against loops in float64."""

import numpy as np
import pytest
from batches import EPS, batch_of, steps_of
from dense_reference import interval

from dmcore.domains import Interval
from dmcore.registries import regularizer


def by_loops(batch, steps, tolerance, clip):
    """Its public code's, over the interval bounds of every ReLU's inputs."""
    boxes = [interval(steps, x.flatten().numpy(), EPS, clip) for x in batch.x]
    layers = [i for i, step in enumerate(steps) if step[0] == "relu"]
    first = np.mean([(box[0][1] - box[0][0]) / 2 for box in boxes])
    total = 0.0
    for i in layers:
        lower, upper = (np.array([box[i][side] for box in boxes]) for side in (0, 1))
        center, active, inactive = (lower + upper) / 2, lower > 0, upper < 0
        total += max(tolerance - first / ((upper - lower) / 2).mean(), 0) / tolerance
        spread = (center - center.mean()) ** 2
        pairs = [
            ((center * active).mean(), -(center * inactive).mean()),
            ((spread * active).sum(), (spread * inactive).sum()),
        ]
        if all(max(pair) > 0 for pair in pairs):
            total += sum(max(tolerance - min(pair) / max(pair), 0) / tolerance for pair in pairs)
    return total / len(layers)


@pytest.mark.parametrize("tolerance", [0.5, 0.9])
@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", ["conv", "pool"])
def test_value_by_loops(name, clip, tolerance):
    batch, steps = batch_of(name), steps_of(name)
    value = regularizer.get("shi_warmup")(tolerance, clip).value(batch)
    assert value.item() == pytest.approx(by_loops(batch, steps, tolerance, clip), abs=1e-9)
    assert value > 0


def test_terms_share_the_interval_pass(monkeypatch):
    passes, states = [], Interval.states
    monkeypatch.setattr(Interval, "states", lambda *given: passes.append(1) or states(*given))
    batch = batch_of()
    regularizer.get("shi_warmup")(clip_input=True).value(batch)
    regularizer.get("worst_case")(domain="interval", clip_input=True, form="elided").value(batch)
    assert len(passes) == 1
