#!/usr/bin/env python
"""Are RLE texts the same bytes as Detectron2's paste and pycocotools' encode? Count those that
differ, on random masks at random thresholds, and on a file of real ones.

    python benchmarks/byte_identity.py                              # 12,000 random masks
    python benchmarks/byte_identity.py --detections roi_masks.npz   # and those of a file

The file is an .npz of rows (N, 7), image_id, category_id, score, x, y, w, h in original pixels, and
of masks (N, M, M), uint8, probability times 255. The exit code is 1 if any text differs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
from _rle_problem import Input, encode_dense, encode_detectron2, random_masks, real_masks
from _timing import run_script

from d2align.geometry import (
    paste_masks_detectron1,
    paste_masks_detectron1_to_rle,
    paste_masks_to_rle,
    paste_masks_to_rle_on_device,
)

THRESHOLDS = (0.5, 0.5, 0.1, 0.3, 0.7, 1.0)


def count_differing(data: Iterable[Input]) -> dict[str, int]:
    """Return how many masks there were, and how many texts differed, by the function.

    Args:
        data: masks, boxes and image size, an image each; every one has a threshold of its own.

    Returns:
        masks; paste_masks_to_rle and paste_masks_to_rle_on_device, of those that differ from
        Detectron2's; paste_masks_detectron1_to_rle, from the dense historical paste.
    """
    found = {"masks": 0, "paste_masks_to_rle": 0, "paste_masks_to_rle_on_device": 0}
    found["paste_masks_detectron1_to_rle"] = 0
    for i, (masks, boxes, size) in enumerate(data):
        arguments = masks, boxes, size, THRESHOLDS[i % len(THRESHOLDS)]
        found["masks"] += len(masks)
        expected = encode_detectron2(*arguments)
        for function in (paste_masks_to_rle, paste_masks_to_rle_on_device):
            found[function.__name__] += differing(function(*arguments), expected)
        historical = encode_dense(paste_masks_detectron1(*arguments))
        found["paste_masks_detectron1_to_rle"] += differing(
            paste_masks_detectron1_to_rle(*arguments), historical
        )
    return found


def differing(texts: list[Any], expected: list[Any]) -> int:
    """Return how many dicts are not the same bytes."""
    return int(np.sum([a != b for a, b in zip(texts, expected, strict=True)]))


def measure(quick: bool, detections: str | None = None, masks: int = 12_000) -> dict[str, Any]:
    """Return {"title", "rows", "notes"}; there are no ratios.

    Args:
        quick: a tenth of the masks.
        detections: an .npz of real RoI masks.
        masks: at least so many random ones.

    Returns:
        What a benchmark's JSON holds.

    Raises:
        SystemExit: a text differs.
    """
    problems: dict[str, Iterable[Input]] = {"random": random_masks(masks // 10 if quick else masks)}
    if detections:
        problems["real"] = real_masks(detections)
    notes, wrong = {}, 0
    for kind, data in problems.items():
        found = count_differing(data)
        number = found.pop("masks")
        for function, count in found.items():
            notes[f"{kind} masks whose text differs, {function}"] = f"{count} of {number}"
            wrong += count
    if wrong:
        raise SystemExit("\n".join(f"{name}: {value}" for name, value in notes.items()))
    return {"title": "The same bytes as Detectron2 + pycocotools", "rows": [], "notes": notes}


if __name__ == "__main__":
    sys.exit(
        run_script(
            measure,
            __doc__ or "",
            detections={"metavar": "FILE", "help": "an .npz of real RoI masks to check, too"},
            masks={"type": int, "default": 12_000, "help": "random masks"},
        )
    )
