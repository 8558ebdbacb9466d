"""The tiny grid through the shipped profile on a real Slurm, undisturbed and with jobs, node and Snakemake killed.

Skipped but for `make test-slurm`: it needs root, installs Slurm and takes minutes.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from on_slurm import CLUSTER, SlurmPipeline, jobs_in_slurm, slurm
from workflow.slots import LOG, MODEL, Slots
from workflow.tiny import tiny_config

pytestmark = pytest.mark.skipif(
    os.environ.get("DM_TEST_SLURM") != "1", reason="starts a Slurm on this machine, as root: make test-slurm"
)

DM, NORMAL = "results/demo/mnist/small/dm/0.1/seed0", "results/demo/mnist/small/normal/none/seed0"
CELL = "certify/ibp/linf/n4.json"


@pytest.fixture(scope="module")
def _cluster():
    subprocess.run([CLUSTER, "start"], check=True)
    yield
    subprocess.run([CLUSTER, "stop"], check=True)


@pytest.fixture
def run(_cluster, tmp_path):
    return SlurmPipeline(tmp_path / "run")


@pytest.fixture
def new_jobs(_cluster):
    """What Slurm has run since the test began, job by job: what it is for, and its state."""
    before = set(jobs_in_slurm())
    return lambda: sorted((job for key, job in jobs_in_slurm().items() if key not in before), key=lambda job: job.id)


def test_everything_is_made_in_slurm_with_a_device_for_each_job(run, pipeline, new_jobs):
    running = run.start("demo")
    looking = run.look(running)
    output = run.finish(running)
    looking.join()
    assert "Using workflow specific profile" in output
    assert "profiles/slurm for setting" in output
    jobs = new_jobs()
    assert sorted(job.what.partition("_wildcards")[0] for job in jobs) == ["rule_certify"] * 4 + ["rule_train"] * 2
    assert {(job.state, job.gpus) for job in jobs} == {("COMPLETED", "gres:gpu:1")}
    assert {process.job for now in run.seen for process in now} == {job.id for job in jobs}
    assert max(map(len, run.seen)) == 2, "both devices should be used, and no third"
    for now in run.seen:
        assert len({process.devices for process in now}) == len(now), now
    assert {process.devices for now in run.seen for process in now} == {"0", "1"}
    made = [
        path.relative_to(pipeline.folder).as_posix() for path in pipeline.folder.glob("results/demo/mnist/**/*.json")
    ]
    cells = [path for path in made if "/certify/" in path]
    assert len(cells) == 4
    run.same_results(pipeline, [f"{DM}/training.json", f"{NORMAL}/training.json", *cells])
    assert run.planned("demo") == {}


def test_a_training_longer_than_its_time_limit_goes_on_in_retries(run, new_jobs):
    """Slurm's SIGTERM reaches the training through two Snakemakes; it saves its state before the SIGKILL."""
    config = tiny_config()
    config["schedules"]["demo"]["training"]["mnist"]["epochs"] = 2.5  # more than a minute on any machine
    run.write(config)
    limit = ["--set-resources", "train:runtime=1", "--retries", "19"]
    output = run.finish(run.start(*limit, "--", f"{DM}/training.json"), seconds=1500)
    *stopped, last = [job.state for job in new_jobs()]
    assert (set(stopped), last) == ({"TIMEOUT"}, "COMPLETED"), output
    log = (run.folder / "logs/train/demo/mnist/small/dm/0.1/seed0.log").read_text()
    told = re.findall(r"(stopped by SIGTERM after|resuming at) step (\d+)", output + log)
    kept = [step for word, step in told if word.startswith("stopped")]
    assert kept, output
    # Each goes on from where the one before stopped; one whose limit strikes when it is just done begins anew.
    assert [step for word, step in told if word.startswith("resuming")] == kept
    assert run.result("dm/0.1/seed0/training.json")["history"][-1]["step"] == 1500


def test_a_job_whose_node_dies_is_run_again(run, pipeline, new_jobs):
    running = run.start(f"{DM}/{CELL}")
    (process,) = run.wait_for("certify")
    subprocess.run([CLUSTER, "kill-node"], check=True)
    assert run.wait_for("certify", 0) == []
    subprocess.run([CLUSTER, "start-node"], check=True)
    run.finish(running)
    train, certify = new_jobs()
    assert (train.restarts, certify.restarts) == (0, 1)
    assert (certify.id, certify.state) == (process.job, "COMPLETED")
    run.same_results(pipeline, [f"{DM}/{CELL}", f"{DM}/training.json"])
    assert run.planned(f"{DM}/{CELL}") == {}


def test_slots_of_time_add_up(new_jobs, tmp_path):
    slots = Slots(tmp_path / "run", epochs=2)  # 1,200 steps
    log = slots.folder / LOG

    def submit(minutes):
        command = f"{Path(sys.executable).parent}/dmcore next --models mnist/small/dm --cores 1 --minutes {minutes}"
        slurm("sbatch", "--gpus=1", "--time=9", f"--chdir={slots.folder}", "--output=slots.log", "--wrap", command)

    def state(job, seconds=400):
        end = time.monotonic() + seconds
        while new_jobs()[job].state in ("PENDING", "RUNNING", "COMPLETING") and time.monotonic() < end:
            time.sleep(1)
        return new_jobs()[job].state

    submit(1.4)
    assert state(0) == "COMPLETED"
    assert "0 cells more on record in results/demo, 4 left" in (slots.folder / "slots.log").read_text()
    assert len(slots.states()) == 1
    stopped = int(re.search(r"stopped by SIGTERM after step (\d+) of 1200", log.read_text())[1])
    log.unlink()
    submit(9)
    while not (log.exists() and f"resuming at step {stopped}," in log.read_text()):
        assert new_jobs()[1].state in ("PENDING", "RUNNING")
        time.sleep(0.5)
    slurm("scancel", str(new_jobs()[1].id))
    assert state(1) == "CANCELLED"
    psutil.wait_procs(slots.processes(), timeout=60)  # Slurm calls it that from its first signal on
    assert "0 cells more on record in results/demo, 4 left" in (slots.folder / "slots.log").read_text()
    assert slots.processes() == []
    assert not (slots.folder / f"{MODEL}/model.safetensors").exists()
    submit(9)
    assert state(2) == "COMPLETED"
    assert "4 cells more on record in results/demo, 0 left" in (slots.folder / "slots.log").read_text()
    assert slots.states() == []
