"""The command line. Each command is one step of the pipeline; the rules call them as a user would.

torch is imported only by the commands that compute, so that tables need none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dmcore.commands import models, points, report, tools
from dmcore.commands.shared import Run
from dmcore.errors import UserError
from dmcore.stopping import EXIT_CODE, StoppedError


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends it with one line and exit code 2, SIGTERM with 143."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except UserError as error:
        sys.exit(_fail(str(error)))
    except StoppedError as error:
        sys.exit(_fail(str(error), EXIT_CODE))
    except KeyboardInterrupt:
        sys.exit(_fail("interrupted", 130))


def _fail(message: str, code: int = 2) -> int:
    print(f"dmcore: error: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dmcore", description="Train, certify and tabulate verifiable networks.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    for module in (models, points, tools, report):
        module.add_to(command)
    return parser
