"""Fused chains of operations against the same ones made one by one."""

import shutil

import pytest
import torch
from torch import Tensor

from dmcore.domains import double_margin, interval
from dmcore.fusion import can_fuse, fusible, fusion
from dmcore.nets.layers import MaxPool

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute")  # which torch.compile looks at, and hides this
needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")


POOL = MaxPool((2, 3), (2, 3))
RULES = {
    "double margin": (lambda *t: double_margin._relu_rule(*t, True), 3),
    "double margin, pooling": (lambda *t: double_margin._pool_rule(POOL, *t, True), 3),
    "s only, pooling": (lambda z, s: double_margin._pool_rule(POOL, z, s, None, False), 2),
    "interval, pooling": (lambda *t: interval._pool_rule(POOL, *t), 2),
}


def results(rule, tensors, on):
    """Values and gradients."""
    tensors = [t.clone().requires_grad_() for t in tensors]
    with fusion(on):
        values = rule(*tensors)
    sum((v * v).sum() for v in values).backward()
    return [*values, *(t.grad for t in tensors)]


def inputs(count: int) -> list[Tensor]:
    """z with many equal entries in a window, as behind a ReLU, and radii; the last row and column are in no window."""
    g = torch.Generator().manual_seed(0)
    z = torch.randn(3, 4, 7, 10, generator=g).relu().round(decimals=1)
    return [z, *(torch.rand(z.shape, generator=g).round(decimals=1) for _ in range(count - 1))]


@pytest.mark.slow
@needs_a_compiler
@pytest.mark.parametrize("name", RULES)
def test_the_bits_are_the_same(name):
    rule, count = RULES[name]
    for plain, fused in zip(results(rule, inputs(count), False), results(rule, inputs(count), True), strict=True):
        assert torch.equal(fused, plain)


@pytest.mark.slow
@needs_a_compiler
def test_a_process_may_fuse_many_functions():
    functions = [fusible(lambda x, factor=factor: (x * factor,)) for factor in range(10)]
    for factor, function in enumerate(functions):
        assert [t.tolist() for t in results(function, [torch.ones(3)], True)] == [[factor] * 3, [2.0 * factor**2] * 3]


@pytest.mark.slow
@needs_a_compiler
def test_a_radius_of_batch_size_1_gets_the_sum_of_the_gradients():
    z, s = inputs(2)
    found, expected = (results(interval._relu_rule, [z, s[:1]], on)[-1] for on in (True, False))
    assert found.shape == (1, 4, 7, 10)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("size", [(4, 6), (5, 6), (4, 7)])
def test_each_entry_of_a_window_gets_its_own_gradient(size):
    z = torch.rand(2, 3, *size, requires_grad=True)
    for number, entry in enumerate(MaxPool((2, 2), (2, 2)).entries(z), 1):
        (number * entry).sum().backward(retain_graph=True)
    expected = torch.zeros(size)
    expected[:4, :6] = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).repeat(2, 3)
    assert torch.equal(z.grad, expected.expand_as(z))


@pytest.mark.parametrize("on", [False, True])
def test_windows_that_overlap_are_pooled_as_ever(on, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: pytest.fail("compiled"))
    layer, (z, s) = MaxPool((3, 3), (2, 2), (1, 1)), inputs(2)
    with fusion(on):
        found = double_margin._pool_rule(layer, z, s, None, False)
    assert torch.equal(found[0], layer(z))
    assert torch.equal(found[1], (layer(z + s) - layer(z - s)) / 2)


def test_nothing_is_compiled_unless_asked(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *args, **kwargs: pytest.fail("compiled"))
    assert fusible(lambda x: (x + 1,))(torch.zeros(()))[0] == 1


def test_a_missing_compiler_is_noticed(monkeypatch):
    def compile_nothing(function):
        def called(*args):
            raise torch._dynamo.exc.TorchDynamoException("no g++")

        return called

    monkeypatch.setattr(torch, "compile", compile_nothing)
    assert not can_fuse(torch.device("cpu"))
