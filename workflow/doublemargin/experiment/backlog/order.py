"""The order of `dmcore next`, handed to the Snakefile that it runs. Needs no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path

VARIABLE = "DMCORE_ORDER"
"""The environment's variable with the path of a JSON file: the priority of each job, by its path under results/."""


def given_order() -> dict[str, int]:
    """The priorities; none unless `dmcore next` is at work."""
    path = os.environ.get(VARIABLE)
    return {} if path is None else json.loads(Path(path).read_text())
