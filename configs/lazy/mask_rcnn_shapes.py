"""A Mask R-CNN R18-FPN on the built-in data, from scratch: minutes on a CPU."""

from detectron2.config import LazyCall as L
from detectron2.data import transforms as T
from detectron2.layers import ShapeSpec
from detectron2.modeling.backbone import ResNet

from d2align.data import PixelExactRandomFlip, register_shapes

from .mask_rcnn_R_50_FPN_1x import dataloader, lr_multiplier, model, optimizer, train

register_shapes()
model.backbone.bottom_up.stem.norm = "BN"
model.backbone.bottom_up.stages = L(ResNet.make_default_stages)(depth=18, norm="BN")
model.backbone.out_channels = 64
model.proposal_generator.head.in_channels = 64
model.proposal_generator.anchor_generator.sizes = [[8], [16], [32], [64], [96]]
model.proposal_generator.pre_nms_topk = (200, 200)
model.proposal_generator.post_nms_topk = (100, 50)
model.roi_heads.num_classes = 6
model.roi_heads.batch_size_per_image = 32
model.roi_heads.box_head.input_shape = ShapeSpec(channels=64, height=7, width=7)
model.roi_heads.box_head.fc_dims = [128]
model.roi_heads.box_predictor.input_shape = ShapeSpec(channels=128)
model.roi_heads.mask_head.input_shape = ShapeSpec(channels=64, height=14, width=14)
model.roi_heads.mask_head.conv_dims = [32, 32]
model.pixel_std = [57.375, 57.12, 58.395]

dataloader.train.dataset.names = "shapes_128_train"
dataloader.test.dataset.names = "shapes_128_val"
dataloader.train.mapper.augmentations = [
    L(PixelExactRandomFlip)(flip="coordinate"),
    L(T.ResizeShortestEdge)(short_edge_length=(112, 128, 144), sample_style="choice", max_size=176),
]
dataloader.test.mapper.augmentations = [
    L(T.ResizeShortestEdge)(short_edge_length=128, max_size=176)
]
dataloader.train.total_batch_size = 8
dataloader.train.num_workers = dataloader.test.num_workers = 0

optimizer.lr = 0.02
lr_multiplier.scheduler.milestones = [800, 950, 1000]
lr_multiplier.warmup_length = 0.1
train.max_iter = 1000
train.init_checkpoint = ""
train.eval_period = 0  # at the end alone
train.checkpointer.period = 1000
train.output_dir = "./output/lazy_mask_rcnn_shapes"
