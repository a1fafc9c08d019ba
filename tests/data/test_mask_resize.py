"""Masks that go where the image goes, whatever their dtype; Detectron2's do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from detectron2.data import transforms as T
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from d2align.data import (
    PixelExactDatasetMapper,
    UnbiasedExtentTransform,
    UnbiasedMasks,
    UnbiasedResizeTransform,
)
from d2align.data.mask_resize import sample_mask, with_unbiased_masks
from d2align.engine import load_config

DTYPES = ("bool", "uint8", "int32", "int64", "float32")
SIZES = st.tuples(st.integers(2, 24), st.integers(2, 24))


def disc(size: tuple[int, int], centre: tuple[float, float], radius: float) -> np.ndarray:
    y, x = (np.arange(n) + 0.5 for n in size)
    return (x[None] - centre[0]) ** 2 + (y[:, None] - centre[1]) ** 2 <= radius**2


def centroid(mask: Any) -> np.ndarray:
    y, x = np.nonzero(mask)
    return np.array([x.mean() + 0.5, y.mean() + 0.5])


@given(SIZES, SIZES, st.integers(0, 1000))
def test_labels_are_those_of_the_pixel_in_which_each_sample_lies(
    size: tuple[int, int], new: tuple[int, int], seed: int
) -> None:
    labels = np.random.default_rng(seed).integers(0, 300, size)
    found = UnbiasedResizeTransform(*size, *new).apply_segmentation(labels)
    wanted = [
        [labels[(2 * i + 1) * size[0] // (2 * new[0]), (2 * j + 1) * size[1] // (2 * new[1])]
         for j in range(new[1])]
        for i in range(new[0])
    ]  # fmt: skip
    np.testing.assert_array_equal(found, wanted)
    assert found.dtype == labels.dtype


@given(SIZES, SIZES, st.integers(0, 1000))
def test_masks_are_cut_at_one_half_of_their_interpolation(
    size: tuple[int, int], new: tuple[int, int], seed: int
) -> None:
    mask = np.random.default_rng(seed).integers(0, 2, size)
    found = sample_mask(mask, (0, 0, size[1], size[0]), new)
    for i in range(new[0]):
        for j in range(new[1]):
            y = min(max((i + 0.5) * size[0] / new[0] - 0.5, 0), size[0] - 1)
            x = min(max((j + 0.5) * size[1] / new[1] - 0.5, 0), size[1] - 1)
            (r, c), (dy, dx) = (int(y), int(x)), (y % 1, x % 1)
            r1, c1 = min(r + 1, size[0] - 1), min(c + 1, size[1] - 1)
            value = (1 - dy) * ((1 - dx) * mask[r, c] + dx * mask[r, c1])
            value += dy * ((1 - dx) * mask[r1, c] + dx * mask[r1, c1])
            if abs(value - 0.5) > 1e-5:
                assert found[i, j] == (value > 0.5)


def test_a_mask_by_hand() -> None:
    mask = np.array([[0, 7, 7, 0]], dtype=np.uint8)
    # Samples at 0.25, 0.75, ... + 1: between 0 and 7 the pixel nearer to the 7 is in.
    found = UnbiasedResizeTransform(1, 4, 1, 8).apply_segmentation(mask)
    assert found.tolist() == [[0, 0, 7, 7, 7, 7, 0, 0]]
    assert sample_mask(mask, (1, 0, 3, 1), (2, 2)).tolist() == [[7, 7], [7, 7]]
    assert sample_mask(mask, (-2, 0, 2, 1), (1, 4), fill=9).tolist() == [[9, 9, 0, 7]]
    with pytest.raises(ValueError, match="positive sides"):
        sample_mask(mask, (0, 0, 0, 1), (1, 1))


def test_nothing_changes_at_the_same_size_and_the_input_is_left_alone() -> None:
    mask = disc((20, 30), (11.3, 9.8), 6.2)
    given_mask = mask.copy()
    found = UnbiasedResizeTransform(20, 30, 20, 30).apply_segmentation(mask)
    np.testing.assert_array_equal(found, mask)
    np.testing.assert_array_equal(mask, given_mask)
    empty = np.zeros((4, 5), dtype=np.int32)
    assert not UnbiasedResizeTransform(4, 5, 9, 7).apply_segmentation(empty).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("new", [(171, 237), (61, 43)])
def test_a_mask_of_any_dtype_stays_with_its_image(dtype: str, new: tuple[int, int]) -> None:
    size, centre = (100, 130), (61.7, 47.2)
    mask = disc(size, centre, 30.4)
    found = UnbiasedResizeTransform(*size, *new).apply_segmentation(mask.astype(dtype))
    assert found.dtype == np.dtype(dtype) and found.shape == new
    scale = np.array([new[1] / size[1], new[0] / size[0]])
    assert np.abs(centroid(found) - centroid(mask) * scale).max() < 0.03
    assert (found > 0).sum() == pytest.approx(mask.sum() * scale.prod(), rel=0.02)


def test_detectron2s_rule_differs_by_dtype_by_half_a_pixel() -> None:
    size, new = (100, 130), (171, 237)
    mask = disc(size, (61.7, 47.2), 30.4)
    transform = T.ResizeTransform(*size, *new)
    wanted = centroid(mask) * [new[1] / size[1], new[0] / size[0]]
    by_pillow = centroid(transform.apply_segmentation(mask.astype(np.uint8)))
    by_torch = centroid(transform.apply_segmentation(mask.astype(np.float32)))
    assert np.abs(by_pillow - wanted).max() < 0.1
    assert by_torch - wanted == pytest.approx(0.5, abs=0.1)


def test_detectron2s_extent_erodes_masks_and_blends_labels() -> None:
    mask = disc((100, 130), (61.7, 47.2), 30.4).astype(np.uint8)
    rect, size = (10.3, 5.7, 110.3, 85.7), (160, 200)
    theirs = T.ExtentTransform(rect, size)
    ours = UnbiasedExtentTransform(rect, size)
    area = mask.sum() * 4
    assert ours.apply_segmentation(mask).sum() == pytest.approx(area, rel=0.005)
    # Half an original pixel all around: of a disc of radius 30.4, 3.3 %.
    assert theirs.apply_segmentation(mask).sum() == pytest.approx(
        area * (29.9 / 30.4) ** 2, rel=0.01
    )
    labels = mask * 200
    assert set(np.unique(theirs.apply_segmentation(labels))) > {0, 200}
    assert set(np.unique(ours.apply_segmentation(labels + 5 * (labels == 0)))) == {5, 200}
    np.testing.assert_array_equal(ours.apply_image(mask), theirs.apply_image(mask))


def test_extent_outside_the_image_is_filled() -> None:
    found = UnbiasedExtentTransform((-5, -5, 15, 15), (20, 20), fill=3).apply_segmentation(
        np.ones((10, 10), dtype=np.uint8)
    )
    assert (found[5:15, 5:15] == 1).all() and (found == 3).sum() == 300


def test_only_masks_change_and_other_transforms_stay() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    augmentation = T.ResizeShortestEdge(64, 100)
    theirs = augmentation.get_transform(image)
    ours = UnbiasedMasks(augmentation).get_transform(image)
    assert type(ours) is UnbiasedResizeTransform and ours.interp == Image.BILINEAR
    np.testing.assert_array_equal(ours.apply_image(image), theirs.apply_image(image))
    points = np.array([[3.0, 4.0]])
    np.testing.assert_array_equal(ours.apply_coords(points.copy()), theirs.apply_coords(points))
    flip = T.HFlipTransform(50)
    assert with_unbiased_masks(flip) is flip


def test_the_mapper_resizes_masks_as_the_config_says() -> None:
    def kinds(*opts: str) -> set[bool]:
        cfg = load_config("", ["MODEL.META_ARCHITECTURE", "PixelExactRCNN", *opts])
        mapper = PixelExactDatasetMapper(cfg, is_train=True)
        return {isinstance(a, UnbiasedMasks) for a in mapper.augmentations.augs}

    assert kinds() == {False}
    assert kinds("D2ALIGN.MASK_RESIZE", "unbiased") == {True}
