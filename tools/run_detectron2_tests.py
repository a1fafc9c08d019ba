#!/usr/bin/env python
"""Run Detectron2's own unit tests with d2align's components in the place of Detectron2's.

    tools/run_detectron2_tests.py --tests CHECKOUT/tests

The tests are those of your checkout of Detectron2, main or near it; they run on the Detectron2 that
is installed. First they run as they are. Then names that they import, such as Box2BoxTransform, are
bound to d2align's counterparts, in the test modules alone, and they run again. It fails if a test
fails that passed before, unless the difference is a known one, listed with its reason, or if a name
is not there to be substituted. Tests on COCO want DETECTRON2_DATASETS, and are skipped without.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))


def parse() -> argparse.Namespace:
    """Return the parsed command line."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "--tests", type=Path, required=True, metavar="DIR", help="tests/ of a Detectron2 checkout"
    )
    parser.add_argument("--record", action="store_true", help="write docs/compatibility.md anew")
    return parser.parse_args()


def main() -> int:
    """Run the tests of the command line."""
    args = parse()
    from compatibility.page import write_detectron2_tests
    from compatibility.trial import imported_versions
    from detectron2_suite.record import make_record
    from detectron2_suite.run import run_suite

    try:
        verdicts = run_suite(args.tests)
    except ValueError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    if args.record:
        write_detectron2_tests(make_record(verdicts, imported_versions(sys.executable)))
    return 0 if all(verdict.is_good for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
