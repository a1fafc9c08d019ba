"""One image with its annotated objects, made from one random generator.

Outlines never touch each other, so that every object is visible in full but for what the image
border cuts off, and the annotation is the clipped outline itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .figures import Figure, random_figure
from .instances import (
    Part,
    Shape,
    ellipse_polygon,
    map_shape,
    random_shape,
    rotated,
    scaled_to,
    visible_polygons,
)
from .polygons import Coords, clip_polygon, polygons_box
from .render import blend, pixel_window, window_coverage
from .specs import ShapesSpec, Size
from .texture import Image, background, contrasting_colour, fill

_ATTEMPTS = 12  # placements tried for an object before it is dropped
_CLEARANCE = 2  # pixels kept free around every object
_CROSSING_SHARE = 0.15  # share of the placements that the image border may cut
_LARGEST_SHARE = 0.85  # of the shorter image side, for an object's side
_CROWD_CATEGORIES = ("rectangle", "ellipse", "triangle", "star")
_DOT_COLOURS = {"nose": (235, 60, 50), "eye": (245, 245, 245), "hand": (250, 205, 40)}
_DOT_COLOURS["foot"] = (70, 200, 250)


@dataclass(frozen=True)
class SceneObject:
    """An annotated object.

    Convention: coords are float (x, y) in pixels; the image spans ``[0, w] x [0, h]``.

    Args:
        category: its name.
        polygons: the visible outline, (N, 2) coords for each part.
        keypoints: (K, 2) coords, also of those outside the image; None in the instance family.
        crowd: whether the outline is that of a region of many small objects.
    """

    category: str
    polygons: list[Coords]
    keypoints: Coords | None = None
    crowd: bool = False


class Stamp(NamedTuple):
    """Pixels about to be painted: a window of rows and columns, and its coverage in [0, 1]."""

    window: tuple[slice, slice]
    coverage: NDArray[np.float64]


@dataclass
class Scene:
    """A canvas that keeps account of the pixels taken."""

    spec: ShapesSpec
    rng: np.random.Generator
    canvas: Image
    taken: NDArray[np.bool_] = field(init=False)
    objects: list[SceneObject] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.taken = np.zeros(self.canvas.shape[:2], dtype=bool)

    @property
    def size(self) -> Size:
        """The (h, w) of the canvas in pixels."""
        return self.canvas.shape[0], self.canvas.shape[1]

    def stamp(self, polygons: list[Coords]) -> Stamp:
        """Return the pixels that polygons touch, and how much of each."""
        window = pixel_window(polygons, self.size)
        return Stamp(window, window_coverage(polygons, window))

    def collides(self, polygons: list[Coords]) -> bool:
        """Whether a vertex lies on a taken pixel: a cheap first look."""
        indices = np.concatenate(polygons).astype(np.int64)
        limits = np.array([self.size[1] - 1, self.size[0] - 1])
        columns, rows = np.minimum(indices, limits).T
        return bool(self.taken[rows, columns].any())

    def claim(self, stamp: Stamp) -> bool:
        """Take the touched pixels and a margin around; False if some are taken already."""
        touched = stamp.coverage > 0
        if (self.taken[stamp.window] & touched).any():
            return False
        _mark_with_margin(self.taken, stamp.window, touched)
        return True

    def paint(self, stamp: Stamp, colour: Image, textured: bool = True) -> None:
        """Paint in a colour, anti-aliased."""
        paint = fill(self.rng, stamp.coverage.shape, colour) if textured else colour
        blend(self.canvas, stamp.window, stamp.coverage, paint)

    def contrasting(self, stamp: Stamp, low: float = 15.0, high: float = 240.0) -> Image:
        """Draw a colour that stands out from what lies around the place."""
        return contrasting_colour(self.rng, self.canvas[stamp.window], low, high)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the finished image, (h, w, 3) RGB."""
        noisy = self.canvas
        if self.spec.grain > 0:
            shape, grain = self.canvas.shape, np.float32(self.spec.grain)
            noisy = noisy + grain * self.rng.standard_normal(shape, dtype=np.float32)
        return np.rint(np.clip(noisy, 0, 255)).astype(np.uint8)


