"""The conda environments in envs/: what each stage imports, no more and no less, in the tested versions."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from report.results_folder import COUNTS, write_results
from test_config import CONFIG, ROOT

from dmcore.registries import architecture, attack, certifier, forward_domain, regularizer
from doublemargin import cli
from doublemargin.experiment.grid import find_model
from doublemargin.experiment.registries import figure, reader
from doublemargin.experiment.source import PACKAGES, files_used, imports, read
from doublemargin.files import read_json, write_json

ENVIRONMENTS = sorted(path.stem for path in (ROOT / "envs").glob("*.yaml"))
MODULES = {
    "Jinja2": "jinja2",
    "pillow": "PIL",
    "PyYAML": "yaml",
    "adversarial-robustness-toolbox": "art",
}  # the package's name → the module's
LOADED = {
    "attack": [architecture],
    "certify": [architecture, certifier],
    "data": [reader],
    "points": [architecture],
    "tables": [],
    "train": [architecture, attack, forward_domain, regularizer],
}  # the registries from which a stage may load anything
NOT_IMPORTED = {"data": {"tqdm"}}  # pooch's bar on a terminal


def pins(environment):
    """What pip installs into an environment, ``name==version`` each."""
    content = yaml.safe_load((ROOT / f"envs/{environment}.yaml").read_text())
    *conda, pip = content["dependencies"]
    assert conda == ["python=3.11", "pip"]
    return pip["pip"]


def commands(environment):
    """The commands of dmcore that the rules call in an environment."""
    found = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        head, *rules = re.split(r"^ *rule\b", path.read_text(), flags=re.M)
        mine = [rule for rule in rules if f"envs/{environment}.yaml" in rule]
        for text in [head, *mine] if mine else []:  # the head has commands that several rules share
            found.update(re.findall(r"\{params\.dmcore\} (\w+)", text))
    return sorted(found)


def third_party(command, loaded):
    """The packages that `doublemargin <command>` imports, lazily or not, if registries load all these names."""
    (subcommands,) = [a.choices for a in cli._parser()._actions if a.choices]
    run = subcommands[command].get_default("run")
    function = textwrap.dedent(inspect.getsource(run))
    start = [ast.parse(Path(path).read_text()) for path in (PACKAGES["doublemargin"] / "cli.py", inspect.getfile(run))]
    statements = [statement for tree in start for statement in tree.body if not hasattr(statement, "body")]
    names = {n for s in statements for n in imports(s) if not n.startswith("doublemargin.commands")}
    names |= imports(ast.parse(function))
    if command in ("exhibit", "report"):
        names |= {declared.module for declared in figure.declared.values()}
    names = names.union(*(read(file).imports for file in files_used(*names, names=frozenset(loaded))))
    packages = {name.partition(".")[0] for name in names}
    return {name for name in packages - PACKAGES.keys() if name not in sys.stdlib_module_names}


def test_every_stage_has_an_environment():
    assert {name: commands(name) for name in ENVIRONMENTS} == {
        "attack": ["attack"],
        "certify": ["certify", "radius"],
        "data": ["data"],
        "points": ["picture"],
        "tables": ["collect", "exhibit", "history", "report"],
        "train": ["train"],
    }


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_holds_what_its_stage_imports(environment):
    loaded = [name for registry in LOADED[environment] for name in registry.names()]
    needed = set().union(*(third_party(command, loaded) for command in commands(environment)))
    names = [pin.partition("==")[0] for pin in pins(environment)]
    held = {MODULES.get(name, name) for name in names}
    assert held - needed == NOT_IMPORTED.get(environment, set()), "superfluous: nothing of the stage imports it"
    assert needed - held == set(), "missing"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_pins_are_the_tested_versions(environment):
    assert set(pins(environment)) <= set((ROOT / "constraints.txt").read_text().splitlines())


def dmcore(python, *arguments, ok=True):
    """Runs a command with such a Python; returns what it prints."""
    command = [*python, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "workflow")])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == ok, done.stderr
    return done.stdout if ok else done.stderr


WITHOUT_TORCH = [
    *(sys.executable, "-c"),
    "import sys; sys.modules['torch'] = None; from doublemargin.cli import main; main()",
]


def make_exhibits(python, folder):
    """Records, a table and a figure from result files."""
    write_results(folder, COUNTS)
    for path in (folder / "demo").rglob("*.json"):  # as if trained with the project's config
        record = read_json(path)
        write_json(path, record | {"spec_hash": find_model(CONFIG, record["model"]).hash})
    dmcore(python, "collect", "--results", folder, "--schedule", "demo", "--out", folder / "demo")
    for what in ("tables/table2", "figures/figure1"):
        dmcore(python, "exhibit", f"demo/{what}", "--results", folder)
    text = (folder / "demo/tables/table2.md").read_text()
    assert re.search(r"\| Double Margin +\| ε = 0\.3 +\|.*\*\*66\.5%\*\*", text)
    assert (folder / "demo/figures/figure1.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_environment_of_the_tables_makes_them(tmp_path):
    """Built from its pins; those of what they need in turn are constraints.txt's."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "light"], check=True)
    python = tmp_path / "light/bin/python"
    install = ["-m", "pip", "install", "--quiet", "-c", ROOT / "constraints.txt", *pins("tables")]
    subprocess.run([python, *install], check=True)
    make_exhibits([python, "-m", "doublemargin"], tmp_path)


def test_records_tables_and_figures_need_no_torch(tmp_path):
    make_exhibits(WITHOUT_TORCH, tmp_path)


def test_a_specification_needs_no_torch():
    spec = json.loads(dmcore(WITHOUT_TORCH, "spec", "demo/mnist/small/dm/0.3/seed0"))
    assert spec["method"]["regularizers"][0]["options"]["domain"] == "double_margin"


def test_training_does_need_torch(tmp_path):
    """So the tests above would notice."""
    paths = [part for name in ("--data", "--model", "--record") for part in (name, tmp_path / name.strip("-"))]
    assert "the package torch is not installed for " in dmcore(WITHOUT_TORCH, "train", "--spec", "{}", *paths, ok=False)


def test_a_lent_gpu_needs_neither_network_nor_snakemake():
    lacking = (
        "snakemake",
        "jsonschema",
        "pydantic",
        "yaml",
        "highspy",
        "pooch",
        "requests",
        "latex2mathml",
        "tabulate",
    )
    without = f"import sys; sys.modules.update(dict.fromkeys({lacking}))"
    uses = "import gpu_slot, doublemargin.experiment.sources"
    paths = os.pathsep.join(str(ROOT / folder) for folder in (".", "workflow", "benchmarks"))
    command = [sys.executable, "-c", f"{without}; {uses}"]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": paths})
