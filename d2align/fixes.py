"""What Detectron2 still has, and its fixes: switches beside the factors, off by default.

A factor goes back to a historical bug. A fix goes further than Detectron2: its first value is
Detectron2's own, with which its published weights were trained.
"""

from __future__ import annotations

from typing import Any

from d2align.config import MASK_RESIZES, Factor

_OFFSETS = {0.0: "corner", 0.5: "centred"}


def _get_offset(cfg: Any) -> str:
    offset = float(cfg.MODEL.ANCHOR_GENERATOR.OFFSET)
    return _OFFSETS.get(offset, f"{offset:g}")


def _set_offset(cfg: Any, value: str) -> None:
    offsets = {name: offset for offset, name in _OFFSETS.items()}
    cfg.MODEL.ANCHOR_GENERATOR.OFFSET = offsets[value]


def _set_mask_resize(cfg: Any, value: str) -> None:
    cfg.D2ALIGN.MASK_RESIZE = value


FIXES: dict[str, Factor] = {
    "anchor_offset": Factor(
        ("corner", "centred"), _get_offset, _set_offset, ("MODEL.ANCHOR_GENERATOR.OFFSET",)
    ),
    "mask_resize": Factor(
        MASK_RESIZES,
        lambda cfg: str(cfg.D2ALIGN.MASK_RESIZE),
        _set_mask_resize,
        ("D2ALIGN.MASK_RESIZE",),
    ),
}


def set_fix(cfg: Any, fix: str, value: str) -> None:
    """Turn one fix of a config to a value.

    Args:
        cfg: a config with d2align's keys, changed in place.
        fix: anchor_offset | mask_resize.
        value: one of the fix's values.

    Raises:
        ValueError: an unknown fix or value; the message lists the choices.
    """
    if fix not in FIXES:
        raise ValueError(f"fix: got {fix!r}, expected one of {list(FIXES)}")
    if value not in FIXES[fix].values:
        raise ValueError(f"{fix}: got {value!r}, expected one of {list(FIXES[fix].values)}")
    FIXES[fix].set(cfg, value)


def get_fixes(cfg: Any) -> dict[str, str]:
    """Return the value of every fix in a config.

    Args:
        cfg: a config with d2align's keys.

    Returns:
        fix -> value; an anchor offset of neither kind appears as its number.
    """
    return {name: fix.get(cfg) for name, fix in FIXES.items()}
