"""docs/results.md: what the records in the repository hold."""

import subprocess
import sys

import pandas as pd
import pytest
from test_config import CONFIG, ROOT

from doublemargin.experiment.exhibits import exhibit_spec
from doublemargin.experiment.grid import Grid
from doublemargin.experiment.pages.results import _run
from doublemargin.report.records import Records

PAGE = ROOT / "docs/results.md"


def own_records():
    """Whether the records are other ones than git's: then the page in git is not about them."""
    status = subprocess.run(["git", "status", "--porcelain", "results"], cwd=ROOT, capture_output=True, check=False)
    return status.returncode != 0 or status.stdout != b""


@pytest.mark.skipif(own_records(), reason="the records in results/ are not those in git")
def test_the_page_is_up_to_date():
    command = [sys.executable, "-m", "doublemargin", "info", "--results"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    told = f"write it again: python -m doublemargin info --results > docs/results.md\n{done.stderr}"
    assert done.stdout == PAGE.read_text(encoding="utf-8"), told


def test_a_table_shows_the_rows_that_were_run():
    grid = Grid(CONFIG, "short")
    table = exhibit_spec(grid, "tables", "table2")
    cell = {"certifier": "cnn-cert-relu", "norm": "linf", "points": 1000}
    cells = pd.DataFrame([cell | {"spec_hash": grid.spec_hash("short/mnist/small/dm/0.3/seed0")}])
    none = pd.DataFrame()
    run = _run(table, Records(none, cells, none, none))
    assert [panel["title"] for panel in run["panels"]] == ["Small CNN MNIST, 4 layer (1000 points)"]
    assert [row["method"] for row in run["panels"][0]["rows"]] == ["dm"]
    assert len(table["panels"]) == 7  # it is left as it was
    assert _run(table, Records(none, cells.iloc[:0], none, none))["panels"] == []
