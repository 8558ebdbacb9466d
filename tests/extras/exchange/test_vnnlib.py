"""VNN-LIB files, read back by a reader of the test's own and checked against the ball and the network."""

import csv
import re
from fractions import Fraction

import onnx
import pytest
import torch
from onnx_files import run_onnx
from small_images import digits, model, save, worst_case

from dmcore.attacks.pgd import Pgd
from dmcore.certify import certify_points
from dmcore.checkpoint import save_model
from dmcore.data import test_points as points_of
from dmcore.errors import UserError
from dmcore.extras.exchange import export_onnx, export_vnnlib, write_instances
from dmcore.nets import build_net
from dmcore.perturbation import Ball
from dmcore.training.step import seeded_net
from doublemargin.cli import main


def expressions(text):
    """Nested lists of a file's S-expressions."""
    stack = [[]]
    for token in re.findall(r"[()]|[^\s()]+", re.sub(r";.*", "", text)):
        if token == "(":
            stack.append([])
        elif token == ")":
            stack[-2].append(stack.pop())
        else:
            stack[-1].append(token)
    (top,) = stack
    return top


class Property:
    """What a file asserts of named numbers."""

    def __init__(self, path):
        top = expressions(path.read_text(encoding="utf-8"))
        self.names = [e[1] for e in top if e[0] == "declare-const" and e[2] == "Real"]
        self.asserted = [e[1] for e in top if e[0] == "assert"]
        assert len(top) == len(self.names) + len(self.asserted)

    def bounds(self, sign):
        found = {e[1]: Fraction(e[2]) for e in self.asserted if e[0] == sign}
        return [found[name] for name in self.names if name.startswith("X")]

    def holds(self, x, z):
        values = {f"X_{i}": Fraction(v) for i, v in enumerate(x.flatten().tolist())}
        values |= {f"Y_{j}": Fraction(v) for j, v in enumerate(z.flatten().tolist())}
        assert set(values) == set(self.names)

        def true(e):
            if e[0] in ("and", "or"):
                return (all if e[0] == "and" else any)([true(part) for part in e[1:]])
            a, b = (values[v] if v in values else Fraction(v) for v in e[1:])
            return {">=": a >= b, "<=": a <= b}[e[0]]

        return all(true(e) for e in self.asserted)


def test_the_whole_text_of_a_small_property(tmp_path):
    x = torch.tensor([[[0.25, 1.0]]])
    export_vnnlib(tmp_path / "p", x, 1, 0.5, num_classes=3)
    assert (
        (tmp_path / "p").read_text()
        == """\
; label 1, linf ball of radius 0.5
; sat: some input in the box is not classified as the label; unsat: none is
(declare-const X_0 Real)
(declare-const X_1 Real)
(declare-const Y_0 Real)
(declare-const Y_1 Real)
(declare-const Y_2 Real)
(assert (>= X_0 -0.25))
(assert (<= X_0 0.75))
(assert (>= X_1 0.5))
(assert (<= X_1 1.5))
(assert (or
    (and (>= Y_0 Y_1))
    (and (>= Y_2 Y_1))
))
"""
    )


@pytest.mark.parametrize("eps", [0.0, 0.1, 8 / 255, 1e-30])
@pytest.mark.parametrize("clip", [False, True])
def test_the_box_is_the_ball_to_the_last_digit(eps, clip, tmp_path):
    x = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(0))
    x[0, 0] = torch.tensor([0.0, 1.0])
    x[0, 2] = torch.tensor([1e-42, 1 / 255])
    export_vnnlib(tmp_path / "p", x, 0, eps, "linf", 2, clip)
    found = Property(tmp_path / "p")
    exact = [(Fraction(v) - Fraction(eps), Fraction(v) + Fraction(eps), Fraction(v)) for v in x.flatten().tolist()]
    if clip:
        exact = [(max(low, 0), min(high, 1), v) for low, high, v in exact]
    assert found.bounds(">=") == [low for low, _, _ in exact]
    assert found.bounds("<=") == [high for _, high, _ in exact]
    ball = Ball(x[None].double(), eps, "linf", clip)  # the certifiers' box, in float64
    lower, upper = (ball.center - ball.radius).flatten(), (ball.center + ball.radius).flatten()
    assert [float(v) for v in found.bounds(">=")] == pytest.approx(lower.tolist(), rel=0, abs=1e-15)
    assert [float(v) for v in found.bounds("<=")] == pytest.approx(upper.tolist(), rel=0, abs=1e-15)


