"""Trainings and certifications that are stopped, killed or short of memory: nothing lost, the same result at last."""

import json
import signal

import pytest
import torch
from small_images import digits, model, save, worst_case

from dmcore import tensorfile
from dmcore.checkpoint import save_model
from dmcore.linear.chunks import map_chunks
from dmcore.signals import StoppedError, stoppable
from dmcore.training.step import Step, seeded_net
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


class Killed(BaseException):
    pass


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


def terminate():
    signal.raise_signal(signal.SIGTERM)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = made_in(tmp_path_factory.mktemp("undisturbed"))
    certify(folder, "whole")
    assert [path.name for path in (folder / "whole").iterdir()] == ["n20.json"]
    return record(folder / "whole")


@pytest.mark.parametrize("part", [1, 5])
def test_a_killed_certification_goes_on_with_the_next_part(part, files, undisturbed, monkeypatch):
    before = killed(files, monkeypatch, part)
    after = interrupt(monkeypatch, None, kill)
    certify(files, "out")
    assert (len(before), len(before) + len(after)) == (part, PARTS)
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


@pytest.mark.parametrize("change", ["settings", "model", "damage"])
def test_cells_of_something_else_are_made_anew(change, files, undisturbed, monkeypatch, capsys):
    certify(files, "out")
    how = changed(files, change, files / "out/n20.json")
    calls = interrupt(monkeypatch, None, kill)
    certify(files, "out", how, eps=["0"])
    assert len(calls) == PARTS // 3
    assert "starting anew: " in capsys.readouterr().err
    assert list(record(files / "out")["cells"]) == ["0"]


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
def test_verdicts_of_something_else_are_not_used(change, files, monkeypatch, capsys):
    killed(files, monkeypatch, 5)
    how = changed(files, change, files / STATE)
    calls = interrupt(monkeypatch, None, kill)
    certify(files, "out", how)
    assert len(calls) == PARTS
    assert "starting anew: " in capsys.readouterr().err


def fails(capsys, *arguments):
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    return stop.value.code, capsys.readouterr().err.strip().splitlines()[-1]


def training(files):
    spec = ["--spec", json.dumps(SPEC.to_dict()), "--data", files / "data", "--device", "cpu"]
    return ["train", *spec, "--model", files / "out/model", "--record", files / "out/record.json"]


def at_step(monkeypatch, number, what):
    call = Step.__call__

    def counted(self, step):
        if step == number:
            what()
        return call(self, step)

    monkeypatch.setattr(Step, "__call__", counted)


def test_sigterm_saves_a_training_and_exits_so_that_it_is_tried_again(files, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        at_step(patch, 11, terminate)
        code, line = fails(capsys, *training(files))
    assert (code, line) == (
        143,
        "dmcore: error: test/mnist/small/method/0.1/seed0: stopped by SIGTERM after step 12 of 30; its state is saved "
        "and the next run goes on from there",
    )
    main([str(a) for a in training(files)])
    assert "resuming at step 12" in capsys.readouterr().err
    resumed = json.loads((files / "out/record.json").read_text())
    (files / "out/record.json").unlink()
    main([str(a) for a in training(files)])
    whole = json.loads((files / "out/record.json").read_text())
    assert (resumed["model_sha256"], resumed["history"]) == (whole["model_sha256"], whole["history"])


def test_sigterm_is_only_caught_while_there_is_something_to_save():
    before = signal.getsignal(signal.SIGTERM)
    with stoppable() as stopper:
        terminate()
        assert stopper.asked
    assert signal.getsignal(signal.SIGTERM) is before


def short_of_memory():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_a_training_short_of_memory_names_what_to_lower(files, monkeypatch, capsys):
    at_step(monkeypatch, 3, short_of_memory)
    code, line = fails(capsys, *training(files))
    assert code == 2
    assert "cpu is out of memory (CUDA out of memory. Tried to allocate 2.00 GiB); lower 'batch'" in line
    assert "schedules.test of the config (batch 50, method 'method')" in line


def test_a_certification_short_of_memory_for_one_point_says_so(files, monkeypatch, capsys):
    interrupt(monkeypatch, 0, short_of_memory)
    where = ["--model", files / "m", "--data", files / "data", "--out", files / "out.json", "--device", "cpu"]
    code, line = fails(capsys, "certify", *where, "--certifier", "ibp", "--eps", "0.1", "--points", 20)
    assert code == 2
    assert "test/mnist/small/method/0.1/seed0: ibp needs more memory for a single point than cpu has (CUDA out" in line


def test_points_are_halved_wherever_memory_is_short():
    seen = []

    def work(points):
        if points.stop - points.start > 3:
            short_of_memory()
        seen.append((points.start, points.stop))
        return torch.arange(points.start, points.stop)

    assert torch.cat(map_chunks(20, 8, work)).tolist() == list(range(20))
    assert seen == [(start, start + 2) for start in range(0, 20, 2)]
    with pytest.raises(torch.OutOfMemoryError):
        map_chunks(20, 8, lambda points: short_of_memory())
    with pytest.raises(RuntimeError, match="inconsistent"):
        map_chunks(20, 8, lambda points: torch.zeros(2) @ torch.zeros(3))
