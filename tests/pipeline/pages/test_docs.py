"""The written pages: what they link to and name is there."""

import re
import subprocess

import pytest
from test_config import ROOT

FILES = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
PAGES = ["README.md", "CONTRIBUTING.md", *(f for f in FILES if f.startswith("docs/") and f.endswith(".md"))]
NAMED = re.compile(r"(?<![\w/])(?:dmcore|workflow|tests|benchmarks|docs|resources|envs|examples)/[\w/.-]*[\w/]")
GENERATED = ("docs/reference/", "docs/_build")  # by `make docs`, whose links Sphinx checks


def anchors(page):
    """GitHub's and MyST's names of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", page, flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if path.startswith("https://"):
            continue
        target = (ROOT / name).parent.joinpath(path).resolve() if path else ROOT / name
        if not str(target.relative_to(ROOT)).startswith(GENERATED):
            assert target.exists(), link
            assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("name", PAGES)
def test_named_files_exist(name):
    for path in NAMED.findall((ROOT / name).read_text(encoding="utf-8")):
        assert (ROOT / path).exists() or path.startswith(GENERATED), path


def test_pages_that_the_code_names_exist():
    named = subprocess.run(
        ["git", "grep", "-hoE", r"docs/\w+\.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {page for page in named.stdout.split() if not (ROOT / page).exists()} == set()
