"""The ONNX auditor: what it reads of a node is what ONNX Runtime does, by the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import N, graph, onnx, ramp, resize_graph, run

from d2align.audit.onnx_graph import audit_onnx
from d2align.audit.onnx_modes import Node, conventions_of, difference_px, resize_error

SCALES = (2.0, 1.75, 1.5, 0.75)


def measured_error(model: Any, scale: float, nearest: bool) -> float:
    """How far ONNX Runtime's samples lie off grid 2, pixels of the result, away from the ends."""
    positions = run(model, {"x": ramp()}).ravel().astype(np.float64)
    ideal = (np.arange(len(positions)) + 0.5) / scale - 0.5
    off = positions - np.clip(ideal, 0, N - 1)
    if nearest:
        return 0.0 if (np.abs(off) <= 0.5 + 1e-4).all() else float(abs(off.mean()) * scale)
    inner = (ideal > 1) & (ideal < N - 2) & (positions > 0) & (positions < N - 1)
    return float(np.abs(off[inner]).max() * scale)


GRID_MODES = {
    "half_pixel": "half_pixel",
    "pytorch_half_pixel": "half_pixel",
    "asymmetric": "asymmetric",
    "align_corners": "align_corners",
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("mode", GRID_MODES)
def test_linear_resize_is_read_as_it_runs(mode: str, scale: float) -> None:
    model = resize_graph(13, scale, mode="linear", coordinate_transformation_mode=mode)
    (finding,) = audit_onnx(model)
    assert finding.convention == GRID_MODES[mode]
    assert finding.parameters["scale"] == scale and finding.parameters["in_size"] == N
    measured = measured_error(model, scale, nearest=False)
    if mode == "align_corners":  # its error grows towards the ends, which the measurement avoids
        assert 0.4 * finding.error_px <= measured <= finding.error_px
    else:
        assert finding.error_px == pytest.approx(measured, abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("nearest_mode", ["round_prefer_floor", "round_prefer_ceil", "floor"])
@pytest.mark.parametrize("mode", ["half_pixel", "asymmetric", "align_corners"])
def test_nearest_resize_is_read_as_it_runs(mode: str, nearest_mode: str, scale: float) -> None:
    model = resize_graph(
        13, scale, mode="nearest", coordinate_transformation_mode=mode, nearest_mode=nearest_mode
    )
    (finding,) = audit_onnx(model)
    assert finding.convention == mode + ("_floor" if nearest_mode == "floor" else "")
    measured = measured_error(model, scale, nearest=True)
    assert finding.error_px == pytest.approx(measured, abs=1e-4)


@pytest.mark.parametrize("opset", [9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_before_opset_11_a_resize_has_no_choice(opset: int, mode: str) -> None:
    model = resize_graph(opset, 2.0, mode=mode)
    (finding,) = audit_onnx(model)
    assert finding.convention == ("asymmetric_floor" if mode == "nearest" else "asymmetric")
    measured = measured_error(model, 2.0, nearest=mode == "nearest")
    assert finding.error_px == pytest.approx(measured, abs=1e-4)
    if mode == "linear":
        assert finding.error_px == 0.5
        assert "needs opset 11" in finding.sentence


def test_default_of_opset_11_is_half_pixel() -> None:
    (finding,) = audit_onnx(resize_graph(11, 2.0, mode="linear"))
    assert (finding.convention, finding.status) == ("half_pixel", "aligned")


def test_tensorflows_half_pixel_for_nearest_neighbours_is_exact() -> None:
    mode = {"coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    model = resize_graph(11, 1.75, mode="nearest", **mode)
    (finding,) = audit_onnx(model)
    assert (finding.convention, finding.error_px) == ("half_pixel", 0.0)
    assert measured_error(model, 1.75, nearest=True) == 0.0


def test_unknown_mode_is_unknown() -> None:
    model = resize_graph(13, 2.0, mode="linear", coordinate_transformation_mode="sideways")
    (finding,) = audit_onnx(model)
    assert (finding.convention, finding.status) == ("unknown", "unknown")


def test_scale_that_the_graph_leaves_open() -> None:
    feeds = {"x": ramp(), "": None, "scales": np.ones(4, np.float32)}
    made = {k: v for k, v in feeds.items() if v is not None}
    model = graph("Resize", 13, made, {}, mode="nearest")
    node = model.graph.node[0]
    node.input[:] = ["x", "", "scales"]
    assert audit_onnx(model)[0].error_px == 0.0  # the default rounds to the nearest
    node.attribute.append(onnx.helper.make_attribute("nearest_mode", "floor"))
    node.attribute.append(
        onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric")
    )
    (finding,) = audit_onnx(model)
    assert finding.parameters["scale"] is None
    assert (finding.error_px, finding.status) == (0.5, "deviates")


def test_scale_from_sizes() -> None:
    constants = {"": None, "none": np.zeros(0, np.float32), "sizes": np.array([1, 1, 1, 21])}
    model = graph("Resize", 13, {"x": ramp()}, constants, mode="linear")
    assert audit_onnx(model)[0].parameters["scale"] == 21 / N


BOX = np.array([[2.0, 2.0, 8.0, 8.0]], np.float32)


def roi_align_graph(opset: int, spatial_scale: float = 1.0, **attributes: Any) -> Any:
    feeds = {"x": ramp(N), "rois": BOX, "batch": np.zeros(1, np.int64)}
    pooled = {"output_height": 3, "output_width": 3, "sampling_ratio": 2}
    return graph("RoiAlign", opset, feeds, {}, spatial_scale=spatial_scale, **pooled, **attributes)


def measured_shift(model: Any, spatial_scale: float = 1.0) -> float:
    """How far right of the box's middle a crop of a ramp lies, pixels of the image."""
    feeds = {"x": ramp(N), "rois": BOX, "batch": np.zeros(1, np.int64)}
    middle = float(run(model, feeds).mean()) + 0.5  # the ramp holds indices
    return middle / spatial_scale - 5.0


@pytest.mark.parametrize(
    ("opset", "attributes", "convention"),
    [
        (10, {}, "unaligned"),
        (13, {}, "unaligned"),
        (16, {}, "aligned"),
        (16, {"coordinate_transformation_mode": "half_pixel"}, "aligned"),
        (16, {"coordinate_transformation_mode": "output_half_pixel"}, "unaligned"),
    ],
)
@pytest.mark.parametrize("spatial_scale", [1.0, 0.5])
def test_roi_align_is_read_as_it_runs(
    opset: int, attributes: dict[str, Any], convention: str, spatial_scale: float
) -> None:
    model = roi_align_graph(opset, spatial_scale, **attributes)
    (finding,) = audit_onnx(model)
    assert finding.convention == convention
    assert finding.error_px == pytest.approx(measured_shift(model, spatial_scale), abs=1e-5)


def test_boxes_shifted_before_a_roi_align_are_seen() -> None:
    model = roi_align_graph(13)
    inner = onnx.helper.make_node("Sub", ["rois", "half"], ["moved"])
    model.graph.node.insert(0, inner)
    model.graph.node[1].input[1] = "moved"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(0.5), "half"))
    (finding,) = audit_onnx(model)
    assert (finding.convention, finding.status) == ("aligned", "aligned")
    assert measured_shift(model) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize("align_corners", [0, 1])
def test_grid_sample_is_read_as_it_runs(align_corners: int) -> None:
    grid = np.zeros((1, 1, 1, 2), np.float32)
    grid[..., 0] = 0.5
    feeds = {"x": ramp(N), "grid": grid}
    model = graph("GridSample", 16, feeds, {}, align_corners=align_corners)
    (finding,) = audit_onnx(model)
    coordinate = float(run(model, feeds)[0, 0, 0, 0]) + 0.5
    assert coordinate == pytest.approx(8.75 if align_corners else 9.0, abs=1e-5)
    assert finding.convention == ("align_corners" if align_corners else "half_pixel")
    assert finding.error_px == 0.5 * align_corners


def test_max_roi_pool_rounds_boxes() -> None:
    feeds = {"x": ramp(N), "rois": np.array([[0, 2, 2, 8, 8]], np.float32)}
    model = graph("MaxRoiPool", 13, feeds, {}, pooled_shape=[3, 3], spatial_scale=0.25)
    (finding,) = audit_onnx(model)
    assert (finding.convention, finding.error_px) == ("quantised", 2.0)


def test_nodes_in_subgraphs_and_repeated_names() -> None:
    inner = resize_graph(13, 2.0, mode="linear").graph
    branch = onnx.helper.make_graph(
        [onnx.helper.make_node("Resize", ["x", "", "scales"], ["b"], name="node", mode="nearest")],
        "branch",
        [],
        [onnx.helper.make_tensor_value_info("b", onnx.TensorProto.FLOAT, None)],
    )
    choice = onnx.helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    inner.node.append(choice)
    inner.input.append(onnx.helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []))
    model = onnx.helper.make_model(inner, opset_imports=[onnx.helper.make_opsetid("", 13)])
    findings = audit_onnx(model)
    assert [finding.subject for finding in findings] == ["node", "node#2", "node#3"]
    assert [finding.parameters["scale"] for finding in findings] == [2.0, 2.0, 2.0]


def test_what_was_expected_counts_as_aligned() -> None:
    model = roi_align_graph(13, 0.25)
    (meant,) = audit_onnx(model, {"RoiAlign": "unaligned"})
    assert (meant.status, meant.error_px) == ("aligned", 0.0)
    (missed,) = audit_onnx(model, {"node": "aligned"})
    assert (missed.status, missed.error_px) == ("deviates", 2.0)
    assert "The model meant aligned" in missed.sentence


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"Resize": "half_pixel"}, r"expected: got 'Resize', expected one of RoiAlign, node"),
        ({"node": "half_pixel"}, r"expected\['RoiAlign'\]: got 'half_pixel'"),
    ],
)
def test_bad_expectations_are_refused(expected: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        audit_onnx(roi_align_graph(13), expected)


def test_files_and_bad_files(tmp_path: Path) -> None:
    good, bad = tmp_path / "model.onnx", tmp_path / "bad.onnx"
    good.write_bytes(roi_align_graph(13).SerializeToString())
    assert [f.subject for f in audit_onnx(good)] == ["node"]
    bad.write_bytes(b"no model")
    with pytest.raises(ValueError, match=r"is no ONNX file|without nodes"):
        audit_onnx(bad)
    with pytest.raises(ValueError, match="no such file"):
        audit_onnx(tmp_path / "missing.onnx")
    bad.write_bytes(b"")
    with pytest.raises(ValueError, match="without nodes"):
        audit_onnx(bad)


def test_resize_errors_by_hand() -> None:
    # Doubling: grid 3 reads 0, 0.5, 1, ... where grid 2 reads -0.25, 0.25, 0.75, ...
    assert resize_error("asymmetric", None, 8, 2.0) == 0.5
    assert resize_error("asymmetric", "floor", 8, 2.0) == 0.0
    # Grid 1 of 3 samples made 5: 0, .5, 1, 1.5, 2 against -.2, .4, 1, 1.6, 2.2.
    assert resize_error("align_corners", None, 3, 5 / 3) == pytest.approx(0.2 * 5 / 3)
    assert resize_error("half_pixel", None, 8, 1.75) == 0.0


@pytest.mark.parametrize("op", ["Resize", "RoiAlign", "GridSample", "AffineGrid", "MaxRoiPool"])
def test_a_convention_does_not_differ_from_itself(op: str) -> None:
    for convention in conventions_of(op):
        assert difference_px(Node(op, "n", 16), convention, convention) == 0.0


def test_a_name_that_is_no_text_is_shown_all_the_same(tmp_path: Path) -> None:
    model = resize_graph(13, 2.0, mode="linear")
    model.graph.node[-1].name = "AB"
    whole = model.SerializeToString()
    assert whole.count(b"\x1a\x02AB") == 1
    path = tmp_path / "damaged.onnx"
    path.write_bytes(whole.replace(b"\x1a\x02AB", b"\x1a\x02\xf2B"))
    (finding,) = audit_onnx(path)
    assert "\ufffdB" in finding.subject
