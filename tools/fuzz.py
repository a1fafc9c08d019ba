#!/usr/bin/env python
"""Call every public function and switch with random good and odd arguments, for some minutes.

    tools/fuzz.py --minutes 60 --output output/fuzz
    tools/fuzz.py --minutes 1 --only paste_masks --seed 20003 --output output/fuzz

Prints what broke the contract of tests/fuzz/, with the seed that repeats it, and writes
summary.json; corpus/ holds hypothesis's examples: the slowest ones, and those that failed.
Needs the packages of the tests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, required=True, help="of one processor's time")
    parser.add_argument("--only", nargs="+", help="parts of names of what to fuzz (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of the first examples (default 1)")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    args = parser.parse_args()
    sys.path[:0] = [str(TESTS), str(TESTS / "fuzz")]
    from fuzz_campaign import fuzz
    from fuzz_properties import select

    return fuzz(args.minutes, select(args.only), args.seed, args.output)


if __name__ == "__main__":
    raise SystemExit(main())
