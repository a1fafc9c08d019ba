"""TensorFlow: tf.image of version 2, and of version 1 as tf.compat.v1 keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

NAME = "TensorFlow"
PACKAGES = ("tensorflow", "tensorflow-cpu")

_V1 = {
    "bilinear": tf.compat.v1.image.resize_bilinear,
    "nearest_neighbor": tf.compat.v1.image.resize_nearest_neighbor,
    "bicubic": tf.compat.v1.image.resize_bicubic,
}


def resize() -> dict[str, Callable[..., Any]]:
    """tf.image.resize, and the operators of version 1."""

    def v2(**options: Any) -> Callable[..., Any]:
        return lambda im, size: _plane(tf.image.resize(_batch(im), size, **options))

    def v1(op: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        return lambda im, size: _plane(op(_batch(im), size, **options))

    found = {f"tf.image.resize({m})": v2(method=m) for m in ("bilinear", "bicubic", "nearest")}
    found["tf.image.resize(bilinear, antialias=True)"] = v2(method="bilinear", antialias=True)
    for name, op in _V1.items():
        found[f"tf.compat.v1.image.resize_{name}"] = v1(op)
        found[f"tf.compat.v1.image.resize_{name}(align_corners=True)"] = v1(op, align_corners=True)
    found["tf.compat.v1.image.resize_bilinear(half_pixel_centers=True)"] = v1(
        _V1["bilinear"], half_pixel_centers=True
    )
    return found


def roi_align() -> dict[str, Callable[..., Any]]:
    """tf.image.crop_and_resize, with boxes divided in the two ways that people divide them."""

    def by(less: int) -> Callable[..., Any]:
        def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> Any:
            h, w = image.shape
            x1, y1, x2, y2 = box / np.array([w - less, h - less] * 2)
            return _plane(tf.image.crop_and_resize(_batch(image), [[y1, x1, y2, x2]], [0], size))

        return crop

    return {
        "tf.image.crop_and_resize(box / size)": by(0),
        "tf.image.crop_and_resize(box / (size - 1))": by(1),
    }


def flip_image() -> dict[str, Callable[..., Any]]:
    """tf.image.flip_left_right."""
    return {"tf.image.flip_left_right": lambda im: _plane(tf.image.flip_left_right(_batch(im)))}


def nms() -> dict[str, Callable[..., Any]]:
    """tf.image.non_max_suppression."""
    return {
        "tf.image.non_max_suppression": lambda boxes, scores, threshold: (
            tf.image.non_max_suppression(
                boxes[:, [1, 0, 3, 2]].astype(np.float32),
                scores.astype(np.float32),
                len(boxes),
                threshold,
            ).numpy()
        )
    }


def _batch(image: np.ndarray) -> Any:
    return tf.constant(image[None, :, :, None].astype(np.float32))


def _plane(image: Any) -> np.ndarray:
    return image.numpy()[0, :, :, 0]
