"""The command that draws the pixel conventions."""

from __future__ import annotations

import argparse
from pathlib import Path

DESCRIPTION = """\
Draw the article's ideas: three grids, 2x resizes, flip, RoIAlign, paste.

    d2align grids --output docs/figures

Each picture is drawn from what d2align's own functions return, so a picture that looks wrong is a
defect of the code.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to a parser.

    Args:
        parser: of the command.
    """
    parser.add_argument("--output", type=Path, default=Path("output/figures"), help="folder")


def run(args: argparse.Namespace) -> None:
    """Draw into the folder of the command line.

    Args:
        args: as parsed.
    """
    from d2align.figures import draw_all

    for path in draw_all(args.output):
        print(f"wrote {path}")
