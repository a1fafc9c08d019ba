#!/usr/bin/env python
"""Draw the article's ideas: three grids, 2x resizes, flip, RoIAlign, paste.

    tools/plot_conventions.py --output docs/figures

Each picture is drawn from what d2align's own functions return, so a picture that looks wrong is a
defect of the code.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from d2align.cli import fail_politely


def main() -> None:
    """Draw into the folder of the command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--output", type=Path, default=Path("docs/figures"), help="folder")
    args = parser.parse_args()
    from d2align.figures import draw_all

    for path in draw_all(args.output):
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(fail_politely(main))
