"""The probes of boxes, flips and anchors: both conventions, the 2015 bug, and what is neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import contracts
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2align import geometry as g
from d2align.audit import audit_function

numbers = st.floats(-1.4, 1.4)


@pytest.mark.parametrize(
    ("pair", "convention", "error"),
    [
        ((g.get_deltas, g.apply_deltas), "float", 0),
        ((g.get_deltas_detectron1, g.apply_deltas_detectron1), "detectron1", 1),
        ((g.get_deltas_py_faster_rcnn, g.apply_deltas_py_faster_rcnn), "py_faster_rcnn", 1),
        ((lambda src, dst: dst - src, lambda deltas, src: src + deltas), "invertible", 0),
    ],
)
def test_box_pairs(pair: Any, convention: str, error: float) -> None:
    finding = audit_function(pair, "box_pair")
    assert finding.convention == convention
    assert finding.error_px == pytest.approx(error, abs=1e-6)


def test_the_edges_of_the_2015_bug() -> None:
    """x1 and y1 come back where they were, x2 and y2 one pixel farther."""
    pair = (g.get_deltas_py_faster_rcnn, g.apply_deltas_py_faster_rcnn)
    found = audit_function(pair, "box_pair").parameters
    edges = [found[f"{edge}_px"] for edge in ("x1", "y1", "x2", "y2")]
    np.testing.assert_allclose(edges, [0, 0, 1, 1], atol=1e-6)


def test_box_pairs_do_not_depend_on_weights() -> None:
    weights = (10.0, 10.0, 5.0, 5.0)
    pair = (
        lambda src, dst: g.get_deltas_detectron1(src, dst, weights),
        lambda deltas, src: g.apply_deltas_detectron1(deltas, src, weights),
    )
    assert audit_function(pair, "box_pair").convention == "detectron1"


@settings(max_examples=10)
@given(st.floats(0.05, 3))
def test_a_pair_that_is_not_inverse_is_measured(shift: float) -> None:
    pair = (g.get_deltas, lambda deltas, src: g.apply_deltas(deltas, src) + [0, 0, shift, 0])
    finding = audit_function(pair, "box_pair")
    assert finding.convention == "unknown"
    assert finding.error_px == pytest.approx(shift, abs=1e-4)


def test_a_pair_that_is_inverse_with_widths_of_its_own() -> None:
    grow = np.array([0, 0, 0.5, 0.5])
    pair = (
        lambda src, dst: g.get_deltas(src + grow, dst + grow),
        lambda deltas, src: g.apply_deltas(deltas, src + grow) - grow,
    )
    finding = audit_function(pair, "box_pair")
    assert (finding.convention, finding.error_px) == ("unknown", 0.5)
    assert finding.sentence.startswith("Decoding inverts encoding, but widths are x2 - x1 +0.50")


def area(offset: float) -> Callable[..., Any]:
    return lambda boxes: (boxes[:, 2:] - boxes[:, :2] + offset).prod(axis=1)


@settings(max_examples=20)
@given(numbers)
def test_width_offsets_of_areas_are_measured(offset: float) -> None:
    finding = audit_function(area(offset), "box_area")
    assert finding.parameters["width_offset_px"] == pytest.approx(offset, abs=2e-3)
    near = {"float": 0.0, "detectron1": 1.0}.get(finding.convention)
    assert near is None or abs(near - offset) < 0.012


@pytest.mark.parametrize(
    ("kind", "ours", "theirs"),
    [
        ("box_area", g.box_areas, g.box_areas_detectron1),
        ("box_iou", g.box_iou, g.box_iou_detectron1),
    ],
)
def test_areas_and_overlaps(kind: str, ours: Any, theirs: Any) -> None:
    assert audit_function(ours, kind).convention == "float"
    finding = audit_function(theirs, kind)
    assert (finding.convention, finding.error_px) == ("detectron1", 1.0)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("at_threshold", [False, True])
def test_nms(inclusive: bool, at_threshold: bool) -> None:
    def suppress(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
        iou = (g.box_iou_detectron1 if inclusive else g.box_iou)(boxes, boxes)
        kept: list[int] = []
        for i in np.argsort(-scores):
            over = [iou[i, j] >= threshold if at_threshold else iou[i, j] > threshold for j in kept]
            if not any(over):
                kept.append(int(i))
        return kept

    finding = audit_function(suppress, "nms")
    assert finding.convention == ("detectron1" if inclusive else "float")
    assert finding.parameters["at_threshold"].startswith("removed" if at_threshold else "kept")


@settings(max_examples=20)
@given(st.sampled_from((0, 1)), st.floats(-3, 3).map(lambda v: round(v, 2)))
def test_flips_of_coordinates(axis: int, extra: float) -> None:
    def flip(coords: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        out = coords.copy()
        out[:, axis] = size[1 - axis] + extra - out[:, axis]
        return out

    finding = audit_function(flip, "flip_coords")
    assert finding.parameters["axis"] == "xy"[axis]
    assert finding.error_px == pytest.approx(abs(extra), abs=1e-4)
    assert (
        finding.convention == {0: "coordinate", -1: "index", 1: "inclusive"}.get(extra, "unknown")
        or abs(extra - round(extra)) < 0.006
    )


def test_flips_of_boxes_and_images() -> None:
    ours = audit_function(lambda boxes, size: g.flip_boxes(boxes, size[1]), "flip_boxes")
    theirs = audit_function(lambda b, size: g.flip_boxes_detectron1(b, size[1]), "flip_boxes")
    assert (ours.convention, theirs.convention) == ("coordinate", "index")
    rolled = audit_function(lambda image: np.roll(image[:, ::-1], 1, axis=1), "flip_image")
    assert (rolled.convention, rolled.error_px) == ("inclusive", 1.0)
    assert audit_function(lambda image: image, "flip_image").convention == "none"
    both = audit_function(lambda image: image[::-1, ::-1], "flip_image")
    assert (both.convention, both.parameters["axis"]) == ("coordinate", "x and y")


def test_flipped_boxes_with_swapped_edges_are_refused() -> None:
    finding = audit_function(lambda b, size: b * [-1, 1, -1, 1] + [size[1], 0] * 2, "flip_boxes")
    assert finding.status == "failed"
    assert "x2 is below x1" in finding.sentence


@settings(max_examples=15)
@given(st.floats(0, 1))
def test_anchor_offsets_are_measured(offset: float) -> None:
    offset = min(offset, 0.999)

    def generate(grid: Any, stride: int, sizes: Any, ratios: Any) -> Any:
        return g.tile_anchors(g.cell_anchors(sizes, ratios), grid, stride, offset)

    finding = audit_function(generate, "anchors")
    assert finding.error_px == pytest.approx(abs(offset - 0.5) * 16, abs=0.02)
    if finding.convention != "unknown":
        assert abs(offset - {"corner": 0, "centred": 0.5}.get(finding.convention, 0.47)) < 0.03


def test_anchors_of_detectron1() -> None:
    """Inclusive integers, centred on (stride - 1) / 2; worst area at stride 4: +12.5 %."""

    def generate(grid: Any, stride: int, sizes: Any, ratios: Any) -> Any:
        cell = g.cell_anchors_detectron1(stride, sizes, ratios)
        return g.tile_anchors(cell.double(), grid, stride)

    finding = audit_function(generate, "anchors")
    assert finding.convention == "index_centre"
    assert finding.parameters["area_error"] == pytest.approx(0.125, abs=1e-3)


def test_anchors_at_another_stride_fail() -> None:
    def generate(grid: Any, stride: int, sizes: Any, ratios: Any) -> Any:
        return contracts.SOUND["anchors"](grid, stride + 1, sizes, ratios)

    assert "every 16 px" in audit_function(generate, "anchors").sentence
