"""auto_LiRPA's bounds and training steps, to be measured beside ours in the same run (``--lirpa``).

It needs an environment of its own: torch==2.4.1, numpy<2, safetensors, tqdm, pydantic, pyyaml, tabulate, appdirs,
sortedcontainers, graphviz, ninja and onnx, then ``pip install --no-deps auto_LiRPA==0.3``; and PYTHONPATH=.:workflow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.onnx import symbolic_helper

from dmcore.crown.margins import margin_rows
from dmcore.nets import Network

# It was written for torch 1.12: what newer versions of NumPy and torch do not have, keep elsewhere or call otherwise.
sys.modules.setdefault("numpy.lib.arraysetops", numpy)
symbolic_helper._set_opset_version = lambda opset: setattr(symbolic_helper.GLOBALS, "export_onnx_opset_version", opset)
torch._C.Node.__getitem__ = lambda node, name: getattr(node, node.kindOf(name))(name)

from auto_LiRPA import BoundedModule, BoundedTensor, PerturbationLpNorm  # noqa: E402
from train_step import Plain  # noqa: E402

_members = BoundedModule._named_members
BoundedModule._named_members = lambda model, *args, remove_duplicate=True, **options: _members(model, *args, **options)

METHODS = {
    "cnn-cert-relu": ("CROWN", "same-slope"),
    "cnn-cert-ada": ("CROWN", "adaptive"),
    "cnn-cert-zero": ("CROWN", "zero-lb"),
    "ibp": ("IBP", "adaptive"),
}


def bounded(net: Network, x: Tensor, rule: str = "adaptive") -> BoundedModule:
    """Its version of a network, with the same weights."""
    plain = Plain(net).to(x.device)
    with torch.no_grad():
        for copy, weight in zip(plain.parameters(), net.parameters(), strict=True):
            copy.copy_(weight)
    return BoundedModule(plain, x[:1], bound_opts={"relu": rule}, device=x.device)


def margin_bounds(net: Network, x: Tensor, y: Tensor, eps: float, certifier: str) -> Callable[[], Tensor]:
    """A function that gives its lower bounds (B, K − 1) of the margins to the other classes, in the ball of ℓ∞."""
    method, rule = METHODS[certifier]
    model, difference = bounded(net, x, rule), other_classes(net, x, y)

    def bounds() -> Tensor:
        with torch.no_grad():
            ball = BoundedTensor(x, PerturbationLpNorm(norm=float("inf"), eps=eps))
            return model.compute_bounds(x=(ball,), C=difference, method=method, bound_upper=False)[0]

    return bounds


def other_classes(net: Network, x: Tensor, y: Tensor) -> Tensor:
    """(B, K − 1, K): the margins to the other classes as linear forms of the logits."""
    (classes,) = net.shapes(x)[net.output]
    rows = margin_rows(y, classes, x).data
    return rows[rows.any(2)].view(len(y), classes - 1, classes)


def training_step(net: Network, x: Tensor, y: Tensor, eps: float, method: str) -> Callable[[], None]:
    """Its step of IBP (``ibp``) or CROWN-IBP (``crown_ibp``), half and half with the clean loss, and Adam."""
    model, rows = bounded(net, x), other_classes(net, x, y)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    ball = PerturbationLpNorm(norm=float("inf"), x_L=(x - eps).clamp(0, 1), x_U=(x + eps).clamp(0, 1))

    def step() -> None:
        optimizer.zero_grad()
        inputs = BoundedTensor(x, ball)
        clean = F.cross_entropy(model(inputs), y)
        lower = model.compute_bounds(IBP=True, C=rows, method=None, bound_upper=False)[0]
        if method == "crown_ibp":
            crown = model.compute_bounds(IBP=False, C=rows, method="backward", bound_upper=False)[0]
            lower = (lower + crown) / 2
        logits = torch.cat([torch.zeros_like(lower[:, :1]), -lower], dim=1)
        robust = F.cross_entropy(logits, torch.zeros_like(y))
        ((clean + robust) / 2).backward()
        optimizer.step()

    return step
