"""What must be refused in one line: mistakes in a call or a command, and files with one byte changed."""

import random
from contextlib import contextmanager

import pytest

from dmcore.errors import UserError
from doublemargin.cli import main


@contextmanager
def named(*told):
    """A refusal in one line that tells all this."""
    with pytest.raises(UserError) as error:
        yield error
    for part in told:
        assert str(part) in str(error.value)
    assert "\n" not in str(error.value)


def stopped(capsys, *arguments, code=2):
    """The lines on standard error of a command that ends with this exit code, and prints nothing else."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in arguments])
    shown = capsys.readouterr()
    assert (stop.value.code, shown.out) == (code, "")
    return shown.err.splitlines()


def flip(path, place, change=0xFF):
    """Changes a byte where it lies."""
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ change]))


def every_flip_is_named(path, load, *told, places=None, name=None):
    """No byte of a file, or of some places in it, can change without ``load`` naming the file, or ``name``.

    At each place one random bit is changed, and then all of them. Unchanged the file is loaded.
    """
    bits = random.Random(0)
    load()
    for place in range(path.stat().st_size) if places is None else places:
        for change in (1 << bits.randrange(8), 0xFF):
            flip(path, place, change)
            try:
                with named(name or path, *told):
                    load()
            except BaseException as error:
                raise AssertionError(f"byte {place} of {path.name}, changed by {change}: {error!r}") from error
            flip(path, place, change)
    load()
