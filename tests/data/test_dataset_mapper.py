"""From files and annotations to the model's input, and keypoints back to COCO's."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, DatasetMapper, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import Boxes, BoxMode, Instances
from PIL import Image
from pycocotools import mask as mask_util
from tiny_models import tiny_config

from d2align.data import PixelExactDatasetMapper
from d2align.data import transforms as flips

H, W = 60, 90
NAME = "d2align_test_keypoints"
POLYGON = [10.0, 12.0, 40.5, 12.0, 40.5, 50.25, 10.0, 50.25]
KEYPOINTS = [12.5, 20.5, 2, 30.5, 22.5, 2, 20.5, 40.5, 1, 0, 0, 0]
NAMES = ["left_eye", "right_eye", "nose", "tail"]
FIXED = ("INPUT.MIN_SIZE_TRAIN", "(120,)", "INPUT.MAX_SIZE_TRAIN", "1000")
FLIPS = ["coordinate", "detectron1", "index"]


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A data set of one image, with index keypoints as COCO stores them."""
    folder = tmp_path_factory.mktemp("keypoints")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (H, W, 3), dtype=np.uint8)).save(folder / "image.png")
    points = np.array(KEYPOINTS).reshape(-1, 3) - [0.5, 0.5, 0]
    points[3] = 0
    annotation = {
        **{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "area": 1000.0},
        **{"bbox": [10.0, 12.0, 30.5, 38.25], "segmentation": [POLYGON]},
        **{"keypoints": points.reshape(-1).tolist(), "num_keypoints": 3},
    }
    content = {
        "images": [{"id": 1, "file_name": "image.png", "height": H, "width": W}],
        "annotations": [annotation],
        "categories": [{"id": 1, "name": "thing", "keypoints": NAMES}],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(content))
    DatasetCatalog.register(NAME, lambda: load_coco_json(str(path), str(folder), NAME))
    MetadataCatalog.get(NAME).set(
        json_file=str(path),
        image_root=str(folder),
        keypoint_names=NAMES,
        keypoint_flip_map=[("left_eye", "right_eye")],
        evaluator_type="coco",
    )
    yield
    DatasetCatalog.pop(NAME)
    MetadataCatalog.pop(NAME)


def mapped(entry: dict[str, Any], *opts: str, flip: bool = True, cls: type | None = None) -> Any:
    cfg = tiny_config("DATASETS.TRAIN", f"('{NAME}',)", *FIXED, *opts)
    mapper = (cls or PixelExactDatasetMapper)(cfg, True)
    for augmentation in mapper.augmentations.augs:
        if hasattr(augmentation, "prob"):
            augmentation.prob = 1.0 if flip else 0.0
    return mapper(entry)


def entry() -> dict[str, Any]:
    (record,) = DatasetCatalog.get(NAME)
    return record


@pytest.mark.parametrize("flip", FLIPS)
def test_boxes_and_polygons_move_by_their_offset_in_original_pixels(flip: str) -> None:
    out = mapped(entry(), "D2ALIGN.FLIP", flip, "INPUT.MASK_FORMAT", "polygon")
    assert out["image"].shape == (3, 120, 180) and (out["height"], out["width"]) == (H, W)
    box = 2 * {"coordinate": 0, "detectron1": 0, "index": -1}[flip]
    expected = torch.tensor([[180 - 81.0 + box, 24.0, 180 - 20.0 + box, 100.5]])
    assert torch.equal(out["instances"].gt_boxes.tensor, expected)
    polygon = 2 * {"coordinate": 0, "detectron1": -1, "index": -1}[flip]
    points = np.array(POLYGON).reshape(-1, 2) * 2
    points[:, 0] = 180 - points[:, 0] + polygon
    assert np.array_equal(out["instances"].gt_masks.polygons[0][0], points.reshape(-1))


@pytest.mark.parametrize("flip", FLIPS)
def test_bitmasks_are_drawn_from_the_moved_polygons(flip: str) -> None:
    out = mapped(entry(), "D2ALIGN.FLIP", flip)
    columns = out["instances"].gt_masks.tensor[0].any(dim=0).nonzero().flatten()
    moved = 2 * {"coordinate": 0, "detectron1": -1, "index": -1}[flip]
    assert (int(columns[0]), int(columns[-1]) + 1) == (99 + moved, 160 + moved)


