"""A transform of several things at once: do image, mask, boxes, polygons and keypoints agree?

Contract: a TransformSet, or a dict of its fields:
    image, mask           fn(array) -> array; (H, W) in, any size out; masks are 0 and 1
    boxes                 fn((N, 4) XYXY, (h, w)) -> (N, 4)
    polygons, keypoints   fn((N, 2) x y, (h, w)) -> (N, 2)

The image is the truth: soft discs show the map that it undergoes (a flip, a resize, a rotation, a
crop, ...), and everything else is measured against that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.blobs import apply_affine, centre_of, disc, fit_affine, round_mask
from d2align.audit.record import Finding

SIZE = (84, 96)
# Masks are followed to a pixel only: it takes many, and of several sizes, to be exact.
_RADIUS, _MASKS = 6.5, 64
# Off the image's own map by more than this, pixels of the result, a field disagrees. The best of
# nearest masks are off by 0.25 if they grow by 1.5.
_AGREES_PX, _MASK_AGREES_PX = 0.03, 0.3
_SMOOTH_PX = 0.2
# What makes coordinates of a field's numbers, for each way to read them.
_POINT_READINGS = {"coordinates": np.zeros(2), "indices": np.full(2, 0.5)}
_BOX_READINGS = {
    "coordinates": np.zeros(4),
    "inclusive indices": np.array([0.0, 0.0, 1.0, 1.0]),
    "indices of corners": np.full(4, 0.5),
}


@dataclass(frozen=True)
class TransformSet:
    """The functions by which one transform moves each thing; None for what it does not move."""

    image: Callable[..., Any] | None = None
    mask: Callable[..., Any] | None = None
    boxes: Callable[..., Any] | None = None
    polygons: Callable[..., Any] | None = None
    keypoints: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Drift:
    """How far a field lies from where the image went, for every way to read its numbers."""

    field: str
    readings: Mapping[str, float]
    limit_px: float

    @property
    def coords_px(self) -> float:
        """How far it is off, read as coordinates."""
        return self.readings["coordinates"]

    @property
    def reading(self) -> str:
        """Under which reading it agrees with the image: coordinates, if they do."""
        fit = [name for name, away in self.readings.items() if away <= self.limit_px]
        return fit[0] if fit else "neither"


def probe_transform(given: Any, subject: str) -> Finding:
    """Measure a set of functions; see the contract above.

    Args:
        given: the set.
        subject: its name.

    Returns:
        The finding; its error is the largest drift against the image, pixels of the result.

    Raises:
        ProbeFailure: the functions cannot be measured.
    """
    functions = _functions(given)
    truth = "image" if "image" in functions else "mask"
    matrix, scatter = _map_of(functions[truth], truth)
    drifts = [_drift(name, fn, matrix) for name, fn in functions.items() if name != truth]
    parameters: dict[str, Any] = {f"{d.field}_px": d.coords_px for d in drifts}
    parameters |= {f"{d.field}_reading": d.reading for d in drifts}
    name = _name(drifts) if scatter <= _SMOOTH_PX else "unknown"
    status = {"agree": "aligned", "unknown": "unknown"}.get(name, "deviates")
    return Finding(
        kind="transform",
        subject=subject,
        convention=name,
        status=status,
        sentence=_bent(truth, scatter) if name == "unknown" else _sentence(drifts, truth),
        error_px=0.0 if name == "agree" else max(d.coords_px for d in drifts),
        residual_px=scatter,
        parameters=parameters,
        evidence={"map": matrix.tolist()},
    )


def _functions(given: Any) -> dict[str, Guarded]:
    names = [f.name for f in fields(TransformSet)]
    if isinstance(given, TransformSet):
        given = {name: getattr(given, name) for name in names}
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        raise ProbeFailure(f"expected a TransformSet, or a dict with some of {names}")
    found = {
        n: Guarded(given[n], f"its function of {n}") for n in names if given.get(n) is not None
    }
    if len(found) < 2 or not {"image", "mask"} & set(found):
        raise ProbeFailure("expected an image or a mask, and something to compare with it")
    return found


def _places(count: int = 16) -> np.ndarray:
    """Places in the middle of the image, spread evenly, at all sub-pixel offsets alike."""
    i = np.arange(count) + 0.5
    return np.stack([32 + 32 * (i * 0.7548777 % 1), 28 + 28 * (i * 0.5698403 % 1)], axis=1)


def _map_of(fn: Guarded, field: str) -> tuple[np.ndarray, float]:
    """The affine map that an image or mask undergoes, and what it leaves unexplained."""
    before, after = [], []
    places = _places() if field == "image" else _places(_MASKS)
    for i, place in enumerate(places):
        radius = _RADIUS + i % 5 * 0.7
        image = disc(SIZE, place) if field == "image" else round_mask(SIZE, place, radius)
        start, end = centre_of(image), centre_of(fn(image, shape=(None, None)))
        if start is not None and end is not None:
            before.append(start)
            after.append(end)
    if len(before) < 6:
        raise ProbeFailure(f"{fn.name} moves the middle of the image out of sight, or cuts it off")
    return fit_affine(np.array(before), np.array(after))


def _drift(field: str, fn: Guarded, matrix: np.ndarray) -> Drift:
    if field == "mask":
        own, _ = _map_of(fn, field)
        away = apply_affine(own, _places()) - apply_affine(matrix, _places())
        mean = float(np.abs(away.mean(axis=0)).max())
        return Drift(field, {"coordinates": mean}, _MASK_AGREES_PX)
    given = _boxes() if field == "boxes" else _places()
    moved = fn(given, SIZE, shape=given.shape)
    expect, shifts = apply_affine, _POINT_READINGS
    if field == "boxes":
        expect, shifts = _moved_boxes, _BOX_READINGS
    readings = {
        name: float(np.abs(moved + shift - expect(matrix, given + shift)).max())
        for name, shift in shifts.items()
    }
    return Drift(field, readings, _AGREES_PX)


def _boxes() -> np.ndarray:
    places = _places()
    i = np.arange(len(places))[:, None]
    return np.concatenate([places - 5.3 - i * 0.11, places + 6.1 + i * 0.17], axis=1)


def _moved_boxes(matrix: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The boxes around the four moved corners."""
    x1, y1, x2, y2 = boxes.T
    corners = np.stack([(x1, y1), (x2, y1), (x2, y2), (x1, y2)]).transpose(2, 0, 1)
    moved = apply_affine(matrix, corners.reshape(-1, 2)).reshape(corners.shape)
    return np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1)


