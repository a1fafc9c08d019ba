"""From evidence to a verdict: one convention left, several left open, or none that fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from d2align.audit.dataset_borders import (
    REJECT_BELOW,
    SPANS,
    begin_name,
    beyond_errors,
    end_name,
)
from d2align.audit.dataset_extents import Relation
from d2align.audit.dataset_symmetry import Shift
from d2align.audit.dataset_words import MEANINGS, POINT_SHIFT
from d2align.audit.record import Finding, status_of

_SPAN_OF = {(span.low, span.high): span.name for span in SPANS}
_LIMITS = {span.name: (span.low, span.high) for span in SPANS}


@dataclass(frozen=True)
class Evidence:
    """What is known of one field of a data set.

    Attributes:
        what: "boxes", "polygons" or "keypoints".
        p: for each span, how probable what was seen is under it; a span left out is impossible.
        supported: the spans that something speaks for, apart from what speaks against others.
        count: how many there are.
        seen: numbers to be told, by name.
    """

    what: str
    p: Mapping[str, float]
    supported: frozenset[str]
    count: int
    seen: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> list[str]:
        """The spans not given up, the most probable first."""
        left = [name for name, p in self.p.items() if p >= REJECT_BELOW]
        return sorted(left, key=lambda name: -self.p[name])

    def limited(
        self, p: Mapping[str, float], supported: Iterable[str] = (), **seen: Any
    ) -> Evidence:
        """The same with more evidence: each span is at most as probable as ``p`` says."""
        both = {name: min(value, p[name]) for name, value in self.p.items() if name in p}
        support = self.supported | set(supported)
        return replace(self, p=both, supported=support, seen={**self.seen, **seen})

    def decided(self) -> str | None:
        """The span left; of several that need one and the same fix, the more general."""
        left = self.open()
        fixes = {MEANINGS[self.what][name].fix for name in left}
        if len(fixes) != 1 or not self.supported & set(left):
            return None
        return "centres" if "centres" in left else left[0]


def reconcile(boxes: Evidence, polygons: Evidence, relation: Relation) -> tuple[Evidence, Evidence]:
    """Let boxes and polygons testify for each other where their relation is known.

    Args:
        boxes: evidence from image borders.
        polygons: evidence from image borders.
        relation: how the boxes lie to the polygons.

    Returns:
        Both, with what the other adds; unchanged if they contradict each other.
    """
    if relation.name not in ("same", "offset"):
        return boxes, polygons
    joint = {}
    for box, p in boxes.p.items():
        low, high = _LIMITS[box]
        polygon = _SPAN_OF.get((low - relation.low, high - relation.high))
        if polygon is not None and polygon in polygons.p:
            joint[box, polygon] = min(p, polygons.p[polygon])
    if max(joint.values(), default=0.0) < REJECT_BELOW:
        return boxes, polygons
    both = [pair for pair in joint if pair[0] in boxes.supported or pair[1] in polygons.supported]
    return (
        boxes.limited({box: p for (box, _), p in joint.items()}, {box for box, _ in both}),
        polygons.limited({poly: p for (_, poly), p in joint.items()}, {poly for _, poly in both}),
    )


def through_centres(polygons: Evidence, pixels: int, enclosed: int) -> Evidence:
    """Give up the spans of outlines along pixel edges if areas show that they are not.

    Args:
        polygons: the evidence so far.
        pixels: outlines whose area is their number of pixels.
        enclosed: outlines whose area is the enclosed one.

    Returns:
        The evidence with both counts.
    """
    seen = {"areas_of_pixels": pixels, "areas_enclosed": enclosed}
    if pixels < 10 or pixels < 10 * enclosed:
        return polygons.limited(polygons.p, **(seen if pixels + enclosed else {}))
    p = {name: 0.0 if name in ("corners", "centres") else v for name, v in polygons.p.items()}
    return polygons.limited(p, **seen)


def against_outlines(keypoints: Evidence, outlines: Evidence, shift: Shift | None) -> Evidence:
    """Weigh the spans of keypoints by how far they lie off the middle of their outlines.

    Args:
        keypoints: the evidence so far.
        outlines: of the polygons or boxes around them; they must be decided to be of use.
        shift: the distance found.

    Returns:
        The evidence with the shift.
    """
    span = outlines.decided()
    if shift is None or span is None:
        return keypoints
    p = {
        name: beyond_errors(shift.pixels, POINT_SHIFT[name] - POINT_SHIFT[span], shift.error)
        for name in keypoints.p
    }
    # A shift that fits speaks for a span by itself.
    return keypoints.limited(p, p, shift_px=shift.pixels, shift_error_px=shift.error)


def of_masks(relation: Relation) -> Evidence:
    """Return what RLE masks, whose pixel edges are known, tell of their boxes.

    Args:
        relation: how the boxes lie to the masks' pixel edges.

    Returns:
        The evidence: one span for a known offset, none for an unknown one, all if undecided.
    """
    seen = {"share": relation.share, "low_px": relation.low, "high_px": relation.high}
    if relation.name == "undecided":
        p = dict.fromkeys(_LIMITS, 1.0)
        return Evidence("boxes", p, frozenset(), relation.count, seen)
    known = _SPAN_OF.get((relation.low, relation.high))
    exact = relation.name in ("same", "offset") and known is not None
    p = {name: 1.0 if exact and name == known else 0.0 for name in _LIMITS}
    return Evidence("boxes", p, frozenset(p), relation.count, seen)


def verdict_finding(kind: str, evidence: Evidence) -> Finding:
    """Return the finding about one field.

    Args:
        kind: what the finding is about, such as "dataset boxes".
        evidence: all there is.

    Returns:
        A convention with its error in pixels, "undecided" with those left open, or "none".
    """
    left, seen = evidence.open(), {"count": evidence.count, **evidence.seen}
    span = evidence.decided()
    if span is None:
        names = sorted({MEANINGS[evidence.what][name].convention for name in left})
        return _not_settled(kind, names, len(left) == len(evidence.p), seen)
    meaning = MEANINGS[evidence.what][span]
    others = [p for name, p in evidence.p.items() if name not in left]
    seen["confidence"] = 1 - max(others, default=0.0)
    says = f"{meaning.says}{_support(evidence, span)}."
    return Finding(
        kind=kind,
        subject="data set",
        convention=meaning.convention,
        status=status_of(meaning.error_px),
        sentence=f"{says} Fix: {meaning.fix}." if meaning.fix else says,
        error_px=meaning.error_px,
        residual_px=0.0,
        parameters=seen,
    )


def _not_settled(kind: str, names: list[str], every: bool, seen: dict[str, Any]) -> Finding:
    if every:
        text = "Nothing here tells their convention: too few of them"
    elif len(names) == 1:
        text = f"Nothing speaks against {names[0]}, but too little for it"
    elif names:
        text = f"Too little evidence to tell {' from '.join(names)}"
    else:
        text = "They obey no known convention, or a mixture; the counts tell more"
    return Finding(
        kind=kind,
        subject="data set",
        convention="undecided" if names else "none",
        status="unknown",
        sentence=f"{text}.",
        residual_px=0.0 if names else 1.0,
        parameters={**seen, "open": names},
    )


def _support(evidence: Evidence, span: str) -> str:
    """How many of the objects at the image border end where the convention says."""
    # Keypoints have no border to pile up at.
    counts = evidence.seen.get("at_borders", {}) if evidence.what != "keypoints" else {}
    low, high = _LIMITS[span]
    wanted = {begin_name(low), end_name(high)}
    supporting = sum(count for name, count in counts.items() if name in wanted)
    total = sum(counts.values())
    return f" ({supporting} of the {total} at the image border)" if supporting else ""
