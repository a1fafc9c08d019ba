"""Rules about calls to libraries: which sampling grid the arguments ask for."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, Protocol

# Resolved name of a RoIAlign -> position of `aligned` (None: it has no such choice), its default.
_ROI_ALIGNS: dict[str, tuple[int | None, bool]] = {
    "torchvision.ops.roi_align": (5, False),
    "torchvision.ops.RoIAlign": (3, False),
    "torchvision.ops.MultiScaleRoIAlign": (None, False),
    "maskrcnn_benchmark.layers.ROIAlign": (None, False),
    "detectron2.layers.ROIAlign": (3, True),
    "detectron2.layers.roi_align.ROIAlign": (3, True),
    "mmcv.ops.roi_align": (6, True),
    "mmcv.ops.RoIAlign": (5, True),
}
_LINEAR = {"linear", "bilinear", "bicubic", "trilinear"}
_TORCH = "torch.nn.functional."
_GRIDS = {_TORCH + "grid_sample": 4, _TORCH + "affine_grid": 2}
_MISSING = object()


class Names(Protocol):
    """What these rules need of a module."""

    def name(self, node: ast.expr) -> str:
        """The full dotted name of an expression; "" if it is not one."""


def argument(call: ast.Call, keyword: str, position: int | None = None) -> Any:
    """Return the value given for an argument.

    Args:
        call: the call.
        keyword: the argument's name.
        position: its place among the positional ones.

    Returns:
        A constant; an ast node if it is not constant or hidden in *args or **kwargs; the
        ``_MISSING`` object if the argument is left out.
    """
    for given in call.keywords:
        if given.arg is None:
            return given.value
        if given.arg == keyword:
            return _constant(given.value)
    if any(isinstance(arg, ast.Starred) for arg in call.args):
        return call
    if position is not None and position < len(call.args):
        return _constant(call.args[position])
    return _MISSING


def _constant(node: ast.expr) -> Any:
    return node.value if isinstance(node, ast.Constant) else node


def _is_interpolate(node: ast.Call, module: Names) -> bool:
    name = module.name(node.func)
    if name in (_TORCH + "interpolate", "torch.nn.Upsample"):
        return True
    # A wrapper of the same name, such as detectron2.layers.interpolate.
    keywords = {given.arg for given in node.keywords}
    return name.endswith("interpolate") and "self." not in name and "mode" in keywords


def _resize_argument(call: ast.Call, keyword: str, module: Names) -> Any:
    """An argument of interpolate(input, size, ...) or Upsample(size, ...)."""
    position = ("size", "scale_factor", "mode", "align_corners").index(keyword)
    is_module = module.name(call.func).endswith("Upsample")
    return argument(call, keyword, position if is_module else position + 1)


def _mode(call: ast.Call, module: Names) -> Any:
    mode = _resize_argument(call, "mode", module)
    return "nearest" if mode is _MISSING else mode


def _nearest_interpolate(node: ast.Call, module: Names) -> bool:
    if not _is_interpolate(node, module) or _mode(node, module) != "nearest":
        return False
    scale = _resize_argument(node, "scale_factor", module)
    return scale is _MISSING or scale is None or not _is_whole(scale)


def _is_whole(scale: Any) -> bool:
    """Whether a scale is a whole number, at which the floor rule is exact; unknown ones pass."""
    if isinstance(scale, ast.Tuple | ast.List):
        return all(_is_whole(_constant(side)) for side in scale.elts)
    return not isinstance(scale, int | float) or float(scale).is_integer()


def _unstated_align_corners(node: ast.Call, module: Names) -> bool:
    if module.name(node.func) in _GRIDS:
        given = argument(node, "align_corners", _GRIDS[module.name(node.func)])
        return given is _MISSING or given is None
    if not _is_interpolate(node, module):
        return False
    mode = _mode(node, module)
    if not isinstance(mode, str) or mode not in _LINEAR:
        return False
    given = _resize_argument(node, "align_corners", module)
    return given is _MISSING or given is None


def _align_corners(node: ast.Call, module: Names) -> bool:
    name = module.name(node.func)
    if name in _GRIDS:
        return argument(node, "align_corners", _GRIDS[name]) is True
    if not _is_interpolate(node, module):
        return False
    return _resize_argument(node, "align_corners", module) is True


def _unaligned_roi_align(node: ast.Call, module: Names) -> bool:
    name = module.name(node.func)
    if name.split(".")[-1].lower() not in ("roialign", "roi_align", "multiscaleroialign"):
        return False
    position, default = _ROI_ALIGNS.get(name, (None, True))
    given = argument(node, "aligned", position)
    return given is False or (given is _MISSING and not default)


def _cv2_nearest(node: ast.Call, module: Names) -> bool:
    if module.name(node.func) != "cv2.resize":
        return False
    given = argument(node, "interpolation", 5)
    return isinstance(given, ast.expr) and module.name(given) == "cv2.INTER_NEAREST"


def _zoom_on_corners(node: ast.Call, module: Names) -> bool:
    if not module.name(node.func).endswith("ndimage.zoom"):
        return False
    given = argument(node, "grid_mode")
    return given is _MISSING or given is False


# Name, check, cost in pixels, what is wrong, the fix.
RULES: tuple[tuple[str, Callable[[Any, Any], bool], float, str, str], ...] = (
    (
        "nearest-interpolate",
        _nearest_interpolate,
        0.5,
        'mode="nearest" reads index floor(i / scale): enlarging moves content up to half an'
        " output pixel to the right and down (none at whole scales)",
        'mode="nearest-exact"',
    ),
    (
        "unstated-align-corners",
        _unstated_align_corners,
        0.0,
        "align_corners is not given: grid 2 today, grid 1 in releases before the default changed",
        "align_corners=False",
    ),
    (
        "align-corners",
        _align_corners,
        0.5,
        "align_corners=True samples on grid 1: right in the middle, up to half an input pixel off"
        " at the borders",
        "align_corners=False, where the other side agrees",
    ),
    (
        "unaligned-roi-align",
        _unaligned_roi_align,
        0.5,
        "RoIAlign without aligned=True samples half a feature pixel right and down of the box"
        " (times the stride in image pixels), and stretches boxes under one",
        "aligned=True",
    ),
    (
        "nearest-cv2",
        _cv2_nearest,
        0.5,
        "cv2.INTER_NEAREST reads index floor(i / scale): up to half an output pixel off",
        "cv2.INTER_NEAREST_EXACT",
    ),
    (
        "zoom-corners",
        _zoom_on_corners,
        0.5,
        "scipy.ndimage.zoom samples on grid 1: up to half an input pixel off at the borders",
        'grid_mode=True, mode="grid-constant" or "nearest"',
    ),
)
