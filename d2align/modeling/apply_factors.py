"""Turn pixel details of a built Detectron2 model, whoever wrote its heads.

Only the given model changes: attributes of its modules, and the classes of some of its modules
to subclasses made here. Detectron2 itself is never patched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from detectron2.layers import ROIAlign
from detectron2.modeling.anchor_generator import BufferList, DefaultAnchorGenerator
from detectron2.modeling.meta_arch import GeneralizedRCNN, PanopticFPN, RetinaNet
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.modeling.roi_heads.mask_head import BaseMaskRCNNHead
from detectron2.structures import PolygonMasks
from torch import nn

from d2align.config import FACTORS
from d2align.geometry._checks import check_weights
from d2align.modeling.anchor_generator import (
    Detectron1AnchorGenerator,
    float_cell_anchors,
    round_cell_anchors,
)
from d2align.modeling.fast_rcnn import PREDICTOR_MIXINS
from d2align.modeling.inclusive.apply_boxes import apply_boxes, check_boxes
from d2align.modeling.inclusive.fast_rcnn import InclusivePredictor
from d2align.modeling.inference import PixelExactInference, PixelExactPanopticInference
from d2align.modeling.mask_head import CropByName, CropPolygonsInOriginalPixels
from d2align.modeling.mixins import set_mixin
from d2align.registry import (
    BOX_TRANSFORM_REGISTRY,
    MASK_TARGET_REGISTRY,
    PASTE_MASK_REGISTRY,
    build_box_transform,
    build_mask_target,
    build_paste_mask,
)

Model = TypeVar("Model", bound=nn.Module)


def apply(
    model: Model,
    *,
    box_transform: str | None = None,
    anchors: str | None = None,
    roi_align: str | None = None,
    mask_target: str | None = None,
    paste_mask: str | None = None,
    boxes: str | None = None,
) -> Model:
    """Turn pixel details of a built model; what is None stays as it is.

    Convention: the first value of each factor is the aligned one. Historical box transforms act
    in network pixels in the RPN and RetinaNet and in original pixels in R-CNN heads. Whatever
    boxes are inside, ground truth and detections are float boxes.

    Args:
        model: a GeneralizedRCNN, PanopticFPN or RetinaNet, or a subclass; changed in place.
        box_transform: float | detectron1 | py_faster_rcnn.
        anchors: float | detectron1.
        roi_align: aligned | unaligned.
        mask_target: aligned | unaligned | detectron1; acts in training, unaligned on bitmasks,
            detectron1 on polygons.
        paste_mask: aligned | detectron1.
        boxes: float | inclusive; inside an R-CNN, with a historical box_transform: see
            ``d2align.modeling.inclusive``.

    Returns:
        The same model.

    Raises:
        ValueError: an unknown value, or a model in which there is nothing for it to act on;
            then nothing has changed.
    """
    wanted = {
        "box_transform": box_transform,
        "anchors": anchors,
        "roi_align": roi_align,
        "mask_target": mask_target,
        "paste_mask": paste_mask,
    }
    check_boxes(model, boxes, box_transform)
    steps = [
        functools.partial(_STEPS[factor], model, value, _targets(model, factor, value))
        for factor, value in wanted.items()
        if value is not None
    ]
    for step in steps:
        step()
    if boxes is not None:
        apply_boxes(model, boxes)
    return model


def factors_from_config(cfg: Any) -> dict[str, str]:
    """Return the arguments of ``apply`` that a config's own d2align switches stand for.

    Args:
        cfg: a config with d2align's keys. Anchors and RoIAlign have keys of Detectron2's own, by
            which Detectron2 has already built them.

    Returns:
        factor -> value, only for parts that the configured model has.
    """
    factors = {"box_transform": cfg.D2ALIGN.BOX_TRANSFORM}
    if "RetinaNet" not in cfg.MODEL.META_ARCHITECTURE:
        factors["paste_mask"] = cfg.D2ALIGN.PASTE_MASK
        factors["boxes"] = cfg.D2ALIGN.BOXES
        if cfg.MODEL.MASK_ON:
            factors["mask_target"] = cfg.D2ALIGN.MASK_TARGET
    return factors


def _targets(model: nn.Module, factor: str, value: str) -> list[nn.Module]:
    """The modules on which a factor acts, after checking that it can."""
    _check_value(factor, value)
    classes = _ACTS_ON[factor]
    found = [m for m in model.modules() if isinstance(m, classes)]
    if factor == "box_transform":  # rotated boxes have five weights, and nothing to turn
        found = [m for m in found if len(m.box2box_transform.weights) == 4]
    if not found and value != FACTORS[factor].values[0]:
        names = " or ".join(c.__name__ for c in classes)
        raise ValueError(
            f"model: got {type(model).__name__} without any {names}, expected one, since that is "
            f"what {factor} {value!r} acts on"
        )
    if factor == "box_transform":
        _check_box_transform(model, value, found)
    if factor == "mask_target" and _is_drawn(value):
        _check_knows_scale(model)
    if factor == "anchors" and value == "float":
        _check_float_anchors(found)
    return found


def _check_value(factor: str, value: str) -> None:
    if factor == "box_transform":
        BOX_TRANSFORM_REGISTRY.get(value)
    elif factor == "paste_mask":
        PASTE_MASK_REGISTRY.get(value)
    elif factor == "mask_target":
        MASK_TARGET_REGISTRY.get(value)
    elif value not in FACTORS[factor].values:
        raise ValueError(f"{factor}: got {value!r}, expected one of {list(FACTORS[factor].values)}")


def _check_box_transform(model: nn.Module, value: str, found: list[nn.Module]) -> None:
    for module in found:
        check_weights(module.box2box_transform.weights)
    others = [m for m in model.modules() if hasattr(m, "box2box_transform") and m not in found]
    if others and value != FACTORS["box_transform"].values[0]:
        raise ValueError(
            f"model: got a {type(others[0]).__name__}, whose box transform is of another kind; "
            f"expected RPN, RetinaNet and FastRCNNOutputLayers, on which {value!r} acts"
        )
    has_predictor = any(isinstance(m, FastRCNNOutputLayers) for m in found)
    if has_predictor and _is_in_original_pixels(value):
        _check_knows_scale(model)


def _is_in_original_pixels(box_transform: str) -> bool:
    return BOX_TRANSFORM_REGISTRY.get(box_transform) in PREDICTOR_MIXINS


def _is_drawn(mask_target: str) -> bool:
    return issubclass(build_mask_target(mask_target), PolygonMasks)


def _check_knows_scale(model: nn.Module) -> None:
    if not _meta_architectures(model):
        raise ValueError(
            f"model: got {type(model).__name__}, expected the whole GeneralizedRCNN: historical "
            "heads act in original pixels, whose scale only it knows"
        )


def _check_float_anchors(generators: list[nn.Module]) -> None:
    for generator in generators:
        if isinstance(generator, Detectron1AnchorGenerator):
            raise ValueError(
                "anchors: got 'float' for a model built with Detectron1AnchorGenerator, expected "
                "one built with DefaultAnchorGenerator, since sizes were rounded away"
            )


def _meta_architectures(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, GeneralizedRCNN)]


def _apply_box_transform(model: nn.Module, value: str, modules: list[nn.Module]) -> None:
    for module in modules:
        old = module.box2box_transform
        module.box2box_transform = build_box_transform(value, old.weights, old.scale_clamp)
        if isinstance(module, FastRCNNOutputLayers) and not isinstance(module, InclusivePredictor):
            set_mixin(module, PREDICTOR_MIXINS.get(type(module.box2box_transform)))
    if _is_in_original_pixels(value):
        for meta in _meta_architectures(model):
            _make_pixel_exact(meta)


def _apply_anchors(model: nn.Module, value: str, modules: list[nn.Module]) -> None:
    for generator in modules:
        if isinstance(generator, Detectron1AnchorGenerator):
            continue
        if not hasattr(generator, "float_anchors"):
            # Kept as a plain attribute, so that checkpoints stay as they are.
            generator.float_anchors = (float_cell_anchors(generator), generator.offset)
        anchors, offset = generator.float_anchors
        if value == "float":
            generator.cell_anchors, generator.offset = BufferList(anchors), offset
        else:
            rounded = round_cell_anchors(anchors, generator.strides)
            generator.cell_anchors, generator.offset = BufferList(rounded), 0.0
        generator.to(next(model.parameters()).device)


def _apply_roi_align(model: nn.Module, value: str, modules: list[nn.Module]) -> None:
    for module in modules:
        module.aligned = value == "aligned"


def _apply_mask_target(model: nn.Module, value: str, modules: list[nn.Module]) -> None:
    chosen = build_mask_target(value)
    for module in modules:
        if value == "aligned":  # as Detectron2's own bitmasks and polygons are
            set_mixin(module, None)
        elif _is_drawn(value):
            set_mixin(module, CropPolygonsInOriginalPixels)
            module.polygons_class = chosen
        else:
            set_mixin(module, CropByName)
            module.bitmasks_class = chosen
    if _is_drawn(value):
        for meta in _meta_architectures(model):
            _make_pixel_exact(meta)


def _apply_paste_mask(model: nn.Module, value: str, modules: list[nn.Module]) -> None:
    for module in modules:
        _make_pixel_exact(module)
        module.paste_masks = build_paste_mask(value)


def _make_pixel_exact(model: nn.Module) -> None:
    if isinstance(model, PixelExactInference | PixelExactPanopticInference):
        return
    panoptic = isinstance(model, PanopticFPN)
    set_mixin(model, PixelExactPanopticInference if panoptic else PixelExactInference)


_ACTS_ON: dict[str, tuple[type, ...]] = {
    "box_transform": (RPN, RetinaNet, FastRCNNOutputLayers),
    "anchors": (DefaultAnchorGenerator,),
    "roi_align": (ROIAlign,),
    "mask_target": (BaseMaskRCNNHead,),
    "paste_mask": (GeneralizedRCNN,),
}
_STEPS: dict[str, Callable[[nn.Module, str, list[nn.Module]], None]] = {
    "box_transform": _apply_box_transform,
    "anchors": _apply_anchors,
    "roi_align": _apply_roi_align,
    "mask_target": _apply_mask_target,
    "paste_mask": _apply_paste_mask,
}
