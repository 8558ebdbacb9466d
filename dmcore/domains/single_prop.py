"""SingleProp with Fast-Lin's bounds (Boopathy et al. 2021): one margin, and a ReLU rule that bends with z.

SingleProp's other rule, with bounds of slope 0, is :class:`dmcore.domains.SingleMargin`, the paper's "s only".
"""

from __future__ import annotations

import torch
from torch import Tensor

from dmcore.domains.double_margin import Margins, SingleMargin
from dmcore.nets.layers import ReLU
from dmcore.registries import forward_domain


@forward_domain("single_prop_fastlin")
class SinglePropFastLin(SingleMargin):
    """As "s only", but ``s ← ¾s + ½z − z²/(4s)`` at an unstable ReLU, |z| < s."""


@SinglePropFastLin.passes(ReLU)
def _relu(domain: SinglePropFastLin, layer: ReLU, m: Margins) -> Margins:
    return Margins(layer(m.z), _half_range(m.z, m.s))


def _half_range(z: Tensor, s: Tensor) -> Tensor:
    unstable = z.abs() < s
    curve = 0.75 * s + 0.5 * z - z.square() / (4 * torch.where(unstable, s, 1))
    return torch.where(unstable, curve, torch.where(z > 0, s, 0))
