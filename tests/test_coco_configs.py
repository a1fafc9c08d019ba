"""Configs for COCO and a GPU: published weights as they were trained, fine-tunes, large images."""

from __future__ import annotations

from pathlib import Path

import pytest
from detectron2.model_zoo import get_config_file
from detectron2.model_zoo.model_zoo import _ModelZooUrls

from d2align.config import get_factors
from d2align.engine import load_config

CONFIGS = Path(__file__).parents[1] / "configs"
ZOO = {
    "mask_rcnn_R_50_FPN_1x": "COCO-InstanceSegmentation",
    "mask_rcnn_R_50_FPN_3x": "COCO-InstanceSegmentation",
    "mask_rcnn_R_50_FPN_noaug_1x": "Detectron1-Comparisons",
}
# What decides the meaning of trained weights.
TRAINED_WITH = [
    *(
        f"MODEL.ROI_{h}_HEAD.POOLER_{k}"
        for h in ("BOX", "MASK")
        for k in ("TYPE", "SAMPLING_RATIO")
    ),
    *(
        "MODEL.RPN.SMOOTH_L1_BETA",
        "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA",
        "MODEL.ANCHOR_GENERATOR.SIZES",
    ),
    *("MODEL.RESNETS.STRIDE_IN_1X1", "MODEL.RESNETS.NORM", "MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD"),
    *("INPUT.FORMAT", "INPUT.MIN_SIZE_TEST", "MODEL.RPN.PRE_NMS_TOPK_TEST"),
]


def _get(cfg, key):
    for part in key.split("."):
        cfg = cfg[part]
    return cfg


@pytest.mark.parametrize("name", ZOO)
def test_zoo_configs_are_what_their_weights_were_trained_with(name):
    ours = load_config(str(CONFIGS / "zoo" / f"{name}.yaml"))
    theirs = load_config(get_config_file(f"{ZOO[name]}/{name}.yaml"))
    for key in TRAINED_WITH:
        assert _get(ours, key) == _get(theirs, key), key
    suffix = _ModelZooUrls.CONFIG_PATH_TO_URL_SUFFIX[f"{ZOO[name]}/{name}"]
    assert f"detectron2://{ZOO[name]}/{name}/{suffix}" == ours.MODEL.WEIGHTS


def test_every_zoo_config_is_known_here():
    assert {path.stem for path in (CONFIGS / "zoo").glob("*.yaml")} == set(ZOO)


def test_the_fine_tune_starts_from_the_published_weights_all_aligned():
    cfg = load_config(str(CONFIGS / "Base-COCO-finetune.yaml"))
    assert cfg.MODEL.WEIGHTS.endswith("137260431/model_final_a54504.pkl")
    assert get_factors(cfg)["roi_align"] == "aligned"
    assert cfg.SOLVER.MAX_ITER == 5000 and cfg.SOLVER.STEPS == ()


def test_gpu_config_is_all_aligned_on_the_large_built_in_data():
    cfg = load_config(str(CONFIGS / "gpu" / "mask_rcnn_R_50_FPN_shapes_800.yaml"))
    aligned = load_config(str(CONFIGS / "shapes" / "ablation_aligned.yaml"))
    assert get_factors(cfg) == get_factors(aligned)
    assert cfg.DATASETS.TRAIN == ("shapes_800_train",)
    assert cfg.MODEL.ROI_HEADS.NUM_CLASSES == aligned.MODEL.ROI_HEADS.NUM_CLASSES
