"""The folder in which mistakes are made: a config, prepared data, a model, results of it, and files of others."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import safetensors.torch
import torch
from small_images import digits, save

from dmcore import tensorfile
from dmcore.checkpoint import save_model
from dmcore.data.prepared import KIND
from dmcore.training.step import seeded_net
from doublemargin.cli import main
from doublemargin.experiment.config import load_config
from doublemargin.experiment.grid import find_model
from doublemargin.experiment.resolve import data_spec
from doublemargin.files import write_json

MODEL = "demo/digits/pureconv/dm/0.1/seed0"
READS = "--model model.safetensors --data digits.safetensors"
AT = "--eps 0.05 --points 3 --device cpu"
QUICK = "--steps 2 --restarts 1"
COMMANDS = {
    "data": "data digits --spec {digits} --places own --out new.safetensors",
    "train": "train --spec {normal} --data digits.safetensors --model new/model.safetensors --record new/training.json "
    "--device cpu",
    "certify": f"certify {READS} {AT} --certifier ibp --out new.json",
    "attack": f"attack {READS} {AT} {QUICK} --out new.json",
    "radius": f"radius {READS} --points 3 --device cpu --certifier ibp --tolerance 0.5 --out new.json",
    "picture": f"picture {READS} --points 2 --device cpu --certifier ibp {QUICK} --out new.png",
    "vnnlib": f"vnnlib {READS} --eps 0.05 --points 3 --out new",
    "onnx": "onnx --model model.safetensors --out new.onnx",
    "regularizers": f"regularizers {READS} --target dm --methods adv --eps 0.1 --points 10 --max-steps 2 --device cpu "
    "--out new.txt",
    "bracket": "bracket certified.json attacked.json --out new.md",
    "history": "history --record training.json --out new.png",
}
"""Every command that writes a file, as it is right; what is put behind it replaces options."""


def arguments(run):
    """A command's arguments; ``{digits}`` and the like are the specifications that the folder's config gives."""
    config = load_config(Path("config.yaml")) if "{" in run else {}
    specs = {
        "{digits}": lambda: data_spec(config, "digits"),
        "{normal}": lambda: find_model(config, MODEL.replace("dm/0.1", "normal/none")).to_dict(),
        "{other}": lambda: find_model(config, MODEL).to_dict() | {"device": "x"},
        "{small}": lambda: find_model(config, MODEL).to_dict() | {"dataset": {"shape": [1, 6, 6], "classes": 10}},
    }
    return [json.dumps(specs[word]()) if word in specs else word for word in run.split()]


def set_up(folder):
    """Makes the folder, with everything that a good command needs."""
    shutil.copy(Path(__file__).with_name("config.yaml"), folder)
    images = digits(300, 60)
    save(images, folder / "digits.safetensors", name="digits")
    save(images, folder / "fashion.safetensors", name="fashion")
    (folder / "own/digits").mkdir(parents=True)
    for split in ("train", "test"):
        part = getattr(images, split)
        np.savez(folder / f"own/digits/{split}.npz", x=part.x[:, 0].numpy(), y=part.y.byte().numpy())
    spec = find_model(load_config(folder / "config.yaml"), MODEL)
    save_model(folder / "model.safetensors", seeded_net(spec), spec)
    record = {"model": MODEL, "spec_hash": spec.hash, "data": images.info, "provenance": {"device": "cpu"}}
    write_json(folder / "training.json", record | {"history": [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]})
    _foreign(folder)


def finish(folder):
    """Adds what commands make, run in the folder."""
    for name, out in (("certify", "certified.json"), ("attack", "attacked.json")):
        main([*arguments(COMMANDS[name]), "--out", out])
    tensors, _ = tensorfile.load(folder / "digits.safetensors", KIND)
    content = {name: tensor.byte() for name, tensor in tensors.items()}
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("0" * 64, tensorfile.content_hash(content)))


def _foreign(folder):
    """Makes files as others write them."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    torch.save(net, folder / "net.pt")
    ends = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 784]), ("y", [1, 10]))]
    weights = [onnx.numpy_helper.from_array(p.detach().numpy(), name) for name, p in net[1].named_parameters()]
    nodes = [onnx.helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], transB=1)]
    graph = onnx.helper.make_graph(nodes, "linear", ends[:1], ends[1:], weights)
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch"), folder / "net.onnx")
    safetensors.torch.save_file(net.state_dict(), folder / "weights.safetensors", {"format": "pt"})
    (folder / "notes.txt").write_text("ε of the first try: 0.1\n", encoding="utf-8")
    (folder / "mine/onnx").mkdir(parents=True)
    for name in ("unfinished-mine.safetensors", "mine/onnx/net.onnx"):
        shutil.copy(folder / "notes.txt", folder / name)
    (folder / "data").mkdir()
    shutil.copy(folder / "own/digits/test.npz", folder / "data/digits.safetensors")
    record = folder / "results" / MODEL / "training.json"
    record.parent.mkdir(parents=True)
    record.write_text('{"model": "mine"}')
