"""What ``from dmcore import …`` offers, and that the documentation uses nothing else."""

import ast
import re
import subprocess
import sys
from importlib import import_module

import pytest
from small_images import ROOT

import dmcore

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def imported(page):
    """(module, name) of all that a page's examples import from dmcore."""
    for code in re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and node.module.partition(".")[0] == "dmcore":
                yield from ((node.module, alias.name) for alias in node.names)


def test_every_name_is_where_the_table_says_and_listed():
    for name in dmcore.__all__:
        thing = getattr(dmcore, name)
        assert getattr(thing, "__name__", name) == name
        assert name in dir(dmcore)
    assert dmcore.margin_bounds is import_module("dmcore.certify").margin_bounds
    assert dmcore.train is import_module("dmcore.training.loop").train


def test_another_name_is_an_error():
    with pytest.raises(AttributeError, match="module 'dmcore' has no attribute 'margins'"):
        dmcore.margins  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'margins'"):
        from dmcore import margins  # noqa: F401


def test_examples_import_public_names_alone():
    used = {pair for page in PAGES for pair in imported(page)}
    assert ("dmcore.certify", "margin_bounds") in used or ("dmcore", "margin_bounds") in used
    for module, name in used:
        assert name in dmcore.__all__, f"{module}.{name}"
        assert getattr(import_module(module), name) is getattr(dmcore, name)


def test_importing_dmcore_imports_no_torch():
    code = "import sys, dmcore; from dmcore import UserError, certifier; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
