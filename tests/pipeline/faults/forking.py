"""Runs `dmcore` commands in forks of one warmed-up process: a command starts in milliseconds, and can be killed.

As a script it is the server: it imports what the commands need, then forks for each line of standard input. Its user
is :class:`Forks`.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
CLONE_NEWUSER = 0x10000000  # of <sched.h>: in a namespace of one's own, root's power ends at files from outside
NO_NAMESPACES = 77
POINTS = ("create", "half of the bytes", "half of the tensors", "sync", "mode", "rename", "clean up")
"""Where writing a file can be killed, in its order; an "n-th" is counted over all files that a command writes."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal that killed it, and its standard error."""

    code: int
    stderr: str


class Forks:
    """The server's user.

    ``folder`` is where the commands' standard error goes, and :attr:`trace`, to which every training step that begins
    adds a line with its number and the time.
    """

    def __init__(self, folder):
        self.stderr, self.trace = folder / "stderr", folder / "trace"
        environment = os.environ | {
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")]),
        }
        command = [sys.executable, __file__, self.stderr, self.trace]
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
        )
        assert self._answer() == "ready"

    def run(self, *arguments, kill_after=None, kill_at=None, largest_file=None, powerless=False):
        """Runs one command of dmcore, or ``write`` of a file and a text, to its end.

        Args:
            kill_after: seconds after which it is killed by SIGKILL.
            kill_at: ``(point, n)``: it kills itself when it comes to one of :data:`POINTS` for the n-th time.
            largest_file: bytes; it may write none that is larger.
            powerless: permissions bind it even if the tests are root's.
        """
        self.stderr.write_text("")  # a child may be killed before it does so itself
        self.trace.write_text("")
        options = {"kill_at": kill_at, "largest_file": largest_file, "powerless": powerless}
        self.server.stdin.write(json.dumps({"arguments": [str(a) for a in arguments]} | options) + "\n")
        self.server.stdin.flush()
        pid = int(self._answer())
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)  # the server has not waited for it yet: the number is still its own
        self.server.stdin.write("wait\n")
        self.server.stdin.flush()
        return Ended(int(self._answer()), self.stderr.read_text())

    def steps(self):
        """(number, time) of each training step that the last command began."""
        lines = self.trace.read_text().splitlines()
        return [(int(line.split()[0]), float(line.split()[1])) for line in lines]

    def close(self):
        self.server.stdin.close()
        self.server.wait()
        self.server.stdout.close()

    def _answer(self):
        return self.server.stdout.readline().strip()


def _kill_at(point, count):
    """Has this process kill itself at its ``count``-th call of a function that writing a file goes through."""
    owner, attribute, first = _points()[point]
    function, calls = getattr(owner, attribute), 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == count:
            first(function, *arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    setattr(owner, attribute, counted)


def _points():
    """The functions of :data:`POINTS`: owner, attribute, and what is done before the kill."""
    import safetensors.torch

    def nothing(function, *arguments, **options):
        pass

    def half_of_the_bytes(function, path, content):
        function(path, content[: len(content) // 2])

    def half_of_the_tensors(function, tensors, path, *arguments):
        function(tensors, path, *arguments)
        os.truncate(path, path.stat().st_size // 2)

    return {
        "create": (tempfile, "mkstemp", nothing),
        "half of the bytes": (Path, "write_bytes", half_of_the_bytes),
        "half of the tensors": (safetensors.torch, "save_file", half_of_the_tensors),
        "sync": (os, "fsync", nothing),
        "mode": (Path, "chmod", nothing),
        "rename": (Path, "replace", nothing),
        "clean up": (Path, "unlink", nothing),
    }


def _traced(trace):
    from dmcore.training.step import Step

    step = Step.__call__

    def traced(self, index, *arguments):
        os.write(trace, f"{index} {time.perf_counter()}\n".encode())
        return step(self, index, *arguments)

    Step.__call__ = traced


def _child(request, stderr, trace):
    """One command, in a fork of its own."""
    from dmcore.files import write_text
    from doublemargin.cli import main

    os.dup2(os.open(stderr, os.O_WRONLY), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    _traced(os.open(trace, os.O_WRONLY))
    if request["kill_at"]:
        _kill_at(*request["kill_at"])
    if request["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["largest_file"],) * 2)
    if request["powerless"] and os.geteuid() == 0 and ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
        os._exit(NO_NAMESPACES)
    code = 0
    try:
        command, *arguments = request["arguments"]
        if command == "write":
            write_text(*arguments)
        else:
            main(request["arguments"])
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def _serve(stderr, trace):
    import doublemargin.cli
    import doublemargin.experiment.jobs.certify
    import doublemargin.experiment.jobs.train
    import doublemargin.report.make
    import doublemargin.report.make_pages  # noqa: F401
    from doublemargin.experiment.device import job_device
    from doublemargin.experiment.source import code_hash

    job_device("cpu", threads=1)  # imports more of torch
    code_hash("doublemargin.experiment.jobs.train")  # parses the code
    print("ready", flush=True)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                _child(json.loads(line), stderr, trace)
            os._exit(1)
        print(pid, flush=True)
        sys.stdin.readline()  # "wait"
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
