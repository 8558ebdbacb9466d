"""What an edit of the code makes Snakemake do again: the stages that use the edited module, and no other."""

import os
import shutil

import pytest

REPORT = "workflow/doublemargin/report"
SOURCES = "workflow/doublemargin/experiment/sources"
CERTIFICATION = {"certify": 4, **dict.fromkeys(("collect", "table", "figure", "pages"), 1)}
ONE_CERTIFIER = CERTIFICATION | {"certify": 2}


@pytest.fixture(scope="module")
def project(pipeline, tmp_path_factory):
    """The tiny grid's results beside a copy of the code."""
    return pipeline.with_its_own_code(tmp_path_factory.mktemp("reruns") / "project")


@pytest.fixture
def edit(project):
    """Changes modules of the copy, or adds some, until the test ends."""
    before = {}

    def change(module, change):
        path = project.folder / module
        before[path] = path.read_text(encoding="utf-8") if path.exists() else None
        path.write_text(change(before[path] or ""), encoding="utf-8")

    yield change
    for path, text in before.items():
        path.unlink() if text is None else path.write_text(text, encoding="utf-8")


def new_code(text):
    return text + "\nADDED = 1\n"


def new_words(text):
    """Another docstring of the module, and a comment."""
    head, docstring, rest = text.split('"""', 2)
    return f'{head}"""{docstring} In other words."""{rest}\n# A remark.\n'


@pytest.mark.parametrize(
    ("modules", "jobs"),
    [
        (
            [f"{REPORT}/histories.py", f"{REPORT}/figures/curves.py", f"{REPORT}/render/html.py"],
            {"history": 2, "figure": 1, "table": 1},
        ),
        ([f"{REPORT}/claims/claims.py"], {"pages": 1}),
        (["dmcore/certifiers/ibp.py"], {rule: n for rule, n in ONE_CERTIFIER.items() if rule != "figure"}),
        (["dmcore/regularizers/worst_case.py"], ONE_CERTIFIER | {"train": 1, "history": 1}),
        ([f"{SOURCES}/idx.py"], CERTIFICATION | {"train": 2, "history": 2, "prepare_data": 1}),
    ],
)
def test_an_edit_of_code_reruns_what_uses_it(project, edit, modules, jobs):
    for module in modules:
        edit(module, new_code)
    assert project.planned("demo") == jobs


def test_words_and_what_is_not_used_rerun_nothing(project, edit):
    for module in (
        f"{REPORT}/figures/margins.py",
        "dmcore/extras/exact/margins.py",
        "dmcore/regularizers/trades.py",
        f"{SOURCES}/parquet.py",
        "workflow/doublemargin/cli.py",
    ):
        edit(module, new_code)
    for module in (f"{SOURCES}/prepare.py", "dmcore/training/step.py", f"{REPORT}/tables.py"):
        edit(module, new_words)
    for kind, package in (
        ("certifier", "dmcore/certifiers"),
        ("regularizer", "dmcore/regularizers"),
        ("reader", SOURCES),
    ):
        registries = "doublemargin.experiment.registries" if kind == "reader" else "dmcore.registries"
        code = f"from {registries} import {kind}\nimport a_package_that_is_not_there\n\n\n"
        edit(f"{package}/new.py", lambda _, code=code, kind=kind: f'{code}@{kind}("new")\ndef new(): ...\n')
    assert project.planned("demo") == {}


def test_files_of_one_age_rerun_nothing(pipeline, tmp_path):
    """As in a fresh clone: with Snakemake's own notes on how they were made, and without."""
    clone = pipeline.with_its_own_code(tmp_path / "clone")
    for path in clone.folder.rglob("*"):
        os.utime(path, (1.6e9, 1.6e9), follow_symlinks=False)
    assert clone.planned("demo") == {}
    shutil.rmtree(clone.folder / ".snakemake")
    assert clone.planned("demo") == {}
