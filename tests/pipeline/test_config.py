"""A config is refused at once, in one line, with the key and the nearest valid one."""

import copy
import os
from pathlib import Path
from typing import get_args

import pytest
import yaml
from flips import named

from dmcore.errors import UserError
from dmcore.norms import NORMS
from dmcore.registries import regularizer
from doublemargin.experiment.config import check_config, load_config
from doublemargin.experiment.config_file import read_config
from doublemargin.experiment.config_types import Norm
from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.resolve import data_spec, model_spec

ROOT = Path(__file__).parents[2]
CODE = f"{ROOT}{os.pathsep}{ROOT / 'workflow'}"
"""What PYTHONPATH is for a process of its own."""
CONFIG = load_config(ROOT / "config.yaml")
DEMO_PANEL = "reports.demo.tables.table2.panels.0"


def changed(path, value):
    config = copy.deepcopy(CONFIG)  # keeps shared panels shared, as YAML's anchors make them
    config = yaml.safe_load(yaml.dump(config, Dumper=_NoAliases))
    *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
    place = config
    for key in parents:
        place = place[key]
    place[last] = value
    return config


class _NoAliases(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("metods", {}, "unknown key 'metods': did you mean 'methods'? known: architectures, certification, "),
        ("methods.dm.regularisers", [], "methods.dm: unknown key 'regularisers': did you mean 'regularizers'? known: "),
        ("methods.dm.regularizers.0.kind", "worstcase", "methods.dm.regularizers[0].kind: unknown regularizer "),
        (
            "methods.dm.regularizers.0.domian",
            "x",
            "methods.dm.regularizers[0]: regularizer 'worst_case' has no option",
        ),
        ("methods.dm.regularizers.0.domain", "double_margn", "methods.dm.regularizers[0]: unknown forward domain "),
        ("methods.dm.regularizers.0.form", "literl", "form 'literl' is not known: did you mean 'literal'?"),
        ("methods.adv.attack.steps", "40", "methods.adv.attack: attack 'pgd': steps must be a whole number, not '40'"),
        ("methods.adv.attack", {"kind": "pgd"}, "methods.adv.attack: attack 'pgd' needs the option 'steps'"),
        ("methods.adv.attack", None, "methods.adv: nothing is given for 'attack'"),
        ("methods.adv.per_dataset.cifar", {}, "methods.adv.per_dataset: unknown data set 'cifar': did you mean"),
        ("methods.dm.pruning", {}, "methods.dm.pruning: needs 'weights' or 'relus'"),
        ("methods.dm.per_dataset", {"mnist": {"regularizers": []}}, "a method has an ε on all data sets or on none"),
        ("methods.dm.label", True, "methods.dm.label: True is not text: put it in quotes"),
        ("methods.Bad Name", {}, "methods: 'Bad Name' should match pattern '^[a-z0-9_]+(-[a-zA-Z0-9_.-]+)?$'"),
        (f"{DEMO_PANEL}.rows.1.methods", ["dmm"], ".rows[1].methods: unknown method 'dmm': did you mean 'dm'?"),
        (f"{DEMO_PANEL}.rows.0.eps_train", 0.3, "the method 'normal' has no ε to train at"),
        (f"{DEMO_PANEL}.rows.0.methods", ["dm"], "the method 'dm' needs an eps_train"),
        (f"{DEMO_PANEL}.eps_cert", [0, "8/0"], "eps_cert[1]: eps '8/0' is not a radius ≥ 0 such as 0.3 or 8/255"),
        (f"{DEMO_PANEL}.eps_cert", [0, 0.5, "1/2"], "eps_cert: 1/2 is in the list twice"),
        (f"{DEMO_PANEL}.certifier", "cnn-cert-rel", ".certifier: unknown certifier 'cnn-cert-rel': did you mean 'cnn-"),
        (f"{DEMO_PANEL}.points", 10001, "points: 10001 is more than the test set has"),
        (f"{DEMO_PANEL}.compare", [["dm", "dm_l1"]], ".compare: unknown row of this panel 'dm_l1'"),
        (
            f"{DEMO_PANEL}.compare",
            [["dm/0.3", "ibp/0.2"]],
            ".compare: unknown row of this panel 'ibp/0.2': did you mean 'ibp/",
        ),
        (
            "reports.demo.figures.figure1.kind",
            "tradeoff",
            "figures.figure1: panels[0].eps_cert: a trade-off has 0, for ",
        ),
        ("reports.demo.figures.figure1.reference", "x.csv", "'reference' is for the kind tradeoff, not curves"),
        (f"{DEMO_PANEL}.norm", "l3", "norm: 'l3' should be 'linf', 'l2', 'l1' or 'l0'"),
        (f"{DEMO_PANEL}.norm", "l0", "eps_cert[1]: under the norm l0 eps counts changed inputs: a whole number, not "),
        ("methods.dm.regularizers.0.norm", "l0", "rows[1].eps_train[0]: under the norm l0 eps counts changed inputs"),
        ("reports.demo.tables.table2", {"caption": "x"}, "reports.demo.tables.table2: the key 'panels' is missing"),
        ("schedules.demo.training.mnist.lr", "1e-3", "'1e-3' is text, not a number; YAML needs 1.0e-3 where you might"),
        ("schedules.demo.training.mnist.lr", float("nan"), "training.mnist.lr: nan should be a finite number"),
        ("schedules.demo.training.mnist.batch", 60001, "batch: 60001 is more than the 60000 points of the training"),
        (
            "schedules.demo.training.mnist.warmup",
            521,
            "warmup and ramp take 901 steps on the data set 'mnist', of 900 in",
        ),
        ("schedules.demo.training.cifar", CONFIG["schedules"]["demo"]["training"]["mnist"], "unknown data set 'cifar'"),
        ("schedules.demo.report", "trial", "schedules.demo: there is no training for the data set 'cifar10', which "),
        (
            "schedules.short.scaled_from",
            "short",
            ".scaled_from: unknown unscaled schedule 'short': known: demo, modern, paper",
        ),
        ("reports.demo.certification", {"split": "validation"}, "'mnist' has no validation split to be certified"),
        ("schedules.mnist", CONFIG["schedules"]["demo"], "schedules.mnist: a data set has this name, too"),
        ("schedules.short", {"report": "paper"}, "needs either 'training', or 'scaled_from' with 'factor'"),
        ("schedules.fifth.shares.ramp", 0.95, "warmup and ramp take 71169 steps on the data set 'cifar10', of 70000"),
        ("schedules.fifth.shares.ramp", 1.1, "schedules.fifth.shares.ramp: 1.1 should be less than or equal to 1"),
        ("schedules.demo.shares", CONFIG["schedules"]["fifth"]["shares"], "'shares' go with 'scaled_from'"),
        (
            "datasets.mnist.sources.0.format",
            "idxx",
            "mnist.sources[0].format: unknown reader 'idxx': did you mean",
        ),
        ("datasets.mnist.sources.0.variant", "", "datasets.mnist.sources[0].variant: '' should have at least 1 char"),
        ("datasets.cifar10.normalize.std", [0.2], "datasets.cifar10: normalize.std has 1 values for 3 channels"),
        ("datasets.gtsrb.validation", {"share": 0.1, "seed": 0}, "datasets.gtsrb.validation: the key 'by' is missing"),
        ("seeds", [], "seeds: [] should have at least 1 item, not 0"),
        ("seeds", [0, 0], "seeds: 0 is in the list twice"),
        ("seeds", [2**32], "seeds[0]: 4294967296 should be less than or equal to 4294967295"),
        ("seeds", 3, "seeds: 3 is not a list: write [3]"),
        (
            "seeds",
            ["0"],
            "seeds[0]: '0' is text, not a whole number; Snakemake's --config takes numbers in a list for ",
        ),
        ("seeds", [None], "seeds[0]: nothing is given where a whole number should be"),
    ],
)
def test_mistakes_are_named(path, value, message):
    with named(message) as error:
        check_config(changed(path, value))
    assert str(error.value).startswith("config: ")


