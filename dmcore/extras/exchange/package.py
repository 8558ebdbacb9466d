"""The package onnx, imported only where it is used, and its files."""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from dmcore.errors import UserError

LARGEST = 2**31 - 1  # bytes; protobuf reads no more
OLDEST_OPSET = 7  # before it Add and Mul did not broadcast by position


def onnx_package() -> ModuleType:
    """The package onnx with the parts used here.

    Raises:
        UserError: it is not installed.
    """
    try:
        for part in ("checker", "external_data_helper", "helper", "numpy_helper"):
            import_module(f"onnx.{part}")
        return import_module("onnx")
    except ImportError as error:
        raise UserError("ONNX files need the package onnx: pip install 'doublemargin[onnx]'") from error


def load_model(path: Path) -> tuple[Any, str]:
    """The model as protobuf with all its weights, its structure checked, and a hash of it.

    Raises:
        UserError: no valid ONNX file; weights in a file that is not beside it; an opset that is too old.
    """
    onnx = onnx_package()
    if not path.is_file():
        raise UserError(f"{path} does not exist")
    if path.stat().st_size > LARGEST:
        raise UserError(f"{path} is larger than 2 GiB, which no ONNX file without external data can be")
    try:
        model = onnx.load(path, load_external_data=False)
        beside = _files_beside(model)
        missing = [name for name in beside if not (path.parent / name).is_file()]
        if missing:
            raise UserError(f"{path} keeps weights in {missing[0]}, which is not beside it: copy both files together")
        if sum((path.parent / name).stat().st_size for name in beside) > LARGEST:
            raise UserError(f"{path} has weights of more than 2 GiB, which cannot be read here")
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))  # refuses to leave the folder
        onnx.checker.check_model(model)
    except (ValueError, TypeError, OSError, onnx.checker.ValidationError, _decode_error()) as error:
        raise UserError(f"{path} is no valid ONNX file: {' '.join(str(error).split())[:200]}") from error
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET or model.graph.sparse_initializer:
        found = "sparse weights" if opset >= OLDEST_OPSET else f"operators of opset {opset}"
        raise UserError(f"{path} has {found}, which are not known: export it again, with opset {OLDEST_OPSET} or newer")
    return model, hashlib.sha256(model.SerializeToString(deterministic=True)).hexdigest()


def _files_beside(model: Any) -> list[str]:
    """The names of the files that hold weights."""
    inside = [attribute.t for node in model.graph.node for attribute in node.attribute]
    entries = (entry for tensor in [*model.graph.initializer, *inside] for entry in tensor.external_data)
    return list(dict.fromkeys(entry.value for entry in entries if entry.key == "location"))


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError  # protobuf comes with onnx

    return DecodeError


def needed_nodes(graph: Any, output: str) -> list[Any]:
    """The nodes that the output depends on, in their order; the rest, such as unused constants, does not matter."""
    wanted, nodes = {output}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            wanted.update(node.input)
            nodes.append(node)
    return nodes[::-1]
