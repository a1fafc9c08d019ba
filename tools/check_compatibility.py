#!/usr/bin/env python
"""Make the environments in which d2align is claimed to work, and run its tests in them.

    tools/check_compatibility.py oldest newest --python python3.10 --python python3.13

Each environment is a new venv: a Python of those given or on the PATH, torch, torchvision, NumPy,
d2align and Detectron2, as tests/compatibility/cells.json says. What was imported and how the tests
went is written to docs/compatibility.json, and the page docs/compatibility.md is made from that.
One takes some 6 GB on disk, and is removed after its tests unless --keep is given.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("cells", nargs="*", help="names in cells.json (default all)")
    parser.add_argument(
        "--python", action="append", default=[], metavar="EXE", help="an interpreter to use"
    )
    parser.add_argument(
        "--detectron2-main",
        type=Path,
        metavar="PATH",
        help="a checkout of Detectron2's main, or a wheel built from one",
    )
    parser.add_argument(
        "--tests", nargs="+", metavar="PATH", help="what to run (default most; tests runs all)"
    )
    parser.add_argument("--processes", type=int, default=2, help="that run tests (default 2)")
    parser.add_argument(
        "--folder",
        type=Path,
        default=ROOT / "build" / "compatibility",
        help="of environments and logs (default build/compatibility)",
    )
    parser.add_argument("--keep", action="store_true", help="leave the environments there")
    return parser.parse_args()


def main() -> int:
    """Try the cells of the command line."""
    args = parse()
    from compatibility.check import Settings, check_cells
    from compatibility.trial import TESTS

    settings = Settings(
        pythons=args.python,
        detectron2_main=args.detectron2_main,
        tests=args.tests or TESTS,
        processes=args.processes,
        folder=args.folder.resolve(),
        keep=args.keep,
    )
    try:
        return check_cells(args.cells, settings)
    except ValueError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