def test_the_norms_are_the_same_everywhere():
    assert get_args(Norm) == NORMS
    assert regularizer.declared["worst_case"].options["norm"].choices == NORMS


def test_inputs_are_counted_under_l0():
    config = changed(f"{DEMO_PANEL}.eps_cert", [0, 1, "2.0"])
    panel = config["reports"]["demo"]["tables"]["table2"]["panels"][0]
    panel["norm"] = "l0"
    panels = exhibit_spec(Grid(check_config(config), "demo"), "tables", "table2")["panels"]
    assert panels[0]["eps_cert"] == ["0", "1", "2"]
    assert [p["title"] for p in panels][:2] == [
        "Small CNN MNIST, 4 layer, ℓ0, CNN-Cert-ReLU (200 points)",
        "Small CNN MNIST, 4 layer, ℓ∞, IBP (200 points)",
    ]
    usual = exhibit_spec(Grid(CONFIG, "demo"), "tables", "table2")["panels"][0]
    assert usual["title"] == "Small CNN MNIST, 4 layer, CNN-Cert-ReLU (200 points)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\n",
            "line 5: the key 'c' is there twice, first in line 3: remove one of them",
        ),
        (
            b"a: &x {b: 1}\nc: {<<: *x, b: 2}\nd: {<<: *x, <<: *x}\n",
            "line 3: the key '<<' is there twice, first in line 3",
        ),
        (
            b"a:\n\tb: 1\n",
            "line 2: found character '\\t' that cannot start any token; indent with spaces, YAML takes no",
        ),
        (b"a: 1\non: 2\n", "line 2: the key 'on' is not text: quote it"),
        (b"a: 1\n# caf\xe9\n", "line 2 is not in UTF-8; save the file in that encoding"),
        (b"a: 2020-13-45\n", "month must be in 1..12"),
        (b"a: !!python/object/apply:os.getcwd []\n", "line 1: could not determine a constructor for the tag"),
        (
            b"__use_yte__: true\na: ?1 + 1\n",
            "'__use_yte__' would run the file as a program: write out what it is to say",
        ),
    ],
)
def test_a_file_is_read_more_strictly_than_yaml_asks_for(tmp_path, text, message):
    (tmp_path / "c.yaml").write_bytes(text)
    with named("c.yaml: ", message):
        read_config(tmp_path / "c.yaml")


