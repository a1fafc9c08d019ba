#!/usr/bin/env python
"""RoI masks to COCO RLE: d2align against Detectron2's paste and pycocotools' encode.

The peer is what Detectron2's evaluator does: ``paste_masks_in_image`` into an image per mask, then
pycocotools on each. Ratios are peer / ours in CPU time, paired; every text is compared first.

    python benchmarks/rle.py --json rle.json
    python benchmarks/rle.py --detections roi_masks.npz   # also on real masks, see ``real_masks``
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from _timing import paired_ratio, peak_memory, row, run_script
from torch import Tensor

from d2align.geometry import paste_masks_to_rle, resize_half_pixel

SMALL, LARGE, HUGE = (480, 640), (800, 1333), (8000, 8000)
Input = tuple[Tensor, Tensor, tuple[int, int]]


def blobs(n: int, size: tuple[int, int], m: int = 28, noise: float = 0.0, seed: int = 0) -> Input:
    """Return masks of a soft irregular blob each, and boxes as a detector finds in an image.

    ``noise`` 1 gives masks of nothing but smooth noise about the threshold: many more outlines.
    """
    rng = np.random.default_rng(seed)
    at = (np.arange(m) + 0.5) / m - 0.5
    radius = np.hypot(at[:, None], at[None, :])
    coarse = resize_half_pixel(torch.from_numpy(rng.random((n, 5, 5))), (m, m)).numpy()
    logits = (1 - noise) * 20 * (0.35 - radius) + (4 + 8 * noise) * (coarse - 0.5)
    masks = torch.from_numpy(1 / (1 + np.exp(-logits))).float()
    h, w = size
    sides = np.exp(rng.normal(np.log(0.2 * min(h, w)), 0.8, (n, 2))).clip(4, [w, h])
    center = rng.uniform(sides / 2, np.array([w, h]) - sides / 2)
    boxes = np.concatenate([center - sides / 2, center + sides / 2], axis=1)
    return masks, torch.from_numpy(boxes).float(), size


def encode_detectron2(masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> list[Any]:
    """Do as Detectron2's COCOEvaluator does; the array is made without a deprecation warning."""
    from detectron2.layers.mask_ops import paste_masks_in_image
    from pycocotools import mask as coco_mask

    dense = paste_masks_in_image(masks, boxes, size)
    return [
        coco_mask.encode(np.array(m[:, :, None].numpy(), order="F", dtype="uint8"))[0]
        for m in dense
    ]


def compare(name: str, data: Input, rounds: int, **more: Any) -> dict[str, Any]:
    """Return a row of the table, after a check that all texts are the same bytes."""
    ours, peer = functools.partial(paste_masks_to_rle, *data), lambda: encode_detectron2(*data)
    differing = sum(a != b for a, b in zip(ours(), peer(), strict=True))
    if differing:
        raise SystemExit(f"{name}: {differing} of {len(data[0])} RLEs differ")
    return row(name, paired_ratio(ours, peer, rounds), **more)


def curves(rounds: int, quick: bool) -> Iterator[dict[str, Any]]:
    """Yield rows along the number of masks, the image, the mask resolution and the boxes."""
    for n in (1, 10, 100) if quick else (1, 10, 100, 300):
        yield compare(f"{n} masks, 800x1333", blobs(n, LARGE), rounds)
    for side in (256, 1024) if quick else (256, 512, 1024, 2048, 4096):
        masks, boxes, _ = blobs(20, (256, 256))
        yield compare(f"20 masks, same boxes, {side}x{side}", (masks, boxes, (side, side)), rounds)
    for m in (14, 28, 56, 112):
        yield compare(f"100 masks of {m}x{m}, 800x1333", blobs(100, LARGE, m), rounds)
    for scale in (1, 2, 4, 8) if not quick else (1, 4):
        masks, boxes, _ = blobs(20, (128, 128))
        data = masks, boxes * scale, (1024, 1024)
        yield compare(f"20 masks, boxes x{scale}, 1024x1024", data, rounds)
    yield compare("100 masks of noise, 480x640", blobs(100, SMALL, noise=1), rounds)
    yield compare("100 masks of noise, 800x1333", blobs(100, LARGE, noise=1), rounds)
    ties = torch.full((20, 28, 28), 0.5), blobs(20, SMALL)[1], SMALL
    yield compare("20 masks of exactly the threshold, 480x640", ties, rounds)


