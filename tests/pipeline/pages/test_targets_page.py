"""The page of targets: every rule that makes something, by name or by file."""

import re
import subprocess
import sys

import pytest
from test_config import CONFIG, ROOT

from doublemargin.experiment.grid import Grid
from doublemargin.pages.targets import example, shapes


@pytest.fixture(scope="module")
def page():
    command = [sys.executable, "-m", "doublemargin", "info", "--targets"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_every_target_is_described(page):
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert len(rows) > 20
    assert all(re.search(r"\w", cell) for row in rows for cell in row)


@pytest.mark.parametrize(
    ("outputs", "patterns", "expected"),
    [
        (["a/{x}.md"], [], ("a/{x}.md",)),
        (["a/{x}.md", "a/{x}.txt", "b/{x}.csv"], [], ("a/{x}.{md,txt}", "b/{x}.csv")),
        (["{x}/n20/0.1.json", "{x}/n20/0.2.json"], ["{x}", "{x}/n{points}/{eps}.json"], ("{x}/n{points}/{eps}.json",)),
        (["{x}/n20/y/0.json"], ["{x}/n{points}/{eps}.json"], ("{x}/n20/y/0.json",)),
    ],
)
def test_outputs_are_told_by_their_shape(outputs, patterns, expected):
    assert shapes(outputs, patterns) == expected


def test_an_example_is_a_file():
    assert example("results/{schedule}/tables/{table}.{md,txt}") == "results/demo/tables/table2.md"


def test_the_pages_examples_are_in_the_demo(page):
    grid = Grid(CONFIG, "demo")
    models, cells = ([f"results/{path}" for path in paths] for paths in (grid.model_paths(), grid.cell_paths()))
    files = re.findall(r"^snakemake --cores all (\S+)$", page, re.M)
    of_models = [file.partition("/seed0/") for file in files if "/seed0/" in file]
    assert {model + "/seed0" for model, _, _ in of_models} <= set(models)
    assert {file.removesuffix(".json") for file in files if "certify" in file} <= set(cells)
    assert sorted(rest.partition("/")[0] for _, _, rest in of_models) == [
        "attack",
        "certify",
        "history.png",
        "model.safetensors",
        "radius",
    ]
