#!/usr/bin/env python
"""Dense masks: d2align's paste_masks against Detectron2's paste_masks_in_image, on the CPU.

Ratios are peer / ours in CPU time, paired; every mask is compared first.

    python benchmarks/paste.py --json paste.json
"""

from __future__ import annotations

import functools
import sys
from typing import Any

import torch
from _rle_problem import LARGE, SMALL, Input, blobs
from _timing import paired_ratio, row, run_script

from d2align.geometry import paste_masks, paste_masks_detectron1, paste_soft_masks


def paste_detectron2(data: tuple[Any, ...]) -> torch.Tensor:
    """Paste as Detectron2 does."""
    from detectron2.layers.mask_ops import paste_masks_in_image

    return paste_masks_in_image(*data)


def compare(name: str, data: Input, rounds: int, **more: Any) -> dict[str, Any]:
    """Return a row of the table, after a check that all bits are the same."""
    ours, peer = functools.partial(paste_masks, *data), functools.partial(paste_detectron2, data)
    if not torch.equal(ours(), peer()):
        raise SystemExit(f"{name}: the masks differ")
    return row(name, paired_ratio(ours, peer, rounds), **more)


def measure(quick: bool) -> dict[str, Any]:
    """Return {"title", "rows"}, checked and measured; ``quick`` takes fewer rounds."""
    rounds, rows = 3 if quick else 9, []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for size in (SMALL, LARGE):
            name = f"100 masks, {size[0]}x{size[1]}, torch on {threads} thread(s)"
            rows.append(compare(name, blobs(100, size), rounds, threads=threads))
    torch.set_num_threads(1)
    for n in (1, 10):
        rows.append(compare(f"{n} masks, 800x1333", blobs(n, LARGE), rounds))
    for m in (14, 56, 112):
        rows.append(compare(f"100 masks of {m}x{m}, 800x1333", blobs(100, LARGE, m), rounds))
    rows.append(compare("100 masks of noise, 800x1333", blobs(100, LARGE, noise=1), rounds))
    ties = torch.full((20, 28, 28), 0.5), blobs(20, SMALL)[1], SMALL
    rows.append(compare("20 masks of exactly the threshold, 480x640", ties, rounds))
    whole = torch.ones(20, 28, 28), torch.tensor([[0.0, 0, 640, 480]]).repeat(20, 1), SMALL
    rows.append(compare("20 masks that fill 480x640", whole, rounds))
    data = blobs(100, LARGE)
    soft = paired_ratio(
        functools.partial(paste_soft_masks, *data),
        functools.partial(paste_detectron2, (*data, -1.0)),  # soft, but in 8 bits
        rounds,
    )
    rows.append(row("paste_soft_masks, 100 masks, 800x1333", soft))
    peer = functools.partial(paste_detectron2, data)
    detectron1 = paired_ratio(functools.partial(paste_masks_detectron1, *data), peer, rounds)
    rows.append(row("paste_masks_detectron1, 100 masks, 800x1333", detectron1))
    return {"title": "Dense masks, against Detectron2", "rows": rows}


if __name__ == "__main__":
    sys.exit(run_script(measure, __doc__ or ""))
