"""Methods with a grid, written out."""

import pytest
from small_images import ROOT

from dmcore.errors import UserError
from doublemargin.experiment.config import check_config, load_config
from doublemargin.experiment.config_file import read_config
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.sweeps import base, base_label

DM = {"kind": "worst_case", "weight": 0.5, "ramp": True, "domain": "double_margin"}
L1 = {"kind": "weight_norm", "weight": 1.0e-5, "norm": "l1"}
PGD = {"kind": "pgd", "steps": 3, "step_of_eps": 0.5}


def config(method):
    """The project's, with one method more, which the demo shows beside normal training."""
    config = read_config(ROOT / "config.yaml")
    config["methods"]["swept"] = {"label": "Swept", **method}
    demo = config["reports"]["demo"]
    panel = demo["tables"]["table2"]["panels"][0] | {"compare": [["normal", "normal"]]}
    panel["rows"] = [{"methods": ["normal"]}, {"methods": ["swept"], "eps_train": 0.3}]
    demo["tables"]["table2"]["panels"], demo["figures"] = [panel], {}
    return config


def test_a_method_and_its_rows_for_each_value():
    checked = check_config(config({"regularizers": [DM], "grid": {"weight": [0.25, 1]}}))
    assert "swept" not in checked["methods"]
    found = {name: method for name, method in checked["methods"].items() if base(name) == "swept"}
    assert {name: method["regularizers"][0]["weight"] for name, method in found.items()} == {
        "swept-weight0.25": 0.25,
        "swept-weight1": 1.0,
    }
    assert found["swept-weight0.25"]["label"] == "Swept, weight = 0.25"
    assert [path.split("/")[3] for path in Grid(checked, "demo").model_paths()] == [
        "normal",
        "swept-weight0.25",
        "swept-weight1",
    ]


def test_all_combinations_of_several_keys_also_inside_an_attack():
    method = {
        "attack": PGD,
        "regularizers": [DM, L1],
        "grid": {"attack.steps": [1, 7], "weight_norm.weight": [0.0, 0.1]},
    }
    methods = check_config(config(method))["methods"]
    values = {
        name: (methods[name]["attack"]["steps"], methods[name]["regularizers"][1]["weight"])
        for name in methods
        if base(name) == "swept"
    }
    assert values == {
        "swept-steps1-weight0.0": (1, 0.0),
        "swept-steps1-weight0.1": (1, 0.1),
        "swept-steps7-weight0.0": (7, 0.0),
        "swept-steps7-weight0.1": (7, 0.1),
    }


def test_the_label_of_all_variants():
    one = check_config(config({"label": "A, b = 1", "regularizers": [DM], "grid": {"weight": [0.0, 1e-05]}}))
    methods = one["methods"]
    assert {base_label(name, methods[name]["label"]) for name in methods if base(name) == "swept"} == {"A, b = 1"}
    two = config({"regularizers": [DM], "attack": PGD, "grid": {"attack.steps": [1, 7], "weight": [0.0, 0.1]}})
    methods = check_config(two)["methods"]
    assert {base_label(name, methods[name]["label"]) for name in methods if base(name) == "swept"} == {"Swept"}
    assert base_label("dm_init", "Double Margin (elided, IBP's init)") == "Double Margin (elided, IBP's init)"
    assert base_label("swept-steps1", "A label of a panel's") == "A label of a panel's"


@pytest.mark.parametrize(
    ("key", "message"),
    [("weight", "write <kind>.weight, as several terms give it"), ("alpha", "no term of the method gives it")],
)
def test_a_key_must_say_one_thing(key, message):
    with pytest.raises(UserError, match=message):
        check_config(config({"regularizers": [DM, L1], "grid": {key: [0.1]}}))


def test_a_wrong_value_is_named_by_its_variant():
    with pytest.raises(UserError, match=r"methods\.swept-domaintriangle\.regularizers\[0\]: unknown forward domain"):
        check_config(config({"regularizers": [DM], "grid": {"domain": ["triangle"]}}))


def test_modern_methods_share_no_weights_with_each_other():
    """Every variant is another model, and none has the hash of another."""
    grid = Grid(load_config(ROOT / "config.yaml"), "modern")
    hashes = [grid.spec_hash(path) for path in grid.model_paths()]
    assert len(set(hashes)) == len(hashes) > 50
