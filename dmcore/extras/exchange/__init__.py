"""Networks and properties in the formats of other verifiers: ONNX both ways, VNN-LIB outwards.

What is certified here can so be checked by tools that share no line of code with us, and their networks can be
certified here. ONNX needs the package onnx: ``pip install 'doublemargin[onnx]'``.
"""

from __future__ import annotations

from dmcore.extras.exchange.from_onnx import import_onnx
from dmcore.extras.exchange.properties import export_vnnlib, write_instances
from dmcore.extras.exchange.to_onnx import export_onnx

__all__ = ["export_onnx", "export_vnnlib", "import_onnx", "write_instances"]
