"""What Snakemake can be asked for: the page of targets, from the rules' names, docstrings and outputs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dmcore.errors import UserError
from doublemargin.markdown import code, prose, table

SNAKEFILE = Path(__file__).parents[3] / "Snakefile"

WILDCARDS = {
    "schedule": ("a name under `schedules`", "demo"),
    "dataset": ("a name under `datasets`", "mnist"),
    "arch": ("a name under `architectures`", "small"),
    "method": ("a name under `methods`", "dm"),
    "eps_train": ("the ε it is trained at, 8/255 as `8_255`; `none` for a method that has no ε", "0.3"),
    "seed": ("the random seed", "0"),
    "certifier": ("the certifier", "cnn-cert-relu"),
    "norm": ("the norm; of `certify` and `attack`, one that the report certifies the data set under", "linf"),
    "points": ("how many test points", "200"),
    "attack": ("`pgd`, or `auto` for those of the adversarial-robustness-toolbox", "pgd"),
    "table": ("a table's name in the report that the schedule fills", "table2"),
    "figure": ("a figure's name in that report", "figure1"),
}
"""What each part of a file's name stands for, and an example."""

INTRODUCTION = """# Targets of Snakemake

Written from the rules in `Snakefile` and `workflow/rules/`.

`snakemake --cores all <target>` makes a target and whatever it needs; `snakemake -n <target>` says what that would be.
Without a target it is the first of these.
"""


class Rule(NamedTuple):
    """One rule: its name, what its docstring says, and the files it makes."""

    name: str
    what: str
    outputs: tuple[str, ...]


def page() -> str:
    """The page in Markdown."""
    rules = _workflow()
    named = [[code(rule.name), rule.what] for rule in rules if not rule.outputs]
    files = {shapes(rule.outputs): rule.what for rule in rules if rule.outputs}
    found = [name for names in files for name in names]
    used = dict.fromkeys(part for name in found for part in re.findall(r"\{(\w+)\}", name))
    unknown = [part for part in used if part not in WILDCARDS]
    if unknown:
        raise UserError(f"say in workflow/doublemargin/pages/targets.py what the wildcard '{unknown[0]}' stands for")
    return "\n".join(
        [
            INTRODUCTION,
            "## By name\n",
            table(["target", "what it makes"], named),
            "## By file\n\nAny file that the pipeline makes, or several. The last table says what stands for `{…}`.\n",
            table(["file", "what it is"], [["<br>".join(map(code, names)), what] for names, what in files.items()]),
            "For example:\n",
            "```\n" + "".join(f"snakemake --cores all {example(names[0])}\n" for names in files) + "```\n",
            table(["part", "stands for", "example"], [[code(f"{{{p}}}"), *_told(p)] for p in used]),
        ]
    )


def shapes(outputs: Iterable[str]) -> tuple[str, ...]:
    """A rule's outputs as file names with wildcards; files that differ in their suffix alone as one, ``x.{md,txt}``."""
    suffixes: dict[str, list[str]] = {}
    for output in outputs:
        stem, dot, suffix = output.rpartition(".")
        stem, suffix = (stem, dot + suffix) if dot else (output, "")
        if suffix not in suffixes.setdefault(stem, []):
            suffixes[stem].append(suffix)
    several = {stem: ",".join(s.removeprefix(".") for s in found) for stem, found in suffixes.items()}
    return tuple(s + (found[0] if len(found) == 1 else f".{{{several[s]}}}") for s, found in suffixes.items())


def example(shape: str) -> str:
    """A file of that shape, with the first of its suffixes."""
    shape = re.sub(r"\{([^{},]*),[^{}]*\}", r"\1", shape)
    return re.sub(r"\{(\w+)\}", lambda part: WILDCARDS[part[1]][1], shape)


def _told(part: str) -> list[str]:
    what, value = WILDCARDS[part]
    return [what, code(value)]


def _workflow() -> list[Rule]:
    """The rules as Snakemake reads them."""
    from snakemake.api import SnakemakeApi
    from snakemake.io import strip_wildcard_constraints
    from snakemake.settings.types import OutputSettings, Quietness, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(ResourceSettings(), snakefile=SNAKEFILE, workdir=SNAKEFILE.parent)._workflow
        return [
            Rule(r.name, prose(r.docstring or ""), tuple(strip_wildcard_constraints(str(o)) for o in r.output))
            for r in sorted(workflow.rules, key=lambda rule: rule.name != workflow.default_target)
        ]
