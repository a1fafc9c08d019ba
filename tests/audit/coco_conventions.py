"""Ground truth with known coordinates, written as COCO json under every pixel convention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from d2align.data.shapes.figures import random_figure
from d2align.data.shapes.instances import map_shape, random_shape, scaled_to, visible_polygons

Array = np.ndarray
CATEGORIES = ("rectangle", "ellipse", "triangle", "star")


def two_decimals(a: Array) -> Array:
    return np.round(a, 2)


def pixels(e: Array) -> Array:
    """The extents of the pixels that XYXY extents touch."""
    return np.concatenate([np.floor(e[:2]), np.ceil(e[2:])])


# Each takes the true XYXY extents and the image's (w, h) and returns x, y, x + w, y + h as written.
BOXES: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "float": ("exclusive", lambda e, s: two_decimals(e)),
    "rounded": ("exclusive", lambda e, s: np.round(e)),
    "pixel extents": ("exclusive", lambda e, s: pixels(e)),
    "first and last index": ("inclusive", lambda e, s: pixels(e) - [0, 0, 1, 1]),
    "scaled to W - 1": ("inclusive", lambda e, s: two_decimals(e * np.tile((s - 1) / s, 2))),
    "numbered from 1": ("one_based", lambda e, s: pixels(e) + [1, 1, 0, 0]),
    "edges from 1": ("one_based_edges", lambda e, s: pixels(e) + 1),
    "integer centres": ("integer_centres", lambda e, s: two_decimals(e - 0.5)),
    "outer pixels' centres": ("pixel_centres", lambda e, s: pixels(e) + [0.5, 0.5, -0.5, -0.5]),
}
POINTS: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "float": ("integer_corners", lambda p, s: two_decimals(p)),
    "rounded": ("integer_corners", lambda p, s: np.round(p)),
    "floored": ("indices", lambda p, s: np.minimum(np.floor(p), s - 1)),
    "integer centres": ("integer_centres", lambda p, s: two_decimals(p - 0.5)),
}
VERTICES = {
    **POINTS,
    "pixel centres": ("integer_corners", lambda p, s: np.minimum(np.floor(p), s - 1) + 0.5),
    "numbered from 1": ("one_based", lambda p, s: np.minimum(np.floor(p), s - 1) + 1),
}


def scenes(seed: int, count: int, figures: bool = False) -> list[Any]:
    """Images as ((w, h), [(polygons, keypoints or None), ...]); the border cuts some objects."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(count):
        size = rng.integers(90, 160, 2).astype(float)
        objects = []
        for _ in range(6):
            side, offset = rng.uniform(10, 45), rng.uniform(0, size)
            if figures:
                figure = random_figure(rng).scaled_to(side).moved(offset)
                polygons = visible_polygons(figure.shape, (int(size[1]), int(size[0])))
                points = figure.keypoints
            else:
                shape = scaled_to(random_shape(rng, str(rng.choice(CATEGORIES))), side)
                moved = map_shape(shape, lambda coords, offset=offset: coords + offset)
                polygons = visible_polygons(moved, (int(size[1]), int(size[0])))
                points = None
            if polygons is not None:
                objects.append((polygons, points))
        out.append((size, objects))
    return out


def coco(
    truth: list[Any], boxes: str | None = None, vertices: str | None = None, keypoints: str = ""
) -> dict[str, Any]:
    """The COCO json of scenes, under conventions of the tables above; None leaves a field out."""
    data: dict[str, Any] = {"images": [], "annotations": []}
    for i, (size, objects) in enumerate(truth):
        data["images"].append({"id": i, "width": int(size[0]), "height": int(size[1])})
        for polygons, points in objects:
            corners = np.concatenate(polygons)
            extents = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
            record: dict[str, Any] = {"id": len(data["annotations"]), "image_id": i}
            if boxes is not None:
                x1, y1, x2, y2 = BOXES[boxes][1](extents, size)
                record["bbox"] = two_decimals(np.array([x1, y1, x2 - x1, y2 - y1])).tolist()
            if vertices is not None:
                write = VERTICES[vertices][1]
                record["segmentation"] = [write(p, size).ravel().tolist() for p in polygons]
            if keypoints:
                inside = ((points >= 0) & (points < size)).all(axis=1)
                written = POINTS[keypoints][1](points, size)
                triplets = np.concatenate([written, 2.0 * inside[:, None]], axis=1)
                record["keypoints"] = triplets.ravel().tolist()
            data["annotations"].append(record)
    return data
