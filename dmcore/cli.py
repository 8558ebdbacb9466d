"""The command line. Each command is one step of the pipeline; the rules call them as a user would.

torch is imported only by the commands that compute, so that tables need none.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence

from dmcore.arguments import Parser
from dmcore.commands import models, points, report, tools
from dmcore.commands.shared import Run
from dmcore.errors import UserError, nearest
from dmcore.stopping import EXIT_CODE, StoppedError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends it with one line and exit code 2, SIGTERM with 143."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # it is None where a shell closed it
        sys.stdout.reconfigure(errors="backslashreplace")  # an ε must not end a job in a terminal that has none
    try:
        parsed = _parsed(list(sys.argv[1:] if arguments is None else arguments))
        parsed.run(parsed)
        if sys.stdout is not None:
            sys.stdout.flush()  # while a full disk can still be told
    except UserError as error:
        sys.exit(_fail(str(error)))
    except StoppedError as error:
        sys.exit(_fail(str(error), EXIT_CODE))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 130))
    except BrokenPipeError:  # who reads the output has enough of it, as `head` does
        _leave_output()
        sys.exit(141)
    except OSError as error:
        _leave_output()
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(_fail(f"{where}{error.strerror or error}"))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("dmcore"):
            raise
        sys.exit(_fail(f"the package {error.name} is not installed for {sys.executable}: is its environment active?"))


def _leave_output() -> None:
    """What is left of the output has nowhere to go; without this Python says so once more as it ends."""
    if sys.stdout is sys.__stdout__ is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = _parser()
    (commands,) = [action.choices for action in parser._actions if action.choices]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        parser.error(f"unknown command '{arguments[0]}': {nearest(arguments[0], commands)}")
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands[arguments[0]].refuse(unknown[0])
    return parsed


def _fail(message: str, code: int = 2) -> int:
    print(f"dmcore: error: {message}", file=sys.stderr)
    return code


def _parser() -> Parser:
    parser = Parser(prog="dmcore", description="Train, certify and tabulate verifiable networks.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    for module in (models, points, tools, report):
        module.add_to(command)
    return parser
