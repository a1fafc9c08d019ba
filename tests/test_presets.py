"""Presets: what they set, and what cannot go with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from d2align.config import FACTORS, PRESETS, check_d2align_config, get_factors, set_preset
from d2align.engine import load_config

CONFIGS = Path(__file__).parents[1] / "configs"


def aligned(*opts: str) -> Any:
    return load_config(str(CONFIGS / "ablation_aligned.yaml"), list(opts))


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_decides_every_factor_and_is_checked_twice_without_harm(preset: str) -> None:
    cfg = aligned("D2ALIGN.PRESET", preset)
    assert get_factors(cfg) == PRESETS[preset]
    before = cfg.clone()
    check_d2align_config(cfg)
    assert cfg == before
    other = aligned()
    set_preset(other, preset)
    assert get_factors(other) == PRESETS[preset] and PRESETS[preset].keys() == FACTORS.keys()


@pytest.mark.parametrize("preset", ["detectron1", "py_faster_rcnn"])
def test_historical_presets_set_what_their_source_had_beside_the_factors(preset: str) -> None:
    cfg = aligned("D2ALIGN.PRESET", preset)
    assert cfg.D2ALIGN.BOXES == "inclusive" and cfg.MODEL.RPN.BOUNDARY_THRESH == 0
    assert cfg.INPUT.MASK_FORMAT == "polygon"
    heads = (cfg.MODEL.ROI_BOX_HEAD, cfg.MODEL.ROI_MASK_HEAD, cfg.MODEL.ROI_KEYPOINT_HEAD)
    assert [head.POOLER_SAMPLING_RATIO for head in heads] == [2, 2, 2]
    no_masks = aligned("D2ALIGN.PRESET", preset, "MODEL.MASK_ON", "False")
    assert no_masks.INPUT.MASK_FORMAT == "bitmask"
    one_level = aligned("D2ALIGN.PRESET", preset, "MODEL.ROI_HEADS.IN_FEATURES", "['res4']")
    assert one_level.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO == 0


def test_the_aligned_preset_leaves_the_rest_alone() -> None:
    cfg = aligned("D2ALIGN.PRESET", "aligned", "INPUT.MASK_FORMAT", "polygon")
    assert cfg.INPUT.MASK_FORMAT == "polygon" and cfg.D2ALIGN.BOXES == "float"
    assert cfg.MODEL.RPN.BOUNDARY_THRESH == -1
    with pytest.raises(ValueError, match=r"PRESET: got 'aligned' beside other BOXES"):
        aligned("D2ALIGN.PRESET", "aligned", "D2ALIGN.BOXES", "inclusive")


HISTORICAL_BOXES = ("D2ALIGN.BOXES", "inclusive", "D2ALIGN.BOX_TRANSFORM", "py_faster_rcnn")


@pytest.mark.parametrize(
    ("opts", "expected"),
    [
        (("D2ALIGN.BOXES", "inclusive"), "an R-CNN with D2ALIGN.BOX_TRANSFORM detectron1"),
        ((*HISTORICAL_BOXES, "MODEL.META_ARCHITECTURE", "RetinaNet"), "for a RetinaNet"),
        ((*HISTORICAL_BOXES, "MODEL.LOAD_PROPOSALS", "True"), "no LOAD_PROPOSALS"),
        ((*HISTORICAL_BOXES, "MODEL.RPN.BBOX_REG_LOSS_TYPE", "giou"), "smooth_l1"),
        ((*HISTORICAL_BOXES, "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou"), "smooth_l1"),
        ((*HISTORICAL_BOXES, "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES", "True"), "smooth_l1"),
        ((*HISTORICAL_BOXES, "INPUT.CROP.ENABLED", "True"), "INPUT.CROP.ENABLED"),
    ],
)
def test_inclusive_boxes_are_refused_where_detectron_had_none(
    opts: tuple[str, ...], expected: str
) -> None:
    assert aligned(*HISTORICAL_BOXES).D2ALIGN.BOXES == "inclusive"
    with pytest.raises(ValueError, match=expected):
        aligned(*opts)
