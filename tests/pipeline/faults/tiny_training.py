"""A tiny training, run any number of times, and what a look at its files tells."""

import dataclasses
import json
import re
import time

from small_images import digits, model, save, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import KIND as MODEL
from doublemargin.files import read_json

SPEC = dataclasses.replace(
    model(worst_case("double_margin"), eps="0.1", steps=24, batch=10, warmup=5, ramp=10), arch="pureconv"
)
TIMES = ("seconds", "cpu_seconds")


def untimed(path, unequal=TIMES):
    """A record without what differs from run to run."""

    def kept(value):
        return {k: kept(v) for k, v in value.items() if k not in unequal} if isinstance(value, dict) else value

    return kept(read_json(path))


def weights(path):
    """The hash that the weights have, not the one that the file says."""
    return tensorfile.content_hash(tensorfile.load(path, MODEL)[0])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def final_files(folder):
    """All but temporary files: what a reader would take for whole."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".part"]


class Trainings:
    """Trainings of one specification, each in a folder of its own, and an undisturbed one."""

    def __init__(self, forks, folder):
        self.forks, self.data, self.folder = forks, folder / "digits.safetensors", folder
        save(digits(200, 30), self.data)
        started = time.perf_counter()
        assert self.run("whole").code == 0
        self.duration = time.perf_counter() - started
        self.whole = untimed(folder / "whole/training.json")

    def run(self, name, save_every=60, **options):
        """In the folder of that name, which may be a path of its own."""
        out = self.folder / name
        return self.forks.run(
            "train", "--spec", json.dumps(SPEC.to_dict()), "--data", self.data, "--model", out / "model.safetensors",
            "--record", out / "training.json", "--save-every", save_every, "--device", "cpu", **options,
        )  # fmt: skip

    def check(self, name):
        """A killed training's files are whole; taken up again it ends like the undisturbed one. Where it went on."""
        out = self.folder / name
        for path in final_files(out):
            if path.name == "model.safetensors":
                assert weights(path) == self.whole["model_sha256"]
            elif path.name == "training.json":
                assert untimed(path) == self.whole
            else:
                assert re.fullmatch(r"unfinished-\w+\.safetensors", path.name)
                tensorfile.load(path, "dmcore.training_state")
        stderr = self.resume(name)
        resumed = re.search(r"resuming at step (\d+)", stderr)
        assert resumed or ": starting\n" in stderr
        return int(resumed[1]) if resumed else 0

    def resume(self, name):
        ended = self.run(name)
        assert ended.code == 0, ended.stderr
        out = self.folder / name
        assert names(out) == ["model.safetensors", "training.json"]
        assert weights(out / "model.safetensors") == self.whole["model_sha256"]
        assert untimed(out / "training.json") == self.whole
        return ended.stderr