def test_counterexamples_satisfy_the_property_and_robust_points_do_not(tmp_path):
    torch.manual_seed(3)
    net = build_net("small", (1, 6, 6), 4)
    x = torch.rand(20, 1, 6, 6)
    y = net(x).argmax(1)
    export_onnx(net, tmp_path / "net.onnx", (1, 6, 6))
    attacked = Pgd(20, step_of_eps=0.1).perturb(net, x, y, 0.0999, torch.Generator().manual_seed(0))
    logits = run_onnx(tmp_path / "net.onnx", attacked)
    broken = logits.argmax(1) != y
    assert 3 < broken.sum() < 20
    for i in range(20):
        export_vnnlib(tmp_path / "p", x[i], int(y[i]), 0.1, "linf", 4)
        asked = Property(tmp_path / "p")
        assert asked.holds(attacked[i], logits[i]) == broken[i]
        assert not asked.holds(x[i], net(x[i : i + 1]))  # classified right: no counterexample
        outside = attacked[i].clone()
        outside.view(-1)[7] = x[i].view(-1)[7] + 0.1001
        assert not asked.holds(outside, logits[i])
    # A tie is a counterexample, as a margin of 0 is no certificate.
    assert asked.holds(x[19], torch.zeros(4))
    assert not certify_points(build_zero(), x[:1], y[:1], 0.0).certified.any()


def build_zero():
    net = build_net("small", (1, 6, 6), 4)
    for p in net.parameters():
        torch.nn.init.zeros_(p)
    return net


def test_what_is_no_property_is_refused(tmp_path):
    x = torch.zeros(1, 1, 1)
    for norm in ("l2", "l1", "l0"):
        with pytest.raises(UserError, match=f"a ball of the norm {norm} is no box"):
            export_vnnlib(tmp_path / "p", x, 0, 1.0, norm)
    with pytest.raises(UserError, match="unknown norm 'linff': did you mean 'linf'"):
        export_vnnlib(tmp_path / "p", x, 0, 1.0, "linff")
    for point, label, eps, told in (
        (x, 3, 0.1, "labels must be"),
        (x, -1, 0.1, "labels must be"),
        (x, 0, -0.1, "eps must be"),
        (x, 0, float("nan"), "eps must be"),
        (x / 0, 0, 0.1, "is nan, outside"),
        (x + 2, 0, 0.1, "is 2, outside"),
    ):
        with pytest.raises(UserError, match=told):
            export_vnnlib(tmp_path / "p", point, label, eps, num_classes=3)
    assert not (tmp_path / "p").exists()


def test_instances_are_lines_as_in_the_competition(tmp_path):
    write_instances(tmp_path / "i.csv", [("onnx/a.onnx", "vnnlib/p.vnnlib", 60), ("b", "c", 5)])
    assert (tmp_path / "i.csv").read_text() == "onnx/a.onnx,vnnlib/p.vnnlib,60\nb,c,5\n"


def test_a_model_and_its_points_by_the_command_line(tmp_path, capsys):
    spec = model(worst_case("interval"), eps="0.1")
    net = seeded_net(spec)
    sha = save_model(tmp_path / "m", net, spec)
    save(digits(), tmp_path / "data")
    main(["onnx", "--model", str(tmp_path / "m"), "--out", str(tmp_path / "net.onnx")])
    props = {p.key: p.value for p in onnx.load(tmp_path / "net.onnx").metadata_props}
    about = {"model": spec.path, "spec_hash": spec.hash, "model_sha256": sha}
    assert props == {"input": "pixels in [0, 1]", **about}

    common = ["--model", tmp_path / "m", "--data", tmp_path / "data", "--points", "30", "--points-seed", "1"]
    rest = ["--eps", "0.1", "8/255", "--clip-input", "--timeout", "7", "--out", tmp_path / "out"]
    main(["vnnlib", *map(str, common), *map(str, rest)])
    assert (tmp_path / "out/onnx/net.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()
    indices = points_of(300, 30, 1)
    x, y = digits().test.x[indices].float() / 255, digits().test.y[indices]
    right = (net(x).argmax(1) == y).tolist()
    assert 0 < sum(right) < 30
    assert f"{sum(right)} of 30 points at 2 ε; misclassified points are left out" in capsys.readouterr().out
    with (tmp_path / "out/instances.csv").open(newline="") as file:
        instances = list(csv.reader(file))
    kept = [i for i in range(30) if right[i]]
    assert instances == [
        ["onnx/net.onnx", f"vnnlib/point{indices[i]}_eps{eps}.vnnlib", "7"] for i in kept for eps in ("0.1", "8_255")
    ]
    for i in kept:
        asked = Property(tmp_path / f"out/vnnlib/point{indices[i]}_eps8_255.vnnlib")
        high = [min(Fraction(v) + Fraction(8 / 255), Fraction(1)) for v in x[i].flatten().tolist()]
        assert asked.bounds("<=") == high
        (others,) = (e[1:] for e in asked.asserted if e[0] == "or")
        label = int(y[i])
        assert others == [["and", [">=", f"Y_{j}", f"Y_{label}"]] for j in range(10) if j != label]
    with pytest.raises(SystemExit):
        main(["vnnlib", *map(str, common), "--eps", "1", "--norm", "l2", "--out", str(tmp_path / "l2")])
    assert "a ball of the norm l2 is no box" in capsys.readouterr().err
    assert not (tmp_path / "l2").exists()
