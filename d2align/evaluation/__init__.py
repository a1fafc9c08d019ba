"""COCO evaluation on the fast path, and paired comparisons of two arms.

The evaluators, which need Detectron2, are imported when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

_EVALUATORS = {
    "COCOEvaluator": "d2align.evaluation.coco_evaluation",
    "LVISEvaluator": "d2align.evaluation.lvis_evaluation",
}

__all__ = ["COCOEvaluator", "LVISEvaluator"]


def __getattr__(name: str) -> Any:
    if name in _EVALUATORS:
        return getattr(importlib.import_module(_EVALUATORS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
