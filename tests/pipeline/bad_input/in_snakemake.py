"""Mistakes on Snakemake's command line. Its exit code is 1; the line stands below "WorkflowError"."""

import os
import sys
from pathlib import Path

from mistakes import Mistake, edit, write

TITLE = "Snakemake: settings and targets"
MODEL = "results/demo/digits/pureconv/dm/0.1/seed0"


def target(id, what, name, says):
    return Mistake(id, what, f"snakemake -n {name}", says, code=1)


def set_(id, what, setting, says):
    return Mistake(id, what, f"snakemake -n --config {setting}", says, code=1)


def another_python(folder):
    """A folder with a Python that is not this Snakemake's."""
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)


TARGETS = [
    target("target", "a name that there is not", "demoo",
           "no target 'demoo': did you mean 'demo'? known: all, certified, demo, tables, trial, or a file "
           "(dmcore info --targets)"),
    target("target-schedule", "a file of a schedule that there is not", "results/dmeo/tables/table2.md",
           "'results/dmeo/tables/table2.md': no schedule 'dmeo': did you mean 'demo'? known: demo, half"),
    target("target-table", "a table that the report has not", "results/demo/tables/table3.md",
           "'results/demo/tables/table3.md': no table 'table3': did you mean 'table2'? known: table2"),
    target("target-figure", "a figure that the report has not", "results/demo/figures/figure1.png",
           "'results/demo/figures/figure1.png': no figure 'figure1': known: none"),
    target("target-page", "a page misspelt", "results/demo/verdit.md",
           "'results/demo/verdit.md': no file 'verdit.md': did you mean 'verdict.md'? known: <all files>"),
    target("target-folder", "a folder", "results/demo",
           "'results/demo' is a folder: name a file in it, such as results/demo/tables/table2.md"),
    target("target-data", "a data set that there is not", "data/digit.safetensors",
           "'data/digit.safetensors': no data set 'digit.safetensors': did you mean 'digits.safetensors'? known: "
           "digits.safetensors"),
    target("target-method", "a model of a method that the config has not",
           "results/demo/digits/pureconv/dmm/0.1/seed0/training.json", "'demo/digits/pureconv/dmm/0.1/seed0': 'dmm' "
           "is not in the config's methods: did you mean 'dm'? known: adv, dm, normal"),
    target("target-eps", "ε spelt otherwise than in paths", "results/demo/digits/pureconv/dm/0.10/seed0/training.json",
           "ε_train '0.10' is written '0.1' in paths"),
    target("target-eps-fraction", "a fraction spelt otherwise",
           "results/demo/digits/pureconv/dm/8-255/seed0/training.json",
           "eps '8-255' is not a radius ≥ 0 such as 0.3 or 8/255"),
    target("target-eps-none", "no ε for a method that needs one",
           "results/demo/digits/pureconv/dm/none/seed0/training.json", "the method 'dm' needs an ε_train"),
    target("target-seed", "a model without its seed", "results/demo/digits/pureconv/dm/0.1/training.json",
           "'results/demo/digits/pureconv/dm/0.1/training.json' is not of the form "
           "results/schedule/dataset/arch/method/eps_train/seed0/file"),
    target("target-file", "a file that no model has", f"{MODEL}/trainin.json",
           f"'{MODEL}/trainin.json': no file of a model 'trainin.json': did you mean 'training.json'? known: <all "
           "files>"),
    target("target-certifier", "a certifier that there is not", f"{MODEL}/certify/ipb/linf/n20/0.05.json",
           "unknown certifier 'ipb': did you mean 'ibp'? known: <all certifiers>"),
    target("target-cell-eps", "an ε that the report does not certify", f"{MODEL}/certify/ibp/linf/n20/0.06.json",
           f"'{MODEL}/certify/ibp/linf/n20/0.06.json': the report of schedule 'demo' certifies 'digits' under linf "
           "at other ε: 0, 8_255, 0.05"),
    target("target-cell-points", "as many points as the report does not certify",
           f"{MODEL}/certify/ibp/linf/n30/0.05.json", f"'{MODEL}/certify/ibp/linf/n30/0.05.json': the report of "
           "schedule 'demo' certifies 'digits' under linf with other numbers of points: 20"),
]  # fmt: skip
"""Looked at by :func:`doublemargin.experiment.targets.check_target`, which the rules call."""

REAL = [
    target("real-target", "a model misspelt, through Snakemake itself",
           "results/demo/digits/purecnv/dm/0.1/seed0/training.json", "'demo/digits/purecnv/dm/0.1/seed0': 'purecnv' "
           "is not in the config's architectures: did you mean 'pureconv'? known: pureconv"),
    set_("set-schedule", "a schedule misspelt", "schedule=dmeo",
         "config: schedule: unknown schedule 'dmeo': did you mean 'demo'? known: demo, half"),
    set_("set-no-list", "a number for a list", "seeds=3", "config: seeds: 3 is not a list: write [3]"),
    set_("set-list", "a seed twice, in a list", "'seeds=[0, 0]'", "config: seeds: [0, 0] has non-unique elements"),
    Mistake("set-twice", "a key twice in config.yaml", "snakemake -n demo",
            "cannot read config.yaml: line 4: the key 'seeds' is there twice, first in line 3: remove one of them",
            make=edit(("seeds: [0]\n", "seeds: [0]\nseeds: [1]\n")), code=1),
    Mistake("set-twice-elsewhere", "a key twice in a file of one's own", "snakemake -n demo --configfile more.yaml",
            "cannot read <folder>/more.yaml: line 2: the key 'seeds' is there twice, first in line 1: remove one of "
            "them", make=write("more.yaml", "seeds: [0]\nseeds: [1]\n"), code=1),
    Mistake("another-python", "the `python` of another environment comes first", "snakemake -n demo",
            "`python` is not this Snakemake's: activate its environment first (. .venv/bin/activate)",
            make=another_python,
            environment={"PATH": f"bin{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"},
            code=1),
]  # fmt: skip
"""Through Snakemake itself."""
