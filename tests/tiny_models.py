"""Tiny configs, models and batches: milliseconds on a CPU, and detections without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage

from d2align.engine import load_config

ROOT = Path(__file__).parents[1]
SHAPES = ROOT / "configs" / "shapes"
NUM_CLASSES = 6
OBJECTS = [[5.25, 8.5, 20.5, 30.25], [20.0, 10.75, 40.0, 25.5], [30.5, 2.0, 30.75, 20.0]]  # xywh
_SMALL = [
    *("MODEL.DEVICE", "cpu", "MODEL.SMALL_RESNET.CHANNELS", "[8, 8, 10, 12, 16]"),
    *("MODEL.FPN.OUT_CHANNELS", "16", "MODEL.ROI_BOX_HEAD.FC_DIM", "32"),
    *("MODEL.ROI_MASK_HEAD.CONV_DIM", "8", "TEST.DETECTIONS_PER_IMAGE", "20"),
    *("MODEL.RPN.POST_NMS_TOPK_TEST", "20", "DATALOADER.NUM_WORKERS", "0"),
    *("D2ALIGN.FAST_CPU", "False"),  # equal to the last bit
]
CASCADE = (
    *("MODEL.ROI_HEADS.NAME", "CascadeROIHeads"),
    *("MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG", "True"),
)
RETINANET = (
    *("MODEL.META_ARCHITECTURE", "PixelExactRetinaNet", "MODEL.MASK_ON", "False"),
    *("MODEL.RETINANET.NUM_CLASSES", str(NUM_CLASSES), "MODEL.RETINANET.NUM_CONVS", "1"),
    *("MODEL.RETINANET.IN_FEATURES", "['p2', 'p3', 'p4', 'p5', 'p6']"),
    *("MODEL.RETINANET.SCORE_THRESH_TEST", "0.0"),
    *("MODEL.RETINANET.TOPK_CANDIDATES_TEST", "20"),
)
PANOPTIC = (
    *("MODEL.META_ARCHITECTURE", "PixelExactPanopticFPN"),
    *("MODEL.SEM_SEG_HEAD.CONVS_DIM", "8", "MODEL.SEM_SEG_HEAD.NORM", "''"),
    *("MODEL.SEM_SEG_HEAD.NUM_CLASSES", "3"),
    *("MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH", "0.0"),
)


def tiny_config(*opts: str, config: str = "ablation_aligned.yaml") -> Any:
    """A config of configs/shapes made smaller still."""
    return load_config(str(SHAPES / config), [*_SMALL, *opts])


def tiny_model(cfg: Any, seed: int = 0) -> Any:
    """A model on the CPU whose box deltas are not nearly zero, as fresh ones are."""
    torch.manual_seed(seed)
    model = build_model(cfg)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("bbox_pred.weight", "anchor_deltas.weight", "cls_score.weight")):
                parameter.normal_(std=0.3)
            elif name.endswith("mask_head.predictor.weight"):
                parameter.normal_(std=0.5)
    return model


def tiny_batch(scale: float = 1.0, masks: bool = True) -> list[dict[str, Any]]:
    """Two images of noise with three objects each; originals are ``scale`` times as large."""
    rng = np.random.default_rng(0)
    batch = []
    for i, (h, w) in enumerate(((64, 96), (80, 64))):
        corners = np.array([[5.25, 8.5], [20.0, 10.75], [30.5, 22.0]])
        sizes = np.array([[20.5, 30.25], [40.0, 25.5], [30.75, 20.0]])
        boxes = torch.from_numpy(np.concatenate([corners, corners + sizes], axis=1)).float()
        target = Instances((h, w))
        target.gt_boxes = Boxes(boxes)
        target.gt_classes = torch.tensor([i, 2, 4])
        if masks:
            bits = torch.zeros(3, h, w, dtype=torch.bool)
            for bit, (x1, y1, x2, y2) in zip(bits, boxes.round().int().tolist(), strict=True):
                bit[y1:y2, x1 : (x1 + x2) // 2] = True
            target.gt_masks = BitMasks(bits)
        image = torch.from_numpy(rng.integers(0, 256, (3, h, w), dtype=np.uint8))
        sizes_out = {"height": round(h * scale), "width": round(w * scale)}
        sem_seg = torch.from_numpy(rng.integers(0, 3, (h, w)))
        batch.append({"image": image, "instances": target, "sem_seg": sem_seg, **sizes_out})
    return batch


def polygon_batch(scale: float = 1.0) -> list[dict[str, Any]]:
    """``tiny_batch`` with polygons, the left half of each box, for presets of Detectron's."""
    batch = tiny_batch(scale)
    for entry in batch:
        corners = entry["instances"].gt_boxes.tensor.tolist()
        halves = [(x1, y1, (x1 + x2) / 2, y2) for x1, y1, x2, y2 in corners]
        polygons = [[np.array([a, b, c, b, c, d, a, d])] for a, b, c, d in halves]
        entry["instances"].gt_masks = PolygonMasks(polygons)
    return batch


def scaled_input(im_scale: float, h: int = 60, w: int = 80) -> dict[str, Any]:
    """An image of 60 x 80 pixels resized by a scale, with ground truth in float boxes."""
    size = (round(h * im_scale), round(w * im_scale))
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(3, *size, generator=generator) * 255
    boxes = torch.tensor([[x, y, x + a, y + b] for x, y, a, b in OBJECTS]) * im_scale
    target = Instances(size, gt_boxes=Boxes(boxes), gt_classes=torch.tensor([0, 1, 2]))
    entry = {"image": image, "height": h, "width": w, "im_scale": im_scale}
    return {**entry, "instances": target}


def losses(model: Any, batch: list[dict[str, Any]], seed: int = 0) -> dict[str, torch.Tensor]:
    """The losses of a training step, with the sampling of anchors and proposals seeded."""
    model.train()
    torch.manual_seed(seed)
    with EventStorage():
        return model(batch)


def heard_targets(model: Any, batch: list[dict[str, Any]]) -> list[Instances]:
    """The ground truth that the heads of a training step are given."""
    heard: list[Instances] = []

    def listen(proposals: Any, targets: Any) -> Any:
        heard.extend(targets)
        return type(model.roi_heads).label_and_sample_proposals(model.roi_heads, proposals, targets)

    model.roi_heads.label_and_sample_proposals = listen
    with EventStorage():
        model.train()(batch)
    del model.roi_heads.label_and_sample_proposals
    return heard


def detections(model: Any, batch: list[dict[str, Any]]) -> list[Instances]:
    """The postprocessed detections."""
    model.eval()
    with torch.no_grad():
        return [output["instances"] for output in model(batch)]


def raw_detections(model: Any, batch: list[dict[str, Any]], **kwargs: Any) -> list[Instances]:
    """The detections in network pixels."""
    with torch.no_grad():
        return model.eval().inference(batch, do_postprocess=False, **kwargs)


def assert_same_losses(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def assert_same_instances(first: list[Instances], second: list[Instances]) -> None:
    assert len(first) == len(second)
    for a, b in zip(first, second, strict=True):
        assert tuple(a.image_size) == tuple(b.image_size)
        assert a.get_fields().keys() == b.get_fields().keys()
        for name, value in a.get_fields().items():
            other = b.get(name)
            value, other = getattr(value, "tensor", value), getattr(other, "tensor", other)
            assert value.dtype == other.dtype, name
            assert torch.equal(value, other), name
