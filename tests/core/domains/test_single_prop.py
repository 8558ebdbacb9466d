"""SingleProp's two rules by loops: the one with bounds of slope 0 is the paper's "s only"."""

import numpy as np
import pytest
import torch
from conftest import NETS
from dense_reference import matrices

from dmcore.nets import as_network
from dmcore.perturbation import Ball
from dmcore.registries import forward_domain

EPS = 0.1


def relu(z, s, rule):
    if s <= z:
        return s
    if z <= -s:
        return 0.0
    return {"zero": (z + s) / 2, "fastlin": 0.75 * s + z / 2 - z * z / (4 * s)}[rule]


def by_loops(steps, x, rule):
    z, s = x, np.full(len(x), EPS)
    for step in steps:
        if step[0] == "affine":
            z, s = step[1] @ z + step[2], np.abs(step[1]) @ s
        else:
            s = np.array([relu(a, b, rule) for a, b in zip(z, s, strict=True)])
            z = np.maximum(z, 0)
    return z, s


@pytest.mark.parametrize("name", ["conv", "chain"])
@pytest.mark.parametrize(("domain", "rule"), [("single_margin", "zero"), ("single_prop_fastlin", "fastlin")])
def test_margins_by_loops(name, domain, rule):
    make, in_shape = NETS[name]
    net = make(0, torch.float64)
    x = torch.rand(4, *in_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    margins = forward_domain.get(domain)().output(as_network(net), Ball(x, EPS))
    assert margins.v is None
    for i in range(4):
        z, s = by_loops(matrices(net, in_shape), x[i].flatten().numpy(), rule)
        np.testing.assert_allclose(margins.z[i].detach(), z, atol=1e-12)
        np.testing.assert_allclose(margins.s[i].detach(), s, atol=1e-12)
    assert (margins.s > 1e-3).any()


def test_the_gradient_of_dead_and_constant_neurons_is_finite():
    net = as_network(NETS["conv"][0](0, torch.float64))
    with torch.no_grad():
        net.layers[0].weight.zero_()
        net.layers[0].bias.zero_()
    x = torch.rand(2, *NETS["conv"][1], dtype=torch.float64)
    forward_domain.get("single_prop_fastlin")().output(net, Ball(x, EPS)).s.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in net.parameters())
