"""Turn a built model to inclusive boxes on the inside, and back to float ones."""

from __future__ import annotations

from typing import Any

from detectron2.modeling.anchor_generator import DefaultAnchorGenerator
from detectron2.modeling.meta_arch import GeneralizedRCNN, PanopticFPN
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import CascadeROIHeads, ROIHeads
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.modeling.roi_heads.keypoint_head import BaseKeypointRCNNHead
from torch import nn

from d2align.config import BOXES
from d2align.modeling.fast_rcnn import PREDICTOR_MIXINS
from d2align.modeling.inclusive.anchor_generator import InclusiveAnchors
from d2align.modeling.inclusive.fast_rcnn import InclusivePredictor
from d2align.modeling.inclusive.keypoint_head import InclusiveKeypointHead
from d2align.modeling.inclusive.meta_arch import (
    InclusiveInside,
    InclusivePanopticFPN,
    InclusiveRCNN,
)
from d2align.modeling.inclusive.roi_heads import InclusiveCascadeROIHeads, InclusiveROIHeads
from d2align.modeling.inclusive.rpn import InclusiveRPN
from d2align.modeling.inference import PixelExactInference, PixelExactPanopticInference
from d2align.modeling.mixins import set_mixin
from d2align.registry import BOX_TRANSFORM_REGISTRY

# The first class that a module is of decides.
_MIXINS: dict[type, type] = {
    PanopticFPN: InclusivePanopticFPN,
    GeneralizedRCNN: InclusiveRCNN,
    RPN: InclusiveRPN,
    DefaultAnchorGenerator: InclusiveAnchors,
    CascadeROIHeads: InclusiveCascadeROIHeads,
    ROIHeads: InclusiveROIHeads,
    FastRCNNOutputLayers: InclusivePredictor,
    BaseKeypointRCNNHead: InclusiveKeypointHead,
}


def check_boxes(model: nn.Module, boxes: str | None, box_transform: str | None) -> None:
    """Refuse inclusive boxes where they cannot be, before anything is changed.

    Args:
        model: a built model.
        boxes: what ``apply`` was asked for, or None.
        box_transform: likewise.

    Raises:
        ValueError: an unknown value, a model that is no R-CNN of Detectron's kind, or a box
            transform that takes float boxes.
    """
    if boxes is not None and boxes not in BOXES:
        raise ValueError(f"boxes: got {boxes!r}, expected one of {list(BOXES)}")
    if boxes == "inclusive":
        _check_parts(model)
    if boxes == "inclusive" or (boxes is None and has_inclusive_boxes(model)):
        _check_transforms(model, box_transform)


def has_inclusive_boxes(model: nn.Module) -> bool:
    """Return whether a model's boxes are inclusive indices on the inside.

    Args:
        model: a built model.
    """
    return any(isinstance(m, InclusiveInside) for m in model.modules())


def apply_boxes(model: nn.Module, value: str) -> None:
    """Turn a checked model's boxes.

    Args:
        model: changed in place.
        value: float | inclusive.
    """
    if value == "float" and not has_inclusive_boxes(model):
        return
    for module in model.modules():
        kind = next((k for k in _MIXINS if isinstance(module, k)), None)
        if kind is not None:
            set_mixin(module, _MIXINS[kind] if value == "inclusive" else _float_mixin(module, kind))


def _float_mixin(module: Any, kind: type) -> type | None:
    if kind is PanopticFPN:
        return PixelExactPanopticInference
    if kind is GeneralizedRCNN:
        return PixelExactInference
    if kind is FastRCNNOutputLayers:
        return PREDICTOR_MIXINS.get(type(module.box2box_transform))
    return None


def _check_parts(model: nn.Module) -> None:
    for kind in (GeneralizedRCNN, FastRCNNOutputLayers):
        if not any(isinstance(m, kind) for m in model.modules()):
            raise ValueError(
                f"model: got {type(model).__name__} without any {kind.__name__}, expected a whole "
                "R-CNN of Detectron2's, since boxes 'inclusive' acts on no other"
            )
    for module in model.modules():
        if isinstance(module, RPN) and not isinstance(
            module.anchor_generator, DefaultAnchorGenerator
        ):
            raise ValueError(
                f"model: got anchors of a {type(module.anchor_generator).__name__}, expected a "
                "DefaultAnchorGenerator: boxes 'inclusive' knows no others"
            )
        loss = getattr(module, "box_reg_loss_type", "smooth_l1")
        if loss != "smooth_l1" or getattr(module, "train_on_pred_boxes", False):
            raise ValueError(
                f"model: got {type(module).__name__} with box loss {loss!r} or training on "
                "predicted boxes, expected smooth_l1 and proposals, as in Detectron, since boxes "
                "'inclusive' have no other form"
            )


def _check_transforms(model: nn.Module, box_transform: str | None) -> None:
    if box_transform is not None:
        found = {BOX_TRANSFORM_REGISTRY.get(box_transform)}
    else:
        found = {type(m.box2box_transform) for m in model.modules() if _has_transform(m)}
    others = sorted(cls.__name__ for cls in found if cls not in PREDICTOR_MIXINS)
    if others:
        raise ValueError(
            f"boxes: got 'inclusive' with a {others[0]}, expected box_transform 'detectron1' or "
            "'py_faster_rcnn' in the same call (or boxes 'float'): the +1 belongs to both"
        )


def _has_transform(module: nn.Module) -> bool:
    return isinstance(module, RPN | FastRCNNOutputLayers)
