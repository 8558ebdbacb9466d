"""The project's Snakefile, run in a folder of its own on a tiny grid."""

import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from test_config import CONFIG, ROOT, _NoAliases

PANEL = {
    "dataset": "mnist", "arch": "small", "points": 4, "eps_cert": [0, 0.05],
    "rows": [{"methods": ["normal"]}, {"methods": ["dm"], "eps_train": 0.1}],
}  # fmt: skip
PANELS = [PANEL | {"certifier": "cnn-cert-relu", "compare": [["dm", "normal"]]}, PANEL | {"certifier": "ibp"}]


def tiny_config():
    config = yaml.safe_load(yaml.dump(CONFIG, Dumper=_NoAliases))
    config["schedules"]["demo"]["training"]["mnist"] |= {"epochs": 0.02, "warmup": 2, "ramp": 5, "lr_drops": []}
    config["reports"]["demo"] = {
        "reported": "resources/paper/reported.csv",
        "tables": {"table2": {"caption": "Tiny.", "panels": PANELS}},
        "figures": {"figure1": {"caption": "Tiny.", "panels": PANELS[:1]}},
    }
    config["schedule"] = "demo"
    for dataset in config["datasets"].values():
        for source in dataset["sources"]:
            source.pop("urls", None)  # tests go nowhere
    return copy.deepcopy(config)


def environment():
    """The variables of a process whose ``python`` is this one."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


class Pipeline:
    """The project's Snakefile run in a folder of its own.

    ``code`` is the folder of the Snakefile; :meth:`with_its_own_code` makes one that can be edited. It starts with a
    copy of all that another one's folder, ``made``, holds, with the ages of the files.
    """

    def __init__(self, folder, code=ROOT, made=None):
        self.folder, self.code = folder, code
        folder.mkdir()
        self.write(tiny_config())
        for name in ("data", "results", "logs", ".snakemake") if made else ():
            shutil.copytree(made / name, folder / name)

    def write(self, config):
        (self.folder / "config.yaml").write_text(yaml.dump(config, Dumper=_NoAliases))

    def run(self, *arguments, ok=True):
        command = [sys.executable, "-m", "snakemake", "-s", str(self.code / "Snakefile"), "--cores", "2", *arguments]
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, env=environment(), check=False)
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, output
        return output

    def planned(self, *arguments):
        """Rules and how often a dry run would run them, the target aside."""
        table = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\ntotal", self.run("-n", *arguments), re.S)
        jobs = dict(line.split() for line in table[1].splitlines()) if table else {}
        return {rule: int(count) for rule, count in jobs.items() if rule not in ("demo", "all")}

    def result(self, path):
        return json.loads((self.folder / "results/demo/mnist/small" / path).read_text())

    def same_results(self, other, paths):
        """Asserts that models, margins and verdicts are those of another run."""
        for path in paths:
            path = path.removeprefix("results/demo/mnist/small/")
            ours, theirs = self.result(path), other.result(path)
            assert ours["model_sha256"] == theirs["model_sha256"], path
            for eps, cell in theirs.get("cells", {}).items():
                assert all(ours["cells"][eps][key] == cell[key] for key in ("margins", "certified")), path

    def with_its_own_code(self, folder):
        """A copy of all that was made and of the code that made it."""
        other = Pipeline(folder, code=folder, made=self.folder)
        for name in ("dmcore", "workflow", "envs", "resources"):
            shutil.copytree(ROOT / name, folder / name)
        shutil.copy2(ROOT / "Snakefile", folder)
        return other
