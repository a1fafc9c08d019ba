"""A COCO-format file as arrays; a broken entry is named."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Name = Callable[[int], str]
_LARGEST = 1e15  # beyond, a float has no halves


@dataclass(frozen=True)
class CocoArrays:
    """What a COCO-format file holds, as it is written there; N annotations.

    Attributes:
        sizes: (N, 2) width and height of each annotation's image.
        boxes: (N, 4) XYWH; NaN where an annotation has none, or one of no extent.
        areas: (N,) the `area` field; NaN where there is none.
        points: (P, 2) the vertices of all polygons.
        polygon_starts: (G,) where in `points` each polygon starts.
        polygon_owners: (G,) the annotation of each polygon.
        keypoints: (K, 2) the labelled keypoints.
        keypoint_owners: (K,) the annotation of each keypoint.
        mask_edges: (M, 4) XYXY, the pixel edges around each RLE mask.
        mask_owners: (M,) the annotation of each RLE mask.
    """

    sizes: Floats
    boxes: Floats
    areas: Floats
    points: Floats
    polygon_starts: Ints
    polygon_owners: Ints
    keypoints: Floats
    keypoint_owners: Ints
    mask_edges: Floats
    mask_owners: Ints

    def polygon_extents(self) -> tuple[Floats, Ints]:
        """Return XYXY around all polygons of each annotation that has some, and its index."""
        if len(self.polygon_owners) == 0:
            return np.zeros((0, 4)), np.zeros(0, np.int64)
        first = np.flatnonzero(np.diff(self.polygon_owners, prepend=-1))
        starts = self.polygon_starts[first]
        low = np.minimum.reduceat(self.points, starts)
        high = np.maximum.reduceat(self.points, starts)
        return np.concatenate([low, high], axis=1), self.polygon_owners[first]


def read_coco(source: str | Path | Mapping[str, Any]) -> CocoArrays:
    """Read a COCO-format data set.

    Args:
        source: the json file, or its content.

    Returns:
        Its arrays.

    Raises:
        ValueError: no such file, not JSON, or a broken entry, which the message names.
    """
    data = source if isinstance(source, Mapping) else _load(Path(source))
    for key in ("images", "annotations"):
        if not isinstance(data.get(key), list):
            raise ValueError(f"{key}: got {_short(data.get(key))}, expected a list")
    annotations = data["annotations"]
    for i, a in enumerate(annotations):
        if not isinstance(a, Mapping):
            raise ValueError(f"annotations[{i}]: got {_short(a)}, expected a dict")
    sizes = _image_sizes(data["images"], annotations)

    def name(field: str) -> Name:
        return lambda i: f"annotations[{i}] (id {annotations[i].get('id')}): {field}"

    return CocoArrays(
        sizes,
        _boxes(annotations, name("bbox")),
        _areas(annotations, name("area")),
        *_polygons(annotations, name("segmentation")),
        *_keypoints(annotations, name("keypoints")),
        *_mask_edges(annotations, sizes, name("segmentation")),
    )


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ValueError(f"dataset: got {str(path)!r} (no such file), expected a COCO-format json")
    try:
        data = json.loads(path.read_bytes())
    except ValueError as e:
        raise ValueError(f"dataset: {str(path)!r} is not JSON: {e}") from e
    if not isinstance(data, Mapping):
        hint = " (a results file has no images to measure by)" if isinstance(data, list) else ""
        raise ValueError(
            f"dataset: got a {type(data).__name__}{hint}, expected a dict of images and annotations"
        )
    return data


def _image_sizes(images: Sequence[Any], annotations: Sequence[Mapping[str, Any]]) -> Floats:
    sizes: dict[Any, tuple[float, float]] = {}
    for i, image in enumerate(images):
        if not isinstance(image, Mapping) or not isinstance(image.get("id"), int | str):
            raise ValueError(f"images[{i}]: got {_short(image)}, expected a dict with an id")
        size: Any = (image.get("width"), image.get("height"))
        if not all(_is_number(side) and side >= 1 for side in size):
            raise ValueError(
                f"images[{i}] (id {image['id']}): got width, height {size}, expected pixels"
            )
        if sizes.get(image["id"], size) != size:
            raise ValueError(f"images[{i}]: got id {image['id']} again, of another size")
        sizes[image["id"]] = size
    for i, a in enumerate(annotations):
        image_id = a.get("image_id")
        if not isinstance(image_id, int | str) or image_id not in sizes:
            raise ValueError(
                f"annotations[{i}] (id {a.get('id')}): got image_id {a.get('image_id')!r},"
                " expected the id of an image"
            )
    rows = [sizes[a["image_id"]] for a in annotations]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _boxes(annotations: Sequence[Mapping[str, Any]], name: Name) -> Floats:
    having = [i for i, a in enumerate(annotations) if a.get("bbox")]
    rows = [annotations[i]["bbox"] for i in having]
    for i, row in zip(having, rows, strict=True):
        if not isinstance(row, list | tuple) or len(row) != 4:
            raise ValueError(f"{name(i)}: got {_short(row)}, expected 4 numbers x, y, w, h")
    found = _flat_numbers(rows, having, name).reshape(-1, 4)
    negative = np.flatnonzero((found[:, 2:] < 0).any(axis=1))
    if len(negative):
        i = having[negative[0]]
        raise ValueError(f"{name(i)}: got {annotations[i]['bbox']}, expected w and h from 0 up")
    boxes = np.full((len(annotations), 4), np.nan)
    boxes[having] = found
    boxes[(boxes[:, 2:] == 0).any(axis=1)] = np.nan
    return boxes


def _areas(annotations: Sequence[Mapping[str, Any]], name: Name) -> Floats:
    having = [i for i, a in enumerate(annotations) if a.get("area") is not None]
    areas = np.full(len(annotations), np.nan)
    areas[having] = _flat_numbers([[annotations[i]["area"]] for i in having], having, name)
    return areas


def _polygons(annotations: Sequence[Mapping[str, Any]], name: Name) -> tuple[Floats, Ints, Ints]:
    """Vertices, starts and owners; outlines of fewer than three vertices are left out."""
    polygons: list[Sequence[Any]] = []
    owners: list[int] = []
    for i, a in enumerate(annotations):
        parts = a.get("segmentation")
        if not parts or isinstance(parts, Mapping):
            continue
        if not isinstance(parts, list):
            raise ValueError(f"{name(i)}: got {_short(parts)}, expected polygons or an RLE")
        for part in parts:
            if not isinstance(part, list) or len(part) % 2:
                raise ValueError(
                    f"{name(i)}: got {_short(part)}, expected each polygon as a list of x, y pairs"
                )
            if len(part) >= 6:
                polygons.append(part)
                owners.append(i)
    points = _flat_numbers(polygons, owners, name).reshape(-1, 2)
    lengths = np.array([len(p) // 2 for p in polygons], dtype=np.int64)
    return points, np.cumsum(lengths) - lengths, np.array(owners, dtype=np.int64)


def _keypoints(annotations: Sequence[Mapping[str, Any]], name: Name) -> tuple[Floats, Ints]:
    having = [i for i, a in enumerate(annotations) if a.get("keypoints")]
    rows = [annotations[i]["keypoints"] for i in having]
    for i, row in zip(having, rows, strict=True):
        if not isinstance(row, list) or len(row) % 3:
            raise ValueError(f"{name(i)}: got {_short(row)}, expected triplets x, y, visibility")
    triplets = _flat_numbers(rows, having, name).reshape(-1, 3)
    owners = np.repeat(np.array(having, dtype=np.int64), [len(r) // 3 for r in rows])
    labelled = triplets[:, 2] > 0
    return triplets[labelled, :2], owners[labelled]


def _mask_edges(
    annotations: Sequence[Mapping[str, Any]], sizes: Floats, name: Name
) -> tuple[Floats, Ints]:
    edges: list[list[float]] = []
    owners: list[int] = []
    for i, a in enumerate(annotations):
        rle = a.get("segmentation")
        if not rle or not isinstance(rle, Mapping):
            continue
        width, height = (int(side) for side in sizes[i])
        got = rle.get("size")
        if not isinstance(got, list | tuple) or list(got) != [height, width]:
            raise ValueError(f"{name(i)}: got an RLE of size {got}, expected [{height}, {width}]")
        x, y, w, h = _rle_box(rle, name(i))
        if w > 0 and h > 0:
            edges.append([x, y, x + w, y + h])
            owners.append(i)
    return np.array(edges, dtype=np.float64).reshape(-1, 4), np.array(owners, dtype=np.int64)


def _rle_box(rle: Mapping[str, Any], name: str) -> tuple[float, ...]:
    """XYWH around an RLE mask in whole pixels."""
    from pycocotools import mask as mask_util

    height, width = rle["size"]
    counts = rle.get("counts")
    if isinstance(counts, list):
        whole = all(isinstance(c, int) and c >= 0 for c in counts)
        if not whole or sum(counts) != height * width:
            raise ValueError(f"{name}: got RLE counts {_short(counts)}, expected all pixels once")
        rle = mask_util.frPyObjects(dict(rle), height, width)
    elif not isinstance(counts, str | bytes):
        raise ValueError(f"{name}: got RLE counts {_short(counts)}, expected a list or a string")
    x, y, w, h = (float(v) for v in mask_util.toBbox(dict(rle)))
    if not (0 <= x <= x + w <= width and 0 <= y <= y + h <= height):
        raise ValueError(f"{name}: got an RLE that does not decode within {rle['size']}")
    return x, y, w, h


def _flat_numbers(rows: Sequence[Sequence[Any]], owners: Sequence[int], name: Name) -> Floats:
    """All numbers of all rows in one array; refuses text, null, NaN and infinity."""
    try:
        flat = np.array(list(chain.from_iterable(rows)))
        if flat.ndim == 1 and flat.dtype.kind in "iuf" and np.isfinite(flat).all():
            return flat.astype(np.float64)
    except ValueError:
        pass
    for owner, row in zip(owners, rows, strict=True):
        for value in row:
            if not _is_number(value):
                raise ValueError(f"{name(owner)}: got {_short(value)}, expected finite numbers")
    return np.zeros(0)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and type(value) is not bool
    return number and -_LARGEST < value < _LARGEST


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
