"""Turn one switch of a config, a factor's or a fix's."""

from __future__ import annotations

from typing import Any

from d2align.ablation.study import Arm
from d2align.config import FACTORS, set_factor
from d2align.fixes import FIXES, set_fix


def turn(cfg: Any, arm: Arm | None) -> None:
    """Turn a config to what an arm compares.

    Args:
        cfg: a config, changed in place.
        arm: an arm; None, and one that turns no switch, change nothing.
    """
    if arm is not None and arm.factor in FACTORS:
        set_factor(cfg, arm.factor, arm.value)
    elif arm is not None and arm.factor in FIXES:
        set_fix(cfg, arm.factor, arm.value)
