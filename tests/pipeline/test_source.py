"""The hash of a stage's code changes with the code that the stage uses and with no other."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from doublemargin.experiment.source import PACKAGES

USES = {
    "data": ("doublemargin.experiment.sources", {"sources": [{"format": "idx"}]}),
    "normal": ("doublemargin.experiment.jobs.train", ["small"]),
    "dm": (
        "doublemargin.experiment.jobs.train",
        ["small", {"kind": "worst_case", "options": {"domain": "double_margin"}}],
    ),
    "convex": ("doublemargin.experiment.jobs.train", ["small", {"kind": "convex_outer"}]),
    "ibp": ("doublemargin.experiment.jobs.certify", ["ibp", "small"]),
    "alpha": ("doublemargin.experiment.jobs.certify", ["alpha", "small"]),
    "tables": ("doublemargin.report.make_tables", []),
    "curves": ("doublemargin.report.figures.curves", []),
    "mine": (
        "doublemargin.experiment.jobs.train",
        ["small", {"kind": "mine", "options": {}}],
    ),  # not there but for one test
}
TRAIN, CERTIFY = {"normal", "dm", "convex", "mine"}, {"ibp", "alpha"}
HASHES = """
import json, sys
from doublemargin.experiment.source import code_hash
print(json.dumps({name: code_hash(entry, uses=uses) for name, (entry, uses) in json.load(sys.stdin).items()}))
"""
MINE = """
from dmcore.registries import forward_domain, regularizer

@regularizer("mine")
class Mine:
    domain: str = "my_domain"

    def value(self):
        return forward_domain.get(self.domain)
"""
MY_DOMAIN = """
from dmcore.registries import forward_domain

@forward_domain("my_domain")
class MyDomain: ...
"""


class Code:
    """A copy of the packages that can be edited."""

    def __init__(self, folder):
        self.folder = folder
        for name, package in PACKAGES.items():
            shutil.copytree(package, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.before = self.hashes()

    def hashes(self):
        """Of all of USES; a process of its own, as what was read of the source is kept."""
        command, environment = [sys.executable, "-Pc", HASHES], os.environ | {"PYTHONPATH": str(self.folder)}
        told = subprocess.run(
            command, input=json.dumps(USES), env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(told.stdout)

    @contextmanager
    def added(self, **texts):
        """Text at the end of some files, or some more files, for a while; the stages whose hash that changes."""
        paths = [self.folder / name for name in texts]
        kept = [path.read_text() if path.exists() else None for path in paths]
        for path, text, old in zip(paths, texts.values(), kept, strict=True):
            path.write_text((old or "") + text)
        try:
            after = self.hashes()
            yield {name for name in USES if after[name] != self.before[name]}
        finally:
            for path, old in zip(paths, kept, strict=True):
                path.unlink() if old is None else path.write_text(old)


@pytest.fixture(scope="module")
def code(tmp_path_factory):
    return Code(tmp_path_factory.mktemp("code"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "changed"),
    [
        ("dmcore/training/loop.py", TRAIN),
        ("dmcore/regularizers/worst_case.py", {"dm"}),
        ("dmcore/regularizers/__init__.py", TRAIN),
        ("dmcore/certifiers/ibp.py", {"ibp", "alpha"}),  # which names it, in NEVER_BELOW
        ("dmcore/certifiers/cnn_cert.py", {"alpha"}),
        ("dmcore/crown/backward.py", {"convex", "dm"} | CERTIFY),  # margins may be elided
        ("dmcore/nets/architectures.py", TRAIN | CERTIFY),
        ("doublemargin/report/figures/curves.py", {"curves"}),
        ("doublemargin/records/statistics.py", {"tables", "curves"}),
        ("doublemargin/report/templates/table.tex.j2", {"tables", "curves"}),
        ("doublemargin/experiment/sources/idx.py", {"data"}),
        ("dmcore/data/prepared.py", {"data"} | TRAIN | CERTIFY),
        ("doublemargin/commands/models.py", set()),
    ],
)
def test_an_edit_reaches_the_stages_that_use_the_module(code, module, changed):
    with code.added(**{module: "\nADDED = 1\n"}) as found:
        assert found == changed


def test_comments_and_docstrings_change_nothing(code):
    with code.added(**{"dmcore/training/loop.py": "\n# a comment\n"}) as found:
        assert found == set()


def test_what_is_added_changes_what_names_it_be_it_as_a_default(code):
    new = {"dmcore/regularizers/mine.py": MINE, "dmcore/domains/mine.py": MY_DOMAIN}
    with code.added(**new) as found:
        assert found == {"mine"}
        both = code.hashes()["mine"]
        with code.added(**{"dmcore/domains/mine.py": "\nADDED = 1\n"}) as found:
            assert found == {"mine"}
            assert code.hashes()["mine"] != both
