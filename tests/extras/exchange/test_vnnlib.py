"""VNN-LIB files against the ball, in exact arithmetic."""

import csv
import re
from fractions import Fraction

import onnx
import pytest
import torch
from flips import stopped
from small_images import digits, model, save, worst_case

from dmcore.checkpoint import save_model
from dmcore.data import test_points as points_of
from dmcore.errors import UserError
from dmcore.extras.exchange import export_vnnlib, write_instances
from dmcore.perturbation import Ball
from dmcore.training.step import seeded_net
from doublemargin.cli import main


def bounds(path):
    """The lower and the upper ends of the inputs' ranges, in their order."""
    asserted = re.findall(r"^\(assert \((>=|<=) X_(\d+) (\S+)\)\)$", path.read_text(), re.M)
    sides = [[(int(i), Fraction(value)) for sign, i, value in asserted if sign == side] for side in (">=", "<=")]
    assert all([i for i, _ in side] == list(range(len(side))) for side in sides)
    return [[value for _, value in side] for side in sides]


def test_the_whole_text_of_a_small_property(tmp_path):
    """What it asks for is a counterexample: a tie is one, as a margin of 0 is no certificate."""
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
    found = bounds(tmp_path / "p")
    exact = [[Fraction(v) + sign * Fraction(eps) for v in x.flatten().tolist()] for sign in (-1, 1)]
    assert found == ([[max(v, 0) for v in exact[0]], [min(v, 1) for v in exact[1]]] if clip else exact)
    ball = Ball(x[None].double(), eps, "linf", clip)  # the certifiers' box, in float64
    for side, sign in zip(found, (-1, 1), strict=True):
        end = (ball.center + sign * ball.radius).flatten().tolist()
        assert [float(v) for v in side] == pytest.approx(end, rel=0, abs=1e-15)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"norm": "l2"}, "a ball of the norm l2 is no box"),
        ({"norm": "linff"}, "unknown norm 'linff': did you mean 'linf'"),
        ({"y": 3}, "labels must be"),
        ({"eps": -0.1}, "eps must be"),
        ({"x": torch.full((1, 1, 1), 2.0)}, "is 2, outside"),
    ],
)
def test_what_is_no_property_is_refused(options, told, tmp_path):
    with pytest.raises(UserError, match=told):
        export_vnnlib(tmp_path / "p", **{"x": torch.zeros(1, 1, 1), "y": 0, "eps": 0.1, "num_classes": 3} | options)
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
    kept = (net(x).argmax(1) == y).nonzero()[:, 0].tolist()
    assert 0 < len(kept) < 30
    assert f"{len(kept)} of 30 points at 2 ε; misclassified points are left out" in capsys.readouterr().out
    with (tmp_path / "out/instances.csv").open(newline="") as file:
        instances = list(csv.reader(file))
    assert instances == [
        ["onnx/net.onnx", f"vnnlib/point{indices[i]}_eps{eps}.vnnlib", "7"] for i in kept for eps in ("0.1", "8_255")
    ]
    for i in kept:
        path = tmp_path / f"out/vnnlib/point{indices[i]}_eps8_255.vnnlib"
        assert bounds(path)[1] == [min(Fraction(v) + Fraction(8 / 255), 1) for v in x[i].flatten().tolist()]
        others = [f"    (and (>= Y_{j} Y_{y[i]}))" for j in range(10) if j != y[i]]
        assert path.read_text().endswith("\n".join(["(assert (or", *others, "))", ""]))
    (line,) = stopped(capsys, "vnnlib", *common, "--eps", "1", "--norm", "l2", "--out", tmp_path / "l2")
    assert "a ball of the norm l2 is no box" in line
    assert not (tmp_path / "l2").exists()
