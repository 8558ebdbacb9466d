"""A file system of a given size, of its own for a test, without asking root: mounted in a user's own namespace."""

import shutil
import subprocess
from pathlib import Path

import pytest


class SmallDisk:
    """An empty file system of some KiB at ``path``, as the commands that :meth:`run` see it.

    ``inside`` is where others see it.
    """

    def __init__(self, path, kib):
        self.path = path
        path.mkdir()
        mount = f"mount -t tmpfs -o size={kib}k tmpfs {path} && echo mounted && exec sleep 1000"
        if shutil.which("unshare") is None or shutil.which("nsenter") is None:
            pytest.skip("no unshare or nsenter here: no disk of a test's own")
        self.holder = subprocess.Popen(
            ["unshare", "-Urm", "sh", "-c", mount], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        answer = self.holder.stdout.readline().strip()
        if answer != "mounted":
            self.close()
            pytest.skip(f"no mounts for users here: {answer}")
        self.inside = Path(f"/proc/{self.holder.pid}/root{path}")

    def run(self, *command, **options):
        """Runs a command that sees the disk; (exit code, all output)."""
        enter = ["nsenter", "-t", str(self.holder.pid), "-U", "-m", "--preserve-credentials", f"--wdns={self.path}"]
        done = subprocess.run(
            [*enter, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
            **options,
        )  # fmt: skip
        return done.returncode, done.stdout

    def free(self):
        """KiB that are free."""
        return shutil.disk_usage(self.inside).free // 1024

    def fill(self, leave):
        """Leaves so many KiB free; (:meth:`make_room` undoes it)."""
        (self.inside / "ballast").write_bytes(bytes(1024 * (self.free() - leave)))

    def make_room(self):
        (self.inside / "ballast").unlink()

    def remount(self, options):
        code, output = self.run("mount", "-o", f"remount,{options}", self.path)
        assert code == 0, output

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()
