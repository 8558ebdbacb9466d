"""The config, checked, and what the rules ask of it."""

import json
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

# Before a folder `dmcore` that lies where Snakemake runs.
sys.path[:0] = [str(Path(workflow.snakefile).parents[2]), str(Path(workflow.snakefile).parents[1])]

from doublemargin.experiment.backlog.order import given_order
from doublemargin.experiment.config import check_config
from doublemargin.experiment.config_file import read_config, retyped
from dmcore.eps import ID_PATTERN
from dmcore.errors import UserError, nearest
from doublemargin.experiment.exhibits import accuracy_tables, exhibit_spec, report_spec
from dmcore.files import digest, sha256, shipped
from doublemargin.experiment.grid import Grid, find_model, suites
from dmcore.registries import certifier
from doublemargin.records.columns import FILES, REMARKS, SUMS
from doublemargin.experiment.resolve import data_spec
from doublemargin.experiment.source import PACKAGES, code_hash
from doublemargin.experiment.surroundings import check_clock, check_room

GIVEN = workflow.overwrite_configfiles
CONFIG = Path("config.yaml") if GIVEN else shipped("config.yaml")
try:
    for path in [CONFIG, *GIVEN] if MAIN else []:
        if path.exists():
            read_config(path)  # says what is wrong with it, a key that is there twice among that, as Snakemake does not
except UserError as error:
    raise WorkflowError(str(error)) from None


configfile: CONFIG


try:
    if MAIN:
        update_config(config, retyped(workflow.config_settings.config))
    config = check_config(config)
    check_room(Path("."))
except UserError as error:
    raise WorkflowError(str(error)) from None

if not workflow.deployment_settings.deployment_method:
    # Rules call `python`; without conda it must be the one that runs Snakemake, or jobs miss the installed packages.
    python = shutil.which("python")
    if python is None or Path(python).parent.resolve() != Path(sys.executable).parent.resolve():
        raise WorkflowError("`python` is not this Snakemake's: activate its environment first (. .venv/bin/activate)")

# Where jobs compute is the profile's matter; without one, as the default profile has it.
COMPUTE = {
    name: value
    for name, value in {"device": "auto", "gpu_slots": 1}.items()
    if name not in (workflow.resource_settings.default_resources or {})
}


