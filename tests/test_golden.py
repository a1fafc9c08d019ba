"""The numbers that Detectron and py-faster-rcnn returned for recorded inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from d2align import geometry

DATA = Path(__file__).parent / "data"
ARRAYS: dict[str, np.ndarray] = dict(np.load(DATA / "detectron1.npz"))
LISTS: dict[str, Any] = json.loads((DATA / "detectron1.json").read_text())
HEIGHT, WIDTH = IMAGE_SIZE = (480, 640)
WEIGHTS = {"rpn": (1.0, 1.0, 1.0, 1.0), "rcnn": (10.0, 10.0, 5.0, 5.0)}
# COCO's person keypoints: nose, then left and right in turn.
FLIP_INDICES = [0, *(i for k in range(1, 17, 2) for i in (k + 1, k))]

# The inputs, and every output with the test that reproduces it.
INPUTS = {"ref_boxes", "gt_boxes", "xywh", "target_boxes", "keypoints", "rle_mask"}
INPUTS |= {"paste_boxes", "paste_masks"}
INPUTS |= {f"anchor{i}_{k}" for i in range(7) for k in ("stride", "sizes", "ratios")}
EXACT = {
    "d1_area": lambda a: geometry.box_areas_detectron1(a["ref_boxes"]),
    "d1_flip_boxes": lambda a: geometry.flip_boxes_detectron1(a["ref_boxes"], WIDTH),
    "d1_xywh_to_xyxy": lambda a: geometry.xywh_to_xyxy_detectron1(a["xywh"]),
    "d1_xyxy_to_xywh": lambda a: geometry.xyxy_to_xywh_detectron1(a["ref_boxes"]),
    "d1_expand_boxes_30_28": lambda a: geometry.scale_boxes(a["ref_boxes"], 30 / 28),
    "d1_decode_clipped": lambda a: geometry.clip_boxes_detectron1(a["d1_decode_rcnn"], IMAGE_SIZE),
    "pf_decode_clipped": lambda a: geometry.clip_boxes_detectron1(a["pf_decode"], IMAGE_SIZE),
    "pf_anchors_16_8_16_32": lambda a: geometry.cell_anchors_detectron1(
        16, [128, 256, 512], [0.5, 1, 2]
    ),
    "d1_flip_keypoints": lambda a: geometry.flip_keypoints_detectron1(
        a["keypoints"].transpose(0, 2, 1), WIDTH, FLIP_INDICES
    ).transpose(0, 2, 1),
    "d1_flip_rle_mask": lambda a: np.packbits(
        geometry.flip_masks(np.unpackbits(a["rle_mask"]).reshape(IMAGE_SIZE))
    ),
    "d1_mask_targets": lambda a: np.stack(
        [
            geometry.rasterize_polygons_within_box_detectron1([p], box, 28).numpy()
            for p, box in zip(LISTS["polygons"], a["target_boxes"], strict=True)
        ]
    ),
    **{
        f"d1_anchor{i}": lambda a, i=i: geometry.cell_anchors_detectron1(
            int(a[f"anchor{i}_stride"]), a[f"anchor{i}_sizes"], a[f"anchor{i}_ratios"]
        )
        for i in range(7)
    },
}
ENCODE = {
    "d1_encode_rpn": (geometry.get_deltas_detectron1, "rpn"),
    "d1_encode_rcnn": (geometry.get_deltas_detectron1, "rcnn"),
    "pf_encode": (geometry.get_deltas_py_faster_rcnn, "rpn"),
}
# name: function, deltas, weights, added to dw
DECODE = {
    "d1_decode_rpn": (geometry.apply_deltas_detectron1, "d1_encode_rpn", "rpn", 0),
    "d1_decode_rcnn": (geometry.apply_deltas_detectron1, "d1_encode_rcnn", "rcnn", 0),
    "d1_decode_clamped_rpn": (geometry.apply_deltas_detectron1, "d1_encode_rpn", "rpn", 8),
    "d1_decode_clamped_rcnn": (geometry.apply_deltas_detectron1, "d1_encode_rcnn", "rcnn", 8),
    "pf_decode": (geometry.apply_deltas_py_faster_rcnn, "pf_encode", "rpn", 0),
}
OTHERS = {"image_size", "polygons", "d1_flipped_polygons", "d1_paste_rle"}


def test_golden_every_key_is_tested() -> None:
    assert set(ARRAYS) == INPUTS | set(EXACT) | set(ENCODE) | set(DECODE)
    assert set(LISTS) == OTHERS
    assert LISTS["image_size"] == list(IMAGE_SIZE)


@pytest.mark.parametrize("key", sorted(EXACT))
def test_golden_exact(key: str) -> None:
    result = np.asarray(EXACT[key](ARRAYS))
    np.testing.assert_array_equal(result, ARRAYS[key])


@pytest.mark.parametrize("key", sorted(ENCODE))
def test_golden_encode(key: str) -> None:
    fn, weights = ENCODE[key]
    result = fn(ARRAYS["ref_boxes"], ARRAYS["gt_boxes"], WEIGHTS[weights])
    assert result.dtype == np.float32
    # NumPy's and torch's float32 logarithms differ in the last bit, 2^-23 of a delta; with the
    # weight 10, deltas reach 8.
    np.testing.assert_allclose(result, ARRAYS[key], rtol=2**-22, atol=2**-23)


@pytest.mark.parametrize("key", sorted(DECODE))
def test_golden_decode(key: str) -> None:
    fn, encoded, weights, extra = DECODE[key]
    deltas = ARRAYS[encoded].copy()
    deltas[:, 2] += extra * WEIGHTS[weights][2]
    result = fn(deltas, ARRAYS["ref_boxes"], WEIGHTS[weights])
    assert result.dtype == np.float32
    # The last bit of float32 exponentials, on sides of up to 1000 / 16 times 640 pixels.
    np.testing.assert_allclose(result, ARRAYS[key], rtol=2**-20, atol=1e-4)


def test_golden_decode_clamp_acts() -> None:
    ref = ARRAYS["ref_boxes"]
    width = ARRAYS["d1_decode_clamped_rpn"][:, 2] - ARRAYS["d1_decode_clamped_rpn"][:, 0] + 1
    clamped = np.log(width / (ref[:, 2] - ref[:, 0] + 1)) > geometry.SCALE_CLAMP - 1e-4
    assert clamped.all()


def test_golden_py_faster_rcnn_is_off_by_one() -> None:
    error = ARRAYS["pf_decode"] - ARRAYS["gt_boxes"]
    # Recorded in float32: coordinates of up to 640 have a spacing of 6e-5.
    np.testing.assert_allclose(error, np.broadcast_to([0, 0, 1, 1], error.shape), atol=2e-4)


def test_golden_flip_polygons() -> None:
    flipped = geometry.flip_polygons_detectron1([np.array(p) for p in LISTS["polygons"]], WIDTH)
    for ours, recorded in zip(flipped, LISTS["d1_flipped_polygons"], strict=True):
        np.testing.assert_array_equal(ours, recorded)


def test_golden_paste() -> None:
    from pycocotools import mask as coco_mask

    rle = LISTS["d1_paste_rle"]
    assert rle["size"] == list(IMAGE_SIZE)
    recorded = coco_mask.decode(
        [{"size": rle["size"], "counts": c.encode()} for c in rle["counts"]]
    ).transpose(2, 0, 1)
    pasted = geometry.paste_masks_detectron1(
        torch.from_numpy(ARRAYS["paste_masks"]), torch.from_numpy(ARRAYS["paste_boxes"]), IMAGE_SIZE
    )
    np.testing.assert_array_equal(pasted.numpy(), recorded)
