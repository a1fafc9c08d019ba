"""From masks to polygons and back: half-pixel insets, fat outlines, shifts.

Contracts:
    find_contours       fn(mask) -> a list of (P, 2) or (P, 1, 2) points x, y; mask (H, W) of 0, 1
    rasterize_polygon   fn(polygon, (h, w)) -> (h, w) of 0 and 1; polygon (P, 2) x, y, pixels
"""

from __future__ import annotations

from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure, as_array
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_SIZE = (40, 48)
_RECTANGLES = ((9, 12, 30, 27), (5, 6, 41, 35), (17, 11, 22, 31))
_NAMED_PX = 0.01
_STEPS = 64

_CONTOUR_WORDS = {
    "corner": "contours run along the true edges of the pixels, in coordinates, as d2align",
    "centre_of_border_pixels": (
        "points are indices of the border pixels: the outline lies half a pixel inside the region, "
        "on an axis shifted by half a pixel. Fix: add 0.5 (d2align.geometry."
        "coords_from_cv2_contour); the half-pixel inset remains"
    ),
    "inset_coordinates": (
        "points are the centres of the border pixels, in coordinates: the outline lies half a "
        "pixel inside the region. Fix: trace the pixels' edges"
    ),
    "centre": (
        "contours run between pixels, on the axis where pixel 0 is centred on 0: half a pixel off. "
        "Fix: add 0.5 (d2align.geometry.centers_to_corners)"
    ),
    "unknown": (
        "follows no known rule: {residual:.2f} px from the nearest ({nearest}), up to {error:.2f} "
        "px from the true edges"
    ),
}
# How far the left and right end of a contour lie from the region's true edges.
_CONTOUR_RULES = {
    "corner": (0.0, 0.0),
    "centre_of_border_pixels": (0.0, -1.0),
    "inset_coordinates": (0.5, -0.5),
    "centre": (-0.5, -0.5),
}
_RASTER_WORDS = {
    "pixel_centres": "fills the pixels whose centres lie inside the polygon, as d2align",
    "fat": (
        "draws {fat:.2f} px beyond the polygon on every side: masks are too large. Fix: "
        "d2align.geometry.draw_polygon_pil, or pycocotools"
    ),
    "centre": (
        "takes coordinates for indices, pixel 0 being centred on 0: masks lie {error:.2f} px to "
        "the right and down. Fix: subtract 0.5 from the polygon"
    ),
    "fat_centre": (
        "takes coordinates for indices and draws the outline too: masks reach {error:.2f} px too "
        "far. Fix: subtract 0.5 from the polygon, and do not fill the border pixels"
    ),
    "unknown": (
        "follows no known rule: its left and right edges lie {low_px:+.2f} and {high_px:+.2f} px "
        "off those of the polygon"
    ),
}
_RASTER_RULES = {
    "pixel_centres": (0.0, 0.0),
    "fat": (-0.5, 0.5),
    "centre": (0.5, 0.5),
    "fat_centre": (0.0, 1.0),
}


def probe_find_contours(fn: Any, subject: str) -> Finding:
    """Measure fn(mask); see the contract above.

    Args:
        fn: the function.
        subject: its name.

    Returns:
        The finding.

    Raises:
        ProbeFailure: the function cannot be measured.
    """
    guarded = Guarded(fn)
    ends = np.array([_contour_ends(guarded, box) for box in _RECTANGLES])
    away = ends - np.array(_RECTANGLES)
    residuals = {
        name: float(np.abs(away - [low, low, high, high]).max())
        for name, (low, high) in _CONTOUR_RULES.items()
    }
    return conclude(
        "find_contours",
        subject,
        residuals,
        residuals["corner"],
        _CONTOUR_WORDS,
        tolerance=_NAMED_PX,
        parameters={"low_px": away[:, :2].mean(), "high_px": away[:, 2:].mean()},
        evidence={"extents": ends.tolist(), "edges": [list(box) for box in _RECTANGLES]},
    )


def probe_rasterize_polygon(fn: Any, subject: str) -> Finding:
    """Measure fn(polygon, (h, w)); as probe_find_contours.

    Rectangles slide across the pixels in small steps, and show for each side where its edge is.
    """
    guarded = Guarded(fn)
    away = np.array([_edge_offsets(guarded, axis) for axis in (0, 1)])
    # A step is the finest that can be seen.
    tolerance = 1.5 / _STEPS
    residuals = {name: float(np.abs(away - wanted).max()) for name, wanted in _RASTER_RULES.items()}
    return conclude(
        "rasterize_polygon",
        subject,
        residuals,
        residuals["pixel_centres"],
        _RASTER_WORDS,
        tolerance=tolerance,
        parameters={
            "low_px": away[:, 0].mean(),
            "high_px": away[:, 1].mean(),
            "fat": float((away[:, 1] - away[:, 0]).mean()) / 2,
            "resolution_px": tolerance,
        },
        evidence={"edge_offsets": away.tolist()},
    )


def _contour_ends(fn: Guarded, box: tuple[int, int, int, int]) -> np.ndarray:
    """The extent x1, y1, x2, y2 of the contour of a rectangle of pixels."""
    mask = np.zeros(_SIZE)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    found = fn.raw(mask)
    arrays = [as_array(c) for c in found] if isinstance(found, list | tuple) else [as_array(found)]
    if not arrays or any(a is None or a.size < 6 or a.shape[-1] != 2 for a in arrays):
        raise ProbeFailure("it did not return a list of (P, 2) contours for a mask of a rectangle")
    points = np.concatenate([a.reshape(-1, 2) for a in arrays if a is not None])
    if not np.isfinite(points).all():
        raise ProbeFailure("it returned NaN or infinity for a mask of a rectangle")
    return np.concatenate([points.min(axis=0), points.max(axis=0)])


def _edge_offsets(fn: Guarded, axis: int) -> tuple[float, float]:
    """By how much the left and right edge of a drawn rectangle lie right of where they should.

    Over a whole pixel of shifts, the number of pixels that are rightly filled averages to the
    place of the edge.
    """
    shifts = (np.arange(_STEPS) + 0.5) / _STEPS
    low, high, across = 11.0, 30.0, (9.37, 28.61)
    ends = []
    for shift in shifts:
        x1, x2 = low + shift, high + shift
        polygon = np.array([(x1, across[0]), (x2, across[0]), (x2, across[1]), (x1, across[1])])
        given = polygon if axis == 0 else polygon[:, ::-1].copy()
        mask = fn(given, _SIZE, shape=_SIZE)
        line = (mask if axis == 0 else mask.T)[18] > 0.5
        if not line.any():
            raise ProbeFailure(f"{fn.name} draws nothing for a rectangle of 19 pixels")
        filled = np.flatnonzero(line)
        ends.append((filled[0] - x1, filled[-1] + 1 - x2))
    first, last = np.mean(ends, axis=0)
    return float(first), float(last)
