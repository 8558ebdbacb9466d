"""The hash of a stage's code changes with that code and with no other."""

import shutil

import pytest

from dmcore import source
from dmcore.source import ROOT, code_hash


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """A copy of dmcore that can be edited; returns a function that appends to a module and hashes all stages."""
    shutil.copytree(ROOT, tmp_path / "dmcore", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(source, "ROOT", tmp_path / "dmcore")

    def hashes(module=None, text=""):
        if module:
            with (tmp_path / "dmcore" / module).open("a") as file:
                file.write(text)
        source.read.cache_clear()
        stages = (
            "dmcore.data.sources",
            "dmcore.jobs.train",
            "dmcore.jobs.certify",
            "dmcore.report.tables",
            "dmcore.report.figures",
        )
        return [code_hash(stage) for stage in stages]

    yield hashes
    source.read.cache_clear()


@pytest.mark.parametrize(
    ("module", "changes"),
    [
        ("training/loop.py", [False, True, False, False, False]),
        ("regularizers/worst_case.py", [False, True, False, False, False]),
        ("certifiers/ibp.py", [False, False, True, False, False]),
        ("domains/linear_relaxation/lines.py", [False, True, True, False, False]),
        ("nets/network.py", [False, True, True, False, False]),
        ("report/figures/curves.py", [False, False, False, False, True]),
        ("report/statistics.py", [False, False, False, True, True]),
        ("report/templates/table.tex.j2", [False, False, False, True, True]),
        ("data/sources/idx.py", [True, False, False, False, False]),
        ("data/augment.py", [False, True, True, False, False]),
        ("data/prepared.py", [True, True, True, False, False]),
        ("commands/models.py", [False, False, False, False, False]),
    ],
)
def test_an_edit_reaches_the_stages_that_use_the_module(edited, module, changes):
    before = edited()
    after = edited(module, "\nADDED = 1\n")
    assert [a != b for a, b in zip(before, after, strict=True)] == changes


def test_comments_and_docstrings_change_nothing(edited):
    before = edited()
    assert edited("training/loop.py", "\n# a comment\n") == before
