#!/usr/bin/env python
"""RoI masks to COCO RLE: d2align against Detectron2's paste and pycocotools' encode, on the CPU.

The peer is what Detectron2's evaluator does: ``paste_masks_in_image`` into an image per mask, then
pycocotools on each. Ratios are peer / ours in CPU time, paired; every text is compared first. The
curves show what the cost grows with: the number of masks and the outlines of the boxes, not the
image.

    python benchmarks/rle.py --json rle.json
    python benchmarks/rle.py --detections roi_masks.npz   # also on real masks: _rle_problem.py
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from _rle_problem import (
    LARGE,
    SMALL,
    Input,
    blobs,
    encode_dense,
    encode_detectron2,
    huge_image,
    real_masks,
)
from _timing import paired_ratio, peak_memory, row, run_script

from d2align.geometry import (
    paste_masks_detectron1,
    paste_masks_detectron1_to_rle,
    paste_masks_to_rle,
)

Encode = Callable[..., list[Any]]


def encode_detectron1(*data: Any) -> list[Any]:
    """Paste as Detectron did, densely, and encode."""
    return encode_dense(paste_masks_detectron1(*data))


def compare(
    name: str,
    data: Input,
    rounds: int,
    ours: Encode = paste_masks_to_rle,
    peer: Encode = encode_detectron2,
) -> dict[str, Any]:
    """Return a row of the table, after a check that all texts are the same bytes."""
    works = functools.partial(ours, *data), functools.partial(peer, *data)
    differing = sum(a != b for a, b in zip(works[0](), works[1](), strict=True))
    if differing:
        raise SystemExit(f"{name}: {differing} of {len(data[0])} RLEs differ")
    return row(name, paired_ratio(*works, rounds))


def main_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of 100 masks an image, and the hard cases."""
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for size in (SMALL, LARGE):
            name = f"100 masks, {size[0]}x{size[1]}, torch on {threads} thread(s)"
            yield compare(name, blobs(100, size), rounds)
    torch.set_num_threads(1)
    for size in (SMALL, LARGE):
        yield compare(
            f"historical paste, 100 masks, {size[0]}x{size[1]}, against a dense one",
            blobs(100, size),
            rounds,
            paste_masks_detectron1_to_rle,
            encode_detectron1,
        )
        name = f"100 masks of noise, {size[0]}x{size[1]}"
        yield compare(name, blobs(100, size, noise=1), rounds)
    ties = torch.full((20, 28, 28), 0.5), blobs(20, SMALL)[1], SMALL
    yield compare("20 masks of exactly the threshold, 480x640", ties, rounds)


def curves(rounds: int, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield how the cost grows along the masks, the image, the mask resolution and the boxes."""
    numbers = (1, 10, 100) if quick else (1, 3, 10, 30, 100, 300)
    yield curve("masks an image, 800x1333", numbers, lambda n: blobs(n, LARGE), rounds)
    masks, boxes, _ = blobs(20, (256, 256))
    sides = (256, 1024) if quick else (256, 512, 1024, 2048, 4096)
    yield curve(
        "side of the image, px (20 masks, the same boxes)",
        sides,
        lambda side: (masks, boxes, (side, side)),
        rounds,
    )
    yield curve(
        "cells a side of a mask (100 masks, 800x1333)",
        (14, 28, 56, 112),
        lambda m: blobs(100, LARGE, m),
        rounds,
    )
    factors = (0.25, 1, 4) if quick else (0.25, 0.5, 1, 2, 4, 8)
    perimeter = 2 * float((boxes[:, 2:] - boxes[:, :2]).sum(dim=1).median())
    made = curve(
        "median perimeter of the boxes, px (20 masks, 2048x2048)",
        factors,
        lambda factor: (masks, boxes * factor, (2048, 2048)),
        rounds,
    )
    yield {**made, "x": [round(perimeter * factor) for factor in factors]}


def curve(
    title: str, xs: tuple[float, ...], draw: Callable[[Any], Input], rounds: int
) -> dict[str, Any]:
    """Return milliseconds of both along xs, after the same check as for a row."""
    rows = [compare(f"{title}: {x}", draw(x), rounds) for x in xs]
    return {
        "title": title,
        "x": list(xs),
        "ours_ms": [r["ours_ms"] for r in rows],
        "peer_ms": [r["peer_ms"] for r in rows],
    }


def memory(encode: Encode, data: Input) -> Callable[[], Any]:
    """Return the work whose memory is measured, for ``peak_memory``."""
    return functools.partial(encode, *data)


def notes() -> dict[str, Any]:
    """Return peak memory, and the time of the image on which Detectron2 cannot be run."""
    found: dict[str, Any] = {}
    for name, encode in (("d2align", paste_masks_to_rle), ("Detectron2", encode_detectron2)):
        for size in (SMALL, LARGE):
            peak = peak_memory(functools.partial(memory, encode, blobs(100, size)))
            found[f"peak MiB above start, 100 masks, {size[0]}x{size[1]}, {name}"] = round(peak, 2)
    data = huge_image()
    peak = peak_memory(functools.partial(memory, paste_masks_to_rle, data))
    found["peak MiB above start, 1,000 masks, 8000x8000, d2align"] = round(peak, 2)
    started = time.process_time()
    paste_masks_to_rle(*data)
    seconds = round(time.process_time() - started, 3)
    found["CPU s, 1,000 masks, 8000x8000, d2align"] = seconds
    dense = len(data[0]) * data[2][0] * data[2][1] / 1e9
    found["GB that dense masks would take there, not run"] = round(dense)
    return found


def measure(quick: bool, detections: str | None = None) -> dict[str, Any]:
    """Return {"title", "rows", "curves", "notes"}, checked and measured.

    Args:
        quick: fewer rounds and sizes.
        detections: an .npz of real RoI masks, see ``real_masks``.

    Returns:
        What a benchmark's JSON holds.
    """
    rounds = 3 if quick else 9
    rows = list(main_rows(rounds))
    if detections:
        images = list(real_masks(detections))
        ours = lambda: [paste_masks_to_rle(*data) for data in images]  # noqa: E731
        peer = lambda: [encode_detectron2(*data) for data in images]  # noqa: E731
        name = f"{sum(len(m) for m, *_ in images)} real masks of {len(images)} images"
        rows.append(row(name, paired_ratio(ours, peer, min(rounds, 3))))
    return {
        "title": "RoI masks to RLE, against Detectron2 + pycocotools",
        "rows": rows,
        "curves": list(curves(min(rounds, 5), quick)),
        "notes": notes(),
    }


if __name__ == "__main__":
    option = {"metavar": "FILE", "help": "an .npz of real RoI masks to time, too"}
    sys.exit(run_script(measure, __doc__ or "", detections=option))
