"""Each kind of mistake gets one line and an exit code ≠ 0; nothing is started, nothing lost."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys

import around
import in_config
import in_files
import in_snakemake
import on_the_command_line
import pytest
from mistakes import arguments, edit
from small_images import ROOT
from test_config import CODE
from workbench import set_up

from dmcore import tensorfile
from dmcore.data.prepared import KIND
from doublemargin.cli import main

IN_PROCESS = [m for module in (in_config, on_the_command_line, in_files, around) for m in module.MISTAKES]


@pytest.fixture(scope="session")
def workbench(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workbench")
    set_up(folder)
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


def environment(mistake):
    values = os.environ | {"PYTHONPATH": CODE, "PYTHONUNBUFFERED": None} | mistake.environment
    return {name: value for name, value in values.items() if value is not None}


@pytest.mark.parametrize("mistake", IN_PROCESS + in_files.FOREIGN, ids=lambda m: m.id)
def test_a_mistake_is_one_line(mistake, folder, monkeypatch, capsys):
    mistake.make(folder)
    if mistake.without:
        for name in [name for name in sys.modules if name.partition(".")[0] == mistake.without]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, mistake.without, None)
    before = content(folder)
    with pytest.raises(SystemExit) as stop:
        main(arguments(mistake.run, folder)[1:])
    shown = capsys.readouterr()
    assert stop.value.code == mistake.code
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert mistake.matches(line), f"{line}\n{mistake.says}"
    assert not re.search(r"\brm\b|remove it|delete", line)
    assert content(folder) == before


@pytest.mark.parametrize(
    ("name", "words", "changes"),
    [
        ("data", ["digits"], {"places": "own"}),
        ("train", [], {"spec": '"$(dmcore spec demo/digits/pureconv/normal/none/seed0)"'}),
        ("certify", [], {}),
        ("attack", [], {"steps": "2", "restarts": "1"}),
        ("radius", [], {"tolerance": "0.5"}),
        ("picture", [], {"certifier": "ibp", "steps": "2", "restarts": "1"}),
        ("onnx", [], {}),
        ("vnnlib", [], {}),
        ("regularizers", [], {"out": "new.json", "max_steps": "2"}),
        ("bracket", ["certified.json", "attacked.json"], {"out": "new.md"}),
        ("history", [], {"out": "new.png"}),
    ],
)
def test_what_a_command_wrote_it_may_write_again(name, words, changes, folder):
    if name == "data":
        tensors, _ = tensorfile.load("digits.safetensors", KIND)
        tensors |= {part: tensors[part].byte() for part in ("train_y", "test_y")}
        edit(("0" * 64, tensorfile.content_hash(tensors)))(folder)
    before = content(folder)
    run = arguments(on_the_command_line.command(name, *words, **changes), folder)[1:]
    for _ in range(2):
        main(run)
    assert {path for path in content(folder) if path not in before}
    assert before.items() <= content(folder).items()


@pytest.mark.slow
@pytest.mark.parametrize("mistake", around.REAL, ids=lambda m: m.id)
def test_a_mistake_is_one_line_of_a_process(mistake, folder):
    mistake.make(folder)
    before = content(folder)
    start = f"import sys; sys.modules[{mistake.without!r}] = None; from doublemargin.cli import main; main()"
    dmcore = shlex.join([sys.executable, *(["-c", start] if mistake.without else ["-m", "doublemargin"])])
    done = subprocess.run(
        mistake.run.replace("dmcore", dmcore, 1),
        shell=True, cwd=folder, env=environment(mistake), capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (mistake.code, "")
    assert mistake.matches(line), f"{line}\n{mistake.says}"
    assert content(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("mistake", in_snakemake.MISTAKES, ids=lambda m: m.id)
def test_snakemake_says_it_in_one_line_and_starts_nothing(mistake, folder):
    mistake.make(folder)
    before = content(folder)
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "--cores=1", *shlex.split(mistake.run)[1:]]
    done = subprocess.run(
        [word for word in command if word != "-n"],  # not even with the jobs allowed is one started
        cwd=folder, env=environment(mistake), capture_output=True, text=True, check=False,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == mistake.code, output
    assert "Traceback (most recent call last)" not in output
    assert [line for line in output.splitlines() if mistake.matches(line.strip().removeprefix("UserError: "))], (
        f"{output}\n{mistake.says}"
    )
    assert content(folder) == before


@pytest.mark.parametrize(("run", "variables"), around.HARMLESS.values(), ids=around.HARMLESS)
def test_what_looks_like_a_mistake_and_is_none(run, variables, folder):
    values = {k: v for k, v in (os.environ | {"PYTHONPATH": CODE} | variables).items() if v is not None}
    run = run.replace("dmcore", f"{shlex.quote(sys.executable)} -m doublemargin", 1)
    done = subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {run}"],
        cwd=folder, env=values, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == (141 if "|" in run else 0), done.stderr
    assert [line for line in done.stderr.splitlines() if line and "libgomp" not in line] == []
    if "PYTHONIOENCODING" in variables:
        assert r"\u2265" in done.stdout
