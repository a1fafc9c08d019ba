"""Configuration: one switch for each pixel detail, and presets that set all of them.

Where Detectron2 has a key for a detail, that key is the switch; where it has none,
``cfg.D2ALIGN`` adds one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from d2align.registry import (
    BOX_TRANSFORM_REGISTRY,
    FLIP_REGISTRY,
    MASK_TARGET_REGISTRY,
    PASTE_MASK_REGISTRY,
    VERTICAL_FLIP_REGISTRY,
)

_REGISTRIES = {
    "box_transform": BOX_TRANSFORM_REGISTRY,
    "flip": FLIP_REGISTRY,
    "mask_target": MASK_TARGET_REGISTRY,
    "paste_mask": PASTE_MASK_REGISTRY,
}
BOXES = ("float", "inclusive")  # beside the factors: a switch of the presets
MASK_FORMATS = ("bitmask", "rle")
MASK_RESIZES = ("nearest", "unbiased")
_POOLERS = ("ROI_BOX_HEAD", "ROI_MASK_HEAD", "ROI_KEYPOINT_HEAD")


@dataclass(frozen=True)
class Factor:
    """One pixel detail: its values (the aligned one first) and how a config holds it."""

    values: tuple[str, ...]
    get: Callable[[Any], str]
    set: Callable[[Any, str], None]
    keys: tuple[str, ...]


def _own_key(key: str, values: tuple[str, ...]) -> Factor:
    def set_key(cfg: Any, value: str) -> None:
        cfg.D2ALIGN[key] = value

    return Factor(values, lambda cfg: cfg.D2ALIGN[key], set_key, (f"D2ALIGN.{key}",))


_POOLER_TYPES = {"ROIAlignV2": "aligned", "ROIAlign": "unaligned"}
_ANCHOR_NAMES = {"DefaultAnchorGenerator": "float", "Detectron1AnchorGenerator": "detectron1"}


def _get_roi_align(cfg: Any) -> str:
    # A head that crops nothing, such as PointRend's of masks, has none.
    found = {cfg.MODEL[head].POOLER_TYPE for head in _POOLERS} - {""}
    named = {_POOLER_TYPES.get(t, t) for t in found}
    return named.pop() if len(named) == 1 else "mixed"


def _set_roi_align(cfg: Any, value: str) -> None:
    for head in _POOLERS:
        if not cfg.MODEL[head].POOLER_TYPE:
            continue
        cfg.MODEL[head].POOLER_TYPE = {v: k for k, v in _POOLER_TYPES.items()}[value]


def _get_anchors(cfg: Any) -> str:
    name = cfg.MODEL.ANCHOR_GENERATOR.NAME
    return _ANCHOR_NAMES.get(name, name)


def _set_anchors(cfg: Any, value: str) -> None:
    cfg.MODEL.ANCHOR_GENERATOR.NAME = {v: k for k, v in _ANCHOR_NAMES.items()}[value]


FACTORS: dict[str, Factor] = {
    "box_transform": _own_key("BOX_TRANSFORM", ("float", "py_faster_rcnn", "detectron1")),
    "flip": _own_key("FLIP", ("coordinate", "detectron1", "index")),
    "anchors": Factor(
        ("float", "detectron1"), _get_anchors, _set_anchors, ("MODEL.ANCHOR_GENERATOR.NAME",)
    ),
    "roi_align": Factor(
        ("aligned", "unaligned"),
        _get_roi_align,
        _set_roi_align,
        tuple(f"MODEL.{head}.POOLER_TYPE" for head in _POOLERS),
    ),
    "mask_target": _own_key("MASK_TARGET", ("aligned", "unaligned", "detectron1")),
    "paste_mask": _own_key("PASTE_MASK", ("aligned", "detectron1")),
}

_DETECTRON1 = {**dict.fromkeys(FACTORS, "detectron1"), "roi_align": "unaligned"}
PRESETS: dict[str, dict[str, str]] = {
    "aligned": {name: factor.values[0] for name, factor in FACTORS.items()},
    "detectron1": _DETECTRON1,
    "py_faster_rcnn": {**_DETECTRON1, "box_transform": "py_faster_rcnn"},
}


def add_d2align_config(cfg: Any) -> None:
    """Add d2align's keys to a Detectron2 config, all aligned.

    Args:
        cfg: a Detectron2 CfgNode, changed in place:
            D2ALIGN.PRESET: "" (each switch for itself) or aligned | detectron1 |
                py_faster_rcnn, which then decides every factor, Detectron2's keys included.
            D2ALIGN.BOX_TRANSFORM: float | py_faster_rcnn | detectron1. The historical ones act
                in resized pixels in the RPN and RetinaNet, in original pixels in R-CNN heads. On
                float BOXES they add the +1 to boxes that have their last pixel.
            D2ALIGN.FLIP: coordinate | detectron1 | index, in original pixels.
            D2ALIGN.MASK_TARGET: aligned | unaligned (needs INPUT.MASK_FORMAT bitmask) | detectron1
                (needs INPUT.MASK_FORMAT polygon).
            D2ALIGN.PASTE_MASK: aligned | detectron1, in original pixels.
            D2ALIGN.MASK_RESIZE: nearest | unbiased, of bitmasks and labels in the mapper; a fix.
            D2ALIGN.BOXES: float | inclusive, as inside Detectron (docs/detectron1.md); no factor.
            D2ALIGN.TEST.MASK_FORMAT: bitmask | rle. How an R-CNN gives masks: dense as pred_masks,
                or encoded as pred_masks_rle, the faster form for d2align's COCOEvaluator.
            D2ALIGN.FAST_CPU: models that are faster on the CPU and equal but for rounding.
            D2ALIGN.TRUST_CHECKPOINTS: whether code in checkpoints may run; else it is refused.
            Two factors have keys of Detectron2's own: MODEL.ANCHOR_GENERATOR.NAME
            (DefaultAnchorGenerator | Detectron1AnchorGenerator) and MODEL.ROI_*_HEAD.POOLER_TYPE
            (ROIAlignV2 | ROIAlign).
    """
    node = type(cfg)
    cfg.D2ALIGN = node()
    cfg.D2ALIGN.PRESET = ""
    cfg.D2ALIGN.BOXES = BOXES[0]
    cfg.D2ALIGN.MASK_RESIZE = MASK_RESIZES[0]
    cfg.D2ALIGN.FAST_CPU = True
    cfg.D2ALIGN.TRUST_CHECKPOINTS = False
    cfg.D2ALIGN.TEST = node({"MASK_FORMAT": MASK_FORMATS[0]})
    for name, factor in FACTORS.items():
        if factor.keys[0].startswith("D2ALIGN."):
            cfg.D2ALIGN[factor.keys[0].split(".")[1]] = PRESETS["aligned"][name]


def set_factor(cfg: Any, factor: str, value: str) -> None:
    """Turn one factor of a config to a value.

    Args:
        cfg: a config with d2align's keys, changed in place.
        factor: box_transform | flip | anchors | roi_align | mask_target | paste_mask.
        value: one of the factor's values.

    Raises:
        ValueError: an unknown factor or value; the message lists the choices.
    """
    _check_choice("factor", factor, tuple(FACTORS))
    _check_choice(factor, value, choices(factor))
    FACTORS[factor].set(cfg, value)


def get_factors(cfg: Any) -> dict[str, str]:
    """Return the value of every factor in a config.

    Args:
        cfg: a config with d2align's keys.

    Returns:
        factor -> value; a component that is not ours or Detectron2's appears by its own name.
    """
    return {name: factor.get(cfg) for name, factor in FACTORS.items()}


def set_preset(cfg: Any, preset: str) -> None:
    """Turn every factor of a config to a preset's value.

    Args:
        cfg: a config with d2align's keys, changed in place. A historical preset also sets what
            its source had beside the factors: inclusive boxes, no anchors across the border,
            polygons for mask targets, and two samples a side of its RoIAlign on a pyramid.
        preset: aligned | detectron1 | py_faster_rcnn.

    Raises:
        ValueError: an unknown preset; the message lists the choices.
    """
    _check_choice("D2ALIGN.PRESET", preset, tuple(PRESETS))
    for name, value in PRESETS[preset].items():
        set_factor(cfg, name, value)
    cfg.D2ALIGN.BOXES = BOXES[preset != "aligned"]
    if preset == "aligned":
        return
    cfg.MODEL.RPN.BOUNDARY_THRESH = 0
    if cfg.MODEL.MASK_ON:
        cfg.INPUT.MASK_FORMAT = "polygon"
    if len(cfg.MODEL.ROI_HEADS.IN_FEATURES) > 1:
        for head in _POOLERS:
            cfg.MODEL[head].POOLER_SAMPLING_RATIO = 2


def check_d2align_config(cfg: Any) -> None:
    """Carry out D2ALIGN.PRESET and refuse what cannot work, before anything is built.

    Args:
        cfg: a config with d2align's keys, not frozen; changed in place by a preset.

    Raises:
        ValueError: an unknown value (the message lists the choices), or switches that cannot
            work together.
    """
    if cfg.D2ALIGN.PRESET:
        _check_no_conflict(cfg)
        set_preset(cfg, cfg.D2ALIGN.PRESET)
    for name, factor in FACTORS.items():
        if factor.keys[0].startswith("D2ALIGN."):
            _check_choice(factor.keys[0], factor.get(cfg), choices(name))
    known = (*_POOLER_TYPES, "ROIPool", "ROIAlignRotated", "")
    for head in _POOLERS:
        _check_choice(f"MODEL.{head}.POOLER_TYPE", cfg.MODEL[head].POOLER_TYPE, known)
    _check_mask_target(cfg)
    _check_flip(cfg)
    _check_scale(cfg)
    _check_boxes(cfg)
    _check_mask_format(cfg)
    _check_choice("D2ALIGN.MASK_RESIZE", cfg.D2ALIGN.MASK_RESIZE, MASK_RESIZES)


def choices(factor: str) -> tuple[str, ...]:
    """Return the values of a factor: d2align's own and those that users have registered.

    Args:
        factor: one of ``FACTORS``.

    Returns:
        Values, the aligned one first.
    """
    own = FACTORS[factor].values
    return own + tuple(v for v in _REGISTRIES.get(factor, ()) if v not in own)


def _check_no_conflict(cfg: Any) -> None:
    preset = PRESETS.get(cfg.D2ALIGN.PRESET, {})
    for name, value in preset.items():
        if get_factors(cfg)[name] not in (value, PRESETS["aligned"][name]):
            raise ValueError(
                f"D2ALIGN.PRESET: got {cfg.D2ALIGN.PRESET!r} beside {name} "
                f"{get_factors(cfg)[name]!r}, expected one of the two: a preset sets all switches"
            )
    if cfg.D2ALIGN.PRESET == "aligned" and cfg.D2ALIGN.BOXES != "float":
        raise ValueError("D2ALIGN.PRESET: got 'aligned' beside other BOXES, expected 'float' ones")


def _check_mask_target(cfg: Any) -> None:
    target = cfg.D2ALIGN.MASK_TARGET
    if target == "aligned" or not cfg.MODEL.MASK_ON:
        return
    needed = "polygon" if target == "detectron1" else "bitmask"
    if needed != cfg.INPUT.MASK_FORMAT:
        raise ValueError(
            f"D2ALIGN.MASK_TARGET: got {target!r} with INPUT.MASK_FORMAT "
            f"{cfg.INPUT.MASK_FORMAT!r}, expected INPUT.MASK_FORMAT {needed!r}: that is what it "
            "makes its targets from"
        )


def _check_flip(cfg: Any) -> None:
    vertical = ("coordinate", "index", *VERTICAL_FLIP_REGISTRY)
    if cfg.INPUT.RANDOM_FLIP == "vertical" and cfg.D2ALIGN.FLIP not in vertical:
        raise ValueError(
            f"D2ALIGN.FLIP: got {cfg.D2ALIGN.FLIP!r} with INPUT.RANDOM_FLIP 'vertical', which it "
            f"never had; expected one of {sorted(set(vertical))}, or horizontal flips"
        )


def _check_scale(cfg: Any) -> None:
    for key in ("BOX_TRANSFORM", "MASK_TARGET"):
        if cfg.D2ALIGN[key] in ("detectron1", "py_faster_rcnn") and cfg.INPUT.CROP.ENABLED:
            raise ValueError(
                f"D2ALIGN.{key}: got {cfg.D2ALIGN[key]!r} with INPUT.CROP.ENABLED, expected no "
                "crop, which hides the scale to original pixels, in which it acts"
            )


def _check_boxes(cfg: Any) -> None:
    _check_choice("D2ALIGN.BOXES", cfg.D2ALIGN.BOXES, BOXES)
    if cfg.D2ALIGN.BOXES == "float":
        return
    got = f"D2ALIGN.BOXES: got {cfg.D2ALIGN.BOXES!r}, expected"
    historical = cfg.D2ALIGN.BOX_TRANSFORM in ("detectron1", "py_faster_rcnn")
    if not historical or "RetinaNet" in cfg.MODEL.META_ARCHITECTURE:
        raise ValueError(
            f"{got} an R-CNN with D2ALIGN.BOX_TRANSFORM detectron1 or py_faster_rcnn; for a "
            "RetinaNet, leave the preset out and set the other switches one by one"
        )
    head = cfg.MODEL.ROI_BOX_HEAD
    losses = {head.BBOX_REG_LOSS_TYPE, cfg.MODEL.RPN.BBOX_REG_LOSS_TYPE}
    if losses != {"smooth_l1"} or head.TRAIN_ON_PRED_BOXES or cfg.MODEL.LOAD_PROPOSALS:
        raise ValueError(f"{got} smooth_l1 box losses, no TRAIN_ON_PRED_BOXES, no LOAD_PROPOSALS")


def _check_mask_format(cfg: Any) -> None:
    _check_choice("D2ALIGN.TEST.MASK_FORMAT", cfg.D2ALIGN.TEST.MASK_FORMAT, MASK_FORMATS)
    panoptic = "Panoptic" in cfg.MODEL.META_ARCHITECTURE
    if panoptic and cfg.MODEL.PANOPTIC_FPN.COMBINE.ENABLED and not cfg.MODEL.MASK_ON:
        raise ValueError(
            "MODEL.MASK_ON: got False for a panoptic model, expected True: masks are what it is "
            "combined from, unless MODEL.PANOPTIC_FPN.COMBINE.ENABLED is False"
        )
    if cfg.D2ALIGN.TEST.MASK_FORMAT == "rle" and panoptic:
        raise ValueError(
            "D2ALIGN.TEST.MASK_FORMAT: got 'rle' for a panoptic model, expected 'bitmask': dense "
            "masks are what it is combined from"
        )


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}: got {value!r}, expected one of {list(known)}")
