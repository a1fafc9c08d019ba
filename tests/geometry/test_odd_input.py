"""Input that fuzzing found to crash, to hang, to be refused namelessly or to give garbage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from d2align import geometry
from d2align.geometry import rle_codec
from d2align.geometry.paste_dense import lazy_zeros
from d2align.geometry.rle import encode_mask

BOX = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
MASK = torch.ones(1, 2, 2)
FEATURES = torch.ones(1, 1, 4, 4)
ROI = torch.tensor([[0.0, 0.0, 0.0, 4.0, 4.0]])
HUGE = 10**400


def refused(name: str, function: Any, *arguments: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{name}"):
        function(*arguments)


def test_small_integers_do_not_wrap_around() -> None:
    corners = torch.tensor([[0, 0, 255, 255]], dtype=torch.uint8)
    assert geometry.box_sizes_detectron1(corners).tolist() == [[256, 256]]
    assert geometry.float_to_inclusive(torch.zeros(1, 4, dtype=torch.uint8)).min() == -1
    assert geometry.flip_boxes(corners, 640).tolist() == [[385, 0, 640, 255]]
    far = torch.tensor([[-100, 100]], dtype=torch.int8)
    assert geometry.flip_coords(far, 640).tolist() == [[740, 100]]
    assert geometry.flip_coords(np.array([[5, 6]]), np.int64(10)).dtype == np.int64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_areas_and_iou_of_halves_fit(dtype: torch.dtype) -> None:
    boxes = torch.tensor([[0.0, 0, 512, 512], [0, 0, 512, 256]], dtype=dtype)
    assert geometry.box_areas(boxes).tolist() == [512.0**2, 512.0 * 256]
    iou = geometry.box_iou(boxes, boxes)  # 512 x 512 is infinite in float16
    assert iou.dtype == dtype and iou.tolist() == [[1.0, 0.5], [0.5, 1.0]]
    assert geometry.box_iou_detectron1(boxes, boxes).diagonal().tolist() == [1.0, 1.0]


def test_arrays_of_another_byte_order_are_numbers_and_texts_are_not() -> None:
    boxes = np.array([[1.0, 2.0, 4.0, 8.0]], dtype=">f4")
    np.testing.assert_array_equal(geometry.box_sizes(boxes), [[3.0, 6.0]])
    for dtype in ("O", "U8", "g", "M8[D]"):
        array = np.array([[1, 2, 4, 8]]).astype(dtype)
        refused("boxes: got ndarray", geometry.box_sizes, array)


@pytest.mark.parametrize("value", [BOX.bool(), BOX.to(torch.complex64), BOX.to_sparse()])
def test_what_holds_no_numbers_is_refused(value: torch.Tensor) -> None:
    refused("boxes", geometry.box_sizes, value)
    refused("boxes", geometry.flip_boxes, value, 10)
    refused("boxes", geometry.clip_boxes, value, (4, 4))
    refused("coords", geometry.corners_to_centers, value)
    refused("boxes1", geometry.box_iou, value, BOX)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e30])
def test_no_index_is_made_of_what_is_no_coordinate(value: float) -> None:
    refused("coords", geometry.coord_to_index, torch.tensor([1.0, value]))


@pytest.mark.parametrize("junk", ["1.5", None, [], HUGE, torch.ones(2), np.array(["a"])])
def test_junk_in_the_place_of_a_number_is_refused_by_name(junk: Any) -> None:
    refused("width", geometry.flip_coords, BOX[:, :2], junk)
    refused("factor", geometry.scale_boxes, BOX, junk)
    refused("threshold", geometry.paste_masks, MASK, BOX, (4, 4), junk)
    refused("scale_clamp", geometry.apply_deltas, BOX, BOX, (1, 1, 1, 1), junk)
    refused("spatial_scale", geometry.roi_align, FEATURES, ROI, 2, junk)
    refused("sampling_ratio", geometry.roi_align, FEATURES, ROI, 2, 1.0, junk)
    refused("mask_size", geometry.crop_bitmasks, MASK, BOX, junk)
    refused("length|stride", geometry.half_pixel_grid, 8, junk)
    refused("side", geometry.regular_points, junk, 1)
    refused("size", geometry.downsample2x_size_half_stride, junk)
    refused("resolution", geometry.Grid, 0.0, 1.0, junk)
    refused("offset", geometry.tile_anchors, BOX, (2, 2), 4, junk)


@pytest.mark.parametrize("junk", ["ab", None, 5, [None], ["1", "2"], torch.tensor(1.0), [HUGE, 1]])
def test_junk_in_the_place_of_a_sequence_is_refused_by_name(junk: Any) -> None:
    refused("image_size", geometry.clip_boxes, BOX, junk)
    refused("weights", geometry.get_deltas, BOX, BOX, junk)
    refused("sizes", geometry.cell_anchors, junk, [1.0])
    refused("aspect_ratios", geometry.cell_anchors_detectron1, 16, [1.0], junk)
    refused("box", geometry.rasterize_polygons_within_box, [[0, 0, 1, 0, 1, 1]], junk, 4)
    refused("polygons", geometry.rasterize_polygons_within_box, junk, [0, 0, 4, 4], 4)
    refused("polygons", geometry.flip_polygons, junk, 4)
    if junk is not None:
        refused("flip_indices", geometry.flip_keypoints, torch.ones(2, 3), 4, junk)
    refused("matrix", geometry.affine_to_cv2, junk)
    refused("polygon", geometry.draw_polygon_pil, junk, (4, 4))


def test_complex_numbers_are_not_cut_down_to_their_real_part() -> None:
    refused("matrix", geometry.affine_to_cv2, np.ones((2, 3)) * 1j)
    refused("polygons", geometry.rasterize_polygons_within_box, [np.ones(6) * 1j], [0, 0, 4, 4], 4)


def test_masks_of_no_real_numbers_are_refused() -> None:
    eighths = [torch.float8_e4m3fn] if hasattr(torch, "float8_e4m3fn") else []
    for dtype in (torch.complex64, *eighths):
        refused("masks", geometry.paste_masks, MASK.to(dtype), BOX, (4, 4))
        refused("masks", geometry.crop_bitmasks, MASK.to(dtype), BOX, 4)


def test_flipped_masks_have_two_sides() -> None:
    refused("masks", geometry.flip_masks, torch.ones(3)[0])
    refused("masks", geometry.flip_masks_vertical, torch.ones(3))


def test_a_clamp_beyond_the_dtype_is_none() -> None:
    deltas = torch.tensor([[0.0, 0.0, 3.0, 3.0]], dtype=torch.float16)
    boxes = BOX.to(torch.float16)
    unclamped = geometry.apply_deltas(deltas, boxes, scale_clamp=float("inf"))
    assert torch.equal(geometry.apply_deltas(deltas, boxes, scale_clamp=1e300), unclamped)


def test_anchors_that_float32_cannot_hold_are_refused() -> None:
    refused("sizes", geometry.cell_anchors, [1e300], [1.0])
    refused("aspect_ratios", geometry.cell_anchors, [1.0], [1e-320])


def test_positions_on_grid_1_stay_within_the_image() -> None:
    for n, m in ((10**9, 22), (7, 50), (3, 11), (16384, 999)):
        positions = geometry.resize_positions_align_corners(n, m)
        assert positions.max() <= n - 1 and positions[-1] == n - 1


def test_grids_of_no_numbers_or_too_many_samples_are_refused() -> None:
    refused("offset", geometry.Grid, float("nan"), 1.0, 3)
    refused("resolution", geometry.Grid, 0.0, 1.0, -1)
    refused("length, stride", geometry.asymmetric_grid, 1e30, 0.25)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_far_outside_of_the_features_all_is_0(dtype: torch.dtype) -> None:
    features = torch.ones(1, 1, 2, 2, dtype=dtype)
    points = torch.tensor([[[1e8, 0.5], [-1e8, 0.5], [0.5, float("inf")], [0.5, 3e38]]])
    for sample in (geometry.sample_points, geometry.sample_points_align_corners):
        assert sample(features, points).tolist() == [[[0.0] * 4]]
    refused("features", geometry.sample_points, features[..., :0], points)


def test_masks_in_boxes_of_hardly_any_size_have_values() -> None:
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1e-45], [0.3, 0.3, 0.3001, 0.3001]])
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        soft = geometry.paste_soft_masks(torch.ones(2, 2, 2, dtype=dtype), boxes, (2, 2))
        assert soft.isfinite().all() and soft.max() <= 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_boxes_in_halves_are_pasted_alike_everywhere(dtype: torch.dtype) -> None:
    boxes = torch.tensor([[300.0, 0.0, 2100.0, 2.0]]).to(dtype)
    dense = geometry.paste_masks(MASK, boxes, (3, 2500))
    (rle,) = geometry.paste_masks_to_rle_on_device(MASK, boxes, (3, 2500))
    assert dense.any() and rle == encode_mask(dense[0])


@pytest.mark.parametrize("side", [2e5, 4e5, 1e8])
def test_a_region_of_too_many_samples_is_refused(side: float) -> None:
    region = torch.tensor([[0.0, 0.0, 0.0, side, side]])
    for align in (
        geometry.roi_align,
        geometry.roi_align_unaligned,
        geometry.roi_align_grid_sample,
    ):
        refused("rois", align, FEATURES, region, 7)
    refused("boxes", geometry.crop_bitmasks, MASK, region[:, 1:], 28)
    # With a fixed number of samples, size is no matter.
    assert geometry.roi_align(FEATURES, region, 7, 1.0, 2).isfinite().all()


def test_texts_of_runs_longer_than_any_image_are_whole() -> None:
    total = 2**45 + 7
    stops = np.zeros(2000, np.int64)
    text, ends = rle_codec.write_toggles(np.zeros(0, np.int64), stops, total)
    texts = np.split(text, ends[:-1])
    assert len({one.tobytes() for one in texts}) == 1
    codes = texts[-1].astype(np.int64) - 48
    assert sum(int(code & 31) << (5 * i) for i, code in enumerate(codes)) == total


@pytest.mark.parametrize("align", [geometry.roi_align, geometry.roi_align_unaligned])
def test_bfloat16_features_are_pooled_on_the_cpu(align: Any) -> None:
    features = torch.rand(1, 2, 6, 8).to(torch.bfloat16)
    region = torch.tensor([[0.0, 1.0, 0.5, 6.0, 4.5]])
    pooled = align(features, region, 3)
    assert pooled.dtype == torch.bfloat16
    torch.testing.assert_close(
        pooled.float(), align(features.float(), region, 3), rtol=0, atol=0.01
    )


@pytest.mark.skipif(not hasattr(torch, "uint16"), reason="this torch has no uint16")
def test_unsigned_masks_are_flipped() -> None:
    masks = torch.tensor([[8, 0], [3, 65535]], dtype=torch.int32).to(torch.uint16)
    flipped = geometry.flip_masks(masks)
    assert flipped.dtype == torch.uint16 and flipped.tolist() == [[0, 8], [65535, 3]]
    assert geometry.flip_masks_vertical(masks).tolist() == [[3, 65535], [8, 0]]


@pytest.mark.skipif(not hasattr(torch, "float8_e4m3fn"), reason="this torch has no 8-bit floats")
def test_masks_of_8_bit_floats_are_refused() -> None:
    masks, boxes = torch.ones(1, 2, 2).to(torch.float8_e4m3fn), torch.tensor([[0.0, 0, 4, 4]])
    for paste in (geometry.paste_masks, geometry.paste_soft_masks, geometry.paste_masks_to_rle):
        refused("masks", paste, masks, boxes, (4, 4))


def test_a_mask_that_does_not_fit_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="no memory for"):
        lazy_zeros((2**30, 2**30), torch.bool)
