"""How a command ends: whatever is the user's to mend as one line on standard error, with an exit code for scripts."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dmcore.errors import UserError
from dmcore.signals import EXIT_CODE, StoppedError
from doublemargin.files import advised

MISTAKE, INTERRUPTED, UNREAD = 2, 130, 141
"""Exit codes: a mistake, or a full disk; Ctrl-C; whoever reads the output is gone, as ``head`` is after its lines."""


@contextmanager
def one_line() -> Iterator[None]:
    """Ends the process with a line in place of a traceback, where the error is of the user's or of the machine's."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # it is None where a shell closed it
        sys.stdout.reconfigure(errors="backslashreplace")  # an ε must not end a job in a terminal that has none
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()  # while a full disk can still be told
    except UserError as error:
        _end(advised(error))
    except StoppedError as error:
        _end(str(error), EXIT_CODE)
    except KeyboardInterrupt:
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        _drop_output()
        sys.exit(UNREAD)
    except OSError as error:
        if not error.filename:
            _drop_output()
        _end(f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(("dmcore", "doublemargin")):
            raise
        _end(f"the package {error.name} is not installed for {sys.executable}: is its environment active?")


def _end(message: str, code: int = MISTAKE) -> None:
    print(f"dmcore: error: {message}", file=sys.stderr)
    sys.exit(code)


def _drop_output() -> None:
    """What is left of the output has nowhere to go; without this Python says so once more as it ends."""
    if sys.stdout is sys.__stdout__ is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
