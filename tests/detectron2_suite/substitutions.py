"""What takes which name's place, in which of Detectron2's test modules."""

from __future__ import annotations

import importlib
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Paths of modules relative to Detectron2's tests -> names -> components, as "module:attribute".
# A dotted name, T.HFlipTransform, is one of a module that the test module has imported.
Substitutions = Mapping[str, Mapping[str, str]]

_ADAPTERS = "detectron2_suite.components"


@dataclass(frozen=True)
class Round:
    """A run of some test modules with one component for each name.

    Attributes:
        name: of the round.
        substitutions: what is substituted where.
    """

    name: str
    substitutions: Substitutions


_TRANSFORMS = {
    "T.HFlipTransform": "d2align.data.transforms:CoordinateHFlipTransform",
}

ROUNDS = (
    Round(
        "components",
        {
            "modeling/test_box2box_transform.py": {
                "Box2BoxTransform": "d2align.modeling:FloatBoxTransform",
            },
            "modeling/test_anchor_generator.py": {
                "DefaultAnchorGenerator": f"{_ADAPTERS}:GeometryAnchorGenerator",
            },
            "modeling/test_fast_rcnn.py": {
                "Box2BoxTransform": "d2align.modeling:FloatBoxTransform",
            },
            "modeling/test_rpn.py": {
                "RPN": "d2align.modeling.fast_rpn:FastRPN",
            },
            "modeling/test_roi_heads.py": {
                "StandardROIHeads": f"{_ADAPTERS}:aligned_roi_heads",
                "build_proposal_generator": f"{_ADAPTERS}:aligned_proposal_generator",
                "BitMasks": "d2align.modeling:AlignedBitMasks",
            },
            "modeling/test_roi_pooler.py": {
                "ROIPooler": "d2align.modeling.poolers:FastROIPooler",
            },
            "modeling/test_model_e2e.py": {
                "get_model_no_weights": f"{_ADAPTERS}:pixel_exact_model",
                "BitMasks": "d2align.modeling:AlignedBitMasks",
            },
            "layers/test_roi_align.py": {
                "ROIAlign": "d2align.modeling.poolers:FastROIAlign",
            },
            "layers/test_roi_align_rotated.py": {
                "ROIAlign": "d2align.modeling.poolers:FastROIAlign",
            },
            "layers/test_mask_ops.py": {
                "paste_masks_in_image": f"{_ADAPTERS}:paste_masks_in_image",
                "BitMasks": "d2align.modeling:AlignedBitMasks",
                "PolygonMasks": f"{_ADAPTERS}:GeometryPolygonMasks",
            },
            "structures/test_boxes.py": {
                "pairwise_iou": f"{_ADAPTERS}:pairwise_iou",
            },
            "structures/test_masks.py": {
                "BitMasks": "d2align.modeling:AlignedBitMasks",
            },
            "data/test_transforms.py": {
                **_TRANSFORMS,
                "T.RandomFlip": "d2align.data:PixelExactRandomFlip",
                "T.ResizeTransform": "d2align.data.mask_resize:UnbiasedResizeTransform",
                "T.ExtentTransform": "d2align.data.mask_resize:UnbiasedExtentTransform",
                "detection_utils.build_augmentation": f"{_ADAPTERS}:build_augmentation",
            },
            "data/test_detection_utils.py": _TRANSFORMS,
            "data/test_coco_evaluation.py": {
                "COCOEvaluator": "d2align.evaluation:COCOEvaluator",
            },
        },
    ),
    # The sizes in these tests are too small for the fast ways, which are made to be taken here.
    Round(
        "RoIAlign as one weighted sum for every bin",
        {
            "layers/test_roi_align.py": {"ROIAlign": f"{_ADAPTERS}:GatherROIAlign"},
            "layers/test_roi_align_rotated.py": {"ROIAlign": f"{_ADAPTERS}:GatherROIAlign"},
        },
    ),
    Round(
        "RoIAlign as two matrix products",
        {
            "layers/test_roi_align.py": {"ROIAlign": f"{_ADAPTERS}:SeparableROIAlign"},
            "layers/test_roi_align_rotated.py": {"ROIAlign": f"{_ADAPTERS}:SeparableROIAlign"},
        },
    ),
    Round(
        "RoIAlign by grid_sample, masks by way of RLE",
        {
            "layers/test_roi_align.py": {"ROIAlign": f"{_ADAPTERS}:GridSampleROIAlign"},
            "layers/test_mask_ops.py": {
                "paste_masks_in_image": f"{_ADAPTERS}:paste_masks_by_rle",
            },
        },
    ),
)


def load(path: str) -> Any:
    """Import a component.

    Args:
        path: "module:attribute".

    Returns:
        The component.
    """
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def substitute(module: types.ModuleType, names: Mapping[str, str]) -> Iterator[str]:
    """Bind names of a test module to components, in that module alone.

    Args:
        module: of Detectron2's tests, just imported.
        names: name -> component.

    Yields:
        Each "name -> component", once it is bound.

    Raises:
        ValueError: the module has no such name, or none of its functions uses it.
    """
    used = set(_names_in(module))
    for name, path in names.items():
        parts = name.split(".")
        if not set(parts) <= used:
            raise ValueError(f"{module.__name__}: got no function that uses {name!r}, expected one")
        _bind(module, parts, load(path))
        yield f"{name} -> {path}"


def _bind(module: types.ModuleType, parts: list[str], component: Any) -> None:
    *outer, last = parts
    for part in outer:
        inner = getattr(module, part, None)
        if not isinstance(inner, types.ModuleType):
            raise ValueError(f"{module.__name__}: got {inner!r} as {part!r}, expected a module")
        # A copy takes its place, so that Detectron2's own module stays as it is.
        copy = types.ModuleType(inner.__name__)
        vars(copy).update(vars(inner))
        setattr(module, part, copy)
        module = copy
    if not hasattr(module, last):
        raise ValueError(f"{module.__name__}: got no {last!r}, expected one to take the place of")
    setattr(module, last, component)


def _names_in(module: types.ModuleType) -> Iterator[str]:
    """Names that functions and methods written in a module refer to."""
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        members = vars(value).values() if isinstance(value, type) else [value]
        for member in members:
            function = getattr(member, "__func__", member)
            function = getattr(function, "__wrapped__", function)
            if isinstance(function, types.FunctionType):
                yield from _names_in_code(function.__code__)


def _names_in_code(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in_code(constant)
