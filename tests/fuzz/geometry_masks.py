"""Fuzzed: mask targets, pasted masks and their run-length encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import references
import torch
from fuzz_laws import decode
from fuzz_target import Arguments, Target
from fuzz_values import (
    FLOATS,
    big_images,
    boxes,
    dressed,
    images,
    numbers,
    reach,
    seeded,
    seeds,
    wide,
)
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from d2align import geometry
from d2align.geometry.paste_dense import near_boxes
from d2align.geometry.rle import encode_mask

_THRESHOLDS = st.sampled_from([0.5, 1.0, 1e-6, 1e-300, 0.25, 0.499999])
_SMALL = 24 * 24


@st.composite
def _near_boxes(draw: DrawFn, size: tuple[int, int]) -> torch.Tensor:
    """Boxes in, around and far from an image."""
    dtype = draw(st.sampled_from(FLOATS))
    far = draw(st.sampled_from([2.0 * max(size), reach(dtype)]))
    return draw(boxes(dtype, far=far, most=4))


@st.composite
def _pastes(draw: DrawFn, square: bool = False, threshold: bool = True) -> Arguments:
    size = draw(images() | big_images())
    placed = draw(_near_boxes(size))
    sides = (lambda m: (m, m)) if square else (lambda m: (m, draw(st.integers(1, 5))))
    shape = (len(placed), *sides(draw(st.sampled_from([1, 2, 5]) | st.just(28))))
    dtype = draw(st.sampled_from((*FLOATS, torch.bool, torch.uint8)))
    soft = seeded(shape, torch.float64, draw(seeds()))
    crisp = draw(st.booleans()) or not dtype.is_floating_point
    masks = (soft > 0.5 if crisp else soft).to(dtype)
    made = {"masks": draw(dressed(st.just(masks))), "boxes": draw(dressed(st.just(placed)))}
    made["image_size"] = size
    return {**made, "threshold": draw(_THRESHOLDS)} if threshold else made


def _soft(masks: Any, boxes: Any, image_size: tuple[int, int]) -> np.ndarray:
    pairs = zip(wide(masks), wide(boxes), strict=True)
    return np.stack([references.paste(mask, box, image_size) for mask, box in pairs])


def _clear(soft: np.ndarray, masks: Any, boxes: Any) -> np.ndarray:
    """How far rounding may take a pixel's value: farther for coarse dtypes and distant boxes."""
    eps = max(
        torch.finfo(t.dtype).eps if t.is_floating_point() else 2.0**-23 for t in (masks, boxes)
    )
    eps = max(eps, 2.0**-23)  # the grid is float32
    b = wide(boxes)
    sides = np.maximum(b[:, 2:] - b[:, :2], 1e-12).min(axis=1)
    far = np.abs(b).max(axis=1) + max(soft.shape[1:])
    cells = max(masks.shape[1:])
    return np.minimum(64 * eps * cells * (far / sides + 4), 2.0)[:, None, None]


def _pasted(out: Any, masks: Any, boxes: Any, image_size: Any, threshold: float) -> None:
    assert out.shape == (len(masks), *image_size) and out.dtype == torch.bool
    if len(masks) and np.prod(image_size) <= _SMALL:
        soft = _soft(masks, boxes, image_size)
        near = near_boxes(boxes.detach(), image_size).numpy()
        sure = np.abs(soft - threshold) > _clear(soft, masks, boxes)
        got = out.numpy()
        assert (got == (soft >= threshold))[sure & near].all()
        assert not got[~near].any()


def _pasted_softly(out: Any, masks: Any, boxes: Any, image_size: Any) -> None:
    expected_dtype = masks.dtype if masks.is_floating_point() else torch.float32
    assert out.shape == (len(masks), *image_size) and out.dtype == expected_dtype
    assert out.isfinite().all() and out.min() >= -1e-6 if out.numel() else True
    hard = geometry.paste_masks(masks, boxes, image_size, 0.5)
    assert torch.equal(hard, out.detach() >= 0.5)


def _pasted_detectron1(out: Any, masks: Any, boxes: Any, image_size: Any, threshold: float) -> None:
    assert out.shape == (len(masks), *image_size) and out.dtype == torch.bool
    if not len(masks) or np.prod(image_size) > _SMALL or threshold != 0.5:
        return
    for got, mask, box in zip(out.numpy(), wide(masks), wide(boxes), strict=True):
        if np.abs(box).max() < 200:
            expected = references.paste_detectron1(mask, box, image_size)
            assert (got != expected).mean() <= 0.02  # OpenCV's own rounding at the threshold


def _encoded_like(paste: Callable[..., Any]) -> Callable[..., None]:
    def law(out: Any, masks: Any, boxes: Any, image_size: Any, threshold: float) -> None:
        dense = paste(masks, boxes, image_size, threshold)
        assert [r["size"] for r in out] == [list(image_size)] * len(masks)
        if len(out):
            np.testing.assert_array_equal(decode(out), dense.numpy())
            assert out == [encode_mask(mask) for mask in dense]

    return law


