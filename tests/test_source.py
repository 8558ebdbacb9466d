"""The hash of a stage's code changes with the code that the stage uses and with no other."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from dmcore.source import ROOT

USES = {
    "data": ("dmcore.data.sources", {"sources": [{"format": "idx"}]}),
    "normal": ("dmcore.jobs.train", ["small"]),
    "dm": ("dmcore.jobs.train", ["small", {"kind": "worst_case", "options": {"domain": "double_margin"}}]),
    "convex": ("dmcore.jobs.train", ["small", {"kind": "convex_outer"}]),
    "ibp": ("dmcore.jobs.certify", ["ibp", "small"]),
    "alpha": ("dmcore.jobs.certify", ["alpha", "small"]),
    "tables": ("dmcore.report.tables", []),
    "curves": ("dmcore.report.figures.curves", []),
    "mine": ("dmcore.jobs.train", ["small", {"kind": "mine", "options": {}}]),  # not there but for one test
}
TRAIN, CERTIFY = {"normal", "dm", "convex", "mine"}, {"ibp", "alpha"}
HASHES = """
import json, sys
from dmcore.source import code_hash
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
    """A copy of dmcore that can be edited."""

    def __init__(self, folder):
        self.folder = folder / "dmcore"
        shutil.copytree(ROOT, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.before = self.hashes()

    def hashes(self):
        """Of all of USES; a process of its own, as what was read of the source is kept."""
        command, environment = [sys.executable, "-Pc", HASHES], os.environ | {"PYTHONPATH": str(self.folder.parent)}
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
        ("training/loop.py", TRAIN),
        ("regularizers/worst_case.py", {"dm"}),
        ("regularizers/mmr.py", set()),
        ("regularizers/__init__.py", TRAIN),
        ("attacks/pgd.py", set()),
        ("certifiers/ibp.py", {"ibp"}),
        ("certifiers/cnn_cert.py", {"alpha"}),  # which names it, in NEVER_BELOW
        ("certifiers/milp.py", set()),
        ("domains/linear_relaxation/backward.py", {"convex"} | CERTIFY),
        ("nets/architectures.py", TRAIN | CERTIFY),
        ("nets/network.py", TRAIN | CERTIFY),
        ("report/figures/curves.py", {"curves"}),
        ("report/figures/margins.py", set()),
        ("report/statistics.py", {"tables", "curves"}),
        ("report/templates/table.tex.j2", {"tables", "curves"}),
        ("data/sources/idx.py", {"data"}),
        ("data/sources/parquet.py", set()),
        ("data/augment.py", TRAIN),
        ("data/prepared.py", {"data"} | TRAIN | CERTIFY),
        ("commands/models.py", set()),
    ],
)
def test_an_edit_reaches_the_stages_that_use_the_module(code, module, changed):
    with code.added(**{module: "\nADDED = 1\n"}) as found:
        assert found == changed


def test_comments_and_docstrings_change_nothing(code):
    with code.added(**{"training/loop.py": "\n# a comment\n"}) as found:
        assert found == set()


def test_what_is_added_changes_what_names_it_be_it_as_a_default(code):
    new = {"regularizers/mine.py": MINE, "domains/mine.py": MY_DOMAIN}
    with code.added(**new) as found:
        assert found == {"mine"}
        both = code.hashes()["mine"]
        with code.added(**{"domains/mine.py": "\nADDED = 1\n"}) as found:
            assert found == {"mine"}
            assert code.hashes()["mine"] != both
