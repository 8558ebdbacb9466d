"""Fused chains of operations against the same ones made one by one."""

import shutil

import pytest
import torch

from dmcore.domains import double_margin, interval
from dmcore.fusion import fusible, fusion

RULES = {"double margin": (double_margin._relu_rule, 3), "interval": (interval._relu_rule, 2)}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
@pytest.mark.parametrize("name", RULES)
def test_values_and_gradients_are_the_same(name):
    rule, count = RULES[name]
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(8, 50, generator=generator, dtype=torch.float64)
    radii = [torch.rand(8, 50, generator=generator, dtype=torch.float64) for _ in range(count - 1)]
    found = []
    for on in (False, True):
        tensors = [t.clone().requires_grad_() for t in (z, *radii)]
        with fusion(on):
            results = rule(*tensors)
        sum((r * r).sum() for r in results).backward()
        found.append([*results, *(t.grad for t in tensors)])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-12, atol=1e-14)


def test_nothing_is_compiled_unless_asked(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: pytest.fail("compiled"))
    assert fusible(lambda x: x + 1)(torch.zeros(())) == 1
