"""The page of the config: every key of the config's models, with what stands there, its default and its meaning."""

import re

import pytest

from doublemargin.experiment.config_models import json_schema
from doublemargin.experiment.source import REGISTRIES
from doublemargin.pages.config import attributes, page

PAGE = page()


def rows(section):
    """The cells of a section's table by its keys."""
    text = PAGE.split(f"{section}\n")[1].split("\n#")[0]
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {first.strip("` "): [cell.strip() for cell in rest] for first, *rest in lines}


def test_a_key_has_its_value_default_and_meaning():
    top = rows("## Top level")
    assert list(top) == list(json_schema()["properties"])
    assert top["seeds"][:2] == ["list of at least 1: a whole number ≥ 0 and ≤ 4294967295", "needed"]
    assert top["methods"][0] == "names, each with keys of [`methods.<method>`](#methodsmethod)"
    assert rows("## `datasets.<dataset>`")["shape"][0] == "list of 3: a whole number > 0"
    assert rows("## `methods.<method>`")["members"][:2] == ["a whole number > 0", "`1`"]
    radius = "a number ≥ 0, such as `0.3` or `8/255`"
    group = rows("## `reports.<report>.tables.<table>.panels[].rows[]`")
    assert group["eps_train"][:2] == [f"{radius}, or list of at least 1: {radius}", ""]


def test_options_come_from_the_classes():
    section = rows("### Regularizer `worst_case`")
    assert section["clip_input"] == ["true or false", "`false`", "Cut the ball of perturbed inputs to [0, 1]."]
    assert section["norm"][:2] == ["`linf`, `l2`, `l1`, `l0`", "`linf`"]
    assert list(section) == ["domain", "clip_input", "norm", "form", "around", "share"]
    assert section["around"][:2] == ["keys with values", ""]


def test_attributes_of_a_docstring():
    doc = "Something.\n\nAttributes:\n    a, b: one\n        text.\n    c: other: text.\n\nMore.\n"
    assert attributes(doc) == {"a": "one text.", "b": "one text.", "c": "other: text."}


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=lambda r: r.what)
def test_every_registered_thing_and_each_of_its_options_is_described(registry):
    for name, declared in registry.declared.items():
        assert declared.doc, name
        assert set(attributes(declared.doc)) >= set(declared.options), name


def test_every_key_is_described():
    schema = json_schema()
    for name, model in {"Config": schema, **schema["$defs"]}.items():
        for key, node in model["properties"].items():
            assert node.get("description"), f"{name}.{key}"
