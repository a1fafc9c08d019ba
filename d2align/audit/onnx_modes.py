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
# nearest_mode -> positions made indices; a float's last bit must not decide a tie.
_TO_INDEX = {
    "round_prefer_floor": lambda p: np.ceil(p - 0.5 - 1e-6),
    "round_prefer_ceil": lambda p: np.floor(p + 0.5 + 1e-6),
    "floor": lambda p: np.floor(p + 1e-6),
    "ceil": lambda p: np.ceil(p - 1e-6),
}
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


def is_sampler(op: str) -> bool:
    """Whether an operator samples by coordinates."""
    return op in _READERS


def read_node(node: Node) -> Reading:
    """Return a node's sampling rule.

    Args:
        node: one whose operator samples.

    Returns:
        Its rule.
    """
    return _READERS[node.op](node)


def resize_error(grid: str, rounding: str | None, n: int, scale: float) -> float:
    """Return how far a resize rule is off grid 2, pixels of the result.

    Args:
        grid: one of the article's, or "pixel_edges", half an input pixel beyond grid 2.
        rounding: a nearest_mode of ONNX; None to interpolate.
        n: input size.
        scale: output size over input size.

    Returns:
        The largest error of a sample for interpolation, the mean for nearest neighbours; 0 if
        every neighbour is a nearest one.
    """
    ideal = _samples("half_pixel", None, n, scale)
    off = _samples(grid, rounding, n, scale) - ideal
    if rounding is None:
        return float(np.abs(off).max() * scale)
    off = np.clip(ideal + off, 0, n - 1) - np.clip(ideal, 0, n - 1)
    return 0.0 if (np.abs(off) <= 0.5 + 1e-6).all() else float(abs(off.mean()) * scale)


def _samples(grid: str, rounding: str | None, n: int, scale: float) -> np.ndarray:
    """The input positions, or indices, that a rule reads."""
    m = max(1, round(n * scale))
    known = "half_pixel" if grid == "pixel_edges" else grid
    position = grid_positions(known, n, m, 1 / scale) + 0.5 * (grid == "pixel_edges")
    if rounding is None:
        return position
    return _TO_INDEX[rounding](position)


def difference_px(node: Node, one: str, other: str) -> float:
    """Return how far apart two conventions put a node's samples.

    Args:
        node: the node.
        one: a convention, as in Reading.
        other: another.

    Returns:
        Pixels, as in Reading; the mean for nearest neighbours, else the largest.

    Raises:
        ValueError: a convention that such a node cannot have.
    """
    for name in (one, other):
        if name not in conventions_of(node.op):
            known = ", ".join(conventions_of(node.op))
            raise ValueError(f"expected[{node.op!r}]: got {name!r}, expected one of {known}")
    if node.op in ("RoiAlign", "MaxRoiPool"):
        return 0.0 if one == other else 0.5 / float(node.attributes.get("spatial_scale", 1.0))
    if node.op not in ("Resize", "Upsample"):
        return 0.0 if one == other else 0.5
    n, scale = node.in_size or _SIZE, node.scale or _SCALE
    nearest = node.attributes.get("mode", "nearest") == "nearest"
    a, b = (_samples(*_grid_and_rounding(name, nearest), n, scale) for name in (one, other))
    apart = np.abs(np.clip(a, 0, n - 1) - np.clip(b, 0, n - 1))
    return float((apart.mean() if nearest else apart.max()) * scale)


def conventions_of(op: str) -> tuple[str, ...]:
    """Return the conventions that an operator can have, as in Reading."""
    if op in ("Resize", "Upsample"):
        grids = dict.fromkeys(_GRIDS.values())
        return tuple(grid + end for grid in grids for end in ("", "_floor", "_ceil"))
    if op == "RoiAlign":
        return ("aligned", "unaligned")
    return ("quantised",) if op == "MaxRoiPool" else ("half_pixel", "align_corners")


def _grid_and_rounding(convention: str, nearest: bool) -> tuple[str, str | None]:
    for rounding in ("floor", "ceil"):
        if convention.endswith(f"_{rounding}"):
            return convention.removesuffix(f"_{rounding}"), rounding
    return convention, "round_prefer_floor" if nearest else None


def _read_resize(node: Node) -> Reading:
    """Resize and Upsample; before opset 11 neither has a choice: grid 3, and floor."""
    chosen = node.opset >= 11 and node.op == "Resize"
    mode = node.attributes.get("mode", "nearest")
    grid_mode = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    nearest_mode = node.attributes.get("nearest_mode", "round_prefer_floor")
    if not chosen:
        grid_mode, nearest_mode = "asymmetric", "floor"
    grid = _GRIDS.get(grid_mode)
    if grid is None or nearest_mode not in _TO_INDEX:
        return Reading("unknown", 0.0, f"Has an unknown mode: {grid_mode!r}, {nearest_mode!r}")
    n, scale = node.in_size or _SIZE, node.scale or _SCALE
    rounding = nearest_mode if mode == "nearest" else None
    error = resize_error(grid, rounding, n, scale)
    where = f"at scale {scale:g}" + ("" if node.scale else ", taken for lack of the true one")
    if rounding is not None:
        return _read_nearest(grid, rounding, error, where, node)
    return Reading(
        grid, error, _RESIZE_WORDS[grid].format(error=error, where=where, mode=grid_mode)
    )


def _read_nearest(grid: str, rounding: str, error: float, where: str, node: Node) -> Reading:
    to_nearest = rounding.startswith("round")
    if (grid, to_nearest) == ("half_pixel", True) or (grid, rounding) == ("pixel_edges", "floor"):
        return Reading("half_pixel", error, "Takes the nearest pixel on grid 2")
    convention = grid if to_nearest else f"{grid}_{rounding}"
    if error == 0 and node.scale:
        return Reading(convention, error, f"Takes the nearest pixel {where}, though not at others")
    if not node.scale:
        where, error = "by up to this, unless the scale, which the graph leaves open, is whole", 0.5
    text = (
        f"Moves the content by {error:.2f} px of the result ({where}). Fix: half_pixel with"
        f" round_prefer_floor (nearest-exact){_needs(node, 11)}"
    )
    return Reading(convention, error, text)


def _needs(node: Node, opset: int) -> str:
    return f", which needs opset {opset} or later" if node.opset < opset else ""


_RESIZE_WORDS = {
    "pixel_edges": "Samples half an input pixel beyond grid 2 ({mode}): {error:.2f} px of the"
    " result ({where}). Fix: half_pixel",
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
