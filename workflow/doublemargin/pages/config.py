"""Every key of ``config.yaml``: the page of configuration keys.

It is read from the JSON schema of the config's models, a table for each, and from the docstrings of what is registered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dmcore.registries import attack, regularizer
from dmcore.registry import WORDS, Option, Registry
from doublemargin.experiment.config_models import json_schema
from doublemargin.experiment.source import REGISTRIES
from doublemargin.markdown import code, prose, table

INTRODUCTION = """# Every key of `config.yaml`

Written by `python -m doublemargin info --config` from the config's models
(`config_models.py` and `config_report.py` in `workflow/doublemargin/experiment/`) and the docstrings of what is
registered.

`<name>` stands for a name of your choice, `[]` for each entry of a list. A key without a default that is not needed may
be left out. A key that is not listed here is refused. Keys can also be set for one call: `snakemake --config
schedule=short`.

Snakemake run in another folder takes that one's `config.yaml`, or else the files of `--configfile`, or else this
repository's. Files that a config names are looked for in the folder where Snakemake runs, then in this repository.

`python -m doublemargin info --schema > config.schema.json` writes the JSON schema, by which an editor completes and
checks a config whose first line is `# yaml-language-server: $schema=config.schema.json`.
"""
HEAD = ["key", "value", "default", "meaning"]
NEEDED = "needed"
TYPES = {"integer": WORDS["int"], "number": WORDS["float"], "boolean": WORDS["bool"], "string": WORDS["str"]}
NAMED = {"per_dataset": "dataset", "training": "dataset"}
"""What stands under the names of some mappings; that of the others is the singular of their key."""
LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
Node = Mapping[str, Any]


def page() -> str:
    """The page in Markdown."""
    schema, parts, paths = json_schema(), [INTRODUCTION], {}
    waiting = [("Top level", schema)]
    while waiting:
        path, model = waiting.pop(0)
        parts.append(_section(path, model))
        parts += {"attack": _options(attack), "regularizers[]": _options(regularizer)}.get(path.rpartition(".")[2], ())
        below = [(place, name) for place, name in _below(path if paths else "", model) if name not in paths]
        paths |= {name: place for place, name in below}
        waiting = [*((place, schema["$defs"][name]) for place, name in below), *waiting]
    return _linked("\n".join([*parts, *_names()]), paths)


def _section(path: str, model: Node) -> str:
    """A heading, what the model is, and a row for each of its keys."""
    rows = [
        [
            code(key),
            _value(node),
            NEEDED if key in model.get("required", ()) else _default(node.get("default")),
            prose(node.get("description", "")),
        ]
        for key, node in model["properties"].items()
    ]
    title = path if " " in path else code(path)
    return f"## {title}\n\n{prose(model['description'])}\n\n{table(HEAD, rows)}"


def _below(path: str, model: Node) -> Iterator[tuple[str, str]]:
    """The models of a model's keys by name, each with the path at which it stands."""
    for key, node in model["properties"].items():
        place = f"{path}.{key}".lstrip(".")
        parts = {
            place: node,
            f"{place}[]": node.get("items", {}),
            f"{place}.<{NAMED.get(key, key.removesuffix('s'))}>": _entry(node),
        }
        yield from ((at, _model(part)) for at, part in parts.items() if "$ref" in part)


def _model(node: Node) -> str:
    return node["$ref"].rpartition("/")[2]


def _entry(node: Node) -> Node:
    """What stands under each name of a mapping."""
    (entry,) = node.get("patternProperties", {"": node.get("additionalProperties") or {}}).values()
    return entry


def _value(node: Node) -> str:
    """What may stand there, in words; ``{Model}`` stands for a link to a model's section."""
    if "$ref" in node:
        return f"keys of {{{_model(node)}}}"
    if "examples" in node:
        return f"{WORDS['float']} ≥ 0, such as {' or '.join(map(code, node['examples']))}"
    if "anyOf" in node:
        return ", or ".join(map(_value, node["anyOf"]))
    if "enum" in node:
        return ", ".join(map(code, node["enum"]))
    if "items" in node:
        low, high = node.get("minItems", 0), node.get("maxItems")
        count = f"list of {low}" if low == high else f"list of at least {low}" if low else "list"
        return f"{count}: {_value(node['items'])}"
    if node["type"] == "object":
        return f"names, each with {_value(_entry(node))}"
    limits = " and ".join(f"{sign} {node[limit]}" for limit, sign in LIMITS.items() if limit in node)
    pattern = f" matching {code(node['pattern'])}" if "pattern" in node else ""
    return f"{TYPES[node['type']]} {limits}".rstrip() + pattern


def _linked(text: str, paths: Mapping[str, str]) -> str:
    """The page with each ``{Model}`` as a link to the section of its path, in the way GitHub names headings."""
    for name, path in paths.items():
        anchor = re.sub(r"[^\w-]", "", path.lower())
        text = text.replace(f"{{{name}}}", f"[{code(path)}](#{anchor})")
    return text


def _options(registry: Registry[Any]) -> Iterator[str]:
    """The options of each kind."""
    for kind, declared in sorted(registry.declared.items()):
        meanings = attributes(declared.doc)
        rows = [_option(name, option, meanings[name]) for name, option in declared.options.items()]
        yield f"### {_what(registry)} {code(kind)}\n\n{prose(declared.doc)}\n\n{table(['option', *HEAD[1:]], rows)}"


def attributes(docstring: str) -> dict[str, str]:
    """What a docstring's section ``Attributes`` says of each; several can share one text."""
    found: dict[str, str] = {}
    section = re.search(r"^Attributes:\n((?:[ ]{4}.*\n?)+)", docstring, re.M)
    for entry in re.findall(r"^ {4}(\w.*(?:\n {8}.*)*)", section[1], re.M) if section else ():
        names, text = entry.split(":", 1)
        found |= dict.fromkeys((name.strip() for name in names.split(",")), prose(text))
    return found


def _option(name: str, option: Option, meaning: str) -> list[str]:
    value = ", ".join(map(code, option.choices)) or WORDS[option.kind or "str"]
    default = NEEDED if option.required else _default(option.default)
    return [code(name), value, default, meaning[:1].upper() + meaning[1:]]


def _default(value: Any) -> str:
    return "" if value is None else code(json.dumps(value).strip('"'))


def _names() -> Iterator[str]:
    """What is registered and takes no options."""
    for registry in REGISTRIES.values():
        if not any(declared.options for declared in registry.declared.values()):
            rows = [[code(name), prose(registry.declared[name].doc)] for name in registry.names()]
            yield f"## Every {_what(registry).lower()}\n\n{table(['name', 'what it is'], rows)}"


def _what(registry: Registry[Any]) -> str:
    return registry.what.replace("_", " ").capitalize()
