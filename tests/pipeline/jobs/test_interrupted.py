"""Trainings and certifications that are stopped, killed or short of memory: nothing lost, the same result at last."""

import errno
import json
import os
import re
import resource
import shutil
import signal
from itertools import count
from pathlib import Path

import pytest
import torch
from flips import stopped
from small_images import Killed, at_step, digits, model, save, terminate, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import KIND, save_model
from dmcore.signals import StoppedError, stoppable
from dmcore.training.step import seeded_net
from doublemargin.cli import main
from doublemargin.experiment.jobs.certify import Certification, certify_job
from doublemargin.experiment.jobs.evaluation_task import load_subject
from doublemargin.files import read_json

CPU = torch.device("cpu")
SPEC = model(worst_case("double_margin"), eps="0.1", steps=30, warmup=5, ramp=10)
HOW = Certification("cnn-cert-relu", "linf", False, False, 20, 0)
EPS = ["0", "0.01", "0.02"]
PARTS = 9  # three an ε: 8 + 8 + 4 points
STATE = "out/unfinished-n20.safetensors"
POINTS_DONE = ("8 at eps 0", "8 at eps 0.01")


@pytest.fixture(scope="module", autouse=True)
def eight_points_at_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("doublemargin.experiment.jobs.certify.point_chunk", lambda net, x: 8)
        yield


def made_in(folder):
    save(digits(), folder / "data")
    save_model(folder / "m", seeded_net(SPEC), SPEC)
    return folder


@pytest.fixture
def files(tmp_path):
    return made_in(tmp_path)


def certify(files, out, how=HOW, **options):
    subject = load_subject(files / "m", files / "data", how.points, how.points_seed, CPU)
    certify_job(subject, how, options.pop("eps", EPS), files / f"{out}/n20.json", **options)


def record(folder):
    """What does not differ from run to run."""
    found = read_json(folder / "n20.json")
    for cell in found["cells"].values():
        assert cell.pop("seconds") > 0
    return found


def interrupt(monkeypatch, part, how):
    """Calls ``how`` instead of the part of that number; counts the parts in the list it returns."""
    verdicts, calls = Certification.verdicts, []

    def counted(self, subject, points, eps):
        if len(calls) == part:
            how()
        calls.append((eps, points.start))
        return verdicts(self, subject, points, eps)

    monkeypatch.setattr(Certification, "verdicts", counted)
    return calls


def kill():
    raise Killed


def killed(files, monkeypatch, part):
    """A certification that is killed before that part, each part before saved; returns these."""
    with monkeypatch.context() as patch:
        calls = interrupt(patch, part, kill)
        with pytest.raises(Killed):
            certify(files, "out", save_every=0.0)
    return calls


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = made_in(tmp_path_factory.mktemp("undisturbed"))
    certify(folder, "whole")
    assert [path.name for path in (folder / "whole").iterdir()] == ["n20.json"]
    return record(folder / "whole")


def test_a_killed_certification_goes_on_with_the_next_part(files, undisturbed, monkeypatch):
    before = killed(files, monkeypatch, 5)
    after = interrupt(monkeypatch, None, kill)
    certify(files, "out")
    assert (len(before), len(before) + len(after)) == (5, PARTS)
    assert not set(before) & set(after)
    assert record(files / "out") == undisturbed
    assert not (files / STATE).exists()


def test_an_eps_that_is_asked_for_later_is_added(files, undisturbed, monkeypatch):
    certify(files, "out", eps=["0.02", "0"])
    calls = interrupt(monkeypatch, None, kill)
    certify(files, "out")
    assert {eps for eps, _ in calls} == {0.01}
    assert record(files / "out") == undisturbed
    assert list(undisturbed["cells"]) == EPS
    certify(files, "out", eps=["0"])
    assert len(calls) == PARTS // 3
    assert record(files / "out") == undisturbed


