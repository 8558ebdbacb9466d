"""The page of the config: every key of the schema, with what stands there, its default and its meaning."""

import re

import pytest
import yaml
from test_config import CONFIG, ROOT

from doublemargin.experiment.config import SCHEMA
from doublemargin.experiment.grid import find_model
from doublemargin.experiment.pages.config import ALL, attributes, page

PAGE = page()
SMALL = {
    "required": ["seeds", "things"],
    "properties": {
        "seeds": {"type": "array", "description": "Seeds.", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
        "things": {
            "type": "object",
            "description": "Things by name.",
            "propertyNames": {"title": "name"},
            "patternProperties": {"^[a-z]+$": {"$ref": "#/$defs/thing"}},
        },
        "either": {
            "description": "Either.",
            "oneOf": [{"const": "all"}, {"type": "array", "items": {"$ref": "#/$defs/radius"}}],
        },
        "more": {"type": "object", "description": "More.", "properties": {"like": {"$ref": "#/$defs/thing"}}},
    },
    "$defs": {
        "radius": {
            "description": "A radius.",
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": "^x$"}],
            "examples": [0.3],
        },
        "thing": {
            "type": "object",
            "required": ["size"],
            "properties": {
                "size": {"$ref": "#/$defs/radius"},
                "kept": {"type": "boolean", "default": False, "description": "Whether a|b."},
                "full": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, "description": "F."},
                "part": {"type": "string", "pattern": "^p", "description": "P."},
            },
            "oneOf": [{"required": ["full"]}, {"required": ["part", "kept"]}],
        },
    },
}


def rows(text):
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    return {first.strip("` "): [cell.strip() for cell in rest] for first, *rest in lines}


def test_a_small_schema_by_hand():
    assert rows(page(SMALL).split("## Every")[0]) == {
        "seeds": ["list of at least 1: a whole number ≥ 0", "needed", "Seeds."],
        "things.<name>.size": ["a number ≥ 0 or text, such as `0.3`", "needed", "A radius."],
        "things.<name>.kept": ["true or false", "needed, or `full`", r"Whether a\|b."],
        "things.<name>.full": ["a number > 0 and < 1", "needed, or `part` and `kept`", "F."],
        "things.<name>.part": ["text matching `^p`", "needed, or `full`", "P."],
        "either": ["`all` or list: a number ≥ 0 or text, such as `0.3`", "", "Either."],
        "more.like": ["as `things.<name>`", "", ""],
    }
    assert "## `things`\n\nThings by name. (keys `<name>`, needed)\n" in page(SMALL)


def test_options_come_from_the_classes():
    section = rows(PAGE.split("kind: worst_case`\n")[1].split("\n#")[0])
    assert section["clip_input"] == ["true or false", "`false`", "Cut the ball of perturbed inputs to [0, 1]."]
    assert section["domain"][:2] == ["the name of [a forward domain](#every-forward-domain)", "needed"]
    assert section["norm"][:2] == ["`linf`, `l2`, `l1`, `l0`", "`linf`"]
    assert list(section) == ["domain", "clip_input", "norm", "form"]


def test_attributes_of_a_docstring():
    doc = "Something.\n\nAttributes:\n    a, b: one\n        text.\n    c: other: text.\n\nMore.\n"
    assert attributes(doc) == {"a": "one text.", "b": "one text.", "c": "other: text."}


@pytest.mark.parametrize("registry", ALL, ids=lambda r: r.what)
def test_every_registered_thing_and_each_of_its_options_is_described(registry):
    for name, declared in registry.declared.items():
        assert declared.doc, name
        assert set(attributes(declared.doc)) >= set(declared.options), name


def test_every_row_says_what_it_means():
    for key, (value, _, meaning) in {key: cells for key, cells in rows(PAGE).items() if len(cells) == 3}.items():
        assert meaning or value.startswith("as "), key


def test_the_schema_has_no_words_cut_off():
    """In ``{description: Some text, and more}`` YAML takes the second half for a key of its own."""

    def nothing(node):
        children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        return node is None or any(map(nothing, children))

    assert not nothing(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def test_defaults_are_what_a_missing_key_means():
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))["$defs"]
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    plain, model = config["methods"]["l1"], "demo/mnist/small/l1/none/seed0"
    term = schema["regularizers"]["items"]["properties"]
    plain["members"] = schema["method"]["properties"]["members"]["default"]
    plain["regularizers"][0]["ramp"] = term["ramp"]["default"]
    assert find_model(config, model) == find_model(CONFIG, model)
    plain["members"] += 1
    assert find_model(config, model) != find_model(CONFIG, model)
