"""Snakemake, run until a time limit: then nothing new is begun, and what is under way saves its state and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil
from filelock import FileLock, Timeout

from dmcore.errors import UserError
from dmcore.files import write_text
from doublemargin.experiment import calls

LOOKS = 0.5
"""Seconds between two looks at what Snakemake has done."""
GRACE = 60.0
"""Seconds that a stopped job gets to save its state; a step of training is the most it may need before."""
LOCK, RUNNING, ORDER = (Path(f".snakemake/dmcore-next.{what}") for what in ("lock", "running", "order"))


@contextmanager
def alone() -> Iterator[None]:
    """One at a time in the working folder. The lock that a killed one's Snakemake has left there is taken away.

    Raises:
        UserError: another is at work here, or the Snakemake of a killed one still is.
    """
    LOCK.parent.mkdir(exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            if RUNNING.exists():
                host, pid = RUNNING.read_text().split()
                if host == socket.gethostname() and psutil.pid_exists(int(pid)):
                    raise UserError(
                        f"the Snakemake of an earlier `dmcore next` is still at work: wait, or kill process {pid}"
                    )
                _unlock()
            yield
    except Timeout:
        raise UserError(
            "another `dmcore next` is at work in this folder: give one all devices, or use a clone"
        ) from None


def run_until(
    deadline: float,
    targets: Sequence[str],
    priorities: Mapping[str, int],
    options: Sequence[str],
    log: Path,
    look: Callable[[], None],
    stopped: Callable[[], bool],
) -> int | None:
    """Runs Snakemake in the working folder for some targets.

    Args:
        deadline: on the clock of :func:`time.monotonic`.
        priorities: of jobs by their paths under results/; those of a higher one begin first.
        options: of Snakemake.
        log: what Snakemake says is added to it.
        look: called now and then.
        stopped: whether to stop before the deadline.

    Returns:
        Its exit code, or None if it was stopped.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    write_text(ORDER, json.dumps(priorities))
    with log.open("ab") as out:
        running = _snakemake(*options, "--", *targets, out=out, **{calls.ORDER: str(ORDER)})
        try:
            write_text(RUNNING, f"{socket.gethostname()} {running.pid}\n")
            while running.poll() is None:
                look()
                if stopped() or time.monotonic() >= deadline:
                    return None
                time.sleep(LOOKS)
        except KeyboardInterrupt:
            return None
        finally:
            if running.poll() is None:
                _stop(running)
            if running.returncode < 0:
                _unlock()
            RUNNING.unlink(missing_ok=True)
    return running.returncode


def _snakemake(
    *arguments: str, out: IO[bytes] | int = subprocess.DEVNULL, **environment: str
) -> subprocess.Popen[bytes]:
    """Snakemake as a process of a session of its own: Ctrl-C reaches us alone, who then stop it gently."""
    # The rules call `python`, which must be this one.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments],
        env=os.environ | {"PATH": path} | environment,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _unlock() -> None:
    """Takes away the lock of a Snakemake that was killed."""
    _snakemake("--unlock").wait()
    RUNNING.unlink(missing_ok=True)


def _stop(running: subprocess.Popen[bytes]) -> None:
    """Ends Snakemake with its jobs; what has finished by then counts."""
    running.terminate()  # it starts nothing new and waits for its jobs; they must not end before it knows
    time.sleep(LOOKS)
    for process in _descendants(running.pid):
        _signal(process, signal.SIGTERM, of="doublemargin")
    try:
        running.wait(GRACE)
    except subprocess.TimeoutExpired:
        for process in _descendants(running.pid):
            _signal(process, signal.SIGKILL)
        running.kill()
        running.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: int, of: str | None = None) -> None:
    """Sends a signal to a process, if it is still there and runs that module, as `python -m` has it."""
    try:
        if of is None or process.cmdline()[1:3] == ["-m", of]:
            process.send_signal(number)
    except psutil.Error:
        pass
