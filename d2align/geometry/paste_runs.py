"""Runs of pasted masks from the compiled kernel, where that gives the bits of the dense paste."""

from __future__ import annotations

import functools
import importlib
import warnings
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from d2align.geometry.paste_dense import expand_boxes_detectron1, lazy_zeros, sample_masks


class Runs(NamedTuple):
    """Runs of off and on pixels of masks, in COCO's text: all texts in one, and their ends."""

    text: Any
    ends: Any


def paste_runs(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float, along_rows: bool
) -> Runs | None:
    """Return the runs of ``paste_masks``, or None where only the dense paste has its bits.

    Convention: as ``paste_masks``.

    Args:
        masks: (N, M_h, M_w) on the CPU.
        boxes: (N, 4) XYXY, pixels, on the CPU.
        image_size: (h, w), pixels.
        threshold: in (0, 1].
        along_rows: whether runs go along the rows; COCO's go down the columns.

    Returns:
        The runs, or None without numba, for masks of 16 bits, for thresholds that are 0 in the
        masks' dtype, and on a machine whose grid_sample rounds in an unknown way.
    """
    masks = masks if masks.is_floating_point() else masks.to(torch.float32)
    if masks.dtype not in (torch.float32, torch.float64):
        return None
    limit = _as_number(threshold, masks.dtype)
    formula = _grid_sample_formula(masks.dtype)
    if formula is None or not limit > 0:
        return None
    return _encode(masks, boxes, image_size, limit, formula, along_rows)


def paste_runs_detectron1(
    masks: Tensor, boxes: Tensor, image_size: tuple[int, int], threshold: float, along_rows: bool
) -> Runs | None:
    """Return the runs of ``paste_masks_detectron1``, or None without numba.

    Convention: as ``paste_masks_detectron1``.

    Args:
        masks: (N, M, M) on the CPU.
        boxes: (N, 4) XYXY, pixels, on the CPU.
        image_size: (h, w), pixels.
        threshold: in (0, 1].
        along_rows: whether runs go along the rows; COCO's go down the columns.

    Returns:
        The runs, or None.
    """
    formulas = _load("rle_axes")
    if formulas is None:
        return None
    # Above the threshold is at least the next number.
    limit = np.nextafter(_as_number(threshold, torch.float32), np.float32(np.inf))
    pixels = expand_boxes_detectron1(boxes, masks.shape[-1]).to(torch.float64)
    masks = masks.to(torch.float32)
    return _encode(masks, pixels, image_size, limit, formulas.DETECTRON1, along_rows)


def write_toggles(toggles: Any, stops: Any, total: int) -> Runs:
    """Return the runs of masks, given the pixels at which they go on or off.

    Args:
        toggles: int64, those of one mask after another's, rising within a mask.
        stops: int64, (N,), where each mask's end among them.
        total: pixels of a mask.

    Returns:
        The runs, along whatever axis the pixels are counted.
    """
    codec = _load("rle_codec")
    if codec is not None:
        return Runs(*codec.write_toggles(toggles, stops, total))
    from pycocotools import mask as coco_mask

    texts = []
    for own in np.split(toggles, stops[:-1]):
        runs = np.diff(own, prepend=0, append=total).tolist()
        texts.append(
            coco_mask.frPyObjects({"size": [total, 1], "counts": runs}, total, 1)["counts"]
        )
    ends = np.cumsum([len(text) for text in texts])
    return Runs(np.frombuffer(b"".join(texts), np.uint8), ends)


def fill_runs(runs: Runs, image_size: tuple[int, int]) -> Tensor:
    """Return the dense masks of runs along the rows.

    Args:
        runs: of N masks.
        image_size: (h, w), pixels.

    Returns:
        (N, h, w) bool.
    """
    codec = _load("rle_codec")
    assert codec is not None
    out = lazy_zeros((len(runs.ends), *image_size), torch.bool)
    codec.fill_runs(runs.text, runs.ends, out.view(torch.uint8).flatten(1).numpy())
    return out


def _as_number(threshold: float, dtype: torch.dtype) -> Any:
    return (np.float32 if dtype == torch.float32 else np.float64)(threshold)


def _encode(
    masks: Tensor,
    boxes: Tensor,
    image_size: tuple[int, int],
    limit: Any,
    formula: int,
    along_rows: bool,
) -> Runs:
    kernel = _load("rle_kernel")
    assert kernel is not None
    masks, boxes = masks.detach().contiguous(), boxes.detach()
    sides = boxes[:, 2:] - boxes[:, :2]  # before the change of dtype, as the dense paste does
    if boxes.dtype != torch.float64:
        boxes, sides = boxes.to(torch.float32), sides.to(torch.float32)
    arrays = masks.numpy(), boxes.contiguous().numpy(), sides.contiguous().numpy()
    return Runs(*kernel.encode_masks(*arrays, image_size, limit, formula, along_rows))


@functools.cache
def _load(name: str) -> ModuleType | None:
    """A compiled module of this package, or None without numba."""
    if not _has_numba():
        return None
    return importlib.import_module(f"d2align.geometry.{name}")


@functools.cache
def _has_numba() -> bool:
    try:
        import numba
    except ImportError as error:
        _warn(f"numba cannot be imported ({error})")
        return False
    if getattr(numba.config, "DISABLE_JIT", 0):
        _warn("numba's compiler is turned off")
        return False
    return True


@functools.cache
def _grid_sample_formula(dtype: torch.dtype) -> int | None:
    """The formula with the bits of this machine's grid_sample: whether it fuses a b + c.

    Decided on the values of a mask as thresholds, and on the numbers next to them.
    """
    formulas = _load("rle_axes")
    if formulas is None:
        return None
    mask = torch.rand((1, 5, 7), generator=torch.Generator().manual_seed(0), dtype=dtype)
    box, size = torch.tensor([[0.3, -0.2, 16.9, 15.7]], dtype=dtype), (16, 17)
    soft = sample_masks(mask, box, slice(0, size[0]), slice(0, size[1])).numpy()
    values = soft[soft > 0]
    limits = np.concatenate([values, np.nextafter(values, values.dtype.type(2))])
    for formula in (formulas.FUSED, formulas.PLAIN):
        if all(
            np.array_equal(
                fill_runs(_encode(mask, box, size, limit, formula, True), size).numpy(),
                soft >= limit,
            )
            for limit in limits
        ):
            return int(formula)
    _warn(f"the rounding of grid_sample of this torch build is unknown for {dtype}")
    return None


def _warn(reason: str) -> None:
    warnings.warn(
        f"masks are pasted densely, which is slow: {reason}", RuntimeWarning, stacklevel=4
    )
