"""`dmcore next` with the real Snakemake on a tiny grid."""

import contextlib
import os
import signal
import time

import psutil
from workflow.slots import LOG, MODEL, Slots

from doublemargin.records.columns import FILES, SUMS


def test_it_runs_what_is_missing_and_leaves_the_records(tmp_path):
    slots = Slots(tmp_path / "run")
    listed = slots.next("--list")
    assert "demo/mnist/small/normal/none/seed0: train, cnn-cert-relu linf n4, ibp linf n4" in listed
    assert not (slots.folder / "results").exists()
    output = slots.next("--minutes", "9", "--models", "mnist/small/dm", "--cores", "1")
    assert "4 cells more on record in results/demo, 0 left" in output
    assert "demo/mnist/small/dm/0.1/seed0: trained" in output
    assert "demo/mnist/small/dm/0.1/seed0: ibp linf, 4 points at 2 ε" in output
    records = (slots.folder / "results/demo/certified_accuracy.csv").read_text()
    assert (records.count(",dm,"), records.count(",normal,")) == (4, 0)
    assert not list(slots.folder.glob("results/demo/tables"))
    # In a copy without models the records say what is done.
    other = Slots(tmp_path / "other")
    (other.folder / "results/demo").mkdir(parents=True)
    for name in (*FILES.values(), SUMS):
        (other.folder / "results/demo" / name).write_bytes((slots.folder / "results/demo" / name).read_bytes())
    assert "dm" not in other.next("--list").replace("demo", "")
    began = (slots.folder / "logs/next.log").stat().st_size
    assert "0 cells more on record in results/demo, 0 left" in slots.next("--minutes", "9", "--models", "*/*/dm")
    assert (slots.folder / "logs/next.log").stat().st_size == began  # Snakemake was not even asked


def test_however_it_is_ended_the_next_one_goes_on(tmp_path):
    slots = Slots(tmp_path / "run", epochs=0.5)  # 300 steps
    chosen = ("--minutes", "9", "--models", "mnist/small/dm")
    running = slots.start(*chosen)
    slots.trained_until(running, "30/300")
    assert "another `dmcore next` is at work in this folder" in slots.next("--minutes", "9", code=2)
    running.kill()
    running.communicate()
    assert "of an earlier `dmcore next` is still at work: wait, or kill process" in slots.next("--minutes", "9", code=2)
    left = slots.processes()
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=30)
    for number, told in (
        (signal.SIGTERM, "30/300"),
        (signal.SIGINT, "resuming at step"),
    ):  # past the lock of the killed Snakemake
        (slots.folder / LOG).unlink()
        running = slots.start(*chosen)
        slots.trained_until(running, told)
        os.kill(running.pid, number)
        output, error = running.communicate()
        assert running.returncode == 0, error
        assert "0 cells more on record in results/demo, 4 left" in output
        assert slots.processes() == []
        assert len(slots.states()) == 1
    assert "(begun)" in slots.next("--list").splitlines()[2]
    assert "4 cells more on record" in slots.next(*chosen)
    assert "resuming at step " in (slots.folder / LOG).read_text()
    assert slots.states() == []


def test_at_the_limit_all_has_ended(tmp_path):
    slots = Slots(tmp_path / "run", epochs=100)
    began = time.monotonic()
    output = slots.next("--minutes", "1", "--models", "mnist/small/dm")
    assert time.monotonic() - began >= 40
    assert "0 cells more on record in results/demo, 4 left" in output
    assert slots.processes() == []
    assert not (slots.folder / f"{MODEL}/model.safetensors").exists()
    slots.run("-n")  # no lock is left


def test_what_fails_is_told_and_the_rest_is_done(tmp_path):
    slots = Slots(tmp_path / "run")
    slots.run("results/demo/mnist/small/dm/0.1/seed0/model.safetensors")
    model = slots.folder / f"{MODEL}/model.safetensors"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    output = slots.next("--minutes", "9", code=2)
    assert "4 cells more on record in results/demo, 4 left" in output
    assert "2 failed, the first of them demo/mnist/small/dm/0.1/seed0: " in output
