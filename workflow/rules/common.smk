"""The config, checked; grids; paths; and what the rules ask of them."""

import json
import shlex
import sys
from pathlib import Path

# Before a folder `dmcore` that lies where Snakemake runs.
sys.path[:0] = [str(Path(workflow.snakefile).parents[2]), str(Path(workflow.snakefile).parents[1])]

from doublemargin.experiment.backlog.order import given_order
from doublemargin.experiment.config import check_config
from dmcore.errors import UserError, nearest
from doublemargin.experiment.exhibits import exhibit_spec, report_spec
from dmcore.files import digest, sha256, shipped, write_text
from doublemargin.experiment.grid import Grid, find_model
from dmcore.registries import certifier
from doublemargin.records.columns import FILES, REMARKS, SUMS
from doublemargin.experiment.resolve import data_spec
from doublemargin.experiment.source import PACKAGES, code_hash
from doublemargin.experiment.preflight import check_clock, check_room


configfile: shipped("config.yaml")


GIVEN = dict(config)
config = check_config(config)
check_room(Path("."))
GRIDS = {schedule: Grid(config, schedule) for schedule in config["schedules"]}
ORDER = given_order()  # the priorities of `dmcore next`, by a job's path under results/

RUN = "{schedule}/{dataset}/{arch}/{method}/{eps_train}/seed{seed}"
MODEL = f"results/{RUN}"
CERTIFIED = f"{RUN}/certify/{{certifier}}/{{norm}}/n{{points}}"
ATTACKED = f"{RUN}/attack/{{attack}}/{{norm}}/n{{points}}"
RADII = f"{RUN}/radius/{{certifier}}/{{norm}}/n{{points}}"
DATA = "data/{dataset}.safetensors"


# Names are checked by the functions below, which say what is wrong with one.
wildcard_constraints:
    schedule="[^/]+",
    dataset="[^/]+",
    arch="[^/]+",
    method="[^/]+",
    eps_train="[^/]+",
    seed=r"\d+",
    certifier="|".join(certifier.names()),
    attack="pgd|auto",
    norm="l[a-z0-9]+",
    points=r"\d+",
    table="(?!all-)[^/.]+",
    figure="[^/.]+",


onstart:
    check_clock([*Path("data").glob("*.safetensors"), *Path("results").glob("*/*/*/*/*/seed*/model.safetensors")])


def grid(schedule):
    """The grid of that schedule."""
    if schedule not in GRIDS:
        raise UserError(f"no schedule '{schedule}': {nearest(schedule, GRIDS)}")
    return GRIDS[schedule]


def spec_of(wildcards):
    """A model's specification: the parameter whose change retrains this model and no other."""
    return find_model(config, RUN.format(**wildcards))


def eps_of(path):
    """At which ε a certification or attack of that path is made."""
    return lambda wildcards: grid(wildcards.schedule).eps_of(path.format(**wildcards))


def model_for(path):
    """The weights for a job of that path. A function: one that has no ε is refused before anything starts."""

    def weights(wildcards):
        eps_of(path)(wildcards)
        return f"{MODEL}/model.safetensors".format(**wildcards)

    return weights


def priority_of(path, otherwise):
    """The priority of the jobs of that path, with wildcards in it."""
    return lambda wildcards: ORDER.get(path.format(**wildcards), otherwise)


def result_files(grid):
    """The result files of all trainings and certifications of a grid."""
    return training_files(grid) + [f"results/{job.path}.json" for job in grid.certifications]


def training_files(grid):
    """The result files of all trainings of a grid."""
    return [f"results/{model}/training.json" for model in grid.model_paths()]


def exhibit(kind, schedule, name):
    """A table or figure, as in the config."""
    exhibits = grid(schedule).exhibits(kind)
    if name not in exhibits:
        raise UserError(f"'{schedule}' has no {kind.removesuffix('s')} '{name}': {nearest(name, exhibits)}")
    return exhibits[name]


def exhibit_input(kind, schedule, name):
    """What a table or figure is made from: the results of its own cells; costs are those of all trainings."""
    if exhibit(kind, schedule, name)["kind"] == "cost":
        return training_files(grid(schedule))
    return result_files(grid(schedule).part(kind, name))


def exhibit_files(schedule):
    """A schedule's records, all tables and figures of its report, its pages, and its histories."""
    shown, folder = grid(schedule), f"results/{schedule}"
    return (
        [f"{folder}/{file}" for file in (*FILES.values(), SUMS, "overview.md")]
        + [f"{folder}/tables/{name}.md" for name in shown.exhibits("tables")]
        + [f"{folder}/figures/{name}.png" for name in shown.exhibits("figures")]
        + [f"results/{model}/history.png" for model in shown.model_paths()]
    )


def exhibit_contents(kind, schedule, name):
    """The contents of the files that the config names for a table or figure, as a hash."""
    return contents(exhibit(kind, schedule, name).get("source"), grid(schedule).report.get("reported"))


def report_contents(schedule):
    """The contents of the file with the paper's numbers, if a report names one, and of the one beside it, as a hash."""
    reported = grid(schedule).report.get("reported")
    return contents(reported, reported and Path(reported).with_name(REMARKS))


def contents(*paths):
    """What stands in the files of those paths that are given, as a hash. Neither their age nor place matters."""
    try:
        return digest([sha256(shipped(path).read_bytes()) for path in paths if path])
    except OSError as error:
        raise UserError(f"cannot read {error.filename}, which the config names: {error.strerror}") from None


def our_dmcore(wildcards, output):
    """How a job calls dmcore: the one that is hashed here, not what is installed or lies in the working folder.

    As it takes the output, Snakemake reruns nothing where only the place of the code has changed.
    """
    places = ":".join(shlex.quote(str(folder.parent)) for folder in PACKAGES.values())
    return f"PYTHONPATH={places}${{PYTHONPATH:+:$PYTHONPATH}} PYTHONSAFEPATH=1 python -m doublemargin"


def config_file(wildcards, output):
    """The config as a file, as it is too long for a command; what is made from it says by `spec` when to make it anew."""
    path = Path(f".snakemake/config-{digest(GIVEN)}.json")
    if not path.exists():
        write_text(path, json.dumps(GIVEN))
    return path


def where(wildcards, threads, resources):
    """Where a job computes, which is the profile's matter; without one, as the default profile has it."""
    device, slots = resources.get("device", "auto"), resources.get("gpu_slots", 1)
    return f"--threads {threads} --device {shlex.quote(str(device))} --gpu-slots {shlex.quote(str(slots))}"


def folder(up=0):
    """The folder of a job's first output, or one as many above it: in a module with a prefix it is not as written here."""
    return lambda wildcards, output: Path(output[0]).parents[up]
