#!/usr/bin/env python
"""Draw the article's ideas: three grids, 2x resizes, flip, RoIAlign, paste.

The same as ``d2align grids``; --help tells more.
"""

import sys

from d2align.cli.command import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("grids", "tools/plot_conventions.py"))
