import pytest

from dmcore.training.schedule import Schedule


def test_warmup_ramp_constant():
    schedule = Schedule(steps=100, warmup=10, ramp=20, lr=1e-3, lr_drops=(50, 80))
    assert [schedule.ramp_factor(step) for step in (0, 9, 10, 19, 29, 30, 99)] == [0.0, 0.0, 0.05, 0.5, 1.0, 1.0, 1.0]
    assert [schedule.learning_rate(step) for step in (0, 49, 50, 79, 80)] == pytest.approx(
        [1e-3, 1e-3, 1e-4, 1e-4, 1e-5]
    )


def test_without_a_ramp_the_level_jumps():
    schedule = Schedule(steps=10, warmup=3, ramp=0, lr=1.0)
    assert [schedule.ramp_factor(step) for step in (2, 3, 4)] == [0.0, 1.0, 1.0]
