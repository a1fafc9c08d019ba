"""What the coordinate modes of ONNX nodes mean: the sampling rule, and how far it is off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from d2align.audit.probes.resize_grid import grid_positions

# coordinate_transformation_mode -> the grid of the article.
_GRIDS = {
    "half_pixel": "half_pixel",
    "half_pixel_symmetric": "half_pixel",
    "pytorch_half_pixel": "half_pixel",
    "align_corners": "align_corners",
    "asymmetric": "asymmetric",
    "tf_half_pixel_for_nn": "pixel_edges",
    "tf_crop_and_resize": "align_corners",
}
_ROUNDINGS = {"round_prefer_floor": "", "round_prefer_ceil": "", "floor": "_floor", "ceil": "_ceil"}
# Scale and input size that costs are told for where the graph does not fix them.
_SCALE, _SIZE = 2.0, 32


@dataclass(frozen=True)
class Node:
    """What the rules need of a graph's node.

    Attributes:
        op: its operator.
        name: its name, or one made from its operator and place.
        opset: the version of the operator set in force.
        attributes: those given.
        in_size: pixels along the last axis that is resized, if the graph fixes it.
        scale: output size over input size along that axis, if the graph fixes it.
        shifted: what is subtracted from the boxes of a RoiAlign just before it, pixels.
    """

    op: str
    name: str
    opset: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    in_size: int | None = None
    scale: float | None = None
    shifted: float = 0.0


@dataclass(frozen=True)
class Reading:
    """A node's rule.

    Attributes:
        convention: "half_pixel", "align_corners", "asymmetric" with "_floor" or "_ceil" if not to
            the nearest; "aligned", "unaligned" or "quantised" for crops.
        error_px: how far it is off d2align's rule: pixels of the result (Resize), of the input
            (GridSample), of the image (crops).
        says: what it does, and the fix.
    """

    convention: str
    error_px: float
    says: str


def read_node(node: Node) -> Reading | None:
    """Return a node's sampling rule.

    Args:
        node: any.

    Returns:
        Its rule; None for operators that do not sample.
    """
    reader = _READERS.get(node.op)
    return reader(node) if reader else None


def resize_error(convention: str, n: int, scale: float) -> float:
    """Return how far a resize rule is off grid 2, pixels of the result.

    Args:
        convention: as in Reading.
        n: input size.
        scale: output size over input size.

    Returns:
        The largest error of a sample for interpolation, the mean for nearest neighbours; 0 if
        every neighbour is a nearest one.
    """
    grid, _, rounding = convention.partition(":")
    m = max(1, round(n * scale))
    ideal = grid_positions("half_pixel", n, m, 1 / scale)
    if grid == "pixel_edges":
        position = ideal + 0.5
    else:
        position = grid_positions(grid, n, m, 1 / scale)
    if not rounding:
        return float(np.abs(position - ideal).max() * scale)
    # A float's last bit must not decide a tie.
    to_index = {"floor": lambda p: np.floor(p + 1e-6), "ceil": lambda p: np.ceil(p - 1e-6)}
    index = to_index.get(rounding, np.round)(position)
    off = np.clip(index, 0, n - 1) - np.clip(ideal, 0, n - 1)
    if (np.abs(off) <= 0.5 + 1e-6).all():
        return 0.0
    return float(abs(off.mean()) * scale)


def _read_resize(node: Node) -> Reading:
    """Resize and Upsample; before opset 11 neither has a choice: grid 3, and floor."""
    chosen = node.opset >= 11 and node.op == "Resize"
    mode = node.attributes.get("mode", "nearest")
    grid_mode = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    nearest_mode = node.attributes.get("nearest_mode", "round_prefer_floor")
    if not chosen:
        grid_mode, nearest_mode = "asymmetric", "floor"
    grid = _GRIDS.get(grid_mode)
    if grid is None:
        return Reading("unknown", 0.0, f"Has the unknown mode {grid_mode!r}")
    n, scale = node.in_size or _SIZE, node.scale or _SCALE
    rounding = f":{_ROUNDINGS.get(nearest_mode, '')[1:] or 'round'}" if mode == "nearest" else ""
    error = resize_error(grid + rounding, n, scale)
    where = f"at scale {scale:g}" + ("" if node.scale else ", taken for lack of the true one")
    if mode == "nearest":
        return Reading(*_nearest(grid, nearest_mode, error, where, node))
    if grid == "pixel_edges":
        return Reading("pixel_edges", error, f"Samples the cells' far edges: off ({where})")
    return Reading(
        grid, error, _RESIZE_WORDS[grid].format(error=error, where=where, mode=grid_mode)
    )


def _nearest(
    grid: str, nearest_mode: str, error: float, where: str, node: Node
) -> tuple[str, float, str]:
    if grid == "pixel_edges" and nearest_mode == "floor":
        return "half_pixel", error, "Takes the nearest pixel (tf_half_pixel_for_nn, floor): exact"
    convention = grid + _ROUNDINGS.get(nearest_mode, "")
    if convention == "half_pixel":
        return convention, error, "Takes the nearest pixel on grid 2: exact"
    fix = "half_pixel with round_prefer_floor (nearest-exact)"
    if error == 0:
        return convention, error, f"{convention}: exact at whole scales such as this ({where})"
    text = f"{convention}: moves the content by {error:.2f} px of the result ({where}). Fix: {fix}"
    return convention, error, text + _needs(node, 11)


def _needs(node: Node, opset: int) -> str:
    return f", which needs opset {opset} or later" if node.opset < opset else ""


_RESIZE_WORDS = {
    "half_pixel": "Samples on grid 2 ({mode})",
    "align_corners": "Samples on grid 1 ({mode}): up to {error:.2f} px of the result off grid 2 at"
    " the borders ({where}). Fix: half_pixel (align_corners=False), if the model meant that",
    "asymmetric": "Samples on grid 3 ({mode}): up to {error:.2f} px of the result off grid 2"
    " ({where}). Fix: half_pixel, which needs opset 11 or later",
}


def _read_roi_align(node: Node) -> Reading:
    """Before opset 16 there is no attribute, and no half pixel is taken off."""
    mode = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    if node.opset < 16:
        mode = "output_half_pixel"
    scale = float(node.attributes.get("spatial_scale", 1.0))
    if mode == "half_pixel":
        return Reading("aligned", abs(node.shifted), "Takes half a pixel off the boxes, as d2align")
    left = abs(0.5 / scale - node.shifted)
    if left < 1e-6:
        text = "Takes no half pixel off, but the boxes come shifted by it (those under 1 px grow)"
        return Reading("aligned", 0.0, text)
    text = (
        f"Takes no half pixel off: it crops {left:g} px of the image (at spatial_scale {scale:g})"
        " right of and below the boxes. Fix: half_pixel, which needs opset 16 or later, or"
        " subtract 0.5 / spatial_scale from the boxes"
    )
    return Reading("unaligned", left, text)


def _read_grid(node: Node) -> Reading:
    """GridSample and AffineGrid: what -1 and 1 stand for."""
    if int(node.attributes.get("align_corners", 0)):
        text = (
            "-1 and 1 are the centres of the border pixels (align_corners): half an input pixel"
            " off at the borders for coordinates that span the image. Fix: align_corners=0"
        )
        return Reading("align_corners", 0.5, text)
    return Reading("half_pixel", 0.0, "-1 and 1 are the image's edges, as in d2align")


def _read_max_roi_pool(node: Node) -> Reading:
    """Its boxes are rounded to whole feature pixels, the last one included."""
    error = 0.5 / float(node.attributes.get("spatial_scale", 1.0))
    text = f"Rounds boxes to whole feature pixels: {error:g} px of the image or more. Fix: RoiAlign"
    return Reading("quantised", error, text)


_READERS = {
    "Resize": _read_resize,
    "Upsample": _read_resize,
    "RoiAlign": _read_roi_align,
    "GridSample": _read_grid,
    "AffineGrid": _read_grid,
    "MaxRoiPool": _read_max_roi_pool,
}
