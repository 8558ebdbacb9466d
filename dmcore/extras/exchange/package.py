"""The package onnx, imported only where it is used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from dmcore.errors import UserError


def onnx_package() -> ModuleType:
    """The package onnx with the parts used here.

    Raises:
        UserError: it is not installed.
    """
    try:
        for part in ("checker", "helper", "numpy_helper"):
            import_module(f"onnx.{part}")
        return import_module("onnx")
    except ImportError as error:
        raise UserError("ONNX files need the package onnx: pip install 'doublemargin[onnx]'") from error
