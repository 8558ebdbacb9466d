import pytest

from dmcore.spec import Training


def schedule(warmup, ramp, lr_drops=(), **options):
    return Training(batch=1, steps=2000, warmup=warmup, ramp=ramp, lr=1.0, lr_drops=lr_drops, **options)


def test_warmup_ramp_constant():
    training = schedule(10, 20)
    assert [training.ramp_factor(step) for step in (0, 9, 10, 19, 29, 30, 99)] == [0.0, 0.0, 0.05, 0.5, 1.0, 1.0, 1.0]
    assert [schedule(3, 0).ramp_factor(step) for step in (2, 3, 4)] == [0.0, 1.0, 1.0]


def test_a_smooth_ramp_is_x4_and_then_a_line_of_the_same_slope():
    smooth = schedule(0, 1000, ramp_shape="smooth")
    shares = [smooth.ramp_factor(step - 1) for step in (125, 250, 251, 625, 1000, 1500)]
    assert shares == pytest.approx([1 / 13 / 16, 1 / 13, (1 + 0.016) / 13, (16 * 0.625 - 3) / 13, 1.0, 1.0])


@pytest.mark.parametrize("divisor", [10.0, 5.0])
def test_the_learning_rate_is_divided_at_each_drop(divisor):
    training = schedule(0, 0, (50, 80), lr_divisor=divisor)
    expected = [1, 1 / divisor, 1 / divisor, 1 / divisor**2]
    assert [training.learning_rate(step) for step in (49, 50, 79, 80)] == pytest.approx(expected)
