"""The workflow used from other folders: as it is, with a config of one's own, and as a module of another workflow."""

import json
import shutil
import subprocess
import sys

import pytest
import yaml
from test_config import ROOT, _NoAliases
from tiny import PANEL, environment, tiny_config

TABLE, TRAINING = "results/demo/tables/table2.md", "results/demo/mnist/small/normal/none/seed0/training.json"
OUTER = """
configfile: "ours.yaml"

rule first:
    input: "the copy.md"

module dm:
    snakefile: "../the source/Snakefile"
    config: config["dm"]
    prefix: "sub folder/"

use rule * from dm as dm_*

rule copy:
    input: "sub folder/results/demo/tables/table2.md"
    output: "the copy.md"
    shell: "cp {input:q} {output:q}"
"""


def config(caption):
    """One training and one certification, shown by one table."""
    panel = PANEL | {"certifier": "ibp", "eps_cert": [0.05], "rows": [{"methods": ["normal"]}]}
    found = tiny_config()
    found["reports"]["demo"] |= {"tables": {"table2": {"caption": caption, "panels": [panel]}}, "figures": {}}
    return found


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(path, content):
    path.write_text(yaml.dump(content, Dumper=_NoAliases))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The workflow in a folder with a space in its name, with code that can be told from what is installed."""
    folder = tmp_path_factory.mktemp("elsewhere") / "the source"
    for name in ("dmcore", "workflow", "envs", "resources"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy2(ROOT / "Snakefile", folder)
    with (folder / "dmcore/__init__.py").open("a") as file:
        file.write('__version__ = "the source\'s"\n')
    write(folder / "config.yaml", config("By default."))
    return folder


def folder_beside(source, name):
    """A folder to work in, with packages of our names, and ``resources``, of something else."""
    folder = source.with_name(name)
    for package in ("dmcore", "doublemargin"):
        (folder / package).mkdir(parents=True)
        for file in ("__init__.py", "__main__.py"):
            (folder / package / file).write_text("raise SystemExit('this is not it')\n")
    (folder / "resources").mkdir()
    return folder


def caption_and_code(folder):
    """What was made there: the table's first line, and the version that trained."""
    training = json.loads((folder / TRAINING).read_text())
    return (folder / TABLE).read_text().splitlines()[0], training["provenance"]["dmcore"]


def test_in_another_folder_with_the_default_config_and_with_another(source):
    work = folder_beside(source, "my work")
    here = ["-s", "the source/Snakefile", "-d", "my work"]
    snakemake(source.parent, *here, TABLE)
    assert caption_and_code(work) == ("**By default.**", "the source's")
    write(source.with_name("mine.yaml"), config("Of mine."))
    snakemake(source.parent, *here, "--configfile", "mine.yaml", "--", TABLE, "results/demo/verdict.md")
    assert caption_and_code(work) == ("**Of mine.**", "the source's")
    # Neither the place of the code nor that of the paper's numbers is a reason to make anything again.
    moved = source.rename(source.with_name("moved"))
    shutil.copy2(source.with_name("mine.yaml"), work / "config.yaml")
    try:
        told = snakemake(work, "-n", "-s", "../moved/Snakefile", TABLE, "results/demo/verdict.md")
        assert "Nothing to be done" in told
    finally:
        moved.rename(source)


def test_as_a_module_with_a_prefix(source):
    outer = folder_beside(source, "outer")
    (outer / "Snakefile").write_text(OUTER)
    write(outer / "ours.yaml", {"dm": config("In a module."), "other": 1})
    snakemake(outer, "--config", "other=2")
    inner = outer / "sub folder"
    assert caption_and_code(inner) == ("**In a module.**", "the source's")
    assert (outer / "the copy.md").read_text() == (inner / TABLE).read_text()
    snakemake(outer, "dm_tables")
    assert (inner / "results/demo/verdict.md").exists()
    made = {path.name for path in outer.iterdir() if path.name in ("data", "logs", "results", "sub folder")}
    assert made == {"sub folder"}