def _name(drifts: list[Drift]) -> str:
    readings = {d.reading for d in drifts}
    if readings == {"coordinates"}:
        return "agree"
    if "neither" in readings:
        return "disagree"
    as_coordinates = {d.field for d in drifts if d.reading == "coordinates"} - {"mask"}
    return "mixed" if as_coordinates else "indices"


def _sentence(drifts: list[Drift], truth: str) -> str:
    worst_first = sorted(drifts, key=lambda d: -d.coords_px)
    notes = [_of_field(d, truth) for d in worst_first if d.reading != "coordinates"]
    agree = [d.field for d in worst_first if d.reading == "coordinates"]
    if agree:
        notes.append(f"in agreement with the {truth}: {', '.join(agree)}")
    return " ".join(f"{note[0].upper()}{note[1:]}." for note in notes)


def _of_field(d: Drift, truth: str) -> str:
    off = f"{d.coords_px:.2f} px off the {truth}"
    if d.reading != "neither":
        return (
            f"{d.field} move as {d.reading}: as coordinates they are {off}. Fix: x -> W - x for a "
            "flip and x * scale for a resize; or, if yours are indices, keep it and convert on "
            "loading"
        )
    if d.field == "mask":
        return (
            f"the mask lies {off}. Fix: resample both on one grid (nearest-exact, or linear and "
            "keep what is at least 0.5)"
        )
    return f"{d.field} lie up to {off}, whatever they are read as. Fix: move them by its own map"


def _bent(truth: str, scatter: float) -> str:
    return (
        f"The {truth} does not move by an affine map ({scatter:.2f} px off the nearest): what "
        "goes with it cannot be compared."
    )
