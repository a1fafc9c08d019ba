"""Detectron's resize: images are sampled at exactly the scale by which coordinates grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from detectron2.data import transforms as T
from fvcore.transforms.transform import HFlipTransform, NoOpTransform
from references import bilinear

from d2align.data import Detectron1ResizeShortestEdge, Detectron1ResizeTransform
from d2align.data.resize import resize_scale


@pytest.mark.parametrize("scale", [1.8735, 0.37, 1.0, 2.0])
def test_image_is_sampled_at_exactly_the_scale(scale: float) -> None:
    ramp = np.tile(np.arange(97, dtype=np.float32), (40, 1))
    out = Detectron1ResizeTransform(scale).apply_image(ramp)
    assert out.shape == (round(40 * scale), round(97 * scale)) and out.dtype == np.float32
    expected = (np.arange(out.shape[1]) + 0.5) / scale - 0.5
    inner = slice(4, -4)
    np.testing.assert_allclose(out[5, inner], expected[inner], atol=1e-4)
    ratio = (np.arange(out.shape[1]) + 0.5) * 97 / out.shape[1] - 0.5
    assert np.allclose(ratio, expected, atol=1e-3) == (scale in (1.0, 2.0))


@pytest.mark.parametrize("scale", [1.3, 0.6])
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_image_equals_the_reference(channels: int | None, scale: float) -> None:
    shape = (7, 9) if channels is None else (7, 9, channels)
    image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    kept = image.copy()
    out = Detectron1ResizeTransform(scale).apply_image(image)
    planes = image.reshape(7, 9, -1).astype(float)
    found = out.reshape(*out.shape[:2], -1)
    for i, j, c in np.ndindex(*found.shape):
        expected = bilinear(planes[:, :, c], (i + 0.5) / scale - 0.5, (j + 0.5) / scale - 0.5)
        assert found[i, j, c] == pytest.approx(expected, abs=1e-3)
    assert out.ndim == image.ndim and np.array_equal(image, kept)


def test_labels_take_the_pixel_in_which_the_sample_lies() -> None:
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    out = Detectron1ResizeTransform(2.0).apply_segmentation(labels)
    assert out.dtype == np.uint8 and np.array_equal(out, np.kron(labels, np.ones((2, 2))))
    thirds = Detectron1ResizeTransform(1.5).apply_segmentation(labels)
    # Samples at 1/3, 1, 5/3, 7/3 and 3 of 4 columns: an edge belongs to the pixel right of it.
    assert thirds[0].tolist() == [0, 1, 1, 2, 3, 3]


def test_coordinates_are_multiplied() -> None:
    transform, points = Detectron1ResizeTransform(1.25), np.array([[0.0, 4.0], [8.5, 2.0]])
    assert np.array_equal(transform.apply_coords(points), [[0, 5], [10.625, 2.5]])
    assert np.array_equal(points, [[0.0, 4.0], [8.5, 2.0]])
    boxes = transform.apply_box(np.array([[0.0, 4, 8, 12]]))
    assert np.array_equal(boxes, [[0, 5, 10, 15]])


def scale_of(h: int, w: int, **kwargs: Any) -> float | None:
    transform = Detectron1ResizeShortestEdge(**kwargs).get_transform(np.zeros((h, w, 3)))
    return resize_scale(T.TransformList([HFlipTransform(w), transform]))


def test_shorter_side_becomes_the_size_unless_the_longer_is_too_long() -> None:
    assert scale_of(480, 640, short_edge_length=800, max_size=1333) == 800 / 480
    assert scale_of(640, 427, short_edge_length=(800,), max_size=1333) == 800 / 427
    assert scale_of(400, 900, short_edge_length=800, max_size=1333) == 1333 / 900
    # 1333.4 is rounded before it is compared.
    assert scale_of(500, 1000, short_edge_length=600, max_size=1200) == 600 / 500
    assert scale_of(3000, 5000, short_edge_length=800, max_size=1333) == 800 / 3000
    assert scale_of(3000, 5003, short_edge_length=800, max_size=1333) == 1333 / 5003


def test_sizes_are_drawn_as_detectron2_draws_them() -> None:
    image = np.zeros((100, 150, 3), np.uint8)
    for style, sizes in (("choice", (50, 60, 70, 80)), ("range", (50, 80))):
        ours = Detectron1ResizeShortestEdge(sizes, 1000, style)
        theirs = T.ResizeShortestEdge(sizes, 1000, style)
        for seed in range(8):
            np.random.seed(seed)
            scale = ours.get_transform(image).scale
            np.random.seed(seed)
            assert round(scale * 100) == theirs.get_transform(image).new_h


def test_size_0_leaves_the_image_and_transforms_without_a_resize_have_no_scale() -> None:
    augmentation = Detectron1ResizeShortestEdge(0, 1000)
    assert isinstance(augmentation.get_transform(np.zeros((5, 5))), NoOpTransform)
    assert resize_scale(T.TransformList([HFlipTransform(5)])) is None
    twice = [Detectron1ResizeTransform(2.0), Detectron1ResizeTransform(0.75)]
    assert resize_scale(T.TransformList(twice)) == 1.5


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_is_not_positive_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale: got"):
        Detectron1ResizeTransform(scale)


def test_missing_opencv_is_told_when_the_resize_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match="opencv-python-headless"):
        Detectron1ResizeShortestEdge(800, 1333)
