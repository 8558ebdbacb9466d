"""Mistakes in config.yaml, which ``dmcore spec`` reads as Snakemake's rules do.

tests/pipeline/test_config.py has what can be wrong with each key and in the file.
"""

from mistakes import Mistake, edit, write

SPEC = "dmcore spec demo"
MISTAKES = [
    Mistake(
        "key",
        SPEC,
        "dmcore: error: config: unknown key 'metods': did you mean 'methods'? known: <all keys>",
        make=edit(("methods:\n", "metods:\n")),
    ),
    Mistake(
        "latin-1",
        SPEC,
        "dmcore: error: cannot read config.yaml: line 2 is not in UTF-8; save the file in that encoding",
        make=write("config.yaml", "schedule: demo\n# für mich\n".encode("latin-1")),
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
