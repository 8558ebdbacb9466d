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


def test_a_smooth_ramp_is_x4_and_then_a_line_of_the_same_slope():
    schedule = Schedule(steps=2000, warmup=0, ramp=1000, lr=1.0, ramp_shape="smooth")
    shares = [schedule.ramp_factor(step - 1) for step in (125, 250, 251, 625, 1000, 1500)]
    assert shares == pytest.approx([1 / 13 / 16, 1 / 13, (1 + 0.016) / 13, (16 * 0.625 - 3) / 13, 1.0, 1.0])
    slopes = [schedule.ramp_factor(step) - schedule.ramp_factor(step - 1) for step in (248, 252)]
    assert slopes == pytest.approx([0.016 / 13, 0.016 / 13], rel=0.02)


def test_the_learning_rate_is_divided_by_what_is_asked():
    schedule = Schedule(steps=100, warmup=0, ramp=0, lr=1.0, lr_drops=(50, 80), lr_divisor=5.0)
    assert [schedule.learning_rate(step) for step in (49, 50, 80)] == pytest.approx([1, 0.2, 0.04])
