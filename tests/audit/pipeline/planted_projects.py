"""Detectron2 projects with one fault each, planted where people have it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.data import transforms as T
from detectron2.modeling import GeneralizedRCNN
from detectron2.modeling.poolers import ROIPooler
from detectron2.structures import Boxes
from fvcore.transforms.transform import HFlipTransform

from d2align.audit.pipeline.load import Pipeline, load_pipeline

SHAPES = Path(__file__).parents[3] / "configs" / "shapes"
_TINY = (
    *("MODEL.SMALL_RESNET.CHANNELS", "[8, 8, 10, 12, 16]", "MODEL.FPN.OUT_CHANNELS", "16"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "32", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8"),
)
PLAIN = (*_TINY, "MODEL.META_ARCHITECTURE", "GeneralizedRCNN")
POLYGON = ("INPUT.MASK_FORMAT", "polygon")
PANOPTIC = (
    *("MODEL.META_ARCHITECTURE", "PanopticFPN", "MODEL.SEM_SEG_HEAD.CONVS_DIM", "8"),
    *("MODEL.SEM_SEG_HEAD.NORM", "''", "MODEL.SEM_SEG_HEAD.NUM_CLASSES", "3"),
    *("MODEL.PANOPTIC_FPN.COMBINE.INSTANCES_CONFIDENCE_THRESH", "0.0"),
)


def tiny(name: str = "aligned", *opts: str, plain: bool = True, **kwargs: Any) -> Pipeline:
    """A small project; plain means Detectron2's own model and mapper."""
    path = str(SHAPES / f"ablation_{name}.yaml")
    return load_pipeline(path, [*(PLAIN if plain else _TINY), *opts], **kwargs)


def mapped(project: Pipeline, change: Callable[[dict[str, Any]], None]) -> Pipeline:
    """A project whose training mapper changes what it has made."""

    def mapper(record: dict[str, Any]) -> dict[str, Any]:
        found = project.train_mapper(record)
        change(found)
        return found

    return dataclasses.replace(project, train_mapper=mapper)


def augmented(project: Pipeline, *augmentations: Any) -> Pipeline:
    """A project with other augmentations in training."""
    mapper = copy.copy(project.train_mapper)
    mapper.augmentations = T.AugmentationList(list(augmentations))
    return dataclasses.replace(project, train_mapper=mapper)


RESIZE = T.ResizeShortestEdge((112, 128), 176, "choice")


class _Flip(T.RandomFlip):
    def __init__(self, kind: type) -> None:
        super().__init__()
        self.kind = kind

    def get_transform(self, image: np.ndarray) -> Any:
        found = super().get_transform(image)
        return self.kind(found.width) if isinstance(found, HFlipTransform) else found


class _BoxesByIndex(HFlipTransform):
    def apply_box(self, box: Any) -> Any:
        return super().apply_box(box) - np.array([1.0, 0.0, 1.0, 0.0])


def boxes_flipped_by_index(project: Pipeline) -> Pipeline:
    return augmented(project, RESIZE, _Flip(_BoxesByIndex))


class _CornersKept(T.ResizeTransform):
    def apply_image(self, img: Any, interp: Any = None) -> Any:
        pixels = torch.from_numpy(np.ascontiguousarray(img)).float().permute(2, 0, 1)[None]
        size = (self.new_h, self.new_w)
        out = F.interpolate(pixels, size, mode="bilinear", align_corners=True)[0]
        return out.round().byte().permute(1, 2, 0).numpy()


class _CornersKeptResize(T.Augmentation):
    def get_transform(self, image: np.ndarray) -> Any:
        found = RESIZE.get_transform(image)
        if not isinstance(found, T.ResizeTransform):
            return found
        return _CornersKept(found.h, found.w, found.new_h, found.new_w)


def image_resized_with_its_corners_kept(project: Pipeline) -> Pipeline:
    # The mapper of plain masks would resize them right, so annotations are all against the image.
    return augmented(project, _CornersKeptResize(), T.RandomFlip())


def boxes_one_too_wide(project: Pipeline) -> Pipeline:
    def change(found: dict[str, Any]) -> None:
        found["instances"].gt_boxes.tensor[:, 2:] += 1

    return mapped(project, change)


def keypoints_half_a_pixel_off(project: Pipeline) -> Pipeline:
    def change(found: dict[str, Any]) -> None:
        found["instances"].gt_keypoints.tensor[:, :, :2] += 0.5

    return mapped(project, change)


class _FloorNearest(T.ResizeTransform):
    def apply_segmentation(self, segmentation: Any) -> Any:
        mask = torch.from_numpy(np.array(segmentation)).float()[None, None]
        out = F.interpolate(mask, (self.new_h, self.new_w), mode="nearest")[0, 0]
        return out.numpy().astype(segmentation.dtype)


class _FloorNearestResize(T.Augmentation):
    def get_transform(self, image: np.ndarray) -> Any:
        found = RESIZE.get_transform(image)
        if not isinstance(found, T.ResizeTransform):
            return found
        return _FloorNearest(found.h, found.w, found.new_h, found.new_w)


def masks_resized_by_floor(project: Pipeline) -> Pipeline:
    return augmented(project, _FloorNearestResize(), T.RandomFlip())


def unaligned_box_pooler(project: Pipeline) -> Pipeline:
    pooler = project.model.roi_heads.box_pooler
    assert isinstance(pooler, ROIPooler)
    for level in pooler.level_poolers:
        level.aligned = False
    return project


def _with_class(module: Any, **methods: Any) -> None:
    module.__class__ = type(type(module).__name__, (type(module),), methods)