@st.composite
def _dense(draw: DrawFn) -> Arguments:
    h, w = draw(images() | big_images())
    masks = seeded((draw(st.integers(0, 3)), h, w), torch.float64, draw(seeds()))
    return {"masks": draw(dressed(st.just(masks > draw(st.sampled_from([-1.0, 0.5, 0.95, 2.0])))))}


def _encoded(out: Any, masks: Any) -> None:
    assert out == [encode_mask(mask) for mask in masks]


@st.composite
def _crops(draw: DrawFn) -> Arguments:
    size = draw(images(16))
    dtype = draw(st.sampled_from(FLOATS))
    placed = draw(boxes(dtype, far=draw(st.sampled_from([8.0, 64.0, 1e3])), most=3))
    bits = seeded((len(placed), *size), torch.float64, draw(seeds())) > 0.5
    masks = bits.to(draw(st.sampled_from((torch.bool, torch.uint8, *FLOATS))))
    return {
        "masks": draw(dressed(st.just(masks))),
        "boxes": draw(dressed(st.just(placed))),
        "mask_size": draw(st.sampled_from([1, 2, 7, 28])),
    }


def _cropped(aligned: bool) -> Callable[..., None]:
    def law(out: Any, masks: Any, boxes: Any, mask_size: int) -> None:
        m = mask_size
        assert out.shape == (len(masks), m, m) and out.dtype == torch.bool
        b = wide(boxes.to(torch.float32))
        small = np.abs(b).max(initial=0) <= 40 and m <= 7
        if not (small and len(b)):
            return
        rois = np.concatenate([np.arange(len(b))[:, None], b], axis=1)
        soft = references.roi_align(wide(masks)[:, None], rois, (m, m), aligned=aligned)[:, 0]
        sure = np.abs(soft - 0.5) > 1e-3
        # The number of samples jumps where a side is near a multiple of the bins.
        sides = (b[:, 2:] - b[:, :2]) / m
        clear = (np.abs(sides - np.round(sides)) > 1e-4).all(axis=1)
        assert (out.numpy() == (soft >= 0.5))[sure & clear[:, None, None]].all()

    return law


@st.composite
def _rasters(draw: DrawFn) -> Arguments:
    flat = st.integers(3, 6).flatmap(
        lambda p: st.lists(numbers(-50, 50), min_size=2 * p, max_size=2 * p)
    )
    x1, y1 = draw(numbers(-20, 20)), draw(numbers(-20, 20))
    w, h = draw(numbers(0, 30)), draw(numbers(0, 30))
    return {
        "polygons": draw(st.lists(flat | flat.map(np.array), min_size=1, max_size=3)),
        "box": draw(st.sampled_from([list, tuple, np.array]))([x1, y1, x1 + w, y1 + h]),
        "mask_size": draw(st.sampled_from([1, 7, 28, 112])),
    }


def _rasterized(least: float) -> Callable[..., None]:
    def law(out: Any, polygons: Any, box: Any, mask_size: int) -> None:
        m = mask_size
        assert out.shape == (m, m) and out.dtype == torch.bool
        low = np.asarray(box, np.float64)[:2]
        sides = np.maximum(np.asarray(box, np.float64)[2:] - low, least)
        points = np.concatenate([np.reshape(p, (-1, 2)) for p in polygons])
        cells = (points - low) / sides * m
        ys, xs = np.nonzero(out.numpy())
        slack = 1 + 1e-3 * np.abs(cells).max()
        for got, axis in ((xs, 0), (ys, 1)):
            if len(got):
                assert got.min() >= cells[:, axis].min() - slack
                assert got.max() <= cells[:, axis].max() + slack

    return law


TARGETS = {
    "paste_masks": Target(geometry.paste_masks, _pastes(), _pasted),
    "paste_soft_masks": Target(geometry.paste_soft_masks, _pastes(threshold=False), _pasted_softly),
    "paste_masks_detectron1": Target(
        geometry.paste_masks_detectron1, _pastes(square=True), _pasted_detectron1
    ),
    "paste_masks_to_rle": Target(
        geometry.paste_masks_to_rle, _pastes(), _encoded_like(geometry.paste_masks)
    ),
    "paste_masks_to_rle_on_device": Target(
        geometry.paste_masks_to_rle_on_device, _pastes(), _encoded_like(geometry.paste_masks)
    ),
    "paste_masks_detectron1_to_rle": Target(
        geometry.paste_masks_detectron1_to_rle,
        _pastes(square=True),
        _encoded_like(geometry.paste_masks_detectron1),
    ),
    "encode_masks_on_device": Target(geometry.encode_masks_on_device, _dense(), _encoded),
    "crop_bitmasks": Target(geometry.crop_bitmasks, _crops(), _cropped(True)),
    "crop_bitmasks_unaligned": Target(geometry.crop_bitmasks_unaligned, _crops(), _cropped(False)),
    "rasterize_polygons_within_box": Target(
        geometry.rasterize_polygons_within_box, _rasters(), _rasterized(0.1)
    ),
    "rasterize_polygons_within_box_detectron1": Target(
        geometry.rasterize_polygons_within_box_detectron1, _rasters(), _rasterized(1.0)
    ),
}
