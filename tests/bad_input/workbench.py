"""The folder in which mistakes are made: a config, a prepared data set, a model, results of it."""

import json
import shutil

import numpy as np
import torch
from mistakes import HERE
from small_images import digits

from dmcore import tensorfile
from dmcore.checkpoint import save_model
from dmcore.cli import main
from dmcore.config import load_config
from dmcore.data.prepared import KIND
from dmcore.grid import find_model
from dmcore.training.step import seeded_net

MODEL = "demo/digits/pureconv/dm/0.1/seed0"


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
    torch.save({"weight": torch.zeros(2)}, folder / "model.pt")
    where = ["--model", folder / "model.safetensors", "--data", folder / "digits.safetensors", "--device", "cpu"]
    what = ["--points", "3", "--eps", "0.05"]
    main([str(a) for a in ("certify", *where, *what, "--certifier", "ibp", "--out", folder / "certified")])
    main([str(a) for a in ("attack", *where, *what, "--steps", "2", "--restarts", "1", "--out", folder / "attacked")])
