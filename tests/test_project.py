"""The project's own promises: environments, documentation and file sizes."""

import re

import yaml
from test_config import ROOT

NAMES = {"pytorch": "torch", "matplotlib-base": "matplotlib"}  # conda's name → PyPI's


def constraints():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name.lower(): v for name, v in (line.split("==") for line in lines if "==" in line)}


def test_conda_pins_are_the_tested_versions():
    tested = constraints()
    for path in (ROOT / "envs").glob("*.yaml"):
        pins = dict(d.split("=") for d in yaml.safe_load(path.read_text())["dependencies"])
        assert pins.pop("python") == "3.11"
        assert pins == {name: tested[NAMES.get(name, name)] for name in pins}, path.name


def test_the_light_environment_has_no_torch():
    assert "torch" not in (ROOT / "envs/tables.yaml").read_text().split("# Records")[1].split("\n", 1)[1]


def test_every_rule_has_a_log_and_a_conda_environment():
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        text = path.read_text()
        rules = re.split(r"^ *rule\b", text, flags=re.M)[1:]
        for rule in rules:
            assert "log:" in rule, path.name
            assert "conda:" in rule, path.name


def test_the_readmes_example_runs():
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    names = {}
    exec(code, names)
    assert names["margins"].shape == (5, 10)
    assert (names["lower"] <= names["z"]).all()


def test_constraints_hold_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!]+", line), line


def test_the_page_of_methods_names_them_all():
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert named == set(config["methods"]) | set(config["schedules"])
