"""Box encoding and decoding: does one invert the other, and do widths have a + 1?

Contract: a pair ``(encode, decode)``, or an object with ``get_deltas`` and ``apply_deltas``:
    encode(source boxes, target boxes) -> (N, 4) deltas
    decode(deltas, source boxes) -> (N, 4) boxes
Boxes are (N, 4) XYXY, pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from d2align.audit.guard import Guarded, ProbeFailure
from d2align.audit.probes.naming import conclude
from d2align.audit.record import Finding

_NAMED_PX = 0.01
_EDGES = ("x1", "y1", "x2", "y2")

_WORDS = {
    "float": "width is x2 - x1 on both sides and decoding inverts encoding, as d2align",
    "detectron1": (
        "width is x2 - x1 + 1 on both sides, for inclusive indices; decoding inverts encoding. "
        "Fix: no + 1 with float boxes (d2align.geometry.get_deltas, apply_deltas)"
    ),
    "py_faster_rcnn": (
        "encodes with width x2 - x1 + 1 but forgets the - 1 when it decodes: x2 and y2 come back "
        "1 px too far. Fix: d2align.geometry.apply_deltas, or subtract 1"
    ),
    "invertible": "decoding inverts encoding; the deltas are not those of R-CNN",
    "unknown": (
        "decoding does not invert encoding: edges come back up to {error:.2f} px off "
        "(x1 {x1_px:+.2f}, y1 {y1_px:+.2f}, x2 {x2_px:+.2f}, y2 {y2_px:+.2f} on average), a width "
        "offset of {width_offset_px:+.2f}. Fix: d2align.geometry.get_deltas and apply_deltas"
    ),
}

# Of a pair that is unknown only because of its widths.
_OWN_WIDTH = (
    "decoding inverts encoding, but widths are x2 - x1 {width_offset_px:+.2f}: neither those of "
    "float boxes nor those of inclusive ones. Fix: d2align.geometry.get_deltas and apply_deltas"
)


def probe_box_pair(pair: Any, subject: str) -> Finding:
    """Measure an encoder and its decoder; see the contract above.

    Args:
        pair: the two functions.
        subject: their name.

    Returns:
        The finding; its error is that of the worst edge after a round trip, or the + 1.

    Raises:
        ProbeFailure: the functions cannot be measured.
    """
    encode, decode = _split(pair)
    sources, targets = _boxes()
    deltas = encode(sources, targets, shape=sources.shape)
    back = decode(deltas, sources, shape=sources.shape)
    away = back - targets
    offset = _width_offset(encode)
    trip = float(np.abs(away).max())
    mean = away.mean(axis=0)
    width_error = {"float": abs(offset), "detectron1": abs(offset - 1)}
    residuals = {
        "float": max(trip, width_error["float"]),
        "detectron1": max(trip, width_error["detectron1"]),
        "py_faster_rcnn": max(float(np.abs(away - [0, 0, 1, 1]).max()), width_error["detectron1"]),
    }
    if trip <= _NAMED_PX and not np.isfinite(offset):
        residuals = {"invertible": trip}
    residuals = {name: min(r, 1e6) for name, r in residuals.items()}
    error = max(trip, abs(offset) if np.isfinite(offset) else 0.0)
    parameters = {f"{edge}_px": float(m) for edge, m in zip(_EDGES, mean, strict=True)}
    parameters["width_offset_px"] = offset if np.isfinite(offset) else 0.0
    return conclude(
        "box_pair",
        subject,
        residuals,
        error,
        _WORDS | {"unknown": _OWN_WIDTH} if trip <= _NAMED_PX else _WORDS,
        tolerance=_NAMED_PX,
        parameters=parameters,
        evidence={"targets": targets[:4].tolist(), "round_trip": back[:4].tolist()},
    )


def _split(pair: Any) -> tuple[Guarded, Guarded]:
    if isinstance(pair, tuple | list) and len(pair) == 2 and all(callable(f) for f in pair):
        encode, decode = pair
    elif hasattr(pair, "get_deltas") and hasattr(pair, "apply_deltas"):
        encode, decode = pair.get_deltas, pair.apply_deltas
    else:
        raise ProbeFailure(
            f"got {type(pair).__name__}, expected (encode, decode), or an object with get_deltas "
            "and apply_deltas"
        )
    return Guarded(encode, "the encoder"), Guarded(decode, "the decoder")


def _boxes() -> tuple[np.ndarray, np.ndarray]:
    """Sources and targets that overlap, so that no clamp of the deltas acts."""
    rng = np.random.default_rng(0)
    low = rng.uniform(20, 200, (40, 2))
    sources = np.concatenate([low, low + rng.uniform(10, 120, (40, 2))], axis=1)
    targets = sources + rng.uniform(-4, 4, (40, 4))
    return sources, targets


def _width_offset(encode: Guarded) -> float:
    """The p in log((w_target + p) / (w_source + p)); NaN if the deltas are no such logarithms.

    The ratio of two of them does not depend on the weight of the deltas.
    """
    sides = np.array([[8.0, 15.0], [30.0, 70.0], [6.0, 60.0]])
    boxes = [np.array([[50, 50, 50 + s, 50 + s] for s in sides[:, k]]) for k in (0, 1)]
    deltas = encode(boxes[0], boxes[1], shape=(3, 4))[:, 2]
    if np.abs(deltas).min() < 1e-9:
        return float("nan")
    offsets = np.linspace(-3, 5, 8001)
    with np.errstate(all="ignore"):
        logs = np.log((sides[:, 1, None] + offsets) / (sides[:, 0, None] + offsets))
    wrong = np.abs(logs[1] / logs[0] - deltas[1] / deltas[0])
    wrong += np.abs(logs[2] / logs[0] - deltas[2] / deltas[0])
    best = int(np.argmin(wrong))
    return float(offsets[best]) if wrong[best] < 2e-3 else float("nan")
