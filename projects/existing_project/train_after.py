#!/usr/bin/env python
"""Train a Mask R-CNN of Detectron2's zoo on a data set of one's own: a plain Detectron2 script.

train_before.py JSON_FILE IMAGE_ROOT NUM_CLASSES [KEY VALUE ...]
"""

from __future__ import annotations

import os
import sys
from typing import Any

from detectron2 import model_zoo
from detectron2.config import get_cfg
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import DefaultTrainer

from d2align.evaluation import COCOEvaluator
from d2align.modeling import apply


class Trainer(DefaultTrainer):
    """A trainer that evaluates boxes and masks."""

    @classmethod
    def build_model(cls, cfg: Any) -> Any:
        """Return the model of a config."""
        model = super().build_model(cfg)
        return apply(model, roi_align="aligned", mask_target="aligned", paste_mask="aligned")

    @classmethod
    def build_evaluator(cls, cfg: Any, dataset_name: str) -> COCOEvaluator:
        """Return COCO's metrics for a data set."""
        return COCOEvaluator(dataset_name, output_dir=cfg.OUTPUT_DIR)


def main() -> None:
    """Train and evaluate on the data set of the command line."""
    json_file, image_root, num_classes, *opts = sys.argv[1:]
    register_coco_instances("mine", {}, json_file, image_root)
    cfg = get_cfg()
    config_file = "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml"
    cfg.merge_from_file(model_zoo.get_config_file(config_file))
    cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ("mine",)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = int(num_classes)
    cfg.merge_from_list(opts)
    os.makedirs(cfg.OUTPUT_DIR, exist_ok=True)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=False)
    trainer.train()


if __name__ == "__main__":
    main()