def huge_image() -> Input:
    """Return 1,000 masks on 8000 x 8000 pixels, box sides log-normal about 70 px up to 7,600."""
    rng = np.random.default_rng(0)
    masks = blobs(1000, SMALL)[0]
    sides = np.exp(rng.normal(np.log(70), 1.2, (1000, 2))).clip(2, 7600)
    sides[0] = 7600
    corner = rng.uniform(0, 8000 - sides)
    return masks, torch.from_numpy(np.concatenate([corner, corner + sides], 1)).float(), HUGE


def real_masks(path: str) -> Iterator[Input]:
    """Yield detections by image from an .npz: rows (image, class, score, x, y, w, h), masks."""
    file = np.load(path)
    rows, masks = file["rows"], torch.from_numpy(file["masks"]).float() / 255
    for image in np.unique(rows[:, 0]):
        chosen = rows[:, 0] == image
        boxes = torch.from_numpy(rows[chosen, 3:7]).float()
        boxes[:, 2:] += boxes[:, :2]
        h, w = (int(np.ceil(float(boxes[:, k].max()))) for k in (3, 2))
        yield masks[torch.from_numpy(chosen)], boxes, (h, w)


def count_differing(data: Iterator[Input]) -> str:
    """Return how many texts differ from Detectron2's, out of how many."""
    total = differing = 0
    for masks, boxes, size in data:
        ours, peer = paste_masks_to_rle(masks, boxes, size), encode_detectron2(masks, boxes, size)
        differing += sum(a != b for a, b in zip(ours, peer, strict=True))
        total += len(masks)
    return f"{differing} of {total}"


def random_masks(total: int) -> Iterator[Input]:
    """Yield images of 50 masks, smooth, sharp and binary, of many sizes and resolutions."""
    rng = np.random.default_rng(1)
    for seed in range(total // 50):
        size = int(rng.integers(8, 400)), int(rng.integers(8, 400))
        masks, boxes, _ = blobs(50, size, int(rng.integers(2, 57)), rng.random(), seed)
        boxes += torch.from_numpy(rng.normal(0, 0.1 * min(size), boxes.shape)).float().sort(1)[0]
        boxes = boxes.round() if seed % 5 == 0 else boxes
        boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] + 0.05)
        near = ((boxes[:, :2] < torch.tensor(size[::-1])) & (boxes[:, 2:] > 0)).all(1)
        masks = masks.round() if seed % 3 == 0 else masks
        yield masks[near], boxes[near], size


def memory(encode: Callable[..., Any], data: Input) -> Callable[[], Any]:
    """Return the work whose memory is measured, for ``peak_memory``."""
    return functools.partial(encode, *data)


def measure(quick: bool, detections: str | None = None) -> dict[str, Any]:
    """Return {"title", "rows", ...}, checked and measured.

    Args:
        quick: fewer rounds and sizes.
        detections: an .npz of real RoI masks, see ``real_masks``.

    Returns:
        What a benchmark's JSON holds.
    """
    rounds, rows = 3 if quick else 9, []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for size in (SMALL, LARGE):
            name = f"100 masks, {size[0]}x{size[1]}, torch on {threads} thread(s)"
            rows.append(compare(name, blobs(100, size), rounds, threads=threads))
    torch.set_num_threads(1)
    rows += curves(rounds, quick)
    result: dict[str, Any] = {"title": "RoI masks to RLE, against Detectron2 + pycocotools"}
    if detections:
        images = list(real_masks(detections))
        result["real RLEs that differ"] = count_differing(iter(images))
        ours = lambda: [paste_masks_to_rle(*data) for data in images]  # noqa: E731
        peer = lambda: [encode_detectron2(*data) for data in images]  # noqa: E731
        rows.append(row(f"real masks of {len(images)} images", paired_ratio(ours, peer, rounds)))
    result["rows"] = rows
    result["random RLEs that differ"] = count_differing(random_masks(1000 if quick else 12000))
    for name, encode in (("ours", paste_masks_to_rle), ("Detectron2", encode_detectron2)):
        work = functools.partial(memory, encode, blobs(100, LARGE))
        result[f"peak MiB above start, 800x1333, {name}"] = round(peak_memory(work), 2)
    result["peak MiB above start, 8000x8000, ours"] = round(
        peak_memory(functools.partial(memory, paste_masks_to_rle, huge_image())), 2
    )
    data, started = huge_image(), time.process_time()
    paste_masks_to_rle(*data)
    result["CPU s, 1,000 masks on 8000x8000, ours"] = round(time.process_time() - started, 3)
    return result


if __name__ == "__main__":
    option = {"metavar": "FILE", "help": "an .npz of real RoI masks to check and time, too"}
    sys.exit(run_script(measure, __doc__ or "", detections=option))