def test_sigterm_saves_a_certifications_verdicts(files, undisturbed, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt(patch, 4, terminate)
        with pytest.raises(StoppedError, match="stopped by SIGTERM; its verdicts are saved and the next run goes on"):
            certify(files, "out", save_every=1e9)
    calls = interrupt(monkeypatch, None, kill)
    certify(files, "out")
    assert len(calls) == PARTS - 4
    assert record(files / "out") == undisturbed


def test_the_seconds_of_all_parts_count(files, monkeypatch):
    killed(files, monkeypatch, 5)
    tensors, meta = tensorfile.load(files / STATE, "dmcore.certification_state")
    spent = json.loads(meta["seconds"])
    assert {eps: len(tensors[f"{eps} margin"]) for eps in spent} == {"0": 20, "0.01": 16}
    spent = {eps: s + 1000 for eps, s in spent.items()}
    state = {"key": meta["key"], "seconds": json.dumps(spent)}
    tensorfile.save(files / STATE, "dmcore.certification_state", tensors, state)
    certify(files, "out")
    cells = read_json(files / "out/n20.json")["cells"]
    assert [cells[eps]["seconds"] > 1000 for eps in EPS] == [True, True, False]


def changed(files, change, file):
    """Certifies otherwise, another model, or damages a file; returns how to certify."""
    if change == "settings":
        return Certification("cnn-cert-relu", "linf", True, False, 20, 0)
    if change == "model":
        other = model(worst_case("double_margin"), eps="0.1", steps=30, warmup=5, ramp=10, seed=1)
        save_model(files / "m", seeded_net(other), other)
    else:
        file.write_bytes(file.read_bytes()[:500])
    return HOW


@pytest.mark.parametrize("change", ["settings", "model", "damage"])
@pytest.mark.parametrize("finished", [True, False])
def test_what_is_of_something_else_is_not_used(change, finished, files, monkeypatch, capsys):
    if finished:
        certify(files, "out")
    else:
        killed(files, monkeypatch, 5)
    how = changed(files, change, files / ("out/n20.json" if finished else STATE))
    calls = interrupt(monkeypatch, None, kill)
    certify(files, "out", how, eps=["0", "0.01"])
    assert len(calls) == 2 * PARTS // 3
    assert "starting anew: " in capsys.readouterr().err
    assert list(record(files / "out")["cells"]) == ["0", "0.01"]


def training(files, spec=SPEC, *more):
    what = ["--spec", json.dumps(spec.to_dict()), "--data", files / "data", "--device", "cpu", *more]
    return [str(a) for a in ("train", *what, "--model", files / "out/model", "--record", files / "out/record.json")]


def certifying(files, *more):
    where = ["--model", files / "m", "--data", files / "data", "--device", "cpu", "--certifier", "ibp", "--points", 8]
    return [str(a) for a in ("certify", *where, *more, "--out", files / "out/n8.json")]


def test_sigterm_saves_a_training_and_exits_so_that_it_is_tried_again(files, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        at_step(patch, 11, terminate)
        line = stopped(capsys, *training(files), code=143)[-1]
    assert line == (
        "dmcore: error: test/mnist/small/method/0.1/seed0: stopped by SIGTERM after step 12 of 30; its state is saved "
        "and the next run goes on from there"
    )
    main(training(files))
    assert "resuming at step 12" in capsys.readouterr().err
    resumed = json.loads((files / "out/record.json").read_text())
    (files / "out/record.json").unlink()
    main(training(files))
    whole = json.loads((files / "out/record.json").read_text())
    assert (resumed["model_sha256"], resumed["history"]) == (whole["model_sha256"], whole["history"])


def test_sigterm_is_only_caught_while_there_is_something_to_save():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as stopper:
        terminate()
        assert stopper.asked
    assert signal.getsignal(signal.SIGTERM) is before


def final(folder):
    """What a reader finds, states of unfinished work aside: weights, and of records what every run says alike."""

    def alike(value):
        varying = ("seconds", "cpu_seconds", "provenance")
        return {k: alike(v) for k, v in value.items() if k not in varying} if isinstance(value, dict) else value

    found = {path.name: alike(read_json(path)) for path in folder.glob("*.json")}
    if (folder / "model").exists():
        found["model"] = tensorfile.content_hash(tensorfile.load(folder / "model", KIND)[0])
    return found


def at_write(monkeypatch, number, fault):
    """Ends the write of that number by a full disk, or by a kill before or after the file gets its name."""
    replace, numbers = Path.replace, count(1)

    def replaced(self, target):
        here = next(numbers) == number
        if here and fault == "a full disk":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if here and fault == "a kill before":
            kill()
        made = replace(self, target)
        if here and fault == "a kill after":
            kill()
        return made

    monkeypatch.setattr(Path, "replace", replaced)


def ready(job, files):
    """A job whose files are there from other settings or with fewer ε, and how many states it saves."""
    if job == "train":
        other, spec = (model(worst_case("interval"), eps="0.1", steps=4, warmup=1, ramp=2, seed=k) for k in (1, 0))
        main(training(files, other))
        return training(files, spec, "--save-every", 0), spec.training.steps
    main(certifying(files, "--eps", "0.02"))
    return certifying(files, "--eps", "0", "0.01", "--save-every", 0), 2


@pytest.mark.parametrize("fault", ["a full disk", "a kill before", "a kill after"])
@pytest.mark.parametrize("job", ["train", "certify"])
def test_a_job_that_ends_at_any_of_its_writes_loses_nothing(job, fault, files, monkeypatch, capsys):
    """Each file is that of before or that of after; a rerun goes on from the last state and ends as if undisturbed."""
    out = files / "out"
    command, states = ready(job, files)
    old = final(out)
    shutil.copytree(out, files / "before")
    main(command)
    new = final(out)
    assert all(old[name] != new[name] for name in new)
    for number in range(1, states + len(new) + 1):
        shutil.rmtree(out)
        shutil.copytree(files / "before", out)
        with monkeypatch.context() as patch:
            at_write(patch, number, fault)
            if fault == "a full disk":
                line = stopped(capsys, *command)[-1]
                assert re.fullmatch(
                    r"dmcore: error: cannot write \S+: No space left on device; nothing was replaced", line
                )
            else:
                with pytest.raises(Killed):
                    main(command)
        assert all(content in (old[name], new[name]) for name, content in final(out).items())
        saved = min(number - (fault != "a kill after"), states)
        assert len(list(out.glob("unfinished-*"))) == (saved > 0)
        capsys.readouterr()
        main(command)
        told = f"resuming at step {saved}," if job == "train" else f"points done: {', '.join(POINTS_DONE[:saved])}\n"
        assert (told in capsys.readouterr().err) == (saved > 0)
        assert final(out) == new
        assert len(list(out.iterdir())) == len(new)


def test_what_the_system_does_not_write_is_named(files, capsys):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        line = stopped(capsys, *training(files, SPEC, "--save-every", 0))[-1]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert re.fullmatch(r"dmcore: error: cannot write \S+/unfinished-\S+: File too large; nothing was replaced", line)
    assert final(files / "out") == {}


def short_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_a_training_short_of_memory_names_what_to_lower(files, monkeypatch, capsys):
    at_step(monkeypatch, 3, short_of_memory)
    line = stopped(capsys, *training(files))[-1]
    assert "cpu is out of memory (CUDA out of memory. Tried to allocate 2.00 GiB); lower 'batch'" in line
    assert "schedules.test of the config (batch 50, method 'method')" in line


def test_a_certification_short_of_memory_for_one_point_says_so(files, monkeypatch, capsys):
    interrupt(monkeypatch, 0, short_of_memory)
    line = stopped(capsys, *certifying(files, "--eps", "0.1"))[-1]
    assert "test/mnist/small/method/0.1/seed0: ibp needs more memory for a single point than cpu has (CUDA out" in line
