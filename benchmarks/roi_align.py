#!/usr/bin/env python
"""RoIAlign on the CPU against torchvision's kernel, forward and backward, ratios of CPU time.

Regions are as large as a feature pyramid gives them (8 to 28 feature pixels a side); sampling is
adaptive but where "2 samples" is said. The last rows draw shapes at random, to find any that are
slower: the rule that chooses between the kernel and the faster ways was fitted to such shapes.

    python benchmarks/roi_align.py
    python benchmarks/roi_align.py --shapes 500      # more random shapes
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from _timing import paired_ratio, row, run_script  # noqa: E402
from torch import Tensor  # noqa: E402
from torchvision.ops import roi_align as torchvision_roi_align  # noqa: E402

from d2align.geometry.roi_align import roi_align_unchecked  # noqa: E402


@dataclass(frozen=True)
class Case:
    """Shapes of one call."""

    features: tuple[int, int, int, int]
    regions: int
    bins: int
    layout: str = "channels_last"
    ratio: int = 0
    gradient: bool = True
    dtype: torch.dtype = torch.float32
    threads: int = 1
    sides: tuple[float, float] = (8, 28)


BOX, MASK = Case((1, 256, 100, 168), 512, 7), Case((1, 256, 100, 168), 128, 14)
LARGE = Case((1, 256, 200, 336), 400, 7)
CASES = {
    "box head, p3 of R50-FPN": BOX,
    "box head, p3, 2 samples": replace(BOX, ratio=2),
    "box head, p3, NCHW": replace(BOX, layout="contiguous_format"),
    "box head, p3, two threads": replace(BOX, threads=2),
    "box head, p3, float64": replace(BOX, dtype=torch.float64),
    "box head, p3, inference": replace(BOX, regions=1000, gradient=False),
    "box head, p2": LARGE,
    "box head, p2, NCHW": replace(LARGE, layout="contiguous_format"),
    "mask head, p3": MASK,
    "mask head, p3, 2 samples": replace(MASK, ratio=2),
    "mask head, p3, NCHW": replace(MASK, layout="contiguous_format"),
    "mask head, p3, inference": replace(MASK, regions=60, gradient=False),
    "C4 head": Case((1, 1024, 50, 84), 256, 14),
    "64 channels, p3": replace(BOX, features=(1, 64, 100, 168)),
    "small model, box head, p2": Case((8, 32, 32, 32), 128, 7),
    "small model, mask head, p2": Case((8, 32, 32, 32), 50, 14),
    "small model, box head, p4": Case((8, 32, 8, 8), 32, 7, sides=(1, 8)),
    "30 regions on p2, NCHW, inference": replace(
        LARGE, regions=30, layout="contiguous_format", gradient=False
    ),
    "1 region, inference": replace(BOX, regions=1, gradient=False),
}


def main() -> int:
    """Measure and print."""
    shapes = {"type": int, "default": 0, "help": "random shapes; 0: 60, or 10 with --quick"}
    return run_script(measure, __doc__ or "", shapes=shapes)


def measure(quick: bool, shapes: int = 0) -> dict[str, Any]:
    """Return ratios of CPU time, torchvision's over d2align's.

    Args:
        quick: fewer rounds and fewer shapes.
        shapes: how many random shapes; 0 for a number that goes with quick.

    Returns:
        {"title", "rows", "notes"}.
    """
    rounds = 3 if quick else 11
    rows = [row(name, ratio_of(case, rounds)) for name, case in CASES.items()]
    rng = np.random.default_rng(0)
    drawn = [random_case(rng) for _ in range(shapes or (10 if quick else 60))]
    found = [(ratio_of(case, rounds), case) for case in drawn]
    ratios = [figures["median_ratio"] for figures, _ in found]
    summary = {
        "median_ratio": float(np.median(ratios)),
        "low": min(ratios),
        "high": max(ratios),
        "ours_ms": float(np.median([f["ours_ms"] for f, _ in found])),
        "peer_ms": float(np.median([f["peer_ms"] for f, _ in found])),
    }
    rows.append(row(f"{len(drawn)} random shapes (median, lowest, highest)", summary))
    lowest = sorted(zip(ratios, drawn, strict=True), key=lambda pair: pair[0])[:3]
    return {
        "title": "RoIAlign on the CPU, against torchvision's kernel",
        "rows": rows,
        "notes": {
            f"slowest random shape {i + 1}": f"{ratio:.2f} {case}"
            for i, (ratio, case) in enumerate(lowest)
        },
    }


def ratio_of(case: Case, rounds: int) -> dict[str, float]:
    """Time one case, after a check that both give the same."""
    features, rois = draw(case, np.random.default_rng(0))
    size = (case.bins, case.bins)

    def theirs(features: Tensor) -> Tensor:
        return torchvision_roi_align(features, rois, size, 1.0, case.ratio, True)

    def ours(features: Tensor) -> Tensor:
        return roi_align_unchecked(features, rois, size, 1.0, case.ratio)

    expected = theirs(features)
    torch.testing.assert_close(ours(features), expected, rtol=0, atol=1e-5)
    weights = torch.ones(expected.shape, dtype=expected.dtype)
    threads = torch.get_num_threads()
    torch.set_num_threads(case.threads)
    try:
        works = [functools.partial(run, fn, features, weights, case) for fn in (ours, theirs)]
        return paired_ratio(*works, rounds)
    finally:
        torch.set_num_threads(threads)


def run(fn: Callable[[Tensor], Tensor], features: Tensor, weights: Tensor, case: Case) -> None:
    """One call, with its backward pass if the case has one."""
    out = fn(features.detach().requires_grad_(case.gradient))
    if case.gradient:
        out.backward(weights)


def draw(case: Case, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Features and regions of a case; sides log-uniform, aspect ratios around 1."""
    batch, _, height, width = case.features
    features = torch.from_numpy(rng.random(case.features)).to(case.dtype)
    sides = np.exp(rng.uniform(*np.log(case.sides), case.regions))
    aspects = np.exp(rng.normal(0, 0.35, case.regions))
    widths, heights = np.minimum(sides * aspects, width), np.minimum(sides / aspects, height)
    x, y = rng.uniform(0, width - widths), rng.uniform(0, height - heights)
    images = np.sort(rng.integers(0, batch, case.regions))
    rois = torch.from_numpy(np.stack([images, x, y, x + widths, y + heights], axis=1))
    layout = getattr(torch, case.layout)
    return features.contiguous(memory_format=layout), rois.to(case.dtype)


def random_case(rng: np.random.Generator) -> Case:
    """Draw shapes that take no longer than a second."""
    while True:
        side = int(rng.choice([4, 8, 16, 32, 64, 128, 200]))
        case = Case(
            (int(rng.choice([1, 2, 8])), int(rng.choice([16, 32, 64, 128, 256])), side, side),
            int(rng.choice([1, 3, 10, 30, 100, 300, 1000])),
            int(rng.choice([7, 14, 28])),
            str(rng.choice(["channels_last", "contiguous_format"])),
            int(rng.choice([0, 2])),
            bool(rng.integers(2)),
            sides=(1, min(side, 40)),
        )
        outputs = case.regions * case.bins**2 * case.features[1]
        if outputs < 1e7 and np.prod(case.features) < 1e7:
            return case


if __name__ == "__main__":
    sys.exit(main())
