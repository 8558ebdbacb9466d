"""Each kind of mistake gets one line and an exit code ≠ 0; nothing is started, nothing lost."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
from flips import stopped
from small_images import ROOT
from test_config import CODE
from workbench import COMMANDS, MODEL, arguments, finish, set_up

from dmcore import tensorfile
from dmcore.checkpoint import KIND
from dmcore.checkpoint import NEEDED as A_MODEL
from dmcore.data.prepared import NEEDED as IMAGES
from doublemargin.cli import main

TRAIN, CERTIFY = COMMANDS["train"], COMMANDS["certify"]
RECORD = f"results/{MODEL}/training.json"
MISTAKES = [  # what is typed, and the line that it gets, with <...> for what differs from machine to machine
    ("trian", "unknown command 'trian': did you mean 'train'? known: <all commands>; see `dmcore --help`"),
    (f"{CERTIFY} --thread-count 4", "unknown argument '--thread-count': did you mean '--threads'? known: <all>"),
    (f"{CERTIFY} --certifier ipb", "argument --certifier: unknown certifier 'ipb': did you mean 'ibp'? known: <all>"),
    (f"{CERTIFY} --norm l3", "argument --norm: unknown norm 'l3': <suggestion>known: l0, l1, l2, linf<help>"),
    (f"{CERTIFY} --points all", "argument --points: 'all' is not a whole number > 0<help>"),
    (f"{CERTIFY} --points 61", "61 test points asked for, but the test set has 60"),
    (f"{TRAIN} --spec dm", "argument --spec: not JSON (<reason>); `dmcore spec` prints one<help>"),
    (
        f"{TRAIN} --spec {{digits}}",
        "no specification of a model, it has no 'training': `dmcore spec demo/mnist/small/dm/0.3/seed0` prints one",
    ),
    (
        f"{TRAIN} --spec {{other}}",
        "no specification of a model as this version writes it (got an unexpected keyword argument 'device'): <how>",
    ),
    (f"{CERTIFY} --out /proc/new.json", "cannot write /proc/new.json: <reason>; nothing was started"),
    (
        f"{CERTIFY} --out model.safetensors/new.json",
        "cannot write model.safetensors/new.json: model.safetensors is a file, not a folder; nothing was started",
    ),
    (f"{CERTIFY} --out own", "cannot write own: it is a folder; name a file in it; nothing was started"),
    ("merge own --out new", "own has no records: there is no training.csv in it"),
    (
        "spec demo --config conf.yaml",
        "cannot read conf.yaml: there is no such file; go to the folder that has it, <or>",
    ),
    ("report --config notes.txt.json", "cannot read notes.txt.json: <reason>"),
    (
        f"{CERTIFY} --data data/digits.safetensors",
        f"data/digits.safetensors is a NumPy archive (NPZ), not {IMAGES}; move it away and make it again, with an age "
        "at which nothing is trained again: snakemake --cores 1 data/digits.safetensors && touch -t 200001010000 "
        "data/digits.safetensors",
    ),
    (
        f"{CERTIFY} --data fashion.safetensors",
        "fashion.safetensors is the data set 'fashion', but the model is of 'digits'",
    ),
    (f"{CERTIFY} --data own", f"own is a folder, not {IMAGES}"),
    (f"{CERTIFY} --model weights.safetensors", f"weights.safetensors is a safetensors file, not {A_MODEL}"),
    (f"{COMMANDS['onnx']} --model net.onnx", f"net.onnx is an ONNX file, not {A_MODEL}"),
    (
        f"{TRAIN} --spec {{small}}",
        "prepared images are (1, 28, 28), the spec says [1, 6, 6]: prepare the data again",
    ),
    ("bracket notes.txt --out new", "notes.txt is a text file, not a record that dmcore wrote"),
    ("history --record notes.txt --out new", "notes.txt is a text file, not a record that dmcore wrote"),
    (
        "collect --results results --schedule demo --out results/demo",
        f"{RECORD} is a JSON file, not a record that dmcore wrote; move it away and make it again (this trains the "
        f"model again): snakemake --cores 1 {RECORD}",
    ),
    ("exhibit demo/tables --results results", "'demo/tables' is not of the form schedule/tables/table2"),
]
TAKEN = [  # what is typed, the file that the command did not write, and what it is
    ("data --out own/digits/train.npz", "own/digits/train.npz", "a NumPy archive (NPZ)"),
    ("train --model digits.safetensors", "digits.safetensors", "a safetensors file"),
    ("certify --out mine.json", "unfinished-mine.safetensors", "a text file"),
    ("attack --out certified.json", "certified.json", "a JSON file"),
    ("radius --out model.safetensors", "model.safetensors", "a safetensors file"),
    ("picture --out digits.safetensors", "digits.safetensors", "a safetensors file"),
    ("onnx --out net.onnx", "net.onnx", "an ONNX file"),
    ("vnnlib --out mine", "mine/onnx/net.onnx", "a text file"),
    ("regularizers --out config.yaml", "config.yaml", "a text file"),
    ("bracket --out notes.txt", "notes.txt", "a text file"),
    ("history --out net.pt", "net.pt", "a PyTorch file"),
]


@pytest.fixture(scope="session")
def workbench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workbench")
    set_up(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        finish(folder)
    return folder


@pytest.fixture
def folder(workbench, tmp_path, monkeypatch):
    shutil.copytree(workbench, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def content(folder):
    """Every file with its hash, and every folder; Snakemake's own aside."""
    return {
        str(path.relative_to(folder)): path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if ".snakemake" not in path.parts
    }


