"""Snakemake runs through the shipped Slurm profile, and what Slurm and the running processes tell of them."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from test_config import ROOT
from workflow.tiny import Pipeline, environment

CLUSTER = ROOT / "tests/pipeline/slurm/cluster.sh"
# Tiny jobs end within seconds: ask for them sooner than a site would, and do not wait a minute after the last.
POLL = ["--slurm-init-seconds-before-status-checks", "3", "--seconds-between-status-checks", "3"]
POLL += ["--max-jobs-per-timespan", "100/1s"]


class Job(NamedTuple):
    """A job as Slurm knows it."""

    id: int
    what: str
    state: str
    gpus: str
    restarts: int


def jobs_in_slurm():
    """All jobs since the cluster's start, by their number."""
    columns = "JobArrayID:20,State:20,tres-per-job:20,RestartCnt:10,Comment:400"
    lines = slurm("squeue", "--states=all", "--noheader", "--Format", columns).splitlines()
    jobs = (line.split() for line in lines)
    return {int(job): Job(int(job), what, state, gpus, int(restarts)) for job, state, gpus, restarts, what in jobs}


def slurm(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Process(NamedTuple):
    """A process of dmcore inside a Slurm job."""

    pid: int
    command: str
    job: int
    devices: str


def processes(folder):
    """The trainings and certifications that are running in a folder, as the system lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            if b"doublemargin" not in words or Path(os.readlink(path / "cwd")) != folder or b"python" not in words[0]:
                continue
            environment = dict(item.split("=", 1) for item in (path / "environ").read_text().split("\0") if "=" in item)
        except OSError:  # it has just ended
            continue
        command = words[words.index(b"doublemargin") + 1].decode()
        if command in ("train", "certify"):
            job = int(environment.get("SLURM_JOB_ID", 0))
            found.append(Process(int(path.name), command, job, environment.get("CUDA_VISIBLE_DEVICES", "")))
    return found


class SlurmPipeline(Pipeline):
    """The tiny grid, run through the shipped profile; ``seen`` has what ran at the same time, look by look."""

    def __init__(self, folder):
        super().__init__(folder)
        self.seen = []

    def start(self, *arguments, profile="slurm"):
        """Starts Snakemake; its output goes to `snakemake.log`."""
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--workflow-profile", profile]
        with (self.folder / "snakemake.log").open("w") as log:
            return subprocess.Popen(
                [*command, *POLL, *arguments], cwd=self.folder, stdout=log, stderr=log, env=environment()
            )

    def finish(self, running, *, ok=True, seconds=400):
        """Waits for Snakemake; returns its output."""
        try:
            code = running.wait(seconds)
        finally:
            if running.poll() is None:
                running.send_signal(signal.SIGINT)  # cancels its jobs
                running.wait(60)
        output = (self.folder / "snakemake.log").read_text()
        assert (code == 0) == ok, output
        return output

    def run_on_slurm(self, *arguments, ok=True):
        return self.finish(self.start(*arguments), ok=ok)

    def look(self, running):
        """Looks at the processes until Snakemake ends, in a thread."""

        def watch():
            while running.poll() is None:
                if now := processes(self.folder):
                    self.seen.append(now)
                time.sleep(0.2)

        thread = threading.Thread(target=watch)
        thread.start()
        return thread

    def wait_for(self, command, count=1, seconds=200):
        """The running trainings or certifications, once there are so many."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            now = [process for process in processes(self.folder) if process.command == command]
            if len(now) >= count:
                return now
            time.sleep(0.1)
        raise AssertionError((self.folder / "snakemake.log").read_text())
