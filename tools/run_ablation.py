#!/usr/bin/env python
"""Measure what each pixel convention costs in AP, on the built-in data, on a CPU.

The same as ``d2align ablate``; --help tells more.
"""

import sys

from d2align.cli.command import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("ablate", "tools/run_ablation.py"))
