import fcntl
import json
import os
import stat
import subprocess
import sys
import tempfile

import pytest

from dmcore.files import atomic, digest, remove_leftovers, write_text

OLD, NEW = "old " * 1000, "new " * 1000
KILLED = """
import os, sys, tempfile
from pathlib import Path
from dmcore.files import write_text

point, path, text = sys.argv[1:]
owner, name = {"create": (tempfile, "mkstemp"), "half": (Path, "write_bytes"), "sync": (os, "fsync"),
               "mode": (Path, "chmod"), "rename": (Path, "replace"), "clean up": (Path, "unlink")}[point]
function = getattr(owner, name)

def killed(*arguments, **options):
    if point == "half":
        function(arguments[0], arguments[1][:2000])
    os.kill(os.getpid(), 9)

setattr(owner, name, killed)
write_text(path, text)
"""
"""Writes a file, and is killed where that comes to a point."""


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("point", ["create", "half", "sync", "mode", "rename", "clean up"])
def test_a_killed_writer_leaves_the_old_file_or_the_new_one_and_the_next_cleans_up(point, there, tmp_path):
    path = tmp_path / "a.txt"
    if there:
        write_text(path, OLD)
    assert subprocess.run([sys.executable, "-c", KILLED, point, path, NEW], check=False).returncode == -9
    assert (path.read_text() if path.exists() else None) == (NEW if point == "clean up" else OLD if there else None)
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert len(left) == (0 if point in ("create", "clean up") else 1)
    assert all(name.startswith(".a.txt.") and name.endswith(".part") for name in left)
    write_text(path, NEW)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def half_written():
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_written()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_readable_as_umask_says(tmp_path):
    write_text(tmp_path / "a.txt", "x")
    (tmp_path / "b.txt").write_text("x")
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "b.txt").stat().st_mode)


def test_digest_is_that_of_the_content():
    assert digest({"a": 1, "b": [2]}) == digest(json.loads('{"b": [2], "a": 1}'))
    assert digest({"a": 1}) != digest({"a": 2})


def test_a_living_writers_temporary_file_stays(tmp_path):
    path = tmp_path / "a.txt"
    with atomic(path) as first:
        first.write_text("first")
        write_text(path, "second")
        assert first.exists()
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_leftovers_of_other_files_stay(tmp_path):
    ours, longer, other = (tmp_path / name for name in (".a.txt.x1.part", ".a.txt.gz.x2.part", ".b.txt.x3.part"))
    for path in (ours, longer, other):
        path.touch()
    with longer.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_leftovers(tmp_path / "a.txt")
    assert sorted(tmp_path.iterdir()) == [longer, other]


def test_a_writer_taken_for_dead_before_it_could_lock_starts_again(tmp_path, monkeypatch):
    made, mkstemp = [], tempfile.mkstemp

    def watched(**options):
        handle, name = mkstemp(**options)
        made.append(name)
        if len(made) == 1:
            os.unlink(name)
        return handle, name

    monkeypatch.setattr(tempfile, "mkstemp", watched)
    write_text(tmp_path / "a.txt", NEW)
    assert len(made) == 2
    assert (tmp_path / "a.txt").read_text() == NEW
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_without_locks_files_are_written_and_leftovers_stay(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError("No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".a.txt.x.part").touch()
    write_text(tmp_path / "a.txt", NEW)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".a.txt.x.part", "a.txt"]
