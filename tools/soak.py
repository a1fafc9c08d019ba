#!/usr/bin/env python
"""Train on and evaluate the built-in data for long, in one process, and watch its memory.

    tools/soak.py --output output/soak

Prints the growth in MiB for each 1,000 images after the warm-up, which is the first pass, and
writes soak.json with all samples. Linux only; needs the packages of the tests.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=2000, help="of a pass (default 2000)")
    parser.add_argument("--batch", type=int, default=8, help="images an iteration (default 8)")
    parser.add_argument("--repeats", type=int, default=4, help="passes of training (default 4)")
    parser.add_argument("--evaluations", type=int, default=3, help="of all images (default 3)")
    parser.add_argument("--output", type=Path, required=True, help="folder")
    args = parser.parse_args()
    sys.path[:0] = [str(TESTS / "fuzz"), str(TESTS / "hardening")]
    from soaking import Soak, run_soak

    found = run_soak(Soak(args.images, args.batch, args.repeats, args.evaluations), args.output)
    for kind in ("slope_mib_per_1000_images", "growth_of_ends_mib_per_1000_images"):
        print(f"{kind}: {found[kind]}")


if __name__ == "__main__":
    main()
