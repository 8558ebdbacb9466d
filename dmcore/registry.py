"""Classes and functions chosen by name in a config; each registers itself from a file of its own.

The names, and the options each takes, can be read from the source without importing it: checking a config must not
need torch.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from dmcore.errors import UserError, nearest

T = TypeVar("T")


MAPPING = "Mapping[str, Any]"
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
    MAPPING: (dict,),
}
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    MAPPING: "keys with values",
}


@dataclass(frozen=True)
class Option:
    """One option of a registered class, as its annotation says.

    Attributes:
        choices: those of a ``Literal``.
        kind: one of ``TYPES``; None for anything else, which is not checked.
        required: whether it has no default.
        default: the default, if it has one.
    """

    choices: tuple[str, ...]
    kind: str | None
    required: bool
    default: Any = None

    def fault(self, value: Any) -> str | None:
        """What is wrong with a value, if anything is."""
        if self.choices and value not in self.choices:
            return f"'{value}' is not known: {nearest(str(value), self.choices)}"
        if self.kind and (not isinstance(value, TYPES[self.kind]) or isinstance(value, bool) != (self.kind == "bool")):
            return f"must be {WORDS[self.kind]}, not {value!r}"
        return None


@dataclass
class Declaration:
    """What the source says of a registered class or function: its docstring, options and constants.

    Attributes:
        module: the one it stands in.
        texts: all texts in that module: what it asks of other registries, or lets be asked by default, is among them.
    """

    module: str
    texts: frozenset[str]
    doc: str = ""
    options: dict[str, Option] = field(default_factory=dict)
    constants: dict[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """The things of one kind, in the modules of some packages.

    ::

        regularizer = Registry("regularizer", "dmcore.regularizers")

        @regularizer("my_term")
        @dataclass
        class MyTerm(Regularizer): ...

    Args:
        what: the kind's name, which is also the decorator's.
        packages: those in whose modules they stand.
    """

    def __init__(self, what: str, *packages: str) -> None:
        self.what, self.packages = what, packages
        self._known: dict[str, T] = {}

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator: registers a class or function under ``name``."""

        def register(thing: T) -> T:
            self._known[name] = thing
            return thing

        return register

    def get(self, name: str) -> T:
        """The class or function of that name. Of the packages' modules only its own is imported."""
        self.check(name)
        importlib.import_module(self.declared[name].module)
        return self._known[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self.declared)

    def check(self, name: str, options: dict[str, Any] | None = None) -> None:
        """Refuses an unknown name, and options that are unknown, missing or of a wrong kind; imports nothing.

        Without ``options`` only the name is checked.

        Raises:
            UserError: names the nearest valid one.
        """
        kind = self.what.replace("_", " ")
        if name not in self.declared:
            raise UserError(f"unknown {kind} '{name}': {nearest(name, self.declared)}")
        known = self.declared[name].options
        for option, value in (options or {}).items():
            if option not in known:
                raise UserError(f"{kind} '{name}' has no option '{option}': {nearest(option, known)}")
            fault = known[option].fault(value)
            if fault:
                raise UserError(f"{kind} '{name}': {option} {fault}")
        if options is not None:
            for option in known:
                if known[option].required and option not in options:
                    raise UserError(f"{kind} '{name}' needs the option '{option}'")

    def constant(self, name: str, constant: str, default: Any = None) -> Any:
        """An UPPER_CASE constant of the class of that name."""
        self.check(name)
        return self.declared[name].constants.get(constant, default)

    @cached_property
    def declared(self) -> dict[str, Declaration]:
        """What the source declares, by name."""
        found: dict[str, Declaration] = {}
        for module, path in self._modules():
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"), str(path))))
            texts = frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
            for node in nodes:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and (names := self._names(node)):
                    found.update(dict.fromkeys(names, _declaration(node, module, texts)))
        return found

    def _modules(self) -> Iterator[tuple[str, Path]]:
        """The name and the file of each module."""
        for package in self.packages:
            spec = importlib.util.find_spec(package)
            assert spec is not None
            (folder,) = spec.submodule_search_locations or []
            yield from ((f"{package}.{path.stem}", path) for path in sorted(Path(folder).glob("*.py")))

    def _names(self, node: ast.ClassDef | ast.FunctionDef) -> list[str]:
        """The names under which ``@<what>("name")`` decorators register a class or function."""
        calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and d.args]
        return [
            str(call.args[0].value)
            for call in calls
            if getattr(call.func, "id", None) == self.what and isinstance(call.args[0], ast.Constant)
        ]


def _declaration(node: ast.ClassDef | ast.FunctionDef, module: str, texts: frozenset[str]) -> Declaration:
    found = Declaration(module, texts, ast.get_docstring(node) or "")
    if isinstance(node, ast.FunctionDef):
        return found
    for statement in node.body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            kind = ast.unparse(statement.annotation).removesuffix(" | None")
            found.options[statement.target.id] = Option(
                _choices(statement.annotation),
                kind if kind in TYPES else None,
                statement.value is None,
                ast.literal_eval(statement.value) if statement.value else None,
            )
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            found.constants[statement.targets[0].id] = ast.literal_eval(statement.value)
    return found


def _choices(annotation: ast.expr) -> tuple[str, ...]:
    """The strings of a ``Literal["a", "b"]`` annotation."""
    if isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", None) == "Literal":
        return tuple(ast.literal_eval(annotation.slice))
    return ()
