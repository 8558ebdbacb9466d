"""Classes and functions chosen by name in a config; each registers itself from a file of its own.

The names, and the options each takes, can be read from the source without importing it: checking a config must not
need torch.

Files of a user's own, *plugins*, are read like the modules of the packages. :func:`use_plugins` names them, or the
environment variable ``DMCORE_PLUGINS`` in a process that another one starts.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

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


PLUGINS = "dmcore_plugins"
"""The package that plugins are modules of, each under its file's name."""
_VARIABLE = PLUGINS.upper()


def plugins() -> dict[str, Path]:
    """The files of the plugins in use, by module name."""
    paths = (Path(path) for path in os.environ.get(_VARIABLE, "").split(os.pathsep) if path)
    return {f"{PLUGINS}.{path.stem}": path for path in paths}


def plugin_environment() -> dict[str, str]:
    """What a process that this one has started elsewhere needs in its environment, to know the same plugins."""
    value = os.environ.get(_VARIABLE, "")
    return {_VARIABLE: value} if value else {}


def use_plugins(paths: Sequence[Path | str]) -> None:
    """Has all registries, and those of processes that this one starts, know what some files register.

    Raises:
        UserError: a file is not there or is no Python, or two have one name.
    """
    found = [Path(path).resolve() for path in paths]
    for path in found:
        if not path.is_file() or not path.stem.isidentifier():
            raise UserError(f"the plugin {path} is no file <name>.py with a name as Python's modules have it")
        if os.pathsep in str(path):
            raise UserError(f"the plugin {path} has a '{os.pathsep}' in its path, which separates paths: rename it")
    if len({path.stem for path in found}) < len(found):
        raise UserError("two plugins have one name: " + ", ".join(map(str, found)))
    os.environ[_VARIABLE] = os.pathsep.join(map(str, found))
    for registry in Registry.all:
        registry.__dict__.pop("declared", None)


def _import(module: str) -> None:
    """Imports a module of a package, or a plugin."""
    path = plugins().get(module)
    if path is None:
        importlib.import_module(module)
    elif getattr(sys.modules.get(module), "__file__", None) != str(path):
        spec = importlib.util.spec_from_file_location(module, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[module] = made = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(made)
        except BaseException:
            del sys.modules[module]
            raise


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

    all: ClassVar[list[Registry[Any]]] = []

    def __init__(self, what: str, *packages: str) -> None:
        self.what, self.packages = what, packages
        self._known: dict[str, T] = {}
        Registry.all.append(self)

    def __call__(self, name: str) -> Callable[[T], T]:
        """Decorator: registers a class or function under ``name``."""

        def register(thing: T) -> T:
            self._known[name] = thing
            return thing

        return register

    def get(self, name: str) -> T:
        """The class or function of that name. Of the packages' modules and the plugins only its own is imported."""
        self.check(name)
        _import(self.declared[name].module)
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
            nodes = list(ast.walk(_parsed(path)))
            texts = frozenset(n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str))
            for node in nodes:
                if isinstance(node, ast.ClassDef | ast.FunctionDef) and (names := self._names(node)):
                    for name in names:
                        if name in found and module in plugins():
                            raise UserError(f"{path} registers the {self.what} '{name}', which is there already")
                        found[name] = _declaration(node, module, texts)
        return found

    def _modules(self) -> Iterator[tuple[str, Path]]:
        """The name and the file of each module."""
        for package in self.packages:
            spec = importlib.util.find_spec(package)
            assert spec is not None
            (folder,) = spec.submodule_search_locations or []
            yield from ((f"{package}.{path.stem}", path) for path in sorted(Path(folder).glob("*.py")))
        yield from plugins().items()

    def _names(self, node: ast.ClassDef | ast.FunctionDef) -> list[str]:
        """The names under which ``@<what>("name")`` decorators register a class or function."""
        calls = [d for d in node.decorator_list if isinstance(d, ast.Call) and d.args]
        return [
            str(call.args[0].value)
            for call in calls
            if getattr(call.func, "id", None) == self.what and isinstance(call.args[0], ast.Constant)
        ]


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


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
