"""The command line. Each command is one step of the pipeline; the rules call them as a user would.

torch is imported only by the commands that compute, so that tables need none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dmcore.errors import nearest
from dmcore.registry import use_plugins
from doublemargin.arguments import Parser
from doublemargin.cli_errors import one_line
from doublemargin.commands import backlog, models, points, report, tools
from doublemargin.commands.shared import Run


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one command; a user's mistake ends it with one line and exit code 2, SIGTERM with 143."""
    with one_line():
        parsed = _parsed(list(sys.argv[1:] if arguments is None else arguments))
        if parsed.plugin:
            use_plugins(parsed.plugin)
        parsed.run(parsed)


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = _parser()
    (commands,) = [action.choices for action in parser._actions if action.choices]
    if arguments and not arguments[0].startswith("-") and arguments[0] not in commands:
        parser.error(f"unknown command '{arguments[0]}': {nearest(arguments[0], commands)}")
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown:
        commands[parsed.command].refuse(unknown[0])
    return parsed


def _parser() -> Parser:
    parser = Parser(prog="dmcore", description="Train, certify and tabulate verifiable networks.")
    what = "a file of yours that registers networks or others, as a config's `plugins` names it; may be given again"
    parser.add_argument("--plugin", action="append", default=[], metavar="FILE", help=what)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Run, summary: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run, command=name)
        return sub

    for module in (models, points, tools, report, backlog):
        module.add_to(command)
    return parser
