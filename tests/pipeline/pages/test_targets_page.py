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
    ("outputs", "expected"),
    [
        (["a/{x}.md"], ("a/{x}.md",)),
        (["a/{x}.md", "a/{x}.txt", "b/{x}.csv"], ("a/{x}.{md,txt}", "b/{x}.csv")),
    ],
)
def test_outputs_are_told_by_their_shape(outputs, expected):
    assert shapes(outputs) == expected


def test_an_example_is_a_file():
    assert example("results/{schedule}/tables/{table}.{md,txt}") == "results/demo/tables/table2.md"


def test_the_pages_examples_are_in_the_demo(page):
    grid = Grid(CONFIG, "demo")
    models = [f"results/{path}" for path in grid.model_paths()]
    certified = [f"results/{job.path}.json" for job in grid.evaluations]
    files = re.findall(r"^snakemake --cores all (\S+)$", page, re.M)
    of_models = [file.partition("/seed0/") for file in files if "/seed0/" in file]
    assert {model + "/seed0" for model, _, _ in of_models} <= set(models)
    assert {file for file in files if "certify" in file} <= set(certified)
    assert sorted(rest.partition("/")[0] for _, _, rest in of_models) == [
        "attack",
        "certify",
        "history.png",
        "model.safetensors",
        "points.png",
        "radius",
    ]