def _mark_with_margin(
    taken: NDArray[np.bool_], window: tuple[slice, slice], touched: NDArray[np.bool_]
) -> None:
    margin = _CLEARANCE
    wide = np.pad(touched, margin)
    for axis in (0, 1):
        spread = wide.copy()
        for shift in range(-margin, margin + 1):
            spread |= np.roll(wide, shift, axis=axis)  # the padding keeps it from wrapping
        wide = spread
    top, left = window[0].start - margin, window[1].start - margin
    rows = slice(max(top, 0), min(top + wide.shape[0], taken.shape[0]))
    columns = slice(max(left, 0), min(left + wide.shape[1], taken.shape[1]))
    taken[rows, columns] |= wide[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]


def random_side(rng: np.random.Generator, spec: ShapesSpec, size: Size) -> float:
    """Draw an object's side in pixels, no larger than fits the image."""
    spread = math.exp(spec.side_sigma * rng.standard_normal())
    side = spec.side_offset + (spec.side_median - spec.side_offset) * spread
    return min(side, _LARGEST_SHARE * min(size))


def _random_offset(rng: np.random.Generator, shape: Shape, size: Size) -> Coords:
    """A sub-pixel place: inside the image where that is possible, or anywhere now and then."""
    low, high = np.split(polygons_box([part.outer for part in shape]), 2)
    extent = np.array([size[1], size[0]], dtype=np.float64)
    crossing = rng.uniform() < _CROSSING_SHARE
    if crossing or (high - low >= extent).any():
        return rng.uniform(0.0, extent) - (low + high) / 2
    return rng.uniform(-low, extent - high)


def _place_shape(scene: Scene, side: float) -> None:
    rng = scene.rng
    category = str(rng.choice(scene.spec.categories))
    for _ in range(_ATTEMPTS):
        shape = scaled_to(random_shape(rng, category), side)
        offset = _random_offset(rng, shape, scene.size)
        polygons = visible_polygons(
            map_shape(shape, lambda coords, offset=offset: coords + offset), scene.size
        )
        if polygons is None or scene.collides(polygons):
            continue
        stamp = scene.stamp(polygons)
        if scene.claim(stamp):
            scene.paint(stamp, scene.contrasting(stamp))
            scene.objects.append(SceneObject(category, polygons))
            return


def _paint_figure(scene: Scene, figure: Figure, stamp: Stamp) -> None:
    scene.paint(stamp, scene.contrasting(stamp, low=10.0, high=120.0))
    shades = {kind: np.array(colour) for kind, colour in _DOT_COLOURS.items()}
    for kind in shades:
        shades[kind] = np.clip(shades[kind] + scene.rng.uniform(-12.0, 12.0, 3), 0, 255)
    for name, dot in zip(scene.spec.keypoint_names, figure.dots(), strict=True):
        visible = clip_polygon(dot, scene.size)
        if len(visible) >= 3:
            colour = shades[name.split("_")[-1]].astype(np.float32)
            scene.paint(scene.stamp([visible]), colour, textured=False)


def _place_figure(scene: Scene, side: float) -> None:
    for _ in range(_ATTEMPTS):
        figure = random_figure(scene.rng).scaled_to(side)
        figure = figure.moved(_random_offset(scene.rng, figure.shape, scene.size))
        polygons = visible_polygons(figure.shape, scene.size)
        if polygons is None or scene.collides(polygons):
            continue
        stamp = scene.stamp(polygons)
        if scene.claim(stamp):
            _paint_figure(scene, figure, stamp)
            scene.objects.append(SceneObject("figure", polygons, figure.keypoints))
            return


