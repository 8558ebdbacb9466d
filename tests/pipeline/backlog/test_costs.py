import pandas as pd
import pytest
from test_config import CONFIG

from doublemargin.experiment.backlog.costs import OPERATION, TEST_POINT, Costs
from doublemargin.experiment.backlog.operations import step_operations
from doublemargin.experiment.grid import Evaluation
from doublemargin.records.columns import COLUMNS, MODEL
from doublemargin.records.tidy import Records

TRAINING = ["seconds", "steps"]
CELLS = ["certifier", "norm", "points", "seconds"]
ATTACKS = ["attack", *CELLS[1:]]
OPERATIONS = {("mnist", "small"): 1e7, ("mnist", "large"): 1e9, ("cifar10", "small"): 2e7, ("gtsrb", "pureconv"): 3e7}


def frame(columns, lines):
    """Records of models, ``dataset/arch/method/eps_train`` each under schedule ``demo`` or the one before a colon."""
    rows = []
    for name, *values in lines:
        schedule, _, model = name.rpartition(":")
        names = [schedule or "demo", *model.split("/"), 0]
        rows.append(dict(zip([*MODEL, *columns], [*names, *values], strict=True)))
    return pd.DataFrame(rows, columns=[*MODEL, *columns])


def costs(trained=(), certified=(), attacked=()):
    cells = {"certified_accuracy": frame(CELLS, certified), "robust_accuracy": frame(ATTACKS, attacked)}
    records = Records(frame(TRAINING, trained), **cells, verdicts=pd.DataFrame(), points=pd.DataFrame())

    def operations(config, dataset, arch, method):
        return OPERATIONS[dataset, arch] * (1 if method == "normal" else 3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("doublemargin.experiment.backlog.costs.step_operations", operations)
        return Costs(CONFIG, {"demo": records})


def job(model, by="cnn-cert-relu", norm="linf", points=200, eps=("0", "0.1")):
    return Evaluation(f"short/mnist/{model}/seed0", "attack" if by == "pgd" else "certify", by, norm, points, eps)


def test_a_training_takes_as_long_as_our_own_of_whatever_schedule():
    found = costs([("mnist/small/dm/0.3", 60.0, 600), ("paper:mnist/small/dm/0.1", 90.0, 600)])
    assert found.training_point("mnist", "small", "dm") == pytest.approx(0.125 / 100)
    assert found.training("short/mnist/small/dm/0.2/seed0") == pytest.approx(6000 * 0.125)
    assert found.training("paper/mnist/small/dm/0.2/seed0") == pytest.approx(60000 * 0.125)


def test_what_was_never_run_takes_as_long_as_its_operations_on_the_nearest_network():
    trained = [("mnist/small/normal/none", 12.0, 600), ("gtsrb/pureconv/dm/8_255", 12.0, 100)]
    found = costs([*trained[:1], ("trial:" + trained[1][0], *trained[1][1:])])
    small, pureconv = 12.0 / 600 / 100 / 1e7, 12.0 / 100 / 100 / 9e7
    assert found.training_point("mnist", "small", "trades") == pytest.approx(3e7 * small)
    assert found.training_point("cifar10", "small", "dm") == pytest.approx(6e7 * small)
    assert found.training_point("mnist", "large", "dm") == pytest.approx(3e9 * pureconv)
    assert found.training_point("mnist", "large", "ibp") == pytest.approx(3e9 * (small + pureconv) / 2)


def test_records_of_what_the_config_no_longer_has_count_for_nothing():
    gone = [("fashion/small/dm/0.3", 1.0, 1), ("mnist/small/gone/none", 1.0, 1), ("demo:cifar10/small/dm/0.3", 1.0, 1)]
    found = costs(gone, [(name, "ibp", "linf", 1, 1.0) for name, *_ in gone])
    assert found.training_point("mnist", "small", "normal") == OPERATION * 1e7
    assert found.evaluation(job("small/dm/0.3")) == pytest.approx(200 * 2 * TEST_POINT * OPERATION * 1e7)


def test_a_certification_takes_as_long_as_the_nearest():
    certified = [
        ("mnist/small/dm/0.3", "cnn-cert-relu", "linf", 200, 20.0),
        ("mnist/small/normal/none", "cnn-cert-relu", "linf", 200, 60.0),
        ("mnist/small/normal/none", "cnn-cert-relu", "l2", 100, 50.0),
    ]
    found = costs([("mnist/small/normal/none", 12.0, 600)], certified)
    assert found.evaluation(job("small/dm/0.3")) == pytest.approx(0.1 * 200 * 2)
    over_methods = found.evaluation(job("small/ibp/0.3", eps=("0.1",)))
    assert over_methods == pytest.approx(0.2 * 200)
    over_norms = found.evaluation(job("small/ibp/0.3", norm="l1", points=1, eps=("0",)))
    assert over_norms == pytest.approx(0.3)


def test_on_a_network_never_certified_it_is_so_many_points_of_training():
    found = costs([("mnist/small/normal/none", 12.0, 600)], [("mnist/small/normal/none", "ibp", "linf", 200, 8.0)])
    large = 8.0 / 200 * 1e9 / 1e7
    for certifier in ("ibp", "alpha"):
        assert found.evaluation(job("large/dm/0.3", certifier)) == pytest.approx(large * 200 * 2)


def test_operations_are_those_of_all_passes():
    """Of the small CNN by hand: each weight once for each place of its output, forwards; twice more backwards.

    A step of PGD needs no gradient of the weights; one of a training none of the input.
    """
    from dmcore.nets.builder import build_net

    weights = [layer.weight for layer in build_net("small", (1, 28, 28), 10).modules() if hasattr(layer, "weight")]
    forwards = [w.numel() * places for w, places in zip(weights, (14 * 14, 14 * 14, 1, 1), strict=True)]
    plain = 3 * sum(forwards) - forwards[0]
    assert step_operations(CONFIG, "mnist", "small", "normal") == plain
    assert step_operations(CONFIG, "mnist", "small", "adv") == 40 * 2 * sum(forwards) + plain
    assert step_operations(CONFIG, "mnist", "small", "trades") == 40 * 2 * sum(forwards) + 2 * plain
    ensemble = step_operations(CONFIG, "mnist", "small", "dm_ensemble")
    assert ensemble == pytest.approx(3 * step_operations(CONFIG, "mnist", "small", "dm"), rel=0.01)


def test_no_records_at_all():
    empty = Records(*(pd.DataFrame(columns=COLUMNS[name]) for name in COLUMNS))
    assert Costs(CONFIG, {"demo": empty}).training("demo/mnist/small/normal/none/seed0") > 0
