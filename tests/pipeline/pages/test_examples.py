"""What the README, the tutorial and the notebook show to newcomers works as it is printed."""

import csv
import json
import re
import shutil
import subprocess

import pytest
import torch
from test_config import ROOT
from test_docs import FILES
from workflow.tiny import environment

from doublemargin.experiment.config import given_config

EXAMPLE = ROOT / "examples/digits"
README, TUTORIAL = ((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/tutorial.md"))


def blocks(text, language=""):
    """The pieces of code in a page's text that are in a language, or in none: commands."""
    return [code for name, code in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.S | re.M) if name == language]


def run(code):
    """The names that Python code defines."""
    names = {}
    exec(code, names)
    return names


def test_the_readmes_example_runs():
    (code,) = blocks(README, "python")
    names = run(code)
    assert names["result"].certified.shape == names["result"].margin.shape == (5,)
    assert torch.equal(names["z"], names["net"](names["x"]))
    assert names["s"].shape == names["v"].shape == (5, 10)


def test_the_readmes_method_is_one_for_each_weight(tmp_path):
    (text,) = blocks(README, "yaml")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    methods = given_config(ROOT / "config.yaml", tmp_path / "mine.yaml")["methods"]
    weights = {name: m["regularizers"][0]["weight"] for name, m in methods.items() if name.startswith("dm_lambda")}
    assert weights == {f"dm_lambda-weight{weight}": weight for weight in (0.125, 0.25, 0.5)}


def test_the_tutorials_network_is_certified():
    names = run(blocks(TUTORIAL, "python")[-1])
    assert names["margins"].shape == (5, 10)
    assert names["radii"].shape == names["result"].certified.shape == (5,)


def test_the_tutorial_shows_what_the_example_has():
    *shown, _ = blocks(TUTORIAL, "python")
    shown += blocks(TUTORIAL, "yaml")
    files = ("my_network.py", "my_method.py", "config.yaml", "config.yaml")
    for code, file in zip(shown, files, strict=True):
        assert code in (EXAMPLE / file).read_text(encoding="utf-8")


@pytest.mark.pipeline
def test_the_tutorials_experiment_runs_as_printed(tmp_path):
    for name in FILES:
        if not name.startswith(("results/", "resources/mnist/", "tests/")):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name, follow_symlinks=False)
    commands = "".join(blocks(TUTORIAL.split("\n## ")[2]))
    code = {"PYTHONPATH": f"{tmp_path}:{tmp_path / 'workflow'}"}
    done = subprocess.run(
        ["bash", "-ec", commands], cwd=tmp_path, env=environment() | code, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr

    with (tmp_path / "results/first/certified_accuracy.csv").open(encoding="utf-8") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 13 * 4
    found = {(cell["method"], cell["eps_cert"]): float(cell["accuracy"]) for cell in cells if cell["seed"] == "0"}
    assert found["normal", "0"] > 0.95
    assert found["normal", "0.1"] < 0.1
    assert min(found["ibp", "0.1"], found["dm", "0.1"]) > 0.4
    assert found["gradient_norm-weight2.0", "0.05"] > found["normal", "0.05"]

    assert "Gradient norm, weight = 2.0" in done.stdout
    certified, not_broken = re.findall(r"^\| 0\.1 \| [\d.]+% \| ([\d.]+)% \| ([\d.]+)% \|", done.stdout, re.M)[0]
    assert float(certified) <= float(not_broken)


@pytest.mark.slow
def test_the_notebook_runs(monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("agg")
    monkeypatch.chdir(ROOT / "examples")
    path = ROOT / "examples/certify_your_network.ipynb"
    assert path.stat().st_size < 200_000
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names = run("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    for curve in names["curves"].values():
        assert (curve[:, 0] <= curve[:, 1]).all()
    assert names["curves"]["Double Margin"][-1, 0] > names["curves"]["plain"][-1, 0] + 0.2
    assert names["radius"].nanmedian() > 0.1
    pyplot.close("all")
