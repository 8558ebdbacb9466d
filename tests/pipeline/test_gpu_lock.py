"""Each job has a GPU to itself, or a slot of one, and gives it back however it ends."""

import os
import signal
import subprocess
import sys

import pytest
import torch

from dmcore.device import out_of_memory
from dmcore.errors import UserError
from doublemargin.experiment import device, gpu_lock
from doublemargin.experiment.device import NO_GPU, job_device
from doublemargin.experiment.gpu_lock import lease_folder, lease_gpu
from doublemargin.experiment.provenance import provenance

# A job: leases one of the GPUs, says which CUDA shows it, and keeps it until its standard input ends.
JOB = """
import os, sys, time
from doublemargin.experiment import device, gpu_lock
gpu_lock.WAIT = 0.01
from pathlib import Path
gpu_lock.lease_gpu(sys.argv[2].split(","), int(sys.argv[3]), Path(sys.argv[1]))
print(os.environ["CUDA_VISIBLE_DEVICES"], flush=True)
sys.stdin.read()
"""


class Job:
    def __init__(self, folder, gpus, slots):
        command = [sys.executable, "-c", JOB, str(folder), ",".join(gpus), str(slots)]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        self.process = subprocess.Popen(command, text=True, env=_without_slurm(), **pipes)

    def gpu(self):
        return self.process.stdout.readline().strip()

    def waits(self):
        return self.process.stderr.readline().strip()

    def end(self, number=signal.SIGKILL):
        self.process.send_signal(number)
        self.process.communicate()


def _without_slurm():
    return {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}


@pytest.fixture
def start(tmp_path):
    jobs = []

    def start_job(gpus, slots=1):
        jobs.append(Job(tmp_path / "locks", gpus, slots))
        return jobs[-1]

    yield start_job
    for job in jobs:
        job.end()


@pytest.fixture
def alone(monkeypatch):
    """Leases of this process end with the test, and its environment is as before."""
    monkeypatch.setattr(gpu_lock, "_held", [])
    monkeypatch.setattr(gpu_lock, "WAIT", 0.01)
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    yield
    for lock in gpu_lock._held:
        lock.release()


def test_each_job_has_a_gpu_of_its_own_and_a_killed_one_gives_it_back(start):
    jobs = [start(["0", "1", "2", "3"]) for _ in range(4)]
    given = {job.gpu(): job for job in jobs}
    assert sorted(given) == ["0", "1", "2", "3"]
    fifth = start(["0", "1", "2", "3"])
    assert fifth.waits() == "all 4 slots of 4 GPUs are taken: waiting for one"
    given["2"].end(signal.SIGKILL)
    assert fifth.gpu() == "2"


def test_jobs_share_gpus_only_when_each_has_one(start):
    order = []
    for _ in range(6):
        order.append(start(["a", "b"], slots=3).gpu())
    assert order == ["a", "b"] * 3


def test_a_schedulers_choice_is_left_alone(tmp_path, alone, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [lease_gpu(["1"], 1, tmp_path / "locks") for _ in range(2)] == ["1", "1"]
    assert not (tmp_path / "locks").exists()


def test_an_allocation_of_several_gpus_is_shared_out_within_it(alone, monkeypatch):
    outside = lease_folder()
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert lease_folder().name == f"{outside.name}-slurm-7"


def test_locks_that_cannot_be_written_are_named(tmp_path, alone):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot lease a GPU in .*file/locks: Not a directory; set TMPDIR"):
        lease_gpu(["0"], 1, tmp_path / "file" / "locks")


def test_a_job_computes_on_the_gpu_that_it_leased(alone, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(gpu_lock, "lease_folder", lambda: tmp_path)
    for shown, device_name, gpu in (("4, GPU-5a", "auto", "4"), ("4, GPU-5a", "cuda", "GPU-5a"), (None, "cuda", "0")):
        if shown is None:
            monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
        else:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
        assert job_device(device_name, 1) == torch.device("cuda")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu
        assert capsys.readouterr().err == f"GPU {gpu}\n"
    assert device.warnings == []


def test_without_a_gpu_the_cpu_is_used_unless_one_is_insisted_on_and_the_record_says_so(alone, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    told = r"device 'cuda' was asked for, but torch sees no GPU \(CUDA_VISIBLE_DEVICES is"
    with pytest.raises(UserError, match=told):
        job_device("cuda", 1)
    assert job_device("auto", 1) == torch.device("cpu")
    assert capsys.readouterr().err.strip() == NO_GPU == "no GPU found: computed on the CPU"
    assert provenance(torch.device("cpu"))["warnings"] == [NO_GPU]
    assert job_device("cpu", 1) == torch.device("cpu")
    assert provenance(torch.device("cpu"))["warnings"] == []
    assert capsys.readouterr().err == ""


def test_a_driver_that_does_not_start_is_said_at_once(alone, monkeypatch, tmp_path):
    def too_old():
        raise RuntimeError("The NVIDIA driver on your system is too old\n(found version 11000).")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "init", too_old)
    monkeypatch.setattr(gpu_lock, "lease_folder", lambda: tmp_path)
    with pytest.raises(
        UserError, match=r"CUDA does not start \(The NVIDIA driver .* too old \(found version 11000\)\.\)"
    ):
        job_device("auto", 1)


def test_what_torch_says_where_memory_is_short():
    with pytest.raises(RuntimeError) as short:
        torch.empty(2**50)
    assert out_of_memory(short.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
