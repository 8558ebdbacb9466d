"""Mistakes on Snakemake's command line. Its exit code is 1."""

from mistakes import Mistake


def target(id, name, says):
    return Mistake(id, f"snakemake -n {name}", says, code=1)


MISTAKES = [
    target(
        "target-model",
        "results/demo/digits/purecnv/dm/0.1/seed0/training.json",
        "'demo/digits/purecnv/dm/0.1/seed0': 'purecnv' "
        "is not in the config's architectures: did you mean 'pureconv'? known: pureconv",
    ),
    target(
        "target-table",
        "results/demo/tables/table3.md",
        "'demo' has no table 'table3': did you mean 'table2'? known: table2",
    ),
    target(
        "target-norm",
        "results/demo/digits/pureconv/dm/0.1/seed0/certify/ibp/l1/n20.json",
        "the report of schedule 'demo' certifies no 'digits' under l1",
    ),
    Mistake(
        "set-schedule",
        "snakemake -n --config schedule=dmeo",
        "config: schedule: unknown schedule 'dmeo': did you mean 'demo'? known: demo, half",
        code=1,
    ),
]
