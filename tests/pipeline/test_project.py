"""The project's own promises: rules, documentation and constraints."""

import ast
import re

import yaml
from test_config import ROOT

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def test_no_message_advises_to_remove_a_file():
    """It might be a user's own: what Snakemake may replace is made again with --force, all else is moved away."""
    for path in [*(ROOT / "dmcore").rglob("*.py"), *(ROOT / "workflow/doublemargin").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        words = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if isinstance(node, DOCUMENTED)}
        said = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        for text in set(said) - words:
            assert not re.search(r"\brm |\b(remove|delete) it\b|git checkout", text), f"{path}: {text}"


def test_constraints_hold_names_and_versions_only():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.!]+", line), line


def test_the_page_of_methods_names_them_all():
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert named == set(config["methods"]) | set(config["schedules"])
