"""What an edit of the code makes Snakemake do again: the stages that use the edited module, and no other."""

import os
import shutil
from contextlib import contextmanager

import pytest

CERTIFICATION = {"certify": 4, **dict.fromkeys(("collect", "table", "figure", "pages"), 1)}
ONE_CERTIFIER = CERTIFICATION | {"certify": 2}
TRAINING = CERTIFICATION | {"train": 2, "history": 2}
ONE_TRAINING = ONE_CERTIFIER | {"train": 1, "history": 1}
EVERYTHING = TRAINING | {"prepare_data": 1}


@pytest.fixture(scope="module")
def project(pipeline, tmp_path_factory):
    """The tiny grid's results beside a copy of the code."""
    return pipeline.with_its_own_code(tmp_path_factory.mktemp("reruns") / "project")


@contextmanager
def edited(project, modules, edit):
    """Some modules of the copy, changed for a while."""
    before = {path: path.read_text(encoding="utf-8") for path in map(project.folder.joinpath, modules)}
    try:
        for path, text in before.items():
            path.write_text(edit(text), encoding="utf-8")
            assert path.read_text(encoding="utf-8") != text
        yield
    finally:
        for path, text in before.items():
            path.write_text(text, encoding="utf-8")


def new_code(text):
    return text + "\nADDED = 1\n"


def new_words(text):
    """Another docstring of the module, and a comment."""
    head, docstring, rest = text.split('"""', 2)
    return f'{head}"""{docstring} In other words."""{rest}\n# A remark.\n'


REPORT = "workflow/doublemargin/report"


@pytest.mark.parametrize(
    ("modules", "jobs"),
    [
        (
            [f"{REPORT}/histories.py", f"{REPORT}/figures/curves.py", f"{REPORT}/render/html.py"],
            {"history": 2, "figure": 1, "table": 1},
        ),
        ([f"{REPORT}/claims/claims.py"], {"pages": 1}),
        (["dmcore/certifiers/ibp.py"], {rule: n for rule, n in ONE_CERTIFIER.items() if rule != "figure"}),
        (["dmcore/regularizers/worst_case.py"], ONE_TRAINING),
        (["dmcore/training/step.py"], TRAINING),
        (["workflow/doublemargin/experiment/sources/idx.py"], EVERYTHING),
        (
            [
                f"{REPORT}/figures/margins.py",
                "dmcore/extras/exact/certifier.py",
                "dmcore/regularizers/trades.py",
                "workflow/doublemargin/experiment/sources/parquet.py",
            ],
            {},
        ),
    ],
)
def test_an_edit_of_code_reruns_what_uses_it(project, modules, jobs):
    with edited(project, modules, new_code):
        assert project.planned("demo") == jobs


def test_what_is_added_and_not_used_reruns_nothing(project):
    """Even if it could not be imported."""
    kinds = {
        "architecture": "dmcore/nets",
        "attack": "dmcore/attacks",
        "certifier": "dmcore/certifiers",
        "forward_domain": "dmcore/domains",
        "reader": "workflow/doublemargin/experiment/sources",
        "regularizer": "dmcore/regularizers",
    }
    added = []
    try:
        for kind, package in kinds.items():
            added.append(project.folder / f"{package}/new.py")
            code = f'import a_package_that_is_not_there\n\n\n@{kind}("new")\ndef new(): ...\n'
            registries = "doublemargin.experiment.registries" if kind == "reader" else "dmcore.registries"
            added[-1].write_text(f"from {registries} import {kind}\n{code}")
        assert project.planned("demo") == {}
    finally:
        for path in added:
            path.unlink()


def test_comments_docstrings_and_the_command_line_rerun_nothing(project):
    stages = [
        "workflow/doublemargin/experiment/sources/prepare.py",
        "dmcore/training/step.py",
        "dmcore/certifiers/ibp.py",
        "workflow/doublemargin/report/tables.py",
    ]
    with edited(project, stages, new_words), edited(project, ["workflow/doublemargin/cli.py"], new_code):
        assert project.planned("demo") == {}


def test_files_of_one_age_rerun_nothing(pipeline, tmp_path):
    """As in a fresh clone: with Snakemake's own notes on how they were made, and without."""
    clone = pipeline.with_its_own_code(tmp_path / "clone")
    for path in clone.folder.rglob("*"):
        os.utime(path, (1.6e9, 1.6e9), follow_symlinks=False)
    assert clone.planned("demo") == {}
    shutil.rmtree(clone.folder / ".snakemake")
    assert clone.planned("demo") == {}
