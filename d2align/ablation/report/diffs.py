"""The exact lines in which an arm's config differs from the reference's."""

from __future__ import annotations

from typing import Any

from d2align.ablation.study import Arm
from d2align.ablation.turning import turn


def config_diff(reference: Any, arm: Arm) -> list[str]:
    """Return what turning an arm's factor changes in a config.

    Args:
        reference: the reference's config.
        arm: an arm; one that turns no factor of a config changes nothing.

    Returns:
        Lines such as "D2ALIGN.FLIP: coordinate -> detectron1".
    """
    turned = reference.clone()
    turned.defrost()
    turn(turned, arm)
    before, after = flat(reference), flat(turned)
    return [f"{k}: {before[k]} -> {after[k]}" for k in sorted(before) if before[k] != after[k]]


def flat(cfg: Any, prefix: str = "") -> dict[str, Any]:
    """Return a config's values by their full keys.

    Args:
        cfg: a CfgNode.
        prefix: of its keys.

    Returns:
        "MODEL.MASK_ON" -> value.
    """
    out: dict[str, Any] = {}
    for key, value in cfg.items():
        if hasattr(value, "items"):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[prefix + key] = value
    return out
