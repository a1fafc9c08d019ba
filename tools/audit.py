#!/usr/bin/env python
"""Which pixel convention does a function, library, pipeline or data set obey, by how many pixels?

The same as ``d2align audit``; --help tells more.
"""

import sys

from d2align.cli.command import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("audit", "tools/audit.py"))
