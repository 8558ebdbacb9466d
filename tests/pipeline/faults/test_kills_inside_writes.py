"""A process that is killed within :func:`dmcore.files.atomic`, at each of its calls in turn."""

import fcntl
import os
import tempfile

import pytest
from forking import POINTS

from dmcore.files import atomic, remove_leftovers, write_text

OLD, NEW = "old " * 1000, "new " * 1000
OF_A_TEXT = [point for point in POINTS if point != "half of the tensors"]


@pytest.mark.parametrize("point", OF_A_TEXT)
def test_a_file_is_the_old_or_the_new_one_and_the_next_write_cleans_up(point, forks, tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, OLD)
    assert forks.run("write", path, NEW, kill_at=(point, 1)).code == -9
    assert path.read_text() == (NEW if point == "clean up" else OLD)
    left = [p.name for p in tmp_path.iterdir() if p != path]
    assert len(left) == (0 if point in ("create", "clean up") else 1)
    assert all(name.startswith(".a.txt.") and name.endswith(".part") for name in left)
    assert forks.run("write", path, NEW).code == 0
    assert path.read_text() == NEW
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_not_there_is_whole_or_not_there(forks, tmp_path):
    for point in OF_A_TEXT:
        path = tmp_path / point
        forks.run("write", path, NEW, kill_at=(point, 1))
        assert path.exists() == (point == "clean up")


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
