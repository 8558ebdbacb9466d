"""The config, checked; paths; and what the rules ask of both."""

import json
import shlex
import sys
from functools import cache
from pathlib import Path

# Before a folder `dmcore` that lies where Snakemake runs.
sys.path[:0] = map(str, Path(workflow.snakefile).parents[1:3])

from dmcore.files import digest
from doublemargin.files import shipped
from dmcore.registries import certifier
from doublemargin.experiment.calls import folder, given_order, how, our_dmcore, where, written_to_file
from doublemargin.experiment.config import check_config
from doublemargin.experiment.exhibits import exhibit_spec, report_spec
from doublemargin.experiment.grid import find_grid, find_model
from doublemargin.experiment.preflight import check_clock, check_room
from doublemargin.experiment.registries import figure
from doublemargin.experiment.resolve import data_spec
from doublemargin.experiment.source import code_hash
from doublemargin.experiment.targets import exhibit_contents, exhibit_files, exhibit_input
from doublemargin.experiment.targets import report_contents, result_files, unpinned
from doublemargin.records.columns import FILES, SUMS


configfile: shipped("config.yaml")


config_file = written_to_file(dict(config))  # as it was given
config = check_config(config)
check_room(Path("."))
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


@cache
def grid(schedule):
    """The grid of that schedule."""
    return find_grid(config, schedule)


def points_of(wildcards):
    """The options that say which points of the data set are meant."""
    settings = grid(wildcards.schedule).certification
    return f"--split {shlex.quote(settings['split'])} --points-seed {settings['points_seed']}"


def clip(wildcards):
    """The option by which balls are cut to [0, 1], or nothing."""
    return "--clip-input" if grid(wildcards.schedule).certification["clip_input"] else ""


def spec_of(wildcards):
    """A model's specification: the parameter whose change retrains this model and no other."""
    return find_model(config, RUN.format(**wildcards))


def eps_of(path, wildcards):
    """At which ε a certification or attack of that path is made."""
    return grid(wildcards.schedule).eps_of(path.format(**wildcards))


def model_for(path, wildcards):
    """The weights for a certification or attack of that path; one that has no ε is refused before anything starts."""
    eps_of(path, wildcards)
    return f"{MODEL}/model.safetensors".format(**wildcards)
