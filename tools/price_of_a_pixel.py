#!/usr/bin/env python
"""Measure what a pixel is worth in AP: what each convention allows, and what offsets cost.

The same as ``d2align price``; --help tells more.
"""

import sys

from d2align.cli.command import run_tool

if __name__ == "__main__":
    sys.exit(run_tool("price", "tools/price_of_a_pixel.py"))
