"""Mistakes on Snakemake's command line. Its exit code is 1; the line stands below "WorkflowError"."""

import os
import sys
from pathlib import Path

from mistakes import Mistake, write

MODEL = "results/demo/digits/pureconv/dm/0.1/seed0"


def target(id, name, says):
    return Mistake(id, f"snakemake -n {name}", says, code=1)


def another_python(folder):
    """A folder with a Python that is not this Snakemake's."""
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)


TARGETS = [
    target(
        "target",
        "demoo",
        "no target 'demoo': did you mean 'demo'? known: all, certified, demo, tables, trial, or a file "
        "(dmcore info --targets)",
    ),
    target(
        "target-schedule",
        "results/dmeo/tables/table2.md",
        "'results/dmeo/tables/table2.md': no schedule 'dmeo': did you mean 'demo'? known: demo, half",
    ),
    target(
        "target-folder",
        "results/demo",
        "'results/demo' is a folder: name a file in it, such as results/demo/tables/table2.md",
    ),
    target(
        "target-method",
        "results/demo/digits/pureconv/dmm/0.1/seed0/training.json",
        "'demo/digits/pureconv/dmm/0.1/seed0': 'dmm' "
        "is not in the config's methods: did you mean 'dm'? known: adv, dm, normal",
    ),
    target(
        "target-seed",
        "results/demo/digits/pureconv/dm/0.1/training.json",
        "'results/demo/digits/pureconv/dm/0.1/training.json' is not of the form "
        "results/schedule/dataset/arch/method/eps_train/seed0/file",
    ),
    target(
        "target-certifier",
        f"{MODEL}/certify/ipb/linf/n20/0.05.json",
        "unknown certifier 'ipb': did you mean 'ibp'? known: <all certifiers>",
    ),
    target(
        "target-cell-eps",
        f"{MODEL}/certify/ibp/linf/n20/0.06.json",
        f"'{MODEL}/certify/ibp/linf/n20/0.06.json': the report of schedule 'demo' certifies 'digits' under linf "
        "at other ε: 0, 8_255, 0.05",
    ),
]
"""Looked at by :func:`doublemargin.experiment.targets.check_target`, which the rules call."""

REAL = [
    target(
        "real-target",
        "results/demo/digits/purecnv/dm/0.1/seed0/training.json",
        "'demo/digits/purecnv/dm/0.1/seed0': 'purecnv' "
        "is not in the config's architectures: did you mean 'pureconv'? known: pureconv",
    ),
    Mistake("set-list", "snakemake -n --config 'seeds=[0, 0]'", "config: seeds: 0 is in the list twice", code=1),
    Mistake(
        "set-twice-elsewhere",
        "snakemake -n demo --configfile more.yaml",
        "cannot read <folder>/more.yaml: line 2: the key 'seeds' is there twice, first in line 1: remove one of them",
        make=write("more.yaml", "seeds: [0]\nseeds: [1]\n"),
        code=1,
    ),
    Mistake(
        "another-python",
        "snakemake -n demo",
        "`python` is not this Snakemake's: activate its environment first (. .venv/bin/activate)",
        make=another_python,
        environment={"PATH": f"bin{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
        code=1,
    ),
]
"""Through Snakemake itself."""
