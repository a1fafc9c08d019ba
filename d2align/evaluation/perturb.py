"""Move finished detections by pixels, of the original image or of the network's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Results = list[dict[str, Any]]
PixelSizes = Mapping[int, tuple[float, float]]
_ORIGINAL = (1.0, 1.0)


def network_pixel_sizes(
    images: Iterable[Mapping[str, Any]], short_side: int = 800, max_side: int = 1333
) -> dict[int, tuple[float, float]]:
    """Return how wide and high a pixel of each resized image is, in original pixels.

    Convention: the shortest edge is resized to ``short_side``, less where the longest would
    exceed ``max_side``; sizes are rounded to whole pixels, as Detectron2's
    ResizeShortestEdge does, so the two numbers differ a little.

    Args:
        images: COCO image dicts with ``id``, ``width`` and ``height``.
        short_side: pixels, at least 1.
        max_side: pixels, at least 1.

    Returns:
        (width, height) of a network pixel by image id.

    Raises:
        ValueError: for a side below 1.
    """
    for name, side in (("short_side", short_side), ("max_side", max_side)):
        if side < 1:
            raise ValueError(f"{name}: got {side}, expected at least 1 pixel")
    sizes = {}
    for image in images:
        w, h = image["width"], image["height"]
        scale = min(short_side / min(w, h), max_side / max(w, h))
        new_w, new_h = (max(math.floor(side * scale + 0.5), 1) for side in (w, h))
        sizes[image["id"]] = (w / new_w, h / new_h)
    return sizes


def shift_boxes(
    results: Sequence[Mapping[str, Any]],
    left: float = 0.0,
    top: float = 0.0,
    right: float = 0.0,
    bottom: float = 0.0,
    pixel_sizes: PixelSizes | None = None,
) -> Results:
    """Return copies of COCO results whose box edges are moved.

    Convention:
        Float coordinates in original pixels, x to the right and y down; edges are x1, y1
        (left, top) and x2 = x + w, y2 = y + h (right, bottom). XYWH in, XYWH out.

    Args:
        results: COCO result dicts with ``bbox`` [x, y, w, h]; left untouched.
        left: pixels added to x1.
        top: pixels added to y1.
        right: pixels added to x2.
        bottom: pixels added to y2.
        pixel_sizes: (width, height) of the pixels meant, in original pixels, by image id; the
            original pixels if None.

    Returns:
        New result dicts, same order; nothing is clipped to the image, and a box whose edges
        would cross has size 0.

    Raises:
        ValueError: if a result has no bbox of 4 numbers.
    """
    shifted = []
    for index, result in enumerate(results):
        x, y, w, h = _bbox(index, result)
        sx, sy = _pixel_size(pixel_sizes, result)
        new_w, new_h = w + (right - left) * sx, h + (bottom - top) * sy
        moved = [x + left * sx, y + top * sy, max(new_w, 0.0), max(new_h, 0.0)]
        shifted.append({**result, "bbox": moved})
    return shifted


def clip_boxes_to_images(
    results: Sequence[Mapping[str, Any]], images: Iterable[Mapping[str, Any]]
) -> Results:
    """Return copies of COCO results whose boxes are clipped to their images.

    Convention: float XYWH in original pixels; the image is [0, W] x [0, H].

    Args:
        results: COCO result dicts with ``bbox`` [x, y, w, h]; left untouched.
        images: COCO image dicts with ``id``, ``width`` and ``height``.

    Returns:
        New result dicts, same order; a box outside its image has size 0.

    Raises:
        ValueError: if a result has no bbox of 4 numbers.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    clipped = []
    for index, result in enumerate(results):
        x, y, w, h = _bbox(index, result)
        width, height = sizes[result["image_id"]]
        x1, x2 = (min(max(edge, 0.0), width) for edge in (x, x + w))
        y1, y2 = (min(max(edge, 0.0), height) for edge in (y, y + h))
        clipped.append({**result, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    return clipped


def resize_boxes(results: Sequence[Mapping[str, Any]], factor: float) -> Results:
    """Return copies of COCO results whose boxes are resized about their centres.

    Convention: float XYWH in original pixels; nothing is clipped to the image.

    Args:
        results: COCO result dicts with ``bbox`` [x, y, w, h]; left untouched.
        factor: of widths and heights, above 0.

    Returns:
        New result dicts, same order.

    Raises:
        ValueError: for a factor that is not above 0, or a result without a bbox of 4 numbers.
    """
    if not 0 < factor < math.inf:
        raise ValueError(f"factor: got {factor}, expected a finite number above 0")
    resized = []
    for index, result in enumerate(results):
        x, y, w, h = _bbox(index, result)
        new_w, new_h = w * factor, h * factor
        bbox = [x + (w - new_w) / 2, y + (h - new_h) / 2, new_w, new_h]
        resized.append({**result, "bbox": bbox})
    return resized


def truncate_boxes(
    results: Sequence[Mapping[str, Any]], pixel_sizes: PixelSizes | None = None
) -> Results:
    """Return copies of COCO results whose boxes went through whole inclusive indices.

    Convention: float XYWH to first and last pixel, x2 = x1 + w - 1, both truncated towards 0,
    and back with w = x2 - x1 + 1, as when boxes are kept as integers.

    Args:
        results: COCO result dicts with ``bbox`` [x, y, w, h]; left untouched.
        pixel_sizes: as for ``shift_boxes``.

    Returns:
        New result dicts, same order; a box keeps at least one pixel.

    Raises:
        ValueError: if a result has no bbox of 4 numbers.
    """
    truncated = []
    for index, result in enumerate(results):
        x, y, w, h = _bbox(index, result)
        bbox = [0.0] * 4
        for axis, size in enumerate(_pixel_size(pixel_sizes, result)):
            start, side = (x, y)[axis] / size, (w, h)[axis] / size
            first, last = math.trunc(start), math.trunc(start + max(side - 1, 0.0))
            bbox[axis], bbox[axis + 2] = first * size, (last - first + 1) * size
        truncated.append({**result, "bbox": bbox})
    return truncated


def shift_masks(results: Sequence[Mapping[str, Any]], dx: int, dy: int = 0) -> Results:
    """Return copies of COCO results whose masks are moved by whole pixels.

    Convention: pixel (i, j) goes to (i + dy, j + dx); what leaves the image is lost.

    Args:
        results: COCO result dicts with ``segmentation``, an RLE; left untouched.
        dx: original pixels to the right.
        dy: original pixels down.

    Returns:
        New result dicts, same order, with compressed RLEs.

    Raises:
        ValueError: if a result has no RLE of an image.
    """
    from pycocotools import mask as coco_mask

    shifted = []
    for index, result in enumerate(results):
        rle = result.get("segmentation")
        if not isinstance(rle, Mapping) or not {"size", "counts"} <= rle.keys():
            raise ValueError(f"results[{index}]: got no RLE segmentation, expected size and counts")
        if isinstance(rle["counts"], list):
            rle = coco_mask.frPyObjects(rle, *rle["size"])
        mask = coco_mask.decode(rle)
        moved = np.zeros_like(mask, order="F")
        (to_y, from_y), (to_x, from_x) = (
            _overlap(side, by) for side, by in zip(mask.shape, (dy, dx), strict=True)
        )
        moved[to_y, to_x] = mask[from_y, from_x]
        shifted.append({**result, "segmentation": coco_mask.encode(moved)})
    return shifted


def _overlap(side: int, by: int) -> tuple[slice, slice]:
    """Where pixels of an axis go and come from when moved."""
    start, stop = min(max(by, 0), side), max(min(side + by, side), 0)
    stop = max(start, stop)
    return slice(start, stop), slice(start - by, stop - by) if stop > start else slice(0, 0)


def _bbox(index: int, result: Mapping[str, Any]) -> tuple[float, float, float, float]:
    bbox = result.get("bbox")
    if bbox is None or len(bbox) != 4:
        raise ValueError(f"results[{index}]: got bbox {bbox!r}, expected [x, y, w, h]")
    x, y, w, h = (float(value) for value in bbox)
    return x, y, w, h


def _pixel_size(pixel_sizes: PixelSizes | None, result: Mapping[str, Any]) -> tuple[float, float]:
    return _ORIGINAL if pixel_sizes is None else pixel_sizes[result["image_id"]]
