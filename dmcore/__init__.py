"""dmcore: training of robust and verifiable networks, and their certification.

What is public can be imported from here; importing dmcore itself is fast and needs no torch::

    from dmcore import build_net, certify_points, margin_bounds
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "dmcore.attacks": ["Attack"],
    "dmcore.attacks.evaluate": ["attack_points"],
    "dmcore.bounds": ["double_margins", "interval_bounds"],
    "dmcore.certifiers": ["Certifier"],
    "dmcore.certify": ["CertificationResult", "certify_points", "margin_bounds"],
    "dmcore.checkpoint": ["load_model", "save_model"],
    "dmcore.data": ["ImageSet", "Split", "load_images"],
    "dmcore.domains": ["Domain"],
    "dmcore.errors": ["UserError"],
    "dmcore.extras.exact": ["exact_margins"],
    "dmcore.extras.exchange": ["export_onnx", "export_vnnlib", "import_onnx", "write_instances"],
    "dmcore.nets": ["Network", "as_network", "build_net"],
    "dmcore.nets.layers": ["Affine", "Nonlinear"],
    "dmcore.perturbation": ["Ball", "Box"],
    "dmcore.radius": ["certified_radius"],
    "dmcore.registries": ["architecture", "attack", "certifier", "forward_domain", "regularizer"],
    "dmcore.regularizers": ["Batch", "Regularizer"],
    "dmcore.spec": ["Method", "ModelSpec", "Training"],
    "dmcore.training.loop": ["train"],
}
"""The public names, by the module that defines each."""
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'dmcore' has no attribute '{name}'")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
