"""Random outlines of the instance family: rectangles, ellipses, triangles, stars, rings, pairs.

Convention: float (x, y), y down; an outline here is centred near the origin and has no unit
until :func:`scaled_to` gives it a size in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .polygons import Coords, clip_polygon, keyhole, polygons_area, polygons_box, signed_area


@dataclass(frozen=True)
class Part:
    """One connected piece of a shape: an outline, and perhaps a convex hole in it."""

    outer: Coords
    hole: Coords | None = None

    def mapped(self, function: Callable[[Coords], Coords]) -> Part:
        """Apply a map of (N, 2) coords to the outline and to the hole."""
        return Part(function(self.outer), None if self.hole is None else function(self.hole))

    @property
    def area(self) -> float:
        """The area of the outline less that of the hole."""
        hole = 0.0 if self.hole is None else abs(signed_area(self.hole))
        return abs(signed_area(self.outer)) - hole


Shape = tuple[Part, ...]


def map_shape(shape: Shape, function: Callable[[Coords], Coords]) -> Shape:
    """Apply a map of (N, 2) coords to every part of a shape."""
    return tuple(part.mapped(function) for part in shape)


def ellipse_arc(start: float, stop: float, count: int, aspect: float = 1.0) -> Coords:
    """Return ``count`` points of the ellipse with semi-axes 1 and ``aspect``.

    Convention: float (x, y), y down; angles grow clockwise on the screen.

    Args:
        start: first angle in degrees.
        stop: end angle in degrees, included.
        count: number of points.
        aspect: semi-axis in y; that in x is 1.

    Returns:
        (count, 2) coords.
    """
    angles = np.radians(np.linspace(start, stop, count))
    return np.stack([np.cos(angles), aspect * np.sin(angles)], axis=1)


def ellipse_polygon(count: int, aspect: float = 1.0) -> Coords:
    """Return a closed ellipse of ``count`` vertices centred exactly on the origin."""
    return ellipse_arc(0, 360 * (count - 1) / count, count, aspect)


def rotated(coords: Coords, angle: float) -> Coords:
    """Turn coords around the origin, clockwise on the screen, by ``angle`` in radians."""
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = coords[:, 0], coords[:, 1]  # written out: the same bits whatever BLAS does
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def _rectangle(rng: np.random.Generator) -> Shape:
    aspect = math.exp(rng.uniform(-1.0, 1.0))
    return (Part(np.array([[-1.0, -aspect], [1.0, -aspect], [1.0, aspect], [-1.0, aspect]])),)


def _ellipse(rng: np.random.Generator) -> Shape:
    return (Part(ellipse_polygon(32, rng.uniform(0.45, 1.0))),)


def _triangle(rng: np.random.Generator) -> Shape:
    angles = np.radians(np.array([0.0, 120.0, 240.0]) + rng.uniform(-25.0, 25.0, 3))
    return (Part(np.stack([np.cos(angles), np.sin(angles)], axis=1)),)


def _star(rng: np.random.Generator) -> Shape:
    radii = np.tile([1.0, rng.uniform(0.38, 0.52)], 5)
    return (Part(ellipse_polygon(10) * radii[:, None]),)


def _ring(rng: np.random.Generator) -> Shape:
    outer = ellipse_polygon(32, rng.uniform(0.65, 1.0))
    return (Part(outer, outer * rng.uniform(0.45, 0.65)),)


def _pair(rng: np.random.Generator) -> Shape:
    """An ellipse cut in two halves that stand apart: one object of two parts."""
    half = ellipse_arc(-90, 90, 16, rng.uniform(0.8, 1.3))
    gap = rng.uniform(0.2, 0.35)
    return Part(half + [gap, 0.0]), Part(-half - [gap, 0.0])


MAKERS: dict[str, Callable[[np.random.Generator], Shape]] = {
    "rectangle": _rectangle,
    "ellipse": _ellipse,
    "triangle": _triangle,
    "star": _star,
    "ring": _ring,
    "pair": _pair,
}


def random_shape(rng: np.random.Generator, category: str) -> Shape:
    """Draw a shape of a category with random proportions, turned by a random angle.

    Convention: float (x, y), y down, centred near the origin, without unit.

    Args:
        rng: the image's random generator.
        category: a key of ``MAKERS``.

    Returns:
        The shape's parts.
    """
    shape = MAKERS[category](rng)
    angle = rng.uniform(0.0, 2 * math.pi)
    return map_shape(shape, lambda coords: rotated(coords, angle))


def scale_for(shape: Shape, side: float) -> float:
    """Return the factor that gives the shape's box the area ``side * side``."""
    x1, y1, x2, y2 = polygons_box([part.outer for part in shape])
    return float(side / math.sqrt((x2 - x1) * (y2 - y1)))


def scaled_to(shape: Shape, side: float) -> Shape:
    """Scale a shape around the origin so that the square root of its box area is ``side``."""
    scale = scale_for(shape, side)
    return map_shape(shape, lambda coords: coords * scale)


def _clip_part(part: Part, size: tuple[int, int], min_visible: float) -> Coords | None:
    outer = clip_polygon(part.outer, size)
    hole = np.zeros((0, 2)) if part.hole is None else clip_polygon(part.hole, size)
    if len(outer) < 3:
        return None
    try:
        polygon = keyhole(outer, hole) if len(hole) >= 3 else outer
    except ValueError:  # a sliver of the hole on the border, thinner than the rounding
        return None
    return polygon if abs(signed_area(polygon)) >= min_visible * part.area else None


def visible_polygons(
    shape: Shape, size: tuple[int, int], min_visible: float = 0.4
) -> list[Coords] | None:
    """Clip a shape to the image and write it as COCO polygons, one for each part.

    Convention: float (x, y); the image spans ``[0, w] x [0, h]``.

    Args:
        shape: the parts, in pixels.
        size: (h, w) of the image in pixels.
        min_visible: the share of every part that must lie inside the image.

    Returns:
        (N, 2) coords in pixels for each part, holes joined by :func:`~.polygons.keyhole`; None
        when too little is visible.
    """
    polygons = []
    for part in shape:
        polygon = _clip_part(part, size, min_visible)
        if polygon is None:
            return None
        polygons.append(polygon)
    box = polygons_box(polygons)
    thin = min(box[2] - box[0], box[3] - box[1]) < 3 or polygons_area(polygons) < 9
    return None if thin else polygons