@pytest.mark.parametrize("flip", FLIPS)
def test_keypoints_move_by_their_offset_and_swap_left_with_right(flip: str) -> None:
    opts = ("MODEL.KEYPOINT_ON", "True", "MODEL.MASK_ON", "False", "D2ALIGN.FLIP", flip)
    found = mapped(entry(), *opts)["instances"].gt_keypoints.tensor[0]
    moved = 2 * {"coordinate": 0, "detectron1": 0, "index": -1}[flip]
    right_eye, left_eye, nose = [30.5, 22.5, 2], [12.5, 20.5, 2], [20.5, 40.5, 1]
    expected = [[180 - 2 * x + moved, 2 * y, v] for x, y, v in (right_eye, left_eye, nose)]
    assert torch.equal(found, torch.tensor([*expected, [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("flip", FLIPS)
def test_rle_masks_flip_by_index_for_every_value(flip: str) -> None:
    bits = np.zeros((H, W), np.uint8, order="F")
    bits[10:40, 5:33] = 1
    record = entry()
    record["annotations"][0]["segmentation"] = mask_util.encode(bits)
    out = mapped(record, "D2ALIGN.FLIP", flip)
    expected = np.kron(bits[:, ::-1], np.ones((2, 2)))
    assert np.array_equal(out["instances"].gt_masks.tensor[0].numpy(), expected)


def same(first: Any, second: Any) -> None:
    assert torch.equal(first.gt_boxes.tensor, second.gt_boxes.tensor)
    assert torch.equal(first.gt_classes, second.gt_classes)
    assert torch.equal(first.gt_masks.tensor, second.gt_masks.tensor)


@pytest.mark.parametrize("flip", [True, False])
def test_coordinate_equals_detectron2s_mapper(flip: bool) -> None:
    ours = mapped(entry(), flip=flip)
    theirs = mapped(entry(), flip=flip, cls=DatasetMapper)
    assert ours.keys() == theirs.keys()
    same(ours["instances"], theirs["instances"])
    difference = (ours["image"].int() - theirs["image"].int()).abs()
    assert difference.max() <= (1 if flip else 0) and difference.float().mean() < 0.01


@pytest.mark.parametrize("flip", ["detectron1", "index"])
def test_flip_values_agree_on_images_that_are_not_flipped(flip: str) -> None:
    ours = mapped(entry(), "D2ALIGN.FLIP", flip, flip=False)
    aligned = mapped(entry(), flip=False)
    same(ours["instances"], aligned["instances"])
    assert torch.equal(ours["image"], aligned["image"])


@pytest.mark.parametrize("flip", FLIPS)
def test_mapper_leaves_the_record_alone(flip: str) -> None:
    record = entry()
    before = copy.deepcopy(record)
    mapped(record, "D2ALIGN.FLIP", flip, "MODEL.KEYPOINT_ON", "True")
    assert record == before


def test_crop_comes_before_flip_and_resize() -> None:
    cfg = tiny_config("DATASETS.TRAIN", f"('{NAME}',)", "INPUT.CROP.ENABLED", "True")
    names = [type(a).__name__ for a in PixelExactDatasetMapper(cfg, True).augmentations.augs]
    assert names == ["RandomCrop", "PixelExactRandomFlip", "ResizeShortestEdge"]
    assert PixelExactDatasetMapper(cfg, True).recompute_boxes
    names = [type(a).__name__ for a in PixelExactDatasetMapper(cfg, False).augmentations.augs]
    assert names == ["ResizeShortestEdge"]


def test_mapper_is_constructed_without_a_config() -> None:
    mapper = PixelExactDatasetMapper(is_train=False, augmentations=[], image_format="BGR")
    out = mapper(entry())
    assert out["image"].shape == (3, H, W) and "annotations" not in out
    flip = PixelExactDatasetMapper(
        is_train=True, augmentations=[flips.IndexHFlipTransform(W)], image_format="RGB"
    )
    found = flip(entry())["instances"].gt_boxes.tensor
    assert torch.equal(found, torch.tensor([[89 - 40.5, 12.0, 89 - 10.0, 50.25]]))


def test_loader_adds_half_a_pixel_to_keypoints() -> None:
    (annotation,) = entry()["annotations"]
    assert annotation["keypoints"][:9] == KEYPOINTS[:9]
    assert annotation["bbox"] == [10.0, 12.0, 30.5, 38.25]
    assert annotation["bbox_mode"] == BoxMode.XYWH_ABS


def test_evaluator_takes_half_a_pixel_off_keypoints(tmp_path: Path) -> None:
    evaluator = COCOEvaluator(
        NAME, output_dir=str(tmp_path), distributed=False, kpt_oks_sigmas=[0.05] * 4
    )
    evaluator.reset()
    out = Instances((H, W))
    out.pred_boxes = Boxes(torch.tensor([[10.0, 12.0, 40.5, 50.25]]))
    out.scores = torch.tensor([0.9])
    out.pred_classes = torch.tensor([0])
    points = torch.tensor(KEYPOINTS, dtype=torch.float32).view(1, 4, 3)
    out.pred_keypoints = points.clone()
    evaluator.process([{"image_id": 1}], [{"instances": out}])
    results = evaluator.evaluate()
    (written,) = json.loads((tmp_path / "coco_instances_results.json").read_text())
    expected = points - torch.tensor([0.5, 0.5, 0.0])
    assert written["keypoints"] == expected.flatten().tolist()
    assert written["bbox"] == [10.0, 12.0, 30.5, 38.25]
    assert results["keypoints"]["AP"] == pytest.approx(100.0)
