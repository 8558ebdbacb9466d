"""The document of all of the paper's tables compiles, empty and full; seen where LaTeX is installed."""

import re
import shutil
import subprocess

import pytest
from golden_files import GOLDEN
from made_records import spec_of, the_papers_own

from doublemargin.records.tidy import read_records
from doublemargin.report.make_tables import make_tables
from doublemargin.report.render import latex

PACKAGES = "texlive-latex-base texlive-latex-recommended texlive-latex-extra texlive-fonts-recommended"
TOO_WIDE = 2.0  # pt that nobody sees
SPEC = spec_of()

pytestmark = [
    pytest.mark.skipif(shutil.which("pdflatex") is None, reason=f"no pdflatex: apt-get install {PACKAGES}"),
    pytest.mark.usefixtures("at_the_root"),
]


def compiled(folder):
    """The log of the second run, by when the columns have their widths; its lines are not broken."""
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all-tables"]
    for _ in range(2):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    return (folder / "all-tables.log").read_text(errors="replace")


def assert_sound(log, pages):
    widths = [float(width) for width in re.findall(r"Overfull \\[hv]box \(([\d.]+)pt too", log)]
    assert [width for width in widths if width > TOO_WIDE] == []
    assert "LaTeX Warning" not in log
    assert int(re.search(r"Output written on .*\((\d+) pages?", log)[1]) in pages


def make(folder, records):
    make_tables(SPEC["tables"], records, folder)
    (folder / "tables/all-tables.tex").write_text(latex.document("paper", list(SPEC["tables"])))


def words(text):
    """Letters and digits alone: what is left of a caption in a PDF's text, whatever its formulas and line breaks."""
    return re.sub(r"[^A-Za-z0-9]", "", text)


def test_nothing_run_yet(tmp_path):
    make(tmp_path, read_records(tmp_path))
    assert_sound(compiled(tmp_path / "tables"), range(6, 16))


def test_full_of_the_papers_numbers(tmp_path):
    make(tmp_path, the_papers_own())
    assert_sound(compiled(tmp_path / "tables"), range(6, 16))
    if shutil.which("pdftotext") is None:
        pytest.skip("compiled, but no pdftotext to read it: apt-get install poppler-utils")
    subprocess.run(["pdftotext", "-layout", "all-tables.pdf"], cwd=tmp_path / "tables", check=True)
    text = (tmp_path / "tables/all-tables.txt").read_text()
    for number in range(1, 17):
        start = words(SPEC["tables"][f"table{number}"]["caption"])[:30]
        assert f"Table{number}{start}" in words(text), number
    assert re.search(
        r"Double Margin \+ L1 +547\.1 +91\.0% +90\.5% +90\.0% +89\.5% +89\.0% +87\.5% +83\.5% +68\.0% +0\.0%", text
    )


def test_marks_of_all_kinds(tmp_path):
    shutil.copytree(GOLDEN / "tables", tmp_path / "tables")
    assert_sound(compiled(tmp_path / "tables"), [1, 2])
