import pandas as pd
import pytest
from test_config import CONFIG

from doublemargin.experiment.backlog.costs import POINT, SLOW, Costs
from doublemargin.experiment.grid import Certification
from doublemargin.records.tidy import Records

TRAINING = ["dataset", "arch", "method", "seconds", "steps"]
CELLS = ["dataset", "arch", "method", "certifier", "norm", "points", "seconds"]
REPORTED = ["dataset", "arch", "method", "eps_train", "seconds"]
WORK = {"small": 1e8, "large": 1e10}


def costs(trained=(), certified=(), reported=()):
    training, cells = pd.DataFrame(trained, columns=TRAINING), pd.DataFrame(certified, columns=CELLS)
    records = Records(training, cells, pd.DataFrame(), pd.DataFrame())
    paper = pd.DataFrame(reported, columns=REPORTED)
    return Costs(CONFIG, "short", records, paper, multiply_adds=lambda dataset, arch: WORK[arch])


def job(model, certifier="cnn-cert-relu", norm="linf", points=200, eps=("0", "0.1")):
    return Certification(f"short/mnist/{model}/seed0", certifier, norm, points, eps)


def test_a_step_takes_as_long_as_our_own():
    found = costs([("mnist", "small", "dm", 60.0, 600), ("mnist", "small", "dm", 90.0, 600)])
    assert found.step("mnist", "small", "dm") == pytest.approx(0.125)
    assert found.training("short/mnist/small/dm/0.2/seed0") == pytest.approx(6000 * 0.125)


def test_on_another_network_it_takes_as_much_more_as_its_forward_pass():
    found = costs([("mnist", "small", "dm", 60.0, 600)])
    assert found.step("mnist", "large", "dm") == pytest.approx(0.1 * WORK["large"] / WORK["small"])


def test_a_method_that_was_never_run_costs_as_in_the_paper_over_normal_training():
    reported = [
        ("mnist", "small", "normal", "none", 100.0), ("mnist", "small", "ibp", "0.1", 300.0),
        ("mnist", "small", "ibp", "0.1", 999.0),  # the same model in another table
        ("mnist", "small", "ibp", "0.3", 500.0),
    ]  # fmt: skip
    found = costs([("mnist", "small", "normal", 12.0, 600)], reported=reported)
    assert found.step("mnist", "small", "ibp") == pytest.approx(0.02 * 4)
    assert found.step("mnist", "small", "of our own") == pytest.approx(0.02 * 3)  # as the methods of the paper


def test_the_papers_times_are_of_as_many_steps_as_it_took():
    reported = [
        ("gtsrb", "pureconv", "normal", "none", 100.0), ("gtsrb", "pureconv", "mmr", "8_255", 200.0),
        ("gtsrb", "pureconv", "gone", "none", 200.0),  # no longer in the config
    ]  # fmt: skip
    found = costs([("mnist", "small", "normal", 12.0, 600)], reported=reported)
    assert found.step("mnist", "small", "mmr") == pytest.approx(0.02 * 2 / 0.04, rel=0.01)  # 4 epochs of 100
    assert found.step("mnist", "small", "gone") == pytest.approx(0.02 * (1 + 2 / 0.04) / 2, rel=0.01)  # the median


def test_where_nothing_was_timed_it_is_guessed():
    found = costs()
    assert found.step("mnist", "small") == pytest.approx(SLOW * WORK["small"])
    assert found.certification(job("small/dm/0.3")) == pytest.approx(200 * 2 * POINT * SLOW * WORK["small"])


def test_a_certification_takes_as_long_as_the_nearest():
    certified = [
        ("mnist", "small", "dm", "cnn-cert-relu", "linf", 200, 20.0),
        ("mnist", "small", "normal", "cnn-cert-relu", "linf", 200, 60.0),
        ("mnist", "small", "normal", "cnn-cert-relu", "l2", 100, 50.0),
    ]
    found = costs([("mnist", "small", "normal", 12.0, 600)], certified)
    assert found.certification(job("small/dm/0.3")) == pytest.approx(0.1 * 200 * 2)
    assert found.certification(job("small/ibp/0.3", eps=("0.1",))) == pytest.approx(
        0.2 * 200
    )  # its median over methods
    assert found.certification(job("small/ibp/0.3", norm="l1", points=1, eps=("0",))) == pytest.approx(
        0.3
    )  # over norms


def test_on_a_network_never_certified_it_is_so_many_training_steps():
    certified = [("mnist", "small", "normal", "ibp", "linf", 200, 8.0)]
    found = costs([("mnist", "small", "normal", 12.0, 600)], certified)
    units = 0.04 / 0.02
    large = 0.02 * WORK["large"] / WORK["small"]
    assert found.certification(job("large/dm/0.3", certifier="ibp")) == pytest.approx(units * large * 200 * 2)
    assert found.certification(job("large/dm/0.3", certifier="alpha")) == pytest.approx(units * large * 200 * 2)


def test_multiply_adds_are_those_of_a_batch():
    """The small CNN on MNIST, by hand: each weight once for each place of its output, of a batch of 100."""
    from dmcore.nets.builder import build_net

    empty = Records(pd.DataFrame(columns=TRAINING), pd.DataFrame(columns=CELLS), pd.DataFrame(), pd.DataFrame())
    net = build_net("small", (1, 28, 28), 10)
    weights = [layer.weight for layer in net.modules() if hasattr(layer, "weight")]
    outputs = (14 * 14, 14 * 14, 1, 1)
    macs = sum(weight.numel() * places for weight, places in zip(weights, outputs, strict=True))
    assert Costs(CONFIG, "short", empty, None)._work("mnist", "small") == 100 * macs
