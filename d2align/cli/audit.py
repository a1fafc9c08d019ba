"""The command that says which pixel convention something obeys."""

from __future__ import annotations

import argparse

DESCRIPTION = """\
Which pixel convention does a function, a library, a pipeline or a data set obey, and how far is it
off? Found by experiment, not by name.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser.

    Args:
        parser: of the command.
    """
    from d2align.audit.main import add_arguments as add

    add(parser)


def run(args: argparse.Namespace) -> int:
    """Audit what the command line names.

    Args:
        args: as parsed.

    Returns:
        The exit code: 0 fine, 1 something is off or an excuse is stale.
    """
    from d2align.audit.main import main

    return main(args)
