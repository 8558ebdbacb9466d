"""Mistakes in config.yaml. ``dmcore spec`` reads it as Snakemake's rules do, and gives the same line.

One of each kind; tests/pipeline/test_config.py has what can be wrong with each key.
"""

from mistakes import Mistake, edit, write

SPEC = "dmcore spec demo"


def typo(id, old, new, says):
    """A piece of the file that reads ``new`` in place of ``old``."""
    return Mistake(id, SPEC, f"dmcore: error: {says}", make=edit((old, new)))


def file(id, content, says):
    """Another file in its place."""
    return Mistake(id, SPEC, f"dmcore: error: {says}", make=write("config.yaml", content))


PANEL = "reports.demo.tables.table2.panels[0]"
MISTAKES = [
    typo("key", "methods:\n", "metods:\n", "config: unknown key 'metods': did you mean 'methods'? known: <all keys>"),
    typo(
        "key-twice",
        "seeds: [0]\n",
        "seeds: [0]\nseeds: [1]\n",
        "cannot read config.yaml: line 4: the key 'seeds' is there twice, first in line 3: remove one of them",
    ),
    typo(
        "method",
        "methods: [dm, adv]",
        "methods: [dmm, adv]",
        f"config: {PANEL}.rows[1].methods: unknown method 'dmm': did you mean 'dm'? known: adv, dm, normal",
    ),
    typo(
        "eps-text",
        "0.05, 8/255]",
        "0.05, 8%]",
        f"config: {PANEL}.eps_cert[2]: eps '8%' is not a radius ≥ 0 such as 0.3 or 8/255",
    ),
    typo(
        "number-as-text",
        "lr: 1.0e-3",
        "lr: 1e-3",
        "config: schedules.demo.training.digits.lr: '1e-3' is text, not a number; YAML needs 1.0e-3 where you might "
        "write 1e-3",
    ),
    file(
        "yaml-tab",
        "schedule: demo\nseeds:\n\t- 0\n",
        r"cannot read config.yaml: line 3: found character '\t' that cannot start any token; "
        "indent with spaces, YAML takes no tabs",
    ),
    file(
        "latin-1",
        "schedule: demo\n# für mich\n".encode("latin-1"),
        "cannot read config.yaml: line 2 is not in UTF-8; save the file in that encoding",
    ),
    Mistake(
        "missing",
        f"{SPEC} --config conf.yaml",
        "dmcore: error: cannot read conf.yaml: there is no such file; go to the folder that has it, or name it",
    ),
    Mistake(
        "json",
        "dmcore report --config new.json",
        "dmcore: error: cannot read new.json: <reason>",
        make=write("new.json", "schedule: demo\n"),
    ),
]
