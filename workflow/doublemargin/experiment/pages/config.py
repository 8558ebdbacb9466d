"""Every key of ``config.yaml``: the page of configuration keys.

All of it is read from the schema and from what is registered, by these rules. Keys that are names of the user's own
(``patternProperties``) are shown as ``<name>``, by the title of ``propertyNames`` or the singular of the key that they
stand under. ``x-registry`` says that a text, or such a name, is that of something registered. Where an entry that takes
further keys has a registered ``kind``, these are the options of the registered class.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from dmcore.registry import WORDS, Option, Registry
from doublemargin.experiment.config import SCHEMA
from doublemargin.experiment.pages.markdown import code, prose, table
from doublemargin.experiment.source import REGISTRIES

INTRODUCTION = """# Every key of `config.yaml`

Written by `python -m doublemargin info --config` from the schema (`workflow/schemas/config.schema.yaml`) and from the
docstrings of what is registered.

`<name>` stands for a name of your choice, `[]` for each entry of a list. What is needed must be there wherever its
parent is; anything else may be left out, and is then its default if one is given. A key that is not listed here is
refused. Keys can also be set for one call: `snakemake --config schedule=short`.

Snakemake run in another folder takes that one's `config.yaml`, or else the files of `--configfile`, or else this
repository's. Files that a config names are looked for in the folder where Snakemake runs, then in this repository.
"""
HEAD = ["key", "value", "default", "meaning"]
NEEDED = "needed"
TYPES = {"integer": WORDS["int"], "number": WORDS["float"], "boolean": WORDS["bool"], "string": WORDS["str"]}
ALL = list(REGISTRIES.values())
Node = Mapping[str, Any]


def page(schema: Node | None = None) -> str:
    """The page in Markdown, of this or another schema."""
    return _Page(schema or yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))).text()


class _Page:
    def __init__(self, schema: Node) -> None:
        self.schema = schema
        self.told: dict[str, str] = {}  # definitions that have been written out, and where
        self.open: dict[str, str] = {}  # registries whose options are to be written out, and the entries that take them

    def text(self) -> str:
        parts = [INTRODUCTION]
        for key, node in self.schema["properties"].items():
            top, *rows = self._rows(key, node, _default(key, node, self.schema))
            about = f"{top[3]} ({', '.join(filter(None, top[1:3]))})\n" if rows else ""
            parts.append(f"## {code(key)}\n\n{about}".rstrip() + "\n")
            parts += [table(HEAD, rows or [top]), *self._options()]
        return "\n".join([*parts, *_names()])

    def _rows(self, path: str, node: Node, default: str) -> Iterator[list[str]]:
        """The rows of a key and of all below it."""
        own = prose(node.get("description", ""))
        definition, node = self._resolved(node)
        if definition in self.told:
            yield [code(path), f"as {code(self.told[definition])}", default, own]
            return
        below = list(self._below(path, node))
        meaning = prose(node.get("description", ""))
        if definition and below:
            self.told[definition] = path
        kind = node.get("properties", {}).get("kind", {}).get("x-registry")
        if kind and "additionalProperties" not in node:
            self.open[kind] = path
        if meaning or not below:
            yield [code(path), self._value(path, node), default, meaning]
        for child in below:
            yield from self._rows(*child)

    def _resolved(self, node: Node) -> tuple[str, Node]:
        """The definition that a schema refers to, if any, and the schema with that definition's own keywords."""
        name = node.get("$ref", "").rpartition("/")[2]
        return name, {**self.schema["$defs"][name], **node} if name else node

    def _below(self, path: str, node: Node) -> Iterator[tuple[str, Node, str]]:
        """The keys below a key: path, schema, default."""
        if "properties" in self._resolved(node.get("items", {}))[1]:
            yield f"{path}[]", node["items"], ""
        for key, child in node.get("properties", {}).items():
            yield f"{path}.{key}", child, _default(key, self._resolved(child)[1], node)
        for child in node.get("patternProperties", {}).values():
            yield f"{path}.<{_name(path, node)}>", child, ""
        for alternative in _alternatives(node):
            yield from self._below(path, self._resolved(alternative)[1])

    def _value(self, path: str, node: Node) -> str:
        """What may stand there, in words."""
        such_as = f", such as {_codes(node['examples'])}" if node.get("examples") else ""
        if "x-registry" in node:
            return _one_of(node["x-registry"])
        if found := _alternatives(node):
            shown = [self._value(path, {"examples": (), **self._resolved(n)[1]}) for n in found]
            return " or ".join(dict.fromkeys(shown)) + such_as
        if "items" in node:
            low, high = node.get("minItems", 0), node.get("maxItems")
            count = f"list of {low}" if low == high else f"list of at least {low}" if low else "list"
            item = self._resolved(node["items"])[1]
            entries = "entries with the keys below" if "properties" in item else self._value(path, item)
            return f"{count}: {entries}" + (", all different" if node.get("uniqueItems") else "") + such_as
        if "patternProperties" in node:
            registry = node.get("propertyNames", {}).get("x-registry")
            return f"keys {code('<' + _name(path, node) + '>')}" + (f", each {_one_of(registry)}" if registry else "")
        if "properties" in node:
            return "the keys below"
        return _words(node) + such_as

    def _options(self) -> Iterator[str]:
        """The options of each kind that an entry above can be of."""
        for registry, path in self.open.items():
            for kind, declared in sorted(_registry(registry).declared.items()):
                yield f"### {code(f'{path}.kind: {kind}')}\n\n{prose(declared.doc)}\n"
                meanings = attributes(declared.doc)
                rows = [_option(name, option, meanings[name]) for name, option in declared.options.items()]
                if rows:
                    yield table(["option", *HEAD[1:]], rows)
        self.open = {}


