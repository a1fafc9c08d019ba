"""Masks of detections as RLE: the dense masks' bits, without the dense masks."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.structures import Instances
from pycocotools import mask as mask_util
from test_postprocessing import SIZES, raw
from tiny_models import assert_same_instances, detections, tiny_batch, tiny_config, tiny_model

from d2align.config import check_d2align_config
from d2align.modeling import (
    PixelExactRCNNWithTTA,
    RleMasks,
    detector_postprocess,
    detector_postprocess_to_rle,
)
from d2align.registry import build_paste_mask


def encoded(dense: torch.Tensor) -> list[dict[str, Any]]:
    return [mask_util.encode(np.asfortranarray(m, dtype=np.uint8)) for m in dense.numpy()]


def assert_same_but_for_masks(rle: Instances, dense: Instances) -> None:
    rle, dense = copy.copy(rle), copy.copy(dense)
    rle._fields, dense._fields = dict(rle.get_fields()), dict(dense.get_fields())
    assert rle.pred_masks_rle == encoded(dense.pred_masks)
    rle.remove("pred_masks_rle")
    dense.remove("pred_masks")
    assert_same_instances([rle], [dense])


@pytest.mark.parametrize("paste", ["aligned", "detectron1"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_bits_are_those_of_the_dense_masks(
    paste: str, size: tuple[int, int], threshold: float
) -> None:
    arguments = (*size, build_paste_mask(paste), threshold)
    rle = detector_postprocess_to_rle(raw(roi_masks=size[0] > 60), *arguments)
    assert len(rle) > 0 and rle.image_size == size
    assert_same_but_for_masks(rle, detector_postprocess(raw(), *arguments))


def test_no_detections_and_no_masks() -> None:
    assert detector_postprocess_to_rle(raw(0), 160, 200).pred_masks_rle == []
    boxes_only = raw()
    boxes_only.remove("pred_masks")
    expected = detector_postprocess(copy.deepcopy(boxes_only), 160, 200)
    assert_same_instances([detector_postprocess_to_rle(boxes_only, 160, 200)], [expected])


def test_a_paste_without_an_rle_form_is_called_for_one_mask_at_a_time() -> None:
    numbers: list[int] = []

    def paste(masks: torch.Tensor, boxes: Any, size: Any, threshold: float) -> torch.Tensor:
        numbers.append(len(masks))
        return masks.new_ones(len(masks), *size, dtype=torch.bool)

    out = detector_postprocess_to_rle(raw(), 30, 40, paste)
    assert numbers == [1] * len(out)
    assert out.pred_masks_rle == encoded(torch.ones(len(out), 30, 40, dtype=torch.bool))


def test_instances_index_encoded_masks_as_tensors() -> None:
    out = detector_postprocess_to_rle(raw(), 160, 200)
    out.number = torch.arange(len(out))
    kept = out.scores > 0.5
    for index in (kept, kept.nonzero()[:, 0], slice(2, 9, 3), 4, -1, out.scores.argsort()):
        chosen = out[index]
        assert isinstance(chosen.pred_masks_rle, RleMasks)
        assert chosen.pred_masks_rle == [out.pred_masks_rle[i] for i in chosen.number.tolist()]
    both = Instances.cat([out[:3], out[5:]])
    assert both.pred_masks_rle == out.pred_masks_rle[:3] + out.pred_masks_rle[5:]


def test_model_gives_encoded_masks_where_the_config_asks_for_them() -> None:
    dense = tiny_model(tiny_config())
    rle = tiny_model(tiny_config("D2ALIGN.TEST.MASK_FORMAT", "rle"))
    rle.load_state_dict(dense.state_dict())
    found = detections(rle, tiny_batch(1.5)), detections(dense, tiny_batch(1.5))
    assert min(len(f) for f in found[0]) > 0
    for ours, theirs in zip(*found, strict=True):
        assert_same_but_for_masks(ours, theirs)


def test_test_time_augmentation_gives_encoded_masks() -> None:
    outputs = []
    for mask_format in ("rle", "bitmask"):
        cfg = tiny_config(
            *("D2ALIGN.TEST.MASK_FORMAT", mask_format, "TEST.AUG.MIN_SIZES", "(64,)"),
            *("TEST.AUG.MAX_SIZE", "160"),
        )
        model = PixelExactRCNNWithTTA(cfg, tiny_model(cfg).eval())
        entry = tiny_batch(1.5)[0]
        batch = [{key: entry[key] for key in ("image", "height", "width")}]
        with torch.no_grad():
            outputs.append(model(batch)[0]["instances"])
    assert len(outputs[0]) > 0
    assert_same_but_for_masks(*outputs)


def test_panoptic_models_and_unknown_formats_are_refused() -> None:
    cfg = tiny_config("D2ALIGN.TEST.MASK_FORMAT", "rle")
    cfg.defrost()
    cfg.MODEL.META_ARCHITECTURE = "PixelExactPanopticFPN"
    with pytest.raises(ValueError, match="got 'rle' for a panoptic model"):
        check_d2align_config(cfg)
    cfg.D2ALIGN.TEST.MASK_FORMAT = "polygon"
    with pytest.raises(ValueError, match=r"MASK_FORMAT: got 'polygon', expected .*'rle'"):
        check_d2align_config(cfg)
