"""What the source itself tells: a hash of the modules that a stage of the pipeline uses.

Snakemake reruns a job when its parameters change, but does not see an edit of a module that the job imports. With
this hash among the parameters an edit of the training code reruns trainings, and one of the tables does not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dmcore import registries as library
from dmcore.files import sha256
from dmcore.registry import Registry, plugins
from doublemargin.experiment import registries

PACKAGES = {"dmcore": Path(library.__file__).parent, "doublemargin": Path(__file__).parents[1]}
"""The packages whose modules count, and where they lie."""
REGISTRIES = {
    f"{module.__name__}.{name}": registry
    for module in (library, registries)
    for name, registry in vars(module).items()
    if isinstance(registry, Registry)
}
"""The registries, by what a module imports that asks one for things."""


class Source(NamedTuple):
    """What counts of a file.

    Attributes:
        imports: the modules it imports, anywhere in it; of ``from a import b`` both ``a`` and ``a.b``.
        code: a hash of its place, and of its code without comments, docstrings and layout: rewording reruns nothing.
    """

    imports: frozenset[str]
    code: str


def code_hash(*entries: str, uses: Any = ()) -> str:
    """A hash of the given modules and of all those of our packages that run with them (:func:`files_used`).

    Comments and docstrings do not count. A folder ``templates`` counts with the modules beside it.

    Args:
        uses: plain data, such as a part of a specification: its texts are what registries are asked for.
    """
    return _hash(entries, frozenset(_texts(uses)))


@cache
def _hash(entries: tuple[str, ...], names: frozenset[str]) -> str:
    return sha256("\n".join(sorted(read(path).code for path in files_used(*entries, names=names))).encode())[:16]


def files_used(*entries: str, names: frozenset[str] = frozenset()) -> set[Path]:
    """The files of the given modules and of all those of ours that they import, directly or not, or load by name.

    Args:
        names: what registries may be asked for. A module that registers one of them counts if some other asks its
            registry; what it names itself, as the default of an option, may be asked for in turn.
    """
    found: set[Path] = set()
    waiting, asked, loaded, names = set(entries), set(), set(), set(names)
    while waiting:
        module = waiting.pop()
        asked |= {module} & REGISTRIES.keys()
        new = [path for path in _files(module) if path not in found]
        found.update(new)
        waiting.update(*(read(path).imports for path in new))
        if not waiting:
            known = [REGISTRIES[registry].declared for registry in asked]
            chosen = [declared[name] for declared in known for name in names & declared.keys()]
            waiting = {one.module for one in chosen} - loaded
            loaded |= waiting
            names.update(*(one.texts for one in chosen))
    return found


@cache
def read(path: Path) -> Source:
    """Reads a file, once for all stages that use it: parsing is what hashing costs."""
    found, code = set(), path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        tree = ast.parse(code, str(path))
        found, code = imports(tree), _code(tree)
    folders = [folder.parent for folder in PACKAGES.values() if path.is_relative_to(folder)]
    place = path.relative_to(folders[0]) if folders else path.name  # of a plugin the name alone
    return Source(frozenset(found), sha256(f"{place} {code}".encode()))


def imports(tree: ast.AST) -> set[str]:
    """The modules that some code imports when it runs, in functions too."""
    names: set[str] = set()
    for node in _running(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """A tree's nodes, without what is there for type checkers alone."""
    yield node
    if not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
        for child in ast.iter_child_nodes(node):
            yield from _running(child)


@cache
def _files(module: str) -> list[Path]:
    """The files that an import of ``dmcore.a.b`` runs below dmcore: of packages on the way, with templates; its own."""
    if module in plugins():
        return [plugins()[module]]
    top, *parts = module.split(".")
    place, files = PACKAGES.get(top), []
    for part in parts if place else ():
        place /= part
        if not place.is_dir():
            file = place.with_suffix(".py")
            return [*files, file] if file.is_file() else files
        files += [place / "__init__.py", *place.glob("templates/*")]
    return files


def _texts(data: Any) -> Iterator[str]:
    """All texts in some plain data, keys aside."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, Mapping | list | tuple):
        for part in data.values() if isinstance(data, Mapping) else data:
            yield from _texts(part)


def _code(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    return ast.dump(tree)