def attributes(docstring: str) -> dict[str, str]:
    """What a docstring's section ``Attributes`` says of each; several can share one text."""
    found: dict[str, str] = {}
    section = re.search(r"^Attributes:\n((?:[ ]{4}.*\n?)+)", docstring, re.M)
    for entry in re.findall(r"^ {4}(\w.*(?:\n {8}.*)*)", section[1], re.M) if section else ():
        names, text = entry.split(":", 1)
        found |= dict.fromkeys((name.strip() for name in names.split(",")), prose(text))
    return found


def _default(key: str, node: Node, parent: Node) -> str:
    if key in parent.get("required", ()):
        return NEEDED
    alternatives = [alternative.get("required", ()) for alternative in parent.get("oneOf", ())]
    if any(key in alternative for alternative in alternatives):
        others = [alternative for alternative in alternatives if key not in alternative]
        return "needed, or " + " or ".join(" and ".join(map(code, other)) for other in others)
    return code(json.dumps(node["default"])) if "default" in node else ""


def _option(name: str, option: Option, meaning: str) -> list[str]:
    named = [registry.what for registry in ALL if registry.what.split("_")[-1] == name]  # domain: a forward_domain
    value = _one_of(named[0]) if named else _codes(option.choices) or WORDS[option.kind or "str"]
    default = (
        NEEDED if option.required else "" if option.default is None else code(json.dumps(option.default).strip('"'))
    )
    return [code(name), value, default, meaning[:1].upper() + meaning[1:]]


def _alternatives(node: Node) -> list[Node]:
    """The kinds of value of which one may stand there."""
    return [n for n in (*node.get("anyOf", ()), *node.get("oneOf", ())) if {"type", "$ref", "enum", "const"} & set(n)]


def _words(node: Node) -> str:
    """A single value's type and limits."""
    if "enum" in node or "const" in node:
        return _codes(node.get("enum", [node.get("const")]))
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    told = [f"{sign} {node[limit]}" for limit, sign in limits.items() if limit in node]
    words = TYPES[node["type"]] + (" " if told else "") + " and ".join(told)
    return words if "pattern" not in node or "examples" in node else f"{words} matching {code(node['pattern'])}"


def _name(path: str, node: Node) -> str:
    """What the keys of a mapping with names of the user's own are the names of."""
    key = path.rpartition(".")[2].removesuffix("[]")
    return node.get("propertyNames", {}).get("title", key.removesuffix("s"))


def _names() -> Iterator[str]:
    """What is registered and takes no options."""
    for registry in ALL:
        if not any(declared.options for declared in registry.declared.values()):
            rows = [[code(name), prose(registry.declared[name].doc)] for name in registry.names()]
            yield f"## Every {_what(registry)}\n\n{table(['name', 'what it is'], rows)}"


def _one_of(registry: str) -> str:
    found = _registry(registry)
    if any(declared.options for declared in found.declared.values()):
        return _codes(found.names())
    return f"the name of [{_article(_what(found))}](#every-{_what(found).replace(' ', '-')})"


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


def _what(registry: Registry[Any]) -> str:
    return registry.what.replace("_", " ")


def _registry(name: str) -> Registry[Any]:
    return next(registry for registry in ALL if registry.what == name)


def _codes(values: Iterable[object]) -> str:
    return ", ".join(map(code, values))
