"""The flip of the augmentations: chosen by name, and done before the resize."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from detectron2.data import detection_utils
from detectron2.data import transforms as T
from tiny_models import tiny_config

from d2align.data import PixelExactRandomFlip, build_augmentation

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
BOX = np.array([[10.0, 12.0, 40.5, 50.25]])
FLIPS = ["coordinate", "detectron1", "index"]
FIXED = ("INPUT.MIN_SIZE_TRAIN", "(120,)", "INPUT.MAX_SIZE_TRAIN", "1000")


def applied(augmentations: list[Any], seed: int) -> tuple[Any, Any]:
    np.random.seed(seed)
    entry = T.AugInput(IMAGE.copy(), boxes=BOX.copy())
    transforms = T.AugmentationList(augmentations)(entry)
    return entry, transforms


def test_flip_comes_first_and_only_in_training() -> None:
    train = build_augmentation(tiny_config(), is_train=True)
    assert [type(a) for a in train] == [PixelExactRandomFlip, T.ResizeShortestEdge]
    test = build_augmentation(tiny_config(), is_train=False)
    assert [type(a) for a in test] == [T.ResizeShortestEdge]


def test_other_augmentations_are_detectron2s() -> None:
    cfg = tiny_config()
    for is_train in (True, False):
        ours = [
            a for a in build_augmentation(cfg, is_train) if not isinstance(a, PixelExactRandomFlip)
        ]
        theirs = detection_utils.build_augmentation(cfg, is_train)
        theirs = [a for a in theirs if not isinstance(a, T.RandomFlip)]
        assert [repr(a) for a in ours] == [repr(a) for a in theirs]


def test_no_flip_where_the_config_asks_for_none() -> None:
    train = build_augmentation(tiny_config("INPUT.RANDOM_FLIP", "none"), is_train=True)
    assert [type(a) for a in train] == [T.ResizeShortestEdge]


@pytest.mark.parametrize("flip", FLIPS)
def test_flip_value_is_the_configs(flip: str) -> None:
    first = build_augmentation(tiny_config("D2ALIGN.FLIP", flip), is_train=True)[0]
    assert first.flip == flip and first.prob == 0.5 and not first.vertical


def test_vertical_flip_is_the_configs() -> None:
    cfg = tiny_config("INPUT.RANDOM_FLIP", "vertical", "D2ALIGN.FLIP", "index")
    first = build_augmentation(cfg, is_train=True)[0]
    assert first.vertical
    first.prob = 1.0
    entry, _ = applied([first], 0)
    assert np.array_equal(entry.image, IMAGE[::-1])
    assert np.array_equal(entry.boxes, [[10.0, 59 - 50.25, 40.5, 59 - 12.0]])


@pytest.mark.parametrize("flip", FLIPS)
def test_offset_is_one_original_pixel_whatever_the_resize(flip: str) -> None:
    cfg = tiny_config(*FIXED, "D2ALIGN.FLIP", flip)  # 60 x 90 becomes 120 x 180
    augmentations = build_augmentation(cfg, is_train=True)
    augmentations[0].prob = 1.0
    entry, transforms = applied(augmentations, 0)
    assert entry.image.shape == (120, 180, 3)
    moved = {"coordinate": 0, "detectron1": 0, "index": -2}[flip]
    expected = [[180 - 81 + moved, 24.0, 180 - 20 + moved, 100.5]]
    assert np.array_equal(entry.boxes, expected)
    (polygon,) = transforms.apply_polygons([np.array([[10.0, 12.0], [40.5, 50.25]])])
    moved = {"coordinate": 0, "detectron1": -2, "index": -2}[flip]
    assert np.array_equal(polygon, [[180 - 20 + moved, 24.0], [180 - 81 + moved, 100.5]])


def test_every_flip_value_draws_the_same_numbers() -> None:
    seen = []
    for flip in FLIPS:
        cfg = tiny_config("D2ALIGN.FLIP", flip)
        augmentations = build_augmentation(cfg, is_train=True)
        np.random.seed(0)
        images = []
        for _ in range(30):
            entry = T.AugInput(IMAGE.copy())
            T.AugmentationList(augmentations)(entry)
            images.append(entry.image)
        seen.append((images, np.random.get_state()[1]))
    flipped = {image.tobytes() for image in seen[0][0]}
    assert 3 < len(flipped) <= 6  # three sizes, flipped or not
    for images, state in seen[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(images, seen[0][0], strict=True))
        assert np.array_equal(state, seen[0][1])


@pytest.mark.parametrize(("prob", "share"), [(0.0, 0.0), (1.0, 1.0), (0.5, 0.5)])
def test_probability_is_the_share_of_flips(prob: float, share: float) -> None:
    np.random.seed(0)
    flip = PixelExactRandomFlip("coordinate", prob)
    found = [not isinstance(flip.get_transform(IMAGE), T.NoOpTransform) for _ in range(400)]
    # Three standard errors of 400 draws.
    assert np.mean(found) == pytest.approx(share, abs=0.075 if 0 < prob < 1 else 0)


def test_flips_at_the_same_draws_as_detectron2s() -> None:
    ours, theirs = PixelExactRandomFlip("coordinate", 0.3), T.RandomFlip(0.3)
    np.random.seed(1)
    first = [isinstance(ours.get_transform(IMAGE), T.HFlipTransform) for _ in range(200)]
    np.random.seed(1)
    second = [isinstance(theirs.get_transform(IMAGE), T.HFlipTransform) for _ in range(200)]
    assert first == second


def test_coordinate_pipeline_equals_detectron2s() -> None:
    cfg = tiny_config("INPUT.MIN_SIZE_TRAIN", "(97,)", "INPUT.MAX_SIZE_TRAIN", "1000")
    ours, theirs = build_augmentation(cfg, True), detection_utils.build_augmentation(cfg, True)
    ours[0].prob = theirs[1].prob = 1.0
    a, _ = applied(ours, 0)
    b, _ = applied(theirs, 0)
    np.testing.assert_allclose(a.boxes, b.boxes, atol=1e-9)
    # Flipped before the resize instead of after: Pillow rounds to whole grey levels.
    difference = np.abs(a.image.astype(int) - b.image)
    assert difference.max() <= 1 and difference.mean() < 0.01


def test_random_flip_refuses_unknown_flips_and_probabilities() -> None:
    with pytest.raises(ValueError, match=r"flip: got 'mirror'.*index"):
        PixelExactRandomFlip("mirror")
    with pytest.raises(ValueError, match=r"vertical flip: got 'detectron1'"):
        PixelExactRandomFlip("detectron1", vertical=True)
    for prob in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="prob"):
            PixelExactRandomFlip("coordinate", prob)