onstart:
    try:
        check_clock(
            [*Path("data").glob("*.safetensors"), *Path("results").glob("*/*/*/*/*/seed*/model.safetensors")]
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


GRIDS = {schedule: Grid(config, schedule) for schedule in config["schedules"]}
SUITES = suites(GRIDS.values())

# The rules that certify differ in their lists of ε alone: in a profile's or command line's `set-resources` and
# `set-threads` the name `certify` stands for them all. Must come before the first rule, which reads these settings.
for given in ("overwrite_resources", "overwrite_threads"):
    chosen = dict(getattr(workflow.resource_settings, given))
    if "certify" in chosen:
        of_suites = dict.fromkeys((suite.name for suite in SUITES), chosen["certify"])
        setattr(workflow.resource_settings, given, of_suites | chosen)

RUN = "{schedule}/{dataset}/{arch}/{method}/{eps_train}/seed{seed}"
MODEL = f"results/{RUN}"
CELL = f"{MODEL}/certify/{{certifier}}/{{norm}}/n{{points}}/{{eps}}.json"
ATTACKED = f"{MODEL}/attack/{{attack}}/{{norm}}/n{{points}}/{{eps}}.json"
RADII = f"{MODEL}/radius/{{certifier}}/{{norm}}/n{{points}}.json"
DATA = "data/{dataset}.safetensors"
DATA_PLACES = config["data_places"]


wildcard_constraints:
    schedule="|".join(config["schedules"]),
    dataset="|".join(config["datasets"]),
    arch="|".join(config["architectures"]),
    method="|".join(config["methods"]),
    eps_train=ID_PATTERN,
    seed=r"\d+",
    certifier="|".join(certifier.names()),
    attack="pgd|auto",
    norm=r"l[a-z0-9]+",
    points=r"\d+",
    eps=ID_PATTERN,
    table="|".join(sorted({name for grid in GRIDS.values() for name in grid.exhibits("tables")})),
    figure="|".join(sorted({name for grid in GRIDS.values() for name in grid.exhibits("figures")})),


# The order of `dmcore next`, where that runs this: the priority of each job, by its folder.
ORDER = given_order() if workflow.is_main_process else {}


def in_order(folder, otherwise):
    """The priority of the jobs whose folder that is, with wildcards in it."""
    return lambda wildcards: ORDER.get(folder.format(**wildcards), otherwise)


def spec_of(wildcards):
    """A model's specification: the parameter whose change retrains this model and no other."""
    try:
        return find_model(config, RUN.format(**wildcards))
    except UserError as error:
        raise WorkflowError(str(error)) from None


def result_files(grid):
    """The result files of all trainings and certifications of a grid."""
    return training_files(grid) + [f"results/{cell}.json" for cell in grid.cell_paths()]


def training_files(grid):
    """The result files of all trainings of a grid."""
    return [f"results/{model}/training.json" for model in grid.model_paths()]


def exhibit_input(kind, schedule, name):
    """What a table or figure is made from: the results of its own cells; costs are those of all trainings."""
    grid = GRIDS[schedule]
    exhibit = grid.exhibits(kind)[name]
    if exhibit["kind"] == "cost":
        return training_files(grid)
    return result_files(grid.part(kind, name))


def exhibit_files(schedule):
    """A schedule's records, all tables and figures of its report, what sets it beside the paper, and its histories."""
    if schedule not in GRIDS:
        raise WorkflowError(f"config: there is no schedule '{schedule}': {nearest(schedule, GRIDS)}")
    grid, folder = GRIDS[schedule], f"results/{schedule}"
    beside_paper = [f"{folder}/comparisons/{name}.md" for name in accuracy_tables(grid.exhibits("tables"))]
    beside_paper.append(f"{folder}/verdict.md")
    return (
        [f"{folder}/{file}" for file in (*FILES.values(), SUMS, "overview.md")]
        + [f"{folder}/tables/{name}.md" for name in grid.exhibits("tables")]
        + [f"{folder}/tables/all-tables.tex"]
        + [f"{folder}/figures/{name}.png" for name in grid.exhibits("figures")]
        + (beside_paper if "reported" in grid.report else [])
        + [f"results/{model}/history.png" for model in grid.model_paths()]
    )


def exhibit_of(kind, schedule, name):
    """What a table or figure shows, as a hash: the parameter whose change makes it anew.

    The job resolves it again: written out, one of many seeds is longer than a command may be (128 KiB).
    """
    return digest(exhibit_spec(GRIDS[schedule], kind, name))


def whole_config(wildcards, output):
    """The config as JSON. As it takes the output, Snakemake reruns nothing where it alone changes; `spec` says what does."""
    return json.dumps(config)


def text_of(wildcards):
    """The content of the file with a table's text, if it has one, as a hash."""
    exhibit = GRIDS[wildcards.schedule].exhibits("tables")[wildcards.table]
    return contents([exhibit["source"]] if "source" in exhibit else [])


def reported_in(schedule, *beside):
    """The content of the file with the paper's numbers, if a report names one, and of others beside it, as a hash."""
    path = GRIDS[schedule].report.get("reported")
    return contents([path, *(Path(path).with_name(name) for name in beside)] if path else [])


def contents(paths):
    """What stands in files that the config names, as a hash. They are no input: neither age nor place matters."""
    try:
        return digest([sha256(shipped(path).read_bytes()) for path in paths])
    except OSError as error:
        raise WorkflowError(f"cannot read {error.filename}, which the config names: {error.strerror}") from None


def figure_code(wildcards):
    """The hash of the module that draws a figure, which has the name of its kind."""
    kind = GRIDS[wildcards.schedule].exhibits("figures")[wildcards.figure]["kind"]
    return code_hash(f"doublemargin.report.figures.{kind}")


def our_dmcore(wildcards, output):
    """How a job calls dmcore: the one that is hashed here, not what is installed or lies in the working folder.

    As it takes the output, Snakemake reruns nothing where only the place of the code has changed.
    """
    places = ":".join(shlex.quote(str(folder.parent)) for folder in PACKAGES.values())
    return f"PYTHONPATH={places}${{PYTHONPATH:+:$PYTHONPATH}} PYTHONSAFEPATH=1 python -m doublemargin"


def folder(up=0):
    """The folder of a job's first output, or one as many above it: in a module with a prefix it is not as written here."""
    return lambda wildcards, output: Path(output[0]).parents[up]


def report_of(schedule):
    """What a schedule's report shows, as a hash."""
    return digest(report_spec(GRIDS[schedule]))
