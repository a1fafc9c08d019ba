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
    found = {cfg.MODEL[head].POOLER_TYPE for head in _POOLERS}
    named = {_POOLER_TYPES.get(t, t) for t in found}
    return named.pop() if len(named) == 1 else "mixed"


def _set_roi_align(cfg: Any, value: str) -> None:
    for head in _POOLERS:
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
    "mask_target": _own_key("MASK_TARGET", ("aligned", "unaligned")),
    "paste_mask": _own_key("PASTE_MASK", ("aligned", "detectron1")),
}

_DETECTRON1 = {
    "box_transform": "detectron1",
    "flip": "detectron1",
    "anchors": "detectron1",
    "roi_align": "unaligned",
    "mask_target": "unaligned",
    "paste_mask": "detectron1",
}
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
                in resized pixels in the RPN and RetinaNet, in original pixels in R-CNN heads. They
                take Detectron2's float boxes as they are: the +1 is left in, as in a port that
                changed the data but not the transform.
            D2ALIGN.FLIP: coordinate | detectron1 | index, in original pixels.
            D2ALIGN.MASK_TARGET: aligned | unaligned (unaligned needs INPUT.MASK_FORMAT bitmask).
            D2ALIGN.PASTE_MASK: aligned | detectron1, in original pixels.
            Two factors have keys of Detectron2's own: MODEL.ANCHOR_GENERATOR.NAME
            (DefaultAnchorGenerator | Detectron1AnchorGenerator) and MODEL.ROI_*_HEAD.POOLER_TYPE
            (ROIAlignV2 | ROIAlign).
    """
    node = type(cfg)
    cfg.D2ALIGN = node()
    cfg.D2ALIGN.PRESET = ""
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
        cfg: a config with d2align's keys, changed in place; a historical preset also sets
            INPUT.MASK_FORMAT bitmask, on which mask_target acts.
        preset: aligned | detectron1 | py_faster_rcnn.

    Raises:
        ValueError: an unknown preset; the message lists the choices.
    """
    _check_choice("D2ALIGN.PRESET", preset, tuple(PRESETS))
    for name, value in PRESETS[preset].items():
        set_factor(cfg, name, value)
    if preset != "aligned" and cfg.MODEL.MASK_ON:
        cfg.INPUT.MASK_FORMAT = "bitmask"


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
    for head in _POOLERS:
        known = (*_POOLER_TYPES, "ROIPool", "ROIAlignRotated")
        _check_choice(f"MODEL.{head}.POOLER_TYPE", cfg.MODEL[head].POOLER_TYPE, known)
    _check_mask_target(cfg)
    _check_flip(cfg)
    _check_scale(cfg)


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
                f"{get_factors(cfg)[name]!r}, expected no other switch, since a preset sets all of "
                "them: leave the preset out, or the switch"
            )


def _check_mask_target(cfg: Any) -> None:
    crops = cfg.D2ALIGN.MASK_TARGET != "aligned" and cfg.MODEL.MASK_ON
    if crops and cfg.INPUT.MASK_FORMAT != "bitmask":
        raise ValueError(
            f"D2ALIGN.MASK_TARGET: got {cfg.D2ALIGN.MASK_TARGET!r} with INPUT.MASK_FORMAT "
            f"{cfg.INPUT.MASK_FORMAT!r}, expected INPUT.MASK_FORMAT 'bitmask': it is bitmasks that "
            "are cropped by RoIAlign"
        )


def _check_flip(cfg: Any) -> None:
    vertical = ("coordinate", "index", *VERTICAL_FLIP_REGISTRY)
    if cfg.INPUT.RANDOM_FLIP == "vertical" and cfg.D2ALIGN.FLIP not in vertical:
        raise ValueError(
            f"D2ALIGN.FLIP: got {cfg.D2ALIGN.FLIP!r} with INPUT.RANDOM_FLIP 'vertical', which it "
            f"never had; expected one of {sorted(set(vertical))}, or horizontal flips"
        )


def _check_scale(cfg: Any) -> None:
    if cfg.D2ALIGN.BOX_TRANSFORM in ("detectron1", "py_faster_rcnn") and cfg.INPUT.CROP.ENABLED:
        raise ValueError(
            f"D2ALIGN.BOX_TRANSFORM: got {cfg.D2ALIGN.BOX_TRANSFORM!r} with INPUT.CROP.ENABLED, "
            "expected no crop: it acts in original pixels, whose scale a crop hides"
        )


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name}: got {value!r}, expected one of {list(known)}")
