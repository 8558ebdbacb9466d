"""What the source itself tells: a hash of the modules that a stage of the pipeline uses.

Snakemake reruns a job when its parameters change, but does not see an edit of a module that the job imports. With
this hash among the parameters an edit of the training code reruns trainings, and one of the tables does not.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

from dmcore.files import sha256

ROOT = Path(__file__).parent


class Source(NamedTuple):
    """What counts of a file.

    Attributes:
        imports: the modules it imports, anywhere in it; of ``from a import b`` both ``a`` and ``a.b``.
        code: its code without comments, docstrings and layout, so that rewording reruns nothing.
    """

    imports: frozenset[str]
    code: str


def code_hash(*entries: str) -> str:
    """A hash of the given modules of dmcore and of all its modules they import, directly or not.

    Comments and docstrings do not count. A package counts with all its modules, as registries load them by name, and
    a folder ``templates`` counts with the modules beside it.
    """
    found = files_used(*entries)
    found |= {file for folder in {path.parent for path in found} for file in folder.glob("templates/*")}
    return sha256("\n".join(f"{p.relative_to(ROOT)} {read(p).code}" for p in sorted(found)).encode())[:16]


def files_used(*entries: str) -> set[Path]:
    """The files of the given modules of dmcore and of all its modules they import, directly or not."""
    found: set[Path] = set()
    waiting = [path for entry in entries for path in _files(entry)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(file for name in read(path).imports for file in _files(name))
    return found


@cache
def read(path: Path) -> Source:
    """Reads a file, once for all stages that use it: parsing is what hashing costs."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return Source(frozenset(), text)
    tree = ast.parse(text, str(path))
    return Source(frozenset(imports(tree)), _code(tree))


def imports(tree: ast.AST) -> set[str]:
    """The modules that some code imports, in functions too."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def _files(module: str) -> list[Path]:
    """The files of ``dmcore.a.b``: a module's one, a package's all."""
    if not module.startswith("dmcore."):
        return []
    place = ROOT.joinpath(*module.split(".")[1:])
    if place.is_dir():
        return sorted(place.glob("*.py"))
    file = place.with_suffix(".py")
    return [file] if file.is_file() else _files(module.rpartition(".")[0])


def _code(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Pass()
    return ast.dump(tree)
