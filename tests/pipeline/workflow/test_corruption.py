"""A Snakemake run that meets a damaged file ends with one line, and the command of that line mends it."""

import os
import re
import shutil
import subprocess

from flips import flip
from test_config import ROOT
from tiny import environment

MODEL = "dm/0.1/seed0"
CELL = f"{MODEL}/certify/ibp/linf/n4.json"
FOLDER = "results/demo/mnist/small"


def test_damage_is_named_and_the_named_command_mends_it(pipeline, tmp_path):
    """As a disk does it, the file's age the same; only a damaged model is trained again."""
    project = pipeline.with_its_own_code(tmp_path / "project")
    shutil.copytree(ROOT / "workflow/profiles", project.folder / "profiles")
    for file, ours, target in (
        (f"{FOLDER}/{MODEL}/model.safetensors", "model again): ", f"{FOLDER}/{CELL}"),
        ("data/mnist.safetensors", "trained again: ", f"{FOLDER}/{CELL}"),
        ("results/demo/training.csv", "files again: ", "tables"),
    ):
        path = project.folder / file
        age = path.stat()
        flip(path, age.st_size // 2, 1)
        os.utime(path, ns=(age.st_atime_ns, age.st_mtime_ns))
        (project.folder / FOLDER / CELL).unlink(missing_ok=True)
        output = project.run(target, ok=False)
        assert "Traceback" not in output
        (told,) = re.findall(rf"^dmcore: error: {file} is damaged.*{re.escape(ours)}([^;\n]*)", output, re.M)
        subprocess.run(told, shell=True, cwd=project.folder, env=environment(), capture_output=True, check=True)
        assert "train" not in project.planned(target)
        project.run(target)
        if target != "tables":
            project.same_results(pipeline, [CELL])
