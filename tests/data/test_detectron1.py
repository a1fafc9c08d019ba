"""From records to the model's input by Detectron's rules for ground truth."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import references_detectron1 as reference
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.data.datasets import load_coco_json
from detectron2.structures import BoxMode
from PIL import Image
from tiny_models import tiny_config

from d2align.data import PixelExactDatasetMapper
from d2align.data.detectron1 import float_box_detectron1

H, W = 60, 91
NAME = "d2align_test_detectron1"
NAMES = ["left_eye", "right_eye", "nose"]
SIZES = ("INPUT.MIN_SIZE_TRAIN", "(83,)", "INPUT.MAX_SIZE_TRAIN", "1000")
SCALE = 83 / 60  # 91 columns become 125.88: 126
POLYGON = [10.0, 12.0, 40.5, 12.0, 40.5, 50.25]
BOXES = {  # x y w h in original pixels, and why it is there
    1: [10.0, 12.0, 30.5, 38.25],
    2: [80.5, 40.0, 10.5, 20.0],  # reaches the border
    3: [20.0, 20.0, 1.0, 9.0],  # one pixel wide: dropped
    4: [85.0, 50.0, 30.0, 30.0],  # beyond the border: cut
    5: [-4.0, -3.0, 10.0, 9.0],  # before it
    6: [90.25, 5.0, 8.0, 9.0],  # within the last pixel: dropped
    7: [30.0, 30.0, 1.5, 1.25],  # just more than one pixel
}


def content() -> dict[str, Any]:
    keypoints = [12.0, 20.0, 2, 30.7, 22.2, 2, 90.0, 40.0, 1]
    annotations = [
        {
            **{"id": i, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": box},
            **{"area": 7.0, "segmentation": [POLYGON], "keypoints": keypoints},
            "num_keypoints": 3,
        }
        for i, box in BOXES.items()
    ]
    return {
        "images": [{"id": 1, "file_name": "image.png", "height": H, "width": W}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "thing", "keypoints": NAMES}],
    }


@pytest.fixture(scope="module", autouse=True)
def registered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("detectron1")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (H, W, 3), dtype=np.uint8)).save(folder / "image.png")
    path = Path(folder / "annotations.json")
    path.write_text(json.dumps(content()))
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


def mapped(*opts: str, flip: bool = False, train: bool = True, record: Any = None) -> Any:
    cfg = tiny_config(
        "DATASETS.TRAIN", f"('{NAME}',)", *SIZES, *opts, config="ablation_detectron1.yaml"
    )
    mapper = PixelExactDatasetMapper(cfg, train)
    for augmentation in mapper.augmentations.augs:
        if hasattr(augmentation, "prob"):
            augmentation.prob = 1.0 if flip else 0.0
    return mapper(record or DatasetCatalog.get(NAME)[0])


def cleaned() -> list[list[float]]:
    """The boxes that Detectron keeps, first and last pixel, original pixels."""
    boxes = [reference.clean_box(xywh, (H, W)) for xywh in BOXES.values()]
    return [b for b in boxes if b is not None]


def test_the_reference_keeps_and_cuts_what_it_should() -> None:
    assert cleaned() == [
        [10.0, 12, 39.5, 49.25],
        [80.5, 40, 90, 59],
        [85, 50, 90, 59],
        [0, 0, 5, 5],
        [30, 30, 30.5, 30.25],
    ]


@pytest.mark.parametrize("flip", [False, True])
def test_boxes_are_detectrons_over_the_same_pixels(flip: bool) -> None:
    out = mapped(flip=flip)
    assert out["image"].shape == (3, 83, 126) and out["image"].dtype == torch.float32
    assert out["im_scale"] == SCALE and (out["height"], out["width"]) == (H, W)
    boxes = np.array(cleaned())
    if flip:  # of inclusive boxes, W - 1 - x
        boxes = boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [W - 1, 0, W - 1, 0]
    expected = torch.from_numpy((boxes + [0, 0, 1, 1]) * SCALE).float()
    assert torch.equal(out["instances"].gt_boxes.tensor, expected)
    # The box at the border ends at 91 * 83 / 60, not at the 126 columns it was rounded to.
    assert expected[:, [0, 2]].max() == pytest.approx(91 * SCALE) or flip


@pytest.mark.parametrize("flip", [False, True])
def test_polygons_flip_by_index_and_scale(flip: bool) -> None:
    polygons = mapped(flip=flip)["instances"].gt_masks.polygons
    points = np.array(POLYGON).reshape(-1, 2)
    if flip:
        points[:, 0] = W - 1 - points[:, 0]
    assert len(polygons) == 5
    np.testing.assert_allclose(polygons[0][0], (points * SCALE).reshape(-1), rtol=1e-12)


@pytest.mark.parametrize("flip", [False, True])
def test_keypoints_are_whole_indices_and_a_half(flip: bool) -> None:
    opts = ("MODEL.KEYPOINT_ON", "True", "MODEL.MASK_ON", "False")
    found = mapped(*opts, flip=flip)["instances"].gt_keypoints.tensor[0]
    points = np.array([[12, 20, 2], [30, 22, 2], [90, 40, 1]], dtype=float)
    if flip:  # of indices, W - 1 - x; left and right change places
        points[:, 0] = W - 1 - points[:, 0]
        points = points[[1, 0, 2]]
    points[:, :2] = (points[:, :2] + 0.5) * SCALE
    torch.testing.assert_close(found, torch.from_numpy(points).float())


def test_a_keypoint_of_the_last_column_stays_visible_in_small_images() -> None:
    # 91 * 16 / 60 = 24.27 become 24 columns, and the keypoint is at 90.5 * 16 / 60 = 24.13.
    opts = ("MODEL.KEYPOINT_ON", "True", "MODEL.MASK_ON", "False")
    out = mapped(*opts, "INPUT.MIN_SIZE_TRAIN", "(16,)")
    found = out["instances"].gt_keypoints.tensor[0]
    assert out["image"].shape == (3, 16, 24)
    assert found[2, 2] == 1 and found[2, 0] == pytest.approx(24.1333, abs=1e-3)


def test_testing_gives_the_scale_and_no_annotations() -> None:
    out = mapped("INPUT.MIN_SIZE_TEST", "90", train=False)
    assert out["im_scale"] == 1.5 and "annotations" not in out and "instances" not in out
    assert out["image"].shape == (3, 90, 136)  # 136.5 is rounded to even, as OpenCV rounds


@pytest.mark.parametrize("field", [{"area": 0}, {"area": -1.0}, {"ignore": 1}, {"iscrowd": 1}])
def test_what_detectron_left_out_is_left_out(field: dict[str, float]) -> None:
    record = copy.deepcopy(DatasetCatalog.get(NAME)[0])
    record["annotations"][0].update(field)
    before = copy.deepcopy(record)
    out = mapped(record=record)
    assert len(out["instances"]) == 4 and record == before
    assert float_box_detectron1(record["annotations"][0], (H, W)) is None


def test_boxes_of_any_mode_and_images_without_objects_are_taken() -> None:
    record = copy.deepcopy(DatasetCatalog.get(NAME)[0])
    first = record["annotations"][0]
    x, y, w, h = first["bbox"]
    first.update(bbox=[x, y, x + w, y + h], bbox_mode=BoxMode.XYXY_ABS)
    expected = mapped()["instances"].gt_boxes.tensor
    assert torch.equal(mapped(record=record)["instances"].gt_boxes.tensor, expected)
    record["annotations"] = []
    assert len(mapped(record=record)["instances"]) == 0


def test_bitmasks_and_semantic_labels_are_resized_with_the_image(tmp_path: Path) -> None:
    record = copy.deepcopy(DatasetCatalog.get(NAME)[0])
    labels = np.arange(W, dtype=np.uint8)[None].repeat(H, axis=0)
    Image.fromarray(labels).save(tmp_path / "labels.png")
    record["sem_seg_file_name"] = str(tmp_path / "labels.png")
    opts = ("D2ALIGN.PRESET", "''", "INPUT.MASK_FORMAT", "bitmask", "D2ALIGN.BOXES", "inclusive")
    out = mapped(*opts, "D2ALIGN.BOX_TRANSFORM", "detectron1", record=record)
    assert out["instances"].gt_masks.tensor.shape == (5, 83, 126)
    columns = ((np.arange(126) + 0.5) / SCALE).astype(int)
    assert out["sem_seg"].shape == (83, 126) and out["sem_seg"][40].tolist() == columns.tolist()


@pytest.mark.parametrize(
    "more", [{"precomputed_proposal_topk": 5}, {"recompute_boxes": True, "use_instance_mask": True}]
)
def test_what_has_no_rule_is_refused(more: dict[str, Any]) -> None:
    arguments = {"augmentations": [], "image_format": "BGR", **more}
    PixelExactDatasetMapper(True, **arguments)
    with pytest.raises(ValueError, match="boxes: got 'inclusive' with precomputed proposals or"):
        PixelExactDatasetMapper(True, boxes="inclusive", **arguments)


def test_unknown_boxes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"boxes: got 'whole', expected one of \['float'"):
        PixelExactDatasetMapper(True, boxes="whole", augmentations=[], image_format="BGR")
