import copy
import json

import pytest
from test_config import CONFIG

from dmcore.eps import Eps
from dmcore.errors import UserError
from dmcore.spec import AttackSpec, ModelSpec, Pruning
from doublemargin.experiment.config import check_config
from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid, find_model
from doublemargin.experiment.resolve import model_spec


def test_a_file_has_the_eps_that_the_report_asks_of_it():
    grid = Grid(CONFIG, "paper")
    cells = {f"{job.path}/{eps}" for job in grid.evaluations for eps in grid.eps_of(job.path)}
    assert cells == set(grid.cell_paths())
    model = "paper/mnist/small/dm_for_l2/1/seed0"
    assert grid.eps_of(f"{model}/certify/cnn-cert-relu/l1/n200") == ("0", "1", "2", "3", "4")


def test_a_panel_with_an_attack_asks_for_it_at_every_eps_but_0():
    grid = Grid(CONFIG, "modern")
    models = grid.model_paths()
    of_one = [job for job in grid.evaluations if job.model == models[0]]
    eps = models[0].split("/")[4]
    assert [(job.path, job.eps) for job in of_one] == [
        (f"{models[0]}/attack/pgd/linf/n1000", (eps,)),
        (f"{models[0]}/certify/alpha/linf/n1000", ("0", eps)),
    ]
    assert len(grid.evaluations) == 2 * len(models)
    assert not any(job.kind == "attack" for job in Grid(CONFIG, "paper").evaluations)
    figure = grid.part("figures", "modern1")  # which shows no attack
    assert {job.kind for job in figure.evaluations} == {"certify"}


def test_a_file_that_the_report_does_not_show_has_all_eps_of_its_data_set_and_norm():
    grid = Grid(CONFIG, "paper")
    shown = {path.split("/")[-1] for path in grid.cell_paths() if "/gtsrb/" in path and "/linf/" in path}
    for path in ("trades/8_255/seed0/certify/ibp/linf/n7", "dm/8_255/seed0/attack/pgd/linf/n200"):
        eps = grid.eps_of(f"paper/gtsrb/pureconv/{path}")
        assert set(eps) == shown
        assert list(eps) == sorted(eps, key=Eps.parse)
    with pytest.raises(UserError, match="the report of schedule 'paper' certifies no 'gtsrb' under l2"):
        grid.eps_of("paper/gtsrb/pureconv/dm/8_255/seed0/attack/pgd/l2/n200")


def test_each_model_once_however_many_tables_use_it():
    grid = Grid(CONFIG, "paper")
    used = [path for panel in grid.panels() for row in grid.rows(panel) for path in grid.model_paths_of(panel, row)]
    assert len(used) > len(grid.model_paths()) == len(set(used))


def test_a_setting_changes_the_hash_of_its_own_models_only_and_a_label_none():
    config = copy.deepcopy(CONFIG)
    config["methods"]["dm"]["regularizers"][0]["weight"] = 0.4
    config["methods"]["ibp"]["label"] = config["datasets"]["mnist"]["label"] = "Other"
    before, after = (
        {path: find_model(c, path).hash for path in Grid(CONFIG, "demo").model_paths()} for c in (CONFIG, config)
    )
    assert [path for path in before if before[path] != after[path]] == ["demo/mnist/small/dm/0.3/seed0"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("demo/mnist/small/dm/0.3", "is not of the form"),
        ("demo/mnist/small/dm/0.3/0", "is not of the form"),
        ("dmo/mnist/small/dm/0.3/seed0", "did you mean 'demo'?"),
        ("demo/mnist/small/dmm/0.3/seed0", "did you mean 'dm'?"),
        ("demo/mnist/small/dm/none/seed0", "'dm' needs an ε_train"),
        ("demo/mnist/small/normal/0.3/seed0", "'normal' takes ε_train 'none'"),
        ("demo/mnist/small/dm/-1/seed0", "is not a radius"),
        ("demo/mnist/small/dm/0.30/seed0", "'0.30' is written '0.3' in paths"),
    ],
)
def test_a_model_path_that_is_none(path, message):
    with pytest.raises(UserError, match=r"^[^\n]*$") as error:
        find_model(CONFIG, path)
    assert message in str(error.value)


def test_a_method_with_all_its_parts_and_what_differs_on_a_data_set():
    config = copy.deepcopy(CONFIG)
    config["methods"]["everything"] = {
        "label": "All",
        "attack": {"kind": "pgd", "steps": 10, "step_of_eps": 0.25},
        "regularizers": [{"kind": "worst_case", "weight": 0.25, "ramp": True, "domain": "double_margin"}],
        "pruning": {"weights": 1e-3, "relus": 0.1},
        "members": 2,
        "per_dataset": {"cifar10": {"members": 1, "attack": {"kind": "pgd", "steps": 3, "step": 0.01}}},
    }
    config = check_config(config)
    mnist, cifar = (model_spec(config, "paper", d, "small", "everything", "0.1", 0) for d in ("mnist", "cifar10"))
    assert mnist.method.attack == AttackSpec("pgd", {"steps": 10, "step_of_eps": 0.25})
    assert mnist.method.pruning == Pruning(weights=1e-3, relus=0.1)
    assert (mnist.method.members, cifar.method.members) == (2, 1)
    assert cifar.method.attack == AttackSpec("pgd", {"steps": 3, "step": 0.01})
    assert cifar.method.regularizers == mnist.method.regularizers
    assert ModelSpec.from_dict(json.loads(json.dumps(mnist.to_dict()))) == mnist


def test_a_config_may_say_that_bounds_are_intersected_and_need_not():
    config = copy.deepcopy(CONFIG)
    config["certification"]["intersect_ibp"] = True
    check_config(config)
    for given, intersected in ((CONFIG, False), (config, True)):
        panels = exhibit_spec(Grid(given, "demo"), "tables", "table2")["panels"]
        assert {panel["intersect_ibp"] for panel in panels} == {intersected}
    config["certification"]["intersect_ibp"] = 1
    with pytest.raises(UserError, match=r"certification\.intersect_ibp: 1 is not true or false"):
        check_config(config)


def test_a_report_says_how_its_own_points_are_certified():
    config = copy.deepcopy(CONFIG)
    config["reports"]["demo"]["certification"] = {"clip_input": True}
    grid = Grid(check_config(config), "demo")
    for one in (grid, grid.part("tables", "table2")):
        assert one.certification == CONFIG["certification"] | {"clip_input": True}
        assert [panel["clip_input"] for panel in exhibit_spec(one, "tables", "table2")["panels"]] == [True, True]
    assert Grid(grid.config, "paper").certification == CONFIG["certification"]
