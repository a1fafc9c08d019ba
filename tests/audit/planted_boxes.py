"""Boxes, anchors and contours with faults of known size: half follow a rule, half follow none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contracts
import numpy as np
from planted import Planted, Rng, drawn_offset

from d2align import geometry as g

SOUND = contracts.SOUND

FLIPS = {0.0: "coordinate", -1.0: "index", 1.0: "inclusive"}


def flipped(coords: np.ndarray, axis: int, side: float) -> np.ndarray:
    out = coords.copy()
    out[:, axis::2] = side - out[:, axis::2]
    if out.shape[1] == 4:
        out[:, axis::2] = out[:, axis::2][:, ::-1]  # x1 stays below x2
    return out


def flip_coords(rng: Rng, kind: str = "flip_coords") -> Planted:
    extra, name = drawn_offset(rng, FLIPS, 3.0)
    axis = int(rng.integers(2))
    return Planted(
        kind,
        lambda coords, size: flipped(coords, axis, size[1 - axis] + extra),
        name,
        abs(extra),
        {"shift_px": extra},
    )


def box_pair(rng: Rng) -> Planted:
    wide, name = drawn_offset(rng, {0.0: "float", 1.0: "detectron1"})
    late = float(rng.choice((0.0, 0.0, 1.0, rng.uniform(0.1, 0.9))))
    if late:
        name = "py_faster_rcnn" if late == 1 and wide == 1 else "unknown"
    grow = np.array([0, 0, wide, wide])
    return Planted(
        "box_pair",
        (
            lambda src, dst: g.get_deltas(src + grow, dst + grow),
            lambda deltas, src: g.apply_deltas(deltas, src + grow) - grow + [0, 0, late, late],
        ),
        name,
        max(abs(wide), late),
        {"width_offset_px": wide, "x2_px": late},
    )


def anchors(rng: Rng) -> Planted:
    offset, name = drawn_offset(rng, {0.5: "centred", 0.0: "corner"}, 0.99)
    offset = abs(offset)

    def generate(grid: Any, stride: int, sizes: Any, ratios: Any) -> Any:
        return g.tile_anchors(g.cell_anchors(sizes, ratios), grid, stride, offset)

    error = abs(offset - 0.5) * 16
    return Planted("anchors", generate, name, error, {"centre_px": offset * 16})


def _widths(kind: str, make: Callable[[float], Any]) -> Callable[[Rng], Planted]:
    def drawn(rng: Rng) -> Planted:
        wide, name = drawn_offset(rng, {0.0: "float", 1.0: "detectron1"})
        return Planted(kind, make(wide), name, abs(wide), {"width_offset_px": wide})

    return drawn


def _wide(boxes: np.ndarray, by: float) -> np.ndarray:
    return boxes + np.array([0, 0, by, by])


def _iou(by: float) -> Callable[..., Any]:
    return lambda a, b: g.box_iou(_wide(a, by), _wide(b, by))


def _nms(by: float) -> Callable[..., Any]:
    return lambda boxes, scores, limit: SOUND["nms"](_wide(boxes, by), scores, limit)


def _extents(kind: str, rules: dict[tuple[float, float], str]) -> Callable[[Rng], Planted]:
    def drawn(rng: Rng) -> Planted:
        low, high = (float(v) for v in rng.uniform(-1.4, 1.4, 2))
        if rng.random() < 0.5:
            low, high = list(rules)[rng.integers(len(rules))]
        name = rules.get((low, high), "unknown")
        move = np.array([low, low, high, high])

        def contours(mask: np.ndarray) -> Any:
            x1, y1, x2, y2 = SOUND["mask_to_box"](mask) + move
            return [np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)])]

        found = contours if kind == "find_contours" else lambda m: SOUND["mask_to_box"](m) + move
        return Planted(kind, found, name, max(abs(low), abs(high)))

    return drawn


DRAWS: dict[str, Callable[[Rng], Planted]] = {
    "flip_boxes": lambda rng: flip_coords(rng, "flip_boxes"),
    "flip_coords": flip_coords,
    "box_pair": box_pair,
    "anchors": anchors,
    "box_area": _widths("box_area", lambda by: lambda boxes: g.box_areas(_wide(boxes, by))),
    "box_iou": _widths("box_iou", _iou),
    "nms": _widths("nms", _nms),
    "mask_to_box": _extents(
        "mask_to_box", {(0, 0): "coordinates", (0, -1): "inclusive", (0.5, -0.5): "centre"}
    ),
    "find_contours": _extents(
        "find_contours",
        {
            (0, 0): "corner",
            (0, -1): "centre_of_border_pixels",
            (0.5, -0.5): "inset_coordinates",
            (-0.5, -0.5): "centre",
        },
    ),
}
