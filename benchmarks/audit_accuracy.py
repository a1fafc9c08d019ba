#!/usr/bin/env python
"""How exact is the auditor? Resizes of known rules are drawn at random and audited.

Drawn are grid, offset, stride, kernel, tie rule, border rule and antialiasing; half of the resizes
obey one of the article's grids and half obey none. Printed: the largest error of the estimated
offset, and every false verdict. A verdict that is withheld (a border that no sample reaches, a tie
that never comes) is counted apart. The exit code is 1 if there is a false verdict.

    python benchmarks/audit_accuracy.py --draws 1000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "audit"))

import resamplers

from d2align.audit import audit_function


def main() -> int:
    """Draw, audit, print; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    started = time.process_time()
    worst, wrong, withheld = 0.0, 0, Counter[str]()
    for k in range(args.draws):
        drawn = resamplers.draw(rng)
        finding = audit_function(drawn, "resize", subject=f"draw {k}")
        for fault in resamplers.faults(drawn, finding):
            wrong += 1
            print(f"draw {k}: {fault}\n  {drawn}")
        if finding.status != "failed":
            worst = max(worst, resamplers.offset_error(drawn, finding))
        for name in ("ties", "border", "border_shrinking"):
            if finding.parameters.get(name) in ("untested", "not reached", "unclear"):
                withheld[name] += 1
    print(f"draws {args.draws}, false verdicts {wrong}, withheld {dict(withheld)}")
    print(f"largest error of an offset {worst:.5f} px of the input")
    print(f"CPU {time.process_time() - started:.0f} s")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
