"""ONNX Runtime: the coordinate modes of Resize and RoiAlign."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime

from d2align.audit.libraries.onnx_model import FLOAT, INT64, one_node_model

NAME = "ONNX Runtime"
PACKAGES = ("onnxruntime",)

_LINEAR_MODES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_crop_and_resize",
)
_NEAREST_MODES = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
# Since opset 19 Resize knows half_pixel_symmetric.
_RESIZE_OPSET, _ROI_OPSET = 19, 16


def resize() -> dict[str, Callable[..., Any]]:
    """Resize to a size."""
    found = {f"Resize(linear, {mode})": _resize("linear", mode) for mode in _LINEAR_MODES}
    found["Resize(cubic, half_pixel)"] = _resize("cubic", "half_pixel")
    found["Resize(linear, half_pixel, antialias)"] = _resize("linear", "half_pixel", antialias=1)
    for rounding in _NEAREST_MODES:
        name = f"Resize(nearest, half_pixel, {rounding})"
        found[name] = _resize("nearest", "half_pixel", nearest_mode=rounding)
    found["Resize(nearest, asymmetric, floor)"] = _resize(
        "nearest", "asymmetric", nearest_mode="floor"
    )
    return found


def roi_align() -> dict[str, Callable[..., Any]]:
    """RoiAlign, with its coordinate modes and without (before opset 16)."""
    return {
        "RoiAlign(half_pixel)": _roi_align(_ROI_OPSET, "half_pixel"),
        "RoiAlign(output_half_pixel)": _roi_align(_ROI_OPSET, "output_half_pixel"),
        "RoiAlign, opset 10": _roi_align(10, None),
    }


def _resize(mode: str, transform: str, **attributes: Any) -> Callable[..., Any]:
    session = functools.cache(lambda: _session(_resize_model(mode, transform, attributes)))

    def resized(image: np.ndarray, size: tuple[int, int]) -> Any:
        feed: dict[str, Any] = {"x": image.astype(np.float32)[None, None]}
        feed["sizes"] = np.array([1, 1, *size], dtype=np.int64)
        if transform == "tf_crop_and_resize":
            feed["roi"] = np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.float32)
        return session().run(None, feed)[0][0, 0]

    return resized


def _resize_model(mode: str, transform: str, attributes: dict[str, Any]) -> bytes:
    crops = transform == "tf_crop_and_resize"
    inputs = [("x", FLOAT, [None] * 4), ("sizes", INT64, [4])] + [("roi", FLOAT, [8])] * crops
    options = {"mode": mode, "coordinate_transformation_mode": transform, **attributes}
    arguments = ["x", "roi" if crops else "", "", "sizes"]
    return one_node_model("Resize", _RESIZE_OPSET, inputs, options, arguments, 4)


def _roi_align(opset: int, transform: str | None) -> Callable[..., Any]:
    @functools.cache
    def session(h: int, w: int) -> Any:
        options: dict[str, Any] = {"output_height": h, "output_width": w, "spatial_scale": 1.0}
        if transform is not None:
            options["coordinate_transformation_mode"] = transform
        inputs = [("x", FLOAT, [None] * 4), ("rois", FLOAT, [None, 4]), ("batch", INT64, [None])]
        arguments = [name for name, _, _ in inputs]
        return _session(one_node_model("RoiAlign", opset, inputs, options, arguments, 4))

    def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
        feed = {
            "x": image.astype(np.float32)[None, None],
            "rois": box.astype(np.float32)[None],
            "batch": np.zeros(1, dtype=np.int64),
        }
        return session(*size).run(None, feed)[0][0, 0]

    return crop


def _session(model: bytes) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
