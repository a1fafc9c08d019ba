"""Python stand-in for Detectron2's compiled operators.

It answers the questions `detectron2.utils.collect_env` asks and lets Detectron2 be imported.
An operator raises RuntimeError when it is called, not when its module is imported.
"""

from collections.abc import Callable
from typing import Any, NoReturn

IS_STUB = True

INSTALL_PAGE = "https://detectron2.readthedocs.io/tutorials/install.html"

_NOT_COMPILED = "not compiled: Python-only detectron2 repackaged by d2align"

# The first prefix that matches an operator's name says which feature calls it.
_FEATURES = (
    ("deform_conv", "deformable convolution (DeformConv)"),
    ("modulated_deform_conv", "modulated deformable convolution (ModulatedDeformConv)"),
    ("roi_align_rotated", "ROIAlignRotated (rotated boxes, RRPN)"),
    ("box_iou_rotated", "the IoU of rotated boxes (RRPN, RotatedCOCOEvaluator)"),
    ("nms_rotated", "NMS of rotated boxes (RRPN, rotated Faster R-CNN)"),
    ("InstanceAnnotation", "fast COCO evaluation (COCOeval_opt)"),
    ("COCOeval", "fast COCO evaluation (COCOeval_opt)"),
)


def get_compiler_version() -> str:
    """Say which compiler built the operators: none did."""
    return _NOT_COMPILED


def get_cuda_version() -> str:
    """Say which CUDA compiler built the operators: none did."""
    return _NOT_COMPILED


def has_cuda() -> bool:
    """Say whether the operators were built for CUDA: they were not."""
    return False


def _feature(name: str) -> str:
    for prefix, feature in _FEATURES:
        if name.startswith(prefix):
            return feature
    return "a compiled Detectron2 feature"


def __getattr__(name: str) -> Callable[..., NoReturn]:
    # Introspection (hasattr, copy, pickle, inspect) must not see made-up dunder attributes.
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def operator(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(
            f"detectron2._C.{name} is {_NOT_COMPILED}. {_feature(name)} needs it: "
            f"install a compiled Detectron2, see {INSTALL_PAGE}"
        )

    operator.__name__ = operator.__qualname__ = name
    return operator
