"""Networks and points of a user's own: the documentation's commands as they are printed, and what may be wrong."""

import re
import shlex
from itertools import count

import numpy as np
import pytest
import torch
from flips import stopped
from small_images import ROOT
from torch import nn

from dmcore.attacks.evaluate import attack_points
from dmcore.certify import certify_points
from dmcore.extras.exchange import export_onnx
from dmcore.radius import certified_radius
from doublemargin.cli import main
from doublemargin.files import read_json

PAGE = (ROOT / "docs/certifiers.md").read_text(encoding="utf-8")


def blocks(heading):
    """The code of a section of the page, block by block."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^```(?:python)?\n(.*?)^```", section, re.S | re.M)


def network(inputs=64):
    """A small network that gets most of its points right, and those points."""
    torch.manual_seed(0)
    x = torch.rand(40, 1, 8, 8)
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 12), nn.ReLU(), nn.Linear(12, 3))
    y = ((x - 0.5).flatten(1) @ torch.randn(64, 3)).argmax(1)
    y[::5] = (y[::5] + 1) % 3
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    return net, x, y


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("doublemargin.experiment.device.job_device", lambda *_: torch.device("cpu"))
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's and onnxscript's own remarks on what they deprecate
def test_the_documented_commands_work_as_printed(folder, capsys):
    net, x, y = network()
    export, commands = blocks("From the command line: your own network and data")
    exec(export, {"net": net, "x": x, "y": y})
    capsys.readouterr()
    tables = []
    for line in commands.splitlines():
        main(shlex.split(line)[1:])
        tables.append(capsys.readouterr().out)
    first = certify_points(net, x, y, 8 / 255)
    head = "| ε | points | clean | certified (cnn-cert-relu) |"
    clean = (net(x).argmax(1) == y).double().mean().item()
    assert tables[0].splitlines()[:3] == ["net.onnx, linf, 40 test points", "", head]
    assert f"| 8/255 | 40 | {clean:.1%} | {first.certified_accuracy:.1%} |" in tables[0]
    assert "| 0.01 | 5 | " in tables[1]
    attacked = attack_points(net, x, y, 8 / 255)
    assert f"| 8/255 | 40 | {clean:.1%} | {attacked.accuracy:.1%} |" in tables[2]
    radii = certified_radius(net, x, y)
    assert tables[3].splitlines()[-1].endswith(f"| {clean:.1%} | {radii.radius.nanmean():.4g} | {radii.median:.4g} |")
    assert f"| 8/255 | {first.certified_accuracy:.1%} | {first.certified_accuracy:.1%} |" in tables[4]
    record = read_json("certified.json")
    assert record["cells"]["8_255"]["certified"] == first.certified[record["indices"]].tolist()
    assert 0 < first.certified_accuracy < 1
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in ("curve.png", "bracket.png"))


def test_the_documented_training_certifies_more(folder):
    net, x, y = network()
    before = certify_points(net, x, y, 0.05).certified_accuracy
    (loop,) = blocks("Train with bounds")
    exec(loop, {"net": net, "x": x, "y": y, "torch": torch, "nn": nn})
    assert certify_points(net, x, y, 0.05).certified_accuracy > before


def write(folder, **changes):
    net, x, y = network()
    export_onnx(net, folder / "net.onnx", (1, 8, 8))
    arrays = {"x": x.numpy(), "y": y.numpy()} | changes
    np.savez(folder / "mine.npz", **{name: array for name, array in arrays.items() if array is not None})
    return net, x, y


def arguments(*more, command="certify", eps=("0.01",)):
    return [command, "--model", "net.onnx", "--data", "mine.npz", *(["--eps", *eps] if eps else []), *more]


def run(*more, **what):
    main(arguments(*more, **what))


def test_bytes_are_pixels_and_a_second_run_computes_nothing(folder, capsys, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (6, 1, 8, 8), dtype=np.uint8)
    net, *_ = write(folder, x=x, y=np.arange(6, dtype=np.int8) % 3)
    run("--out", "c.json")
    record = read_json("c.json")
    at = record["indices"]
    result = certify_points(net, torch.from_numpy(x)[at].float() / 255, torch.tensor(record["labels"]), 0.01)
    assert record["labels"] == [i % 3 for i in at]
    assert record["cells"]["0.01"]["margins"] == pytest.approx(result.margin.tolist(), rel=1e-5)
    shown = capsys.readouterr().out
    monkeypatch.setattr("doublemargin.experiment.jobs.certify.certify_points", None)
    run("--out", "c.json")
    assert capsys.readouterr().out == shown


def test_another_network_is_not_taken_for_the_same(folder, capsys):
    net, *_ = write(folder)
    run("--out", "c.json")
    before = read_json("c.json")
    net[1].weight.data *= 2
    export_onnx(net, folder / "net.onnx", (1, 8, 8))
    run("--out", "c.json")
    assert "starting anew" in capsys.readouterr().err
    assert read_json("c.json")["model_sha256"] != before["model_sha256"]


def test_a_solver_without_time_certifies_what_relaxations_do(folder, capsys, monkeypatch):
    """Once the seconds are spent, no program is solved, and bounds are those known before."""
    net, x, y = write(folder)
    ticks = count(0.0, 10.0)
    with monkeypatch.context() as patch:
        patch.setattr("dmcore.extras.exact.margins.time.monotonic", lambda: next(ticks))
        patch.setattr("dmcore.extras.exact.model.Model.minimum", None)
        run("--certifier", "milp", "--time-limit", "5", "--out", "none.json")
    run("--certifier", "milp", "--time-limit", "60", "--out", "all.json")
    cut, solved = (read_json(name) for name in ("none.json", "all.json"))
    assert (cut["time_limit"], solved["time_limit"]) == (5.0, 60.0)
    few, many = (np.array(record["cells"]["0.01"]["certified"]) for record in (cut, solved))
    at = cut["indices"]
    assert (few >= certify_points(net, x[at], y[at], 0.01).certified.numpy()).all()
    assert (few <= many).all()
    with monkeypatch.context() as patch:
        patch.setattr("dmcore.extras.exact.margins.time.monotonic", lambda: next(ticks))
        patch.setattr("dmcore.extras.exact.model.Model.minimum", None)
        limited = ("--certifier", "milp", "--time-limit", "5", "--tolerance", "0.5")
        run(*limited, "--out", "radii.json", command="radius", eps=())
    run("--certifier", "cnn-cert-relu", "--tolerance", "0.5", "--out", "relu.json", command="radius", eps=())
    radii, relu = (read_json(name) for name in ("radii.json", "relu.json"))
    assert radii["time_limit"] == 5.0
    assert "time_limit" not in relu
    assert all(r is None or r >= s for r, s in zip(radii["radii"], relu["radii"], strict=True))
    for options in ({}, {"command": "radius", "eps": ()}):
        (line,) = stopped(capsys, *arguments("--time-limit", "5", **options))
        assert "--time-limit is milp's, not cnn-cert-relu's" in line


def test_pictures_are_of_images(folder, capsys):
    net, x, y = write(folder)
    more = ("--points", "2", "--steps", "2", "--restarts", "1", "--out", "points.png")
    run(*more, command="picture", eps=())
    assert (folder / "points.png").read_bytes().startswith(b"\x89PNG")
    export_onnx(net[1:], folder / "net.onnx", (64,))
    np.savez(folder / "mine.npz", x=x.flatten(1).numpy(), y=y.numpy())
    (line,) = stopped(capsys, *arguments(*more, command="picture", eps=()))
    assert "error: pictures are of images, (1 or 3, H, W), but net.onnx takes (64,)" in line


X = np.full((4, 1, 8, 8), 0.5, np.float32)
WRONG = {
    "mine.npz does not exist": None,
    "mine.npz is a text file, not an NPZ archive: numpy.savez(": b"x,y\n",
    "mine.npz has no y, it has x: numpy.savez(": {"y": None},
    "mine.npz has no x, it has y, images: numpy.savez(": {"x": None, "images": X},
    "mine.npz: x[0, 0, 0, 0] is 127.5, outside [0, 1]": {"x": X * 255, "y": np.arange(4) % 3},
    "mine.npz: x[0, 0, 0, 0] is nan, outside [0, 1]": {"x": X * np.nan, "y": np.arange(4) % 3},
    "mine.npz: x must be floats in [0, 1] or uint8, got int64": {"x": np.ones((4, 1, 8, 8), int)},
    "mine.npz: x has shape ('N', 8, 8), but the network takes ('N', 1, 8, 8)": {"x": X[:, 0]},
    "mine.npz: x has shape (0, 1, 8, 8)": {"x": X[:0]},
    "mine.npz: labels must be 4 integers in 0..2, got (4,) torch.int64": {"x": X, "y": np.array([0, 1, 2, 3])},
    "mine.npz: labels must be 4 integers in 0..2, got (3,) torch.int64": {"x": X, "y": np.arange(3)},
    "mine.npz: y must be whole numbers, the classes from 0 on, got float64": {"x": X, "y": np.ones(4)},
    "mine.npz is damaged, or holds objects": {"x": X, "y": np.array([0, 1, None, 2])},
}


@pytest.mark.parametrize("told", WRONG)
def test_what_is_wrong_with_points_is_one_line(told, folder, capsys):
    changes = WRONG[told]
    write(folder, **(changes if isinstance(changes, dict) else {}))
    if not isinstance(changes, dict):
        (folder / "mine.npz").unlink()
    if isinstance(changes, bytes):
        (folder / "mine.npz").write_bytes(changes)
    (line,) = stopped(capsys, *arguments("--out", "new.json"))
    assert line.startswith(f"dmcore: error: {told}")
    assert not (folder / "new.json").exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--model", "net.onnx"], "give either --model, --data and --eps, or files of `dmcore certify`"),
        (["c.json", "--model", "net.onnx", "--data", "mine.npz", "--eps", "0.1"], "give either --model, --data and --"),
        ([], "give either --model, --data and --eps, or files of `dmcore certify`"),
    ],
)
def test_a_bracket_is_of_files_or_of_a_network(more, told, folder, capsys):
    (line,) = stopped(capsys, "bracket", *more)
    assert told in line


def test_results_become_tables():
    net, x, y = network()
    certified = certify_points(net, x, y, 0.02)
    frame = certified.to_pandas()
    assert list(frame) == ["predicted", "margin", "certified", "rechecked", "stage"]
    assert frame["certified"].tolist() == certified.certified.tolist()
    assert frame["certified"].mean() == certified.certified_accuracy
    attacked = attack_points(net, x, y, 0.02, steps=3, restarts=1).to_pandas()
    assert list(attacked) == ["predicted", "margin", "broken"]