def _crowd_region(rng: np.random.Generator, size: Size) -> Coords:
    side = 0.4 * min(size)
    region = rotated(ellipse_polygon(40, rng.uniform(0.5, 0.9)), rng.uniform(0, math.pi))
    shape = scaled_to((Part(region),), side)
    return shape[0].outer + _random_offset(rng, shape, size)


def _grid_in_region(rng: np.random.Generator, region: Coords, pitch: float) -> list[Coords]:
    """Jittered places on a grid whose cells lie inside a convex region."""
    x1, y1, x2, y2 = polygons_box([region])
    centre, places = region.mean(axis=0), []
    for y in np.arange(y1 + pitch / 2, y2, pitch):
        for x in np.arange(x1 + pitch / 2, x2, pitch):
            place = np.array([x, y])
            away = place - centre
            reach = place + away / max(np.hypot(*away), 1e-9) * 0.45 * pitch
            if _inside_convex(region, reach):
                places.append(place + rng.uniform(-0.12, 0.12, 2) * pitch)
    return places


def _inside_convex(polygon: Coords, point: Coords) -> bool:
    edge, away = np.roll(polygon, -1, axis=0) - polygon, point - polygon
    return bool((edge[:, 0] * away[:, 1] - edge[:, 1] * away[:, 0] >= 0).all())


def _place_crowd(scene: Scene) -> None:
    """Fill a region with tiny objects under one annotation."""
    rng = scene.rng
    region = _crowd_region(rng, scene.size)
    clipped = clip_polygon(region, scene.size)
    if len(clipped) < 3:
        return
    stamp = scene.stamp([clipped])
    if not scene.claim(stamp):
        return
    crowded = [name for name in scene.spec.categories if name in (*_CROWD_CATEGORIES, "figure")]
    category = str(rng.choice(crowded))
    pitch = 0.075 * min(scene.size)
    colour = scene.contrasting(stamp)
    for place in _grid_in_region(rng, region, pitch):
        figure = category == "figure"
        shape = random_figure(rng).shape if figure else random_shape(rng, category)
        tiny = map_shape(scaled_to(shape, 0.6 * pitch), lambda c, place=place: c + place)
        polygons = visible_polygons(tiny, scene.size, 0.2)
        if polygons is not None:
            shade = colour + rng.uniform(-20, 20, 3).astype(np.float32)
            scene.paint(scene.stamp(polygons), shade, textured=False)
    scene.objects.append(SceneObject(category, [clipped], crowd=True))


def image_rng(spec: ShapesSpec, index: int) -> np.random.Generator:
    """Return the generator of one image: the same whatever else is generated, and where."""
    split = {"train": 0, "val": 1}[spec.split]
    return np.random.default_rng(np.random.SeedSequence([spec.seed, split, index]))


def make_scene(spec: ShapesSpec, index: int) -> tuple[NDArray[np.uint8], list[SceneObject]]:
    """Draw image ``index`` of a data set.

    Convention: pixel (i, j) is the square ``[j, j + 1] x [i, i + 1]``; objects are in coords.

    Args:
        spec: the data set.
        index: the image's number, from 0.

    Returns:
        The (h, w, 3) RGB image and its objects, at least one.
    """
    rng = image_rng(spec, index)
    size = spec.sizes[int(rng.integers(len(spec.sizes)))]
    scene = Scene(spec, rng, background(rng, size))
    if rng.uniform() < spec.crowd_share:
        _place_crowd(scene)
    count = int(rng.integers(spec.objects[0], spec.objects[1] + 1))
    sides = sorted((random_side(rng, spec, size) for _ in range(count)), reverse=True)
    place = _place_figure if spec.has_keypoints else _place_shape
    for side in sides:  # the large ones first: later they would find no room
        place(scene, side)
    while all(thing.crowd for thing in scene.objects):  # something to find in every image
        place(scene, 0.15 * min(size))
    return scene.pixels(), scene.objects
