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
        "target-norm",
        "results/demo/digits/pureconv/dm/0.1/seed0/certify/ibp/l1/n20.json",
        "the report of schedule 'demo' certifies no 'digits' under l1",
    ),
    Mistake(
        "set-seeds",
        "snakemake -n --config seeds=[0,1]",
        "config: seeds[0]: '0' is text, not a whole number; Snakemake's --config takes numbers in a list for text: put "
        "the list into a file, for --configfile",
        code=1,
    ),
]