def test_what_is_taken_over_may_be_said_anew(tmp_path):
    text = "\ufeffa: &x {b: 1, c: 2}\nd: &y {<<: *x, b: 3}\ne: {<<: *y, c: 4}\nf: [*x, *y]\n"
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    x, y = {"b": 1, "c": 2}, {"b": 3, "c": 2}
    assert read_config(tmp_path / "c.yaml") == {"a": x, "d": y, "e": {"b": 3, "c": 4}, "f": [x, y]}


@pytest.mark.parametrize(
    ("schedule", "dataset", "method", "steps", "warmup", "ramp", "lr_drops", "batch", "lr"),
    [
        ("paper", "mnist", "dm", 60000, 2000, 10000, (15000, 25000), 100, 1e-3),
        ("paper", "mnist", "mmr", 2400, 80, 400, (600, 1000), 100, 1e-3),  # which has a factor of its own
        ("paper", "cifar10", "dm", 350000, 5000, 50000, (60000, 90000), 50, 5e-4),
        ("paper", "gtsrb", "dm", 39200, 1307, 6533, (9800, 16333), 100, 1e-3),  # 392 steps an epoch, not 600
        ("short", "mnist", "dm", 6000, 200, 1000, (1500, 2500), 100, 1e-3),
        ("short", "mnist", "mmr", 240, 8, 40, (60, 100), 100, 1e-3),
        ("fifth", "mnist", "dm", 12000, 800, 4000, (9000, 11000), 100, 1e-3),  # with shares of its own
        ("fifth", "mnist", "mmr", 480, 32, 160, (360, 440), 100, 1e-3),
        ("fifth", "gtsrb", "dm", 7840, 523, 2613, (5880, 7187), 100, 1e-3),
    ],
)
def test_the_schedules(schedule, dataset, method, steps, warmup, ramp, lr_drops, batch, lr):
    found = model_spec(CONFIG, schedule, dataset, "small", method, "8_255", 0).training
    assert (found.steps, found.warmup, found.ramp, found.lr_drops) == (steps, warmup, ramp, lr_drops)
    assert (found.batch, found.lr) == (batch, lr)