def matches(line, promised):
    """Whether a line is the promised one."""
    return re.fullmatch(".+?".join(map(re.escape, re.split(r"<[^<>]+>", promised))), line) is not None


def refused(run, says, folder, capsys):
    before = content(folder)
    (line,) = stopped(capsys, *arguments(run))
    assert matches(line, f"dmcore: error: {says}") or matches(line, f"dmcore {run.split()[0]}: error: {says}"), line
    assert content(folder) == before


@pytest.mark.parametrize(("run", "says"), MISTAKES, ids=lambda text: text[:40])
def test_a_mistake_is_one_line(run, says, folder, capsys):
    refused(run, says, folder, capsys)


@pytest.mark.parametrize(("run", "path", "kind"), TAKEN)
def test_what_a_command_did_not_write_it_does_not_replace(run, path, kind, folder, capsys):
    command, *more = run.split(maxsplit=1)
    says = f"cannot write {path}: it is {kind} that this command did not write; name another file; nothing was started"
    refused(" ".join([COMMANDS[command], *more]), says, folder, capsys)


def test_a_model_of_another_version_is_named(folder, capsys):
    tensors, meta = tensorfile.load(folder / "model.safetensors", KIND)
    tensorfile.save(folder / "old", KIND, tensors, {"spec": meta["spec"].replace("{", '{"warm_start": true, ', 1)})
    says = "old is a model of another version of dmcore (<reason>): train it again"
    refused(f"{COMMANDS['onnx']} --model old", says, folder, capsys)


def test_a_package_that_is_not_there_is_named(folder, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    says = "ONNX files need the package onnx: pip install 'doublemargin[onnx]'"
    refused(COMMANDS["onnx"], says, folder, capsys)


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_wrote_it_may_write_again(name, folder):
    before = content(folder)
    for _ in range(2):
        main(arguments(COMMANDS[name]))
    assert content(folder).keys() - before.keys()
    assert before.items() <= content(folder).items()


DMCORE = f"{shlex.quote(sys.executable)} -m doublemargin"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "variables", "says"),
    [
        (
            f"{DMCORE} {CERTIFY} --device cuda",
            {"CUDA_VISIBLE_DEVICES": "99"},
            "dmcore: error: device 'cuda' was asked for<, and that there is none>",
        ),
        (f"{DMCORE} spec demo > /dev/full", {}, "dmcore: error: No space left on device"),
        # What looks like a mistake and is none: a reader that has gone, an output that is closed, a terminal without
        # Greek letters; no HOME, no git, no number of threads.
        (f"{DMCORE} spec demo | true", {}, None),
        (f"{DMCORE} spec demo >&-", {}, None),
        (f"{DMCORE} info --config | grep -qF '\\u2265'", {"PYTHONIOENCODING": "ascii"}, None),
        (f"{DMCORE} spec demo", {"HOME": None, "PATH": "/nowhere", "OMP_NUM_THREADS": "many"}, None),
    ],
)
def test_a_process_ends_with_one_line_or_none(run, variables, says, folder):
    values = {k: v for k, v in (os.environ | {"PYTHONPATH": CODE} | variables).items() if v is not None}
    done = subprocess.run(["/bin/bash", "-c", run], cwd=folder, env=values, capture_output=True, text=True, check=False)
    told = [line for line in done.stderr.splitlines() if line and "libgomp" not in line]
    assert (done.returncode, len(told)) == ((2, 1) if says else (0, 0)), done.stderr
    assert not says or matches(told[0], says), told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "says"),
    [
        (
            RECORD.replace("pureconv", "purecnv"),
            f"'{MODEL.replace('pureconv', 'purecnv')}': 'purecnv' is not in the config's architectures: did you mean "
            "'pureconv'? known: pureconv",
        ),
        (
            f"results/{MODEL}/certify/ibp/l1/n20.json",
            "the report of schedule 'demo' certifies no 'digits' under l1",
        ),
    ],
)
def test_snakemake_says_it_in_one_line_and_starts_nothing(target, says, folder):
    """Not even with the jobs allowed."""
    before = content(folder)
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores=1", target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "Traceback (most recent call last)" not in output
    assert says in [line.strip().removeprefix("UserError: ") for line in output.splitlines()], output
    assert content(folder) == before