def masks_pasted_into_rounded_boxes(project: Pipeline) -> Pipeline:
    def inference(self: Any, inputs: Any, given: Any = None, do_postprocess: bool = True) -> Any:
        raw = GeneralizedRCNN.inference(self, inputs, given, do_postprocess=False)
        exact = [r.pred_boxes.tensor for r in raw]
        for r in raw:
            r.pred_boxes = Boxes(r.pred_boxes.tensor.round())
        out = GeneralizedRCNN._postprocess(raw, inputs, [r.image_size for r in raw])
        for o, boxes, r, i in zip(out, exact, raw, inputs, strict=True):
            h, w = r.image_size
            scale = torch.tensor([i["width"] / w, i["height"] / h]).repeat(2)
            o["instances"].pred_boxes = Boxes(boxes * scale)
        return out

    _with_class(project.model, inference=inference)
    return project


def masks_cropped_in_rounded_boxes(project: Pipeline) -> Pipeline:
    head = project.model.roi_heads.mask_head
    original = type(head).forward

    def forward(self: Any, x: Any, instances: Any) -> Any:
        if self.training:
            for i in instances:
                i.proposal_boxes = Boxes(i.proposal_boxes.tensor.floor())
        return original(self, x, instances)

    _with_class(head, forward=forward)
    return project


def boxes_scaled_by_last_pixels(project: Pipeline) -> Pipeline:
    def inference(self: Any, inputs: Any, given: Any = None, do_postprocess: bool = True) -> Any:
        raw = GeneralizedRCNN.inference(self, inputs, given, do_postprocess=False)
        given_boxes = [r.pred_boxes.tensor.clone() for r in raw]
        out = GeneralizedRCNN._postprocess(raw, inputs, [r.image_size for r in raw])
        for o, boxes, r, i in zip(out, given_boxes, raw, inputs, strict=True):
            (h, w), size = r.image_size, (i["height"], i["width"])
            scale = torch.tensor([(size[1] - 1) / (w - 1), (size[0] - 1) / (h - 1)]).repeat(2)
            o["instances"].pred_boxes = Boxes(boxes * scale)
        return out

    _with_class(project.model, inference=inference)
    return project


def decode_one_too_far(project: Pipeline) -> Pipeline:
    transform = project.model.roi_heads.box_predictor.box2box_transform
    original = transform.apply_deltas
    transform.apply_deltas = lambda deltas, boxes: (
        original(deltas, boxes) + torch.tensor([0.0, 0.0, 1.0, 1.0]).repeat(deltas.shape[1] // 4)
    )
    return project


def matched_by_inclusive_overlaps(project: Pipeline) -> Pipeline:
    heads = project.model.roi_heads
    original = type(heads).label_and_sample_proposals

    def widened(instances: list[Any], name: str, pixels: float) -> list[Any]:
        out = [copy.copy(x) for x in instances]
        for x in out:
            x._fields = {**x._fields, name: Boxes(x.get(name).tensor.clone())}
            x.get(name).tensor[:, 2:] += pixels
        return out

    def label(self: Any, proposals: list[Any], targets: list[Any]) -> list[Any]:
        given = widened(proposals, "proposal_boxes", 1.0), widened(targets, "gt_boxes", 1.0)
        sampled = original(self, *given)
        return widened(widened(sampled, "proposal_boxes", -1.0), "gt_boxes", -1.0)

    _with_class(heads, label_and_sample_proposals=label)
    return project


def labels_of_panoptic_half_a_pixel_off(project: Pipeline) -> Pipeline:
    original = type(project.model).inference

    def inference(self: Any, inputs: Any, do_postprocess: bool = True) -> Any:
        found = original(self, inputs, do_postprocess)
        for x in found if do_postprocess else ():
            x["sem_seg"] = x["sem_seg"].roll(1, dims=2)
        return found

    _with_class(project.model, inference=inference)
    return project


def a_pixel_added_by_the_mapper_and_taken_off_in_results(project: Pipeline) -> Pipeline:
    def change(found: dict[str, Any]) -> None:
        h, w = found["image"].shape[-2:]
        pixel = torch.tensor([w / found["width"], h / found["height"]])
        found["instances"].gt_boxes.tensor[:, 2:] += pixel

    def make(dataset: str, folder: str) -> Any:
        evaluator = project.make_evaluator(dataset, folder)

        def process(inputs: Any, outputs: Any) -> None:
            for o in outputs:
                o["instances"].pred_boxes.tensor[:, 2:] -= 1
            type(evaluator).process(evaluator, inputs, outputs)

        evaluator.process = process
        return evaluator

    return dataclasses.replace(mapped(project, change), make_evaluator=make)


def results_with_inclusive_widths(project: Pipeline) -> Pipeline:
    def make(dataset: str, folder: str) -> Any:
        evaluator = project.make_evaluator(dataset, folder)

        def process(inputs: Any, outputs: Any) -> None:
            for o in outputs:
                o["instances"].pred_boxes.tensor[:, 2:] += 1
            type(evaluator).process(evaluator, inputs, outputs)

        evaluator.process = process
        return evaluator

    return dataclasses.replace(project, make_evaluator=make)


def results_without_the_half_of_keypoints(project: Pipeline) -> Pipeline:
    def make(dataset: str, folder: str) -> Any:
        evaluator = project.make_evaluator(dataset, folder)

        def process(inputs: Any, outputs: Any) -> None:
            for o in outputs:
                o["instances"].pred_keypoints[:, :, :2] += 0.5
            type(evaluator).process(evaluator, inputs, outputs)

        evaluator.process = process
        return evaluator

    return dataclasses.replace(project, make_evaluator=make)