def test_what_decides_a_model_and_what_decides_the_prepared_data():
    config = changed("datasets.cifar10.validation", {"share": 0.1, "seed": 0, "by": "point"})
    spec = model_spec(config, "paper", "cifar10", "small", "dm", "8_255", 0)
    assert sorted(spec.dataset) == ["augment", "classes", "normalize", "shape", "validation"]
    assert spec.dataset["augment"] == {"pad": 4, "flip": True}
    assert spec.training.steps == 350 * (45000 // 50)
    assert sorted(data_spec(config, "cifar10")) == ["classes", "shape", "sources", "test", "train", "validation"]
    without = model_spec(CONFIG, "paper", "cifar10", "small", "dm", "8_255", 0)
    assert without.hash != spec.hash
    for change in ({"label": "x"}, {"sources": []}):
        config = changed("datasets.cifar10", CONFIG["datasets"]["cifar10"] | change)
        assert model_spec(config, "paper", "cifar10", "small", "dm", "8_255", 0).hash == without.hash


def test_defaults_are_what_a_missing_key_means():
    given = read_config(ROOT / "config.yaml")
    assert check_config(check_config(given)) == check_config(given) == CONFIG
    panel, method = given["reports"]["demo"]["tables"]["table2"]["panels"][0], given["methods"]["l1"]
    panel |= {"norm": "linf", "std": False, "training_time": True, "labels": {}}
    method |= {"own": False, "members": 1, "per_dataset": {}}
    method["regularizers"][0]["ramp"] = False
    given |= {"data_places": []}
    assert check_config(given) == CONFIG


def test_a_data_set_gets_no_defaults():
    """They would be in its specification, and so in those of all its models."""
    assert CONFIG["datasets"] == read_config(ROOT / "config.yaml")["datasets"]


def test_files_are_put_over_the_config_key_by_key(tmp_path):
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("seeds: [3, 4]\nmethods: {mine: {label: Mine, regularizers: []}}\n")
    two.write_text("methods: {mine: {label: Mine too}}\n")
    config = load_config(ROOT / "config.yaml", one, two)
    assert config["seeds"] == [3, 4]
    assert config["methods"]["mine"]["label"] == "Mine too"
    assert "dm" in config["methods"]


def test_plugins_count_among_the_names(tmp_path):
    (tmp_path / "my_term.py").write_text('@regularizer("my_term")\nclass Mine:\n    NEEDS_EPS = True\n')
    one = tmp_path / "one.yaml"
    one.write_text(
        f"plugins: [{tmp_path / 'my_term.py'}]\n"
        "methods: {mine: {label: Mine, regularizers: [{kind: my_term, weight: 1}]}}\n"
    )
    assert "mine" in load_config(ROOT / "config.yaml", one)["methods"]
    load_config(ROOT / "config.yaml")  # which has no plugins
    with pytest.raises(UserError, match="unknown regularizer 'my_term'"):
        regularizer.check("my_term")
