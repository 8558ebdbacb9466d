"""`dmcore next` in a folder of its own."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import psutil
from test_config import ROOT
from workflow.tiny import Pipeline, tiny_config

MODEL = "results/demo/mnist/small/dm/0.1/seed0"
LOG = "logs/train/demo/mnist/small/dm/0.1/seed0.log"


class Slots(Pipeline):
    """A folder with the project's Snakefile in it."""

    def __init__(self, folder, epochs=0.02):
        super().__init__(folder)
        for name in ("Snakefile", "profiles", "workflow", "envs", "dmcore", "resources"):
            (folder / name).symlink_to(ROOT / name)
        config = tiny_config()
        config["schedules"]["demo"]["training"]["mnist"]["epochs"] = epochs
        self.write(config)

    def start(self, *arguments):
        command = [sys.executable, "-m", "doublemargin", "next", *arguments]
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            # A shell's background jobs, and all that they start, would ignore Ctrl-C.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def next(self, *arguments, code=0):
        running = self.start(*arguments)
        output, error = running.communicate()
        assert running.returncode == code, output + error + self.log()
        return output + error

    def log(self):
        path = self.folder / "logs/next.log"
        return path.read_text() if path.exists() else ""

    def trained_until(self, running, told):
        """Waits for a training to have told that."""
        log = self.folder / LOG
        while not (log.exists() and told in log.read_text()):
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)

    def processes(self):
        """What runs in the folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(self.folder) and process.pid != os.getpid():
                    found.append(process)
        return found

    def states(self):
        return list((self.folder / MODEL).glob("unfinished-*"))
