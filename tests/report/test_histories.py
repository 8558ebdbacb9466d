"""The picture of a training's course, from a record with known numbers."""

import pytest

from doublemargin.files import write_json
from doublemargin.report.histories import draw, write_history

RECORD = {
    "model": "demo/mnist/small/dm/0.1/seed0",
    "data": {"variant": "JPEG quality 75 re-encoded"},
    "provenance": {"device": "CPU (test)"},
    "history": [
        {"epoch": 1, "step": 10, "eps": 0.0, "ramp": 0.0, "lr": 1e-3, "loss": 2.0, "clean": 2.0, "accuracy": 0.25},
        {
            "epoch": 2, "step": 20, "eps": 0.1, "ramp": 1.0, "lr": 1e-3, "loss": 1.5, "clean": 1.0, "accuracy": 0.5,
            "worst_case_double_margin": 1.0, "robust_accuracy": 0.125, "unstable_relus": 321.0,
        },
    ],
}  # fmt: skip


@pytest.fixture
def figure():
    return draw(RECORD)


def curves(axis):
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axis.lines}


def test_as_many_terms_as_a_method_may_have_are_all_drawn_and_unlike():
    history = [{"epoch": epoch, "loss": 1.0, **{f"term_{i}": 0.5 for i in range(12)}} for epoch in (1, 2)]
    lines = draw(RECORD | {"history": history}).axes[0].lines
    assert len(lines) == len({(line.get_color(), line.get_marker()) for line in lines}) == 13


def test_every_quantity_is_a_curve_over_the_epochs_that_had_it(figure):
    loss, accuracy, unstable, schedule = (curves(axis) for axis in figure.axes)
    assert loss == {
        "whole loss": [(1, 2.0), (2, 1.5)],
        "clean": [(1, 2.0), (2, 1.0)],
        "worst case double margin": [(2, 1.0)],
    }
    assert accuracy == {"clean": [(1, 25.0), (2, 50.0)], "worst case": [(2, 12.5)]}
    assert unstable == {"unstable ReLUs a sample": [(2, 321.0)]}
    assert schedule == {"share of the final λ": [(1, 0.0), (2, 1.0)], "ε": [(1, 0.0), (2, 0.1)]}


def test_a_record_becomes_a_picture(tmp_path):
    write_json(tmp_path / "training.json", RECORD)
    write_history(tmp_path / "training.json", tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
