"""Mask R-CNN R50-FPN 1x on COCO as in Detectron2's zoo, its parts with every pixel aligned."""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from detectron2.model_zoo import get_config

from d2align.data import PixelExactDatasetMapper, PixelExactRandomFlip
from d2align.evaluation import COCOEvaluator
from d2align.modeling import FloatBoxTransform, PixelExactRCNN

_zoo = {
    part: get_config(f"common/{path}.py")
    for part, path in {
        "model": "models/mask_rcnn_fpn",
        "data": "data/coco",
        "schedule": "coco_schedule",
        "optimizer": "optim",
        "train": "train",
    }.items()
}

model = _zoo["model"].model
model._target_ = PixelExactRCNN
model.factors = {"mask_target": "aligned", "paste_mask": "aligned"}
model.proposal_generator.box2box_transform = L(FloatBoxTransform)(weights=(1, 1, 1, 1))
model.roi_heads.box_predictor.box2box_transform = L(FloatBoxTransform)(weights=(10, 10, 5, 5))
model.roi_heads.box_pooler.pooler_type = "ROIAlignV2"
model.roi_heads.mask_pooler.pooler_type = "ROIAlignV2"

dataloader = _zoo["data"].dataloader
dataloader.train.mapper._target_ = PixelExactDatasetMapper
dataloader.train.mapper.augmentations = [
    L(PixelExactRandomFlip)(flip="coordinate"),
    L(T.ResizeShortestEdge)(
        short_edge_length=(640, 672, 704, 736, 768, 800), sample_style="choice", max_size=1333
    ),
]
dataloader.test.mapper._target_ = PixelExactDatasetMapper
dataloader.evaluator._target_ = COCOEvaluator

optimizer = _zoo["optimizer"].SGD
lr_multiplier = _zoo["schedule"].lr_multiplier_1x
train = _zoo["train"].train
train.output_dir = "./output/lazy_mask_rcnn_R_50_FPN_1x"
