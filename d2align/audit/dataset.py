"""Does a COCO-format data set hold indices or coordinates, inclusive or exclusive boxes?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from d2align.audit.dataset_borders import (
    count_borders,
    doubts,
    piled_up,
    reached,
    touching,
)
from d2align.audit.dataset_extents import (
    Relation,
    box_edges,
    outline_votes,
    relate_masks,
    relate_polygons,
)
from d2align.audit.dataset_read import CocoArrays, Floats, read_coco
from d2align.audit.dataset_symmetry import shift_in_boxes, shift_in_polygons
from d2align.audit.dataset_verdict import (
    Evidence,
    against_outlines,
    of_masks,
    reconcile,
    through_centres,
    verdict_finding,
)
from d2align.audit.record import Finding, status_of


def audit_dataset(source: str | Path | Mapping[str, Any]) -> list[Finding]:
    """Return the pixel conventions that a COCO-format data set obeys.

    The evidence: where objects end that the image border cuts off, how boxes lie to the outlines
    of the same objects, whether areas count pixels, and whether keypoints lie in the middle of
    their outlines. What it does not settle is "undecided", with the conventions left open.

    Args:
        source: the json file, or its content.

    Returns:
        Findings about the boxes, polygons and keypoints, and how boxes lie to polygons, for what
        the file has; ``error_px`` is how far the data is off d2align's convention.

    Raises:
        ValueError: no such file, not JSON, or a broken entry, which the message names.
    """
    arrays = read_coco(source)
    relation = relate_polygons(arrays)
    boxes, polygons = reconcile(
        _border_evidence("boxes", *_drawn_boxes(arrays)),
        through_centres(_border_evidence("polygons", *_outlines(arrays)), *outline_votes(arrays)),
        relation,
    )
    points = np.concatenate([arrays.keypoints, arrays.keypoints], axis=1)
    keypoints = _border_evidence("keypoints", points, arrays.sizes[arrays.keypoint_owners])
    if polygons.count:
        keypoints = against_outlines(keypoints, polygons, shift_in_polygons(arrays))
    else:
        keypoints = against_outlines(keypoints, boxes, shift_in_boxes(arrays))
    fields = [e for e in (boxes, polygons, keypoints) if e.count]
    if relation.name == "rounded_corner":
        fields.remove(boxes)  # said by the relation; their right edges pile up nowhere
    findings = [verdict_finding(f"dataset {e.what}", e) for e in fields]
    if relation.name != "undecided":
        findings.insert(0, _relation_finding(relation))
    if len(arrays.mask_owners):
        findings.append(verdict_finding("dataset mask boxes", of_masks(relate_masks(arrays))))
    if not findings:
        raise ValueError("annotations: got none with a box, a polygon or keypoints")
    if isinstance(source, Mapping):
        return findings
    return [replace(f, subject=Path(source).name) for f in findings]


def _border_evidence(what: str, extents: Floats, sizes: Floats) -> Evidence:
    """What the image borders tell of XYXY extents, x and y alike."""
    low, high = extents[:, :2].ravel(), extents[:, 2:].ravel()
    borders = count_borders(low, high, sizes.ravel())
    seen: dict[str, Any] = {"at_borders": touching(borders)}
    if len(low):
        seen["whole_numbers"] = float((np.concatenate([low, high]) % 1 == 0).mean())
    supported = reached(borders) if what == "keypoints" else piled_up(borders)
    return Evidence(what, doubts(borders), supported, len(extents), seen)


def _drawn_boxes(arrays: CocoArrays) -> tuple[Floats, Floats]:
    """The boxes of annotations without an RLE mask (whose boxes are judged by it), each once."""
    drawn = ~np.isnan(arrays.boxes[:, 0])
    drawn[arrays.mask_owners] = False
    rows = np.concatenate([box_edges(arrays), arrays.sizes], axis=1)[drawn]
    rows = np.unique(rows, axis=0)
    return rows[:, :4], rows[:, 4:]


def _outlines(arrays: CocoArrays) -> tuple[Floats, Floats]:
    extents, owners = arrays.polygon_extents()
    rows = np.unique(np.concatenate([extents, arrays.sizes[owners]], axis=1), axis=0)
    return rows[:, :4], rows[:, 4:]


_RELATIONS = {
    "same": "Boxes are the extents of the polygons",
    "rounded_corner": "x and y are rounded, w and h are not: boxes are shifted by up to half a"
    " pixel. Fix: take x and y from the polygons",
    "rounded": "Boxes are the polygons' extents in whole numbers: edges are up to a pixel off."
    " Fix: take the boxes from the polygons",
    "unrelated": "Boxes were drawn apart from the polygons",
}


def _relation_finding(relation: Relation) -> Finding:
    """The finding about how boxes lie to polygons."""
    error = max(abs(relation.low), abs(relation.high))
    says = _RELATIONS.get(
        relation.name,
        f"Box edges lie {relation.low:+g} px (left, top) and {relation.high:+g} px (right, bottom)"
        " from the polygons' extents. Fix: the field that the findings above and below put wrong,"
        " or + 0.5 on the polygons of contours, whose boxes count pixels",
    )
    known = relation.name != "unrelated"
    return Finding(
        kind="dataset boxes against polygons",
        subject="data set",
        convention=relation.name,
        status=status_of(error) if known else "unknown",
        sentence=f"{says}.",
        error_px=error if known else None,
        residual_px=0.0 if known else error,
        parameters={
            "share": relation.share,
            "count": relation.count,
            "low_px": relation.low,
            "high_px": relation.high,
        },
    )
