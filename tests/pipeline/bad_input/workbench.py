"""The folder in which mistakes are made: a config, a prepared data set, a model, results of it."""

import json
import shutil

import numpy as np
import onnx
import safetensors.torch
import torch
from mistakes import HERE
from small_images import digits

from dmcore import tensorfile
from dmcore.checkpoint import save_model
from dmcore.data.prepared import KIND
from dmcore.training.step import seeded_net
from doublemargin.cli import main
from doublemargin.experiment.config import load_config
from doublemargin.experiment.grid import find_model
from doublemargin.files import write_json

MODEL = "demo/digits/pureconv/dm/0.1/seed0"


def foreign(folder):
    """Makes files as others write them."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    torch.save(net, folder / "net.pt")
    ends = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 784]), ("y", [1, 10]))]
    weights = [onnx.numpy_helper.from_array(p.detach().numpy(), name) for name, p in net[1].named_parameters()]
    nodes = [onnx.helper.make_node("Gemm", ["x", "weight", "bias"], ["y"], transB=1)]
    graph = onnx.helper.make_graph(nodes, "linear", ends[:1], ends[1:], weights)
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch"), folder / "net.onnx")
    safetensors.torch.save_file(net.state_dict(), folder / "weights.safetensors", {"format": "pt"})
    (folder / "noise.bin").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "notes.txt").write_text("ε of the first try: 0.1\n", encoding="utf-8")
    (folder / "list.json").write_text("[1, 2]\n")
    (folder / "empty").touch()


def set_up(folder):
    """Makes the folder, with everything that a good command needs."""
    shutil.copy(HERE / "config.yaml", folder)
    images = digits(300, 60)
    tensors = {f"{s}_{part}": getattr(getattr(images, s), part) for s in ("train", "test") for part in ("x", "y")}
    info = {"name": "digits", "variant": "mine", "shape": [1, 28, 28], "classes": 10}
    tensorfile.save(folder / "digits.safetensors", KIND, tensors, {"info": json.dumps(info)})
    tensorfile.save(folder / "fashion.safetensors", KIND, tensors, {"info": json.dumps(info | {"name": "fashion"})})
    own = folder / "own/digits"
    own.mkdir(parents=True)
    for split in ("train", "test"):
        x, y = (np.asarray(tensors[f"{split}_{part}"]) for part in ("x", "y"))
        np.savez(own / f"{split}.npz", x=x[:, 0], y=y.astype(np.uint8))
    spec = find_model(load_config(folder / "config.yaml"), MODEL)
    save_model(folder / "model.safetensors", seeded_net(spec), spec)
    foreign(folder)
    record = {"model": MODEL, "spec_hash": spec.hash, "data": info, "provenance": {"device": "cpu"}}
    write_json(folder / "training.json", record | {"history": [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]})
    where = ["--model", folder / "model.safetensors", "--data", folder / "digits.safetensors", "--device", "cpu"]
    what = ["--points", "3", "--eps", "0.05"]
    main([str(a) for a in ("certify", *where, *what, "--certifier", "ibp", "--out", folder / "certified.json")])
    main(
        [
            str(a)
            for a in ("attack", *where, *what, "--steps", "2", "--restarts", "1", "--out", folder / "attacked.json")
        ]
    )
