#!/usr/bin/env python
"""On a GPU: RoI masks to RLE, dense paste and RoIAlign, against Detectron2's and torchvision's.

Without a CUDA device there is nothing to measure, and the exit code is 0. Times are wall clock
around work that has ended (``torch.cuda.synchronize``), the peer's over ours, paired. The peer of
the RLE pastes on the GPU, copies the dense masks to the host and encodes them there; ours either
copies the RoI masks and computes on the CPU (``paste_masks_to_rle``), or finds the runs on the GPU
and copies their ends (``paste_masks_to_rle_on_device``). Bits are compared first.

    python benchmarks/gpu.py --json gpu.json
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from _rle_problem import LARGE, SMALL, Input, blobs, encode_dense, huge_image
from _timing import paired_ratio, row, run_script

from d2align.geometry import (
    paste_masks,
    paste_masks_to_rle,
    paste_masks_to_rle_on_device,
    roi_align,
)

TITLE = "On a GPU, against Detectron2 and torchvision, wall clock"


def measure(quick: bool) -> dict[str, Any]:
    """Return {"title", "rows", "notes"}; ``quick`` takes fewer rounds."""
    if not torch.cuda.is_available():
        return {"title": TITLE, "rows": [], "notes": {"device": "no GPU: nothing was measured"}}
    rounds = 5 if quick else 20
    rows = [*rle_rows(rounds), *paste_rows(rounds), *roi_align_rows(rounds)]
    return {"title": TITLE, "rows": rows, "notes": notes()}


def rle_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield masks to RLE, from RoI masks on the GPU to texts on the host."""
    for size in (SMALL, LARGE):
        data = to_gpu(blobs(100, size))
        expected = peer_rle(*data)
        for ours in (paste_masks_to_rle_on_device, paste_masks_to_rle):
            differing = sum(a != b for a, b in zip(ours(*data), expected, strict=True))
            name = f"{ours.__name__}, 100 masks, {size[0]}x{size[1]}"
            yield row(name, ratio(ours, peer_rle, data, rounds), differing_texts=differing)


def paste_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield dense masks that stay on the GPU."""
    for size in (SMALL, LARGE):
        data = to_gpu(blobs(100, size))
        differing = int((paste_masks(*data) != peer_paste(*data)).sum())
        name = f"paste_masks, 100 masks, {size[0]}x{size[1]}"
        yield row(name, ratio(paste_masks, peer_paste, data, rounds), differing_pixels=differing)


def roi_align_rows(rounds: int) -> Iterator[dict[str, Any]]:
    """Yield RoIAlign forward and backward; on a GPU ours is torchvision's kernel."""
    from torchvision.ops import roi_align as torchvision_roi_align

    features = torch.rand(1, 256, 200, 336, device="cuda")
    corners = torch.rand(512, 2, device="cuda") * torch.tensor([300.0, 170], device="cuda")
    boxes = torch.cat([corners, corners + 8 + 20 * torch.rand(512, 2, device="cuda")], dim=1)
    rois = torch.cat([torch.zeros(512, 1, device="cuda"), boxes], dim=1)

    def train(pool: Callable[..., Any], features: Any, rois: Any) -> None:
        pool(features.detach().requires_grad_(), rois, 7).sum().backward()

    def theirs(features: Any, rois: Any, size: int) -> Any:
        return torchvision_roi_align(features, rois, size, 1.0, 0, True)

    torch.testing.assert_close(roi_align(features, rois, 7), theirs(features, rois, 7))
    works = [functools.partial(train, pool) for pool in (roi_align, theirs)]
    yield row("RoIAlign, 512 regions, 256 channels", ratio(*works, (features, rois), rounds))


def notes() -> dict[str, Any]:
    """Return the device, and an image on which Detectron2's paste is refused for its memory."""
    data = to_gpu(huge_image())
    torch.cuda.reset_peak_memory_stats()
    before, started = torch.cuda.memory_allocated(), time.perf_counter()
    paste_masks_to_rle_on_device(*data)
    seconds = round(time.perf_counter() - started, 3)
    peak = (torch.cuda.max_memory_allocated() - before) / 2**20
    return {
        "device": torch.cuda.get_device_name(),
        "s, 1,000 masks, 8000x8000, paste_masks_to_rle_on_device": seconds,
        "peak MiB of the GPU there, above start": round(peak),
    }


def to_gpu(data: Input) -> Input:
    """Return the same problem on the GPU."""
    masks, boxes, size = data
    return masks.cuda(), boxes.cuda(), size


def peer_paste(*data: Any) -> Any:
    """Paste as Detectron2 does."""
    from detectron2.layers.mask_ops import paste_masks_in_image

    return paste_masks_in_image(*data)


def peer_rle(*data: Any) -> list[Any]:
    """Paste, copy and encode as Detectron2's evaluator does."""
    return encode_dense(peer_paste(*data).cpu())


def ratio(ours: Any, peer: Any, data: tuple[Any, ...], rounds: int) -> dict[str, float]:
    """Return the paired ratio of wall clock times."""
    works = [functools.partial(finish, work, data) for work in (ours, peer)]
    return paired_ratio(*works, rounds, clock=time.perf_counter)


def finish(work: Any, data: tuple[Any, ...]) -> None:
    """Do work and wait for its end."""
    work(*data)
    torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(run_script(measure, __doc__ or ""))
