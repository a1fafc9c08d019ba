#!/usr/bin/env python
"""How exact is the auditor? Functions of known conventions are drawn at random and audited.

Of each kind about half obey a convention, and half are off every one by a random offset or scale.
For resizes grid, offset, stride, kernel, tie rule, border rule and antialiasing are drawn. Printed
for each kind: how many were named and how many called unknown, the largest error of what was
measured, and every false verdict. The exit code is 1 if there is one.

    python benchmarks/audit_accuracy.py --draws 1000
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "audit"))

import planted_boxes
import planted_images
import resamplers
from planted import Planted, Rng

from d2align.audit import audit_function


class Resize:
    """A resampler that was drawn, with the questions of ``Planted``."""

    def __init__(self, rng: Rng) -> None:
        self.fn = resamplers.draw(rng)

    def faults(self, finding: object) -> list[str]:
        return resamplers.faults(self.fn, finding)

    def miss(self, finding: object) -> float:
        return resamplers.offset_error(self.fn, finding)


# What has most to get wrong is drawn most often.
DRAWS = {"resize": Resize, **planted_images.DRAWS, **planted_boxes.DRAWS}
RESIZES = 0.4


def main() -> int:
    """Draw, audit, print; see the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    started = time.process_time()
    resizes = round(args.draws * RESIZES)
    others = np.arange(args.draws - resizes) % (len(DRAWS) - 1)
    wrong = 0
    print(f"{'kind':18} {'draws':>5} {'named':>5} {'unknown':>7} {'false':>5}  largest error")
    for k, kind in enumerate(DRAWS):
        count = resizes if kind == "resize" else int((others == k - 1).sum())
        wrong += audit_kind(kind, count, np.random.default_rng([args.seed, k]))
    cpu = time.process_time() - started
    print(f"draws {args.draws}, false verdicts {wrong}, CPU {cpu:.0f} s")
    return int(wrong > 0)


def audit_kind(kind: str, count: int, rng: Rng) -> int:
    """Audit some draws of one kind, print its line, and return the number of false verdicts."""
    unknown, worst, false = 0, 0.0, []
    for k in range(count):
        drawn: Planted | Resize = DRAWS[kind](rng)
        finding = audit_function(drawn.fn, kind, subject=f"draw {k}")
        false += [f"  draw {k}: {fault}" for fault in drawn.faults(finding)]
        unknown += finding.status == "unknown"
        if finding.status != "failed":
            worst = max(worst, drawn.miss(finding))
    named = count - unknown
    print(f"{kind:18} {count:5} {named:5} {unknown:7} {len(false):5}  {worst:.5f} px")
    print("".join(line + "\n" for line in false), end="", flush=True)
    return len(false)


if __name__ == "__main__":
    sys.exit(main())
