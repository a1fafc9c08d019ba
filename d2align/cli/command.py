"""The command ``d2align``: what it can do, and which part of it does it."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from d2align import __version__
from d2align.cli.politely import fail_politely

COMMANDS = {
    "audit": "which convention a function, library, pipeline or data set obeys",
    "price": "what a pixel is worth in AP, on your annotations and results",
    "ablate": "train on the built-in data and turn one detail at a time",
    "grids": "draw the sampling grids, resizes, flip, RoIAlign and paste",
}
EPILOG = """\
d2align COMMAND --help tells more. In a checkout, tools/ has these and train_net.py, replay.py and
sweep.py. Exit codes: 0 fine, 1 something was found, 2 bad input.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: without the program's name; None takes the process's.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    name = given[0] if given and given[0] in COMMANDS else None
    parser = argparse.ArgumentParser(
        prog="d2align",
        description="Pixel-exact coordinates for Detectron2.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"d2align {__version__}")
    choices = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command, summary in COMMANDS.items():
        part = choices.add_parser(command, help=summary)
        if command == name:  # the others' arguments, and what those import, are not needed
            _fill(part, command)
    args = parser.parse_args(given)
    return fail_politely(lambda: _module(args.command).run(args))


def run_tool(command: str, tool: str) -> int:
    """Run one command as the script of its own that a checkout has in tools/.

    Args:
        command: one of ``COMMANDS``.
        tool: path of the script, as its help should call it.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(prog=tool)
    _fill(parser, command)
    parser.description = parser.description.replace(f"d2align {command}", tool)  # type: ignore[union-attr]
    args = parser.parse_args()
    return fail_politely(lambda: _module(command).run(args))


def _fill(parser: argparse.ArgumentParser, command: str) -> None:
    module = _module(command)
    parser.description = module.DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    module.add_arguments(parser)


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"d2align.cli.{command}")
