"""Points are drawn, carried and read where they are, and train a mask head."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from detectron2.data import MetadataCatalog
from detectron2.data.datasets import load_coco_json
from detectron2.layers import ShapeSpec
from detectron2.modeling.roi_heads.mask_head import MaskRCNNConvUpsampleHead
from detectron2.structures import Boxes, Instances
from project_scripts import PROJECTS, load_script

from d2align.data import PixelExactDatasetMapper
from d2align.data.shapes import generate_shapes
from d2align.data.shapes.register import register_shapes_subset

FOLDER = PROJECTS / "PointSup"
sys.path.insert(0, str(FOLDER))
project = importlib.import_module("point_sup")
CONFIG = str(FOLDER / "configs" / "point_sup_shapes.yaml")
ALIGN_CORNERS_CONFIG = str(FOLDER / "configs" / "point_sup_shapes_align_corners.yaml")
FEW, NUM = "few_point_sup", 20


@pytest.fixture(scope="module")
def source() -> dict[str, Any]:
    """Twenty images of shapes, as the content of their file."""
    register_shapes_subset(FEW, "shapes_128_val", NUM)
    content: dict[str, Any] = json.loads(
        generate_shapes("shapes_128_val", num_images=NUM).json_file.read_text()
    )
    return content


@pytest.fixture(scope="module")
def json_file(source: dict[str, Any], tmp_path_factory: Any) -> str:
    """A file of drawn points."""
    path = tmp_path_factory.mktemp("points") / "points.json"
    path.write_text(json.dumps(project.add_points(source, 10, 0)))
    return str(path)


def load_config(json_file: str, *opts: str) -> Any:
    return project.load_config(
        CONFIG, ["MODEL.DEVICE", "cpu", "POINT_SUP.JSON_FILE", json_file, *opts]
    )


# Drawing


def test_points_have_the_label_of_the_pixel_that_contains_them() -> None:
    """A mask of one pixel: x in [3, 4), y in [2, 3) is inside, all else is not."""
    mask = np.zeros((8, 10), dtype=bool)
    mask[2, 3] = True
    box = np.array([2.25, 1.0, 6.5, 3.75])
    x, y, label = project.draw_points(mask, box, 20000, np.random.default_rng(0)).T
    inside = (x >= 3) & (x < 4) & (y >= 2) & (y < 3)
    assert (label == inside).all() and inside.any()
    for values, low, high in ((x, 2.25, 6.5), (y, 1.0, 3.75)):
        assert values.min() >= low and values.max() <= high
        quarters = np.histogram(values, bins=4, range=(low, high))[0] / len(values)
        np.testing.assert_allclose(quarters, 0.25, atol=0.02)  # uniform


def test_a_point_on_the_far_edge_belongs_to_the_last_pixel() -> None:
    mask = np.zeros((4, 4), dtype=bool)
    mask[:, 3] = True
    far = np.array([4.0, 0.0, 4.0, 4.0])  # as by rounding
    assert (project.draw_points(mask, far, 5, np.random.default_rng(0))[:, 2] == 1).all()


def test_drawn_annotations(source: dict[str, Any]) -> None:
    drawn = project.add_points(source, 10, 3)
    before = {a["id"]: a for a in source["annotations"]}
    for annotation in drawn["annotations"]:
        kept = {k: v for k, v in before[annotation["id"]].items() if k != "segmentation"}
        points = annotation.pop("points", None)
        assert annotation == kept
        assert (points is None) == bool(annotation["iscrowd"])
        assert points is None or np.array(points).shape == (10, 3)
    assert len(drawn["annotations"]) == len(source["annotations"])
    assert all("segmentation" in a for a in source["annotations"])  # not changed


def test_points_depend_on_the_object_and_the_seed_alone(source: dict[str, Any]) -> None:
    def points(content: dict[str, Any], seed: int) -> dict[int, Any]:
        drawn = project.add_points(content, 10, seed)["annotations"]
        return {a["id"]: a["points"] for a in drawn if "points" in a}

    every, last = points(source, 0), {**source, "annotations": source["annotations"][-5:]}
    assert every == points(source, 0) and points(last, 0).items() <= every.items()
    assert all(p != every[k] for k, p in points(source, 1).items())


def test_boxes_without_area_in_the_image_are_left_out(source: dict[str, Any]) -> None:
    one = next(a for a in source["annotations"] if not a["iscrowd"])
    for bbox in ([5, 5, 0, 9], [-20, 5, 10, 9]):
        content = {**source, "annotations": [{**one, "bbox": bbox}]}
        assert project.add_points(content, 10, 0)["annotations"] == []


# Carrying


def annotation_masks(source: dict[str, Any]) -> dict[int, list[Any]]:
    """Bitmasks of the objects of each image."""
    sizes = {i["id"]: (i["height"], i["width"]) for i in source["images"]}
    masks: dict[int, list[Any]] = {i: [] for i in sizes}
    for a in source["annotations"]:
        if not a["iscrowd"]:
            rles = mask_util.frPyObjects(a["segmentation"], *sizes[a["image_id"]])
            masks[a["image_id"]].append(mask_util.decode(mask_util.merge(rles)).astype(bool))
    return masks


def map_all(mapper: Any, records: list[Any], seed: int) -> list[Any]:
    np.random.seed(seed)
    return [mapper(r)["instances"] for r in records]


def disagreements(
    json_file: str, flip: str, sizes: str, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[float, float]:
    """Share of points whose label is not the augmented mask's: of all, and of those at no edge.

    Both mappers draw the same augmentations. At an edge is a pixel with a neighbour that differs.
    """
    opts = ["D2ALIGN.FLIP", flip, "INPUT.MIN_SIZE_TRAIN", sizes, "POINT_SUP.SAMPLE", "0"]
    cfg = load_config(json_file, *opts, "INPUT.MASK_FORMAT", "bitmask")
    with_points = project.load_points(json_file, FEW)
    metadata = MetadataCatalog.get(FEW)
    with_masks = load_coco_json(metadata.json_file, metadata.image_root, FEW)
    ids = {r["image_id"] for r in with_points}
    with_masks = [r for r in with_masks if r["image_id"] in ids]
    wrong, at_edge = [], []
    for seed in range(4):
        points = map_all(project.PointSupDatasetMapper(cfg, True), with_points, seed)
        masks = map_all(PixelExactDatasetMapper(cfg, True), with_masks, seed)
        for ours, theirs in zip(points, masks, strict=True):
            assert torch.equal(ours.gt_boxes.tensor, theirs.gt_boxes.tensor)
            h, w = theirs.gt_masks.image_size
            x, y = (ours.gt_point_coords + torch.tensor(shift)).floor().long().unbind(-1)
            x, y = x.clamp(0, w - 1), y.clamp(0, h - 1)
            mask = theirs.gt_masks.tensor.float()
            most = torch.nn.functional.max_pool2d(mask, 3, 1, 1)
            least = -torch.nn.functional.max_pool2d(-mask, 3, 1, 1)
            each = torch.arange(len(mask))[:, None]
            wrong.append((mask[each, y, x] != ours.gt_point_labels).flatten())
            at_edge.append((most != least)[each, y, x].flatten())
    every, edge = torch.cat(wrong).float(), torch.cat(at_edge)
    return every.mean().item(), every[~edge].mean().item()


@pytest.mark.parametrize("sizes", ["(128,)", "(97,160)"])
def test_labels_agree_with_augmented_masks(json_file: str, sizes: str) -> None:
    """Away from edges always; at edges masks are drawn anew from resized polygons."""
    every, away = disagreements(json_file, "coordinate", sizes)
    assert away == 0 and every < 0.06


def test_labels_agree_nowhere_better_than_at_the_points(json_file: str) -> None:
    here, _ = disagreements(json_file, "coordinate", "(128,)")
    for shift in ((0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)):
        there, _ = disagreements(json_file, "coordinate", "(128,)", shift)
        assert there > here + 0.003, shift


def test_the_law_sees_a_flip_that_is_one_pixel_off(json_file: str) -> None:
    """Detectron's flip takes polygons to W - 1 - x; points, as coordinates, stay right."""
    every, away = disagreements(json_file, "detectron1", "(128,)")
    assert every > 0.065 and away > 0.004


def test_flipped_points_are_in_flipped_pixels_without_exception(
    source: dict[str, Any], json_file: str
) -> None:
    mapper = project.PointSupDatasetMapper(load_config(json_file, "POINT_SUP.SAMPLE", "0"), True)
    mapper.augmentations.augs = mapper.augmentations.augs[:1]  # without the resize
    mapper.augmentations.augs[0].prob = 1.0
    masks = annotation_masks(source)
    for record in project.load_points(json_file, FEW):
        found = mapper(record)["instances"]
        flipped = [m[:, ::-1] for m in masks[record["image_id"]]]
        for coords, labels, mask in zip(
            found.gt_point_coords, found.gt_point_labels, flipped, strict=True
        ):
            x, y = coords.floor().long().numpy().T
            assert (mask[y, x] == labels.numpy()).all()


def test_a_flip_takes_x_to_w_minus_x_and_records_stay_as_they_are(json_file: str) -> None:
    records = project.load_points(json_file, FEW)
    copies = json.dumps(records, default=str)
    size = ["INPUT.MIN_SIZE_TRAIN", "(128,)", "POINT_SUP.SAMPLE", "0"]
    mapper = project.PointSupDatasetMapper(load_config(json_file, *size), True)
    mapper.augmentations.augs[0].prob = 1.0
    for record in records:
        mapped = mapper(record)
        _, h, w = mapped["image"].shape
        scale = torch.tensor([w / record["width"], h / record["height"]])
        objects = [a for a in record["annotations"] if not a.get("iscrowd", 0)]
        before = torch.tensor([a["points"] for a in objects])
        expected = before[..., :2]
        expected[..., 0] = record["width"] - expected[..., 0]
        found = mapped["instances"]
        torch.testing.assert_close(found.gt_point_coords, expected * scale, rtol=0, atol=1e-4)
        assert torch.equal(found.gt_point_labels, before[..., 2] == 1)
        assert not found.has("gt_masks")
    assert json.dumps(records, default=str) == copies


def test_half_of_the_points_are_drawn_anew_each_time(json_file: str) -> None:
    size = ["INPUT.MIN_SIZE_TRAIN", "(128,)", "INPUT.RANDOM_FLIP", "none"]
    some = project.PointSupDatasetMapper(load_config(json_file, *size), True)
    every = project.PointSupDatasetMapper(load_config(json_file, *size, "POINT_SUP.SAMPLE", "0"), 1)
    record = project.load_points(json_file, FEW)[0]
    all_points = every(record)["instances"].gt_point_coords
    seen = []
    for _ in range(8):
        points = some(record)["instances"].gt_point_coords
        assert points.shape == (len(all_points), 5, 2)
        which = (points[:, :, None] == all_points[:, None]).all(dim=-1)
        assert (which.sum(dim=2) == 1).all() and (which.sum(dim=1) <= 1).all()  # no point twice
        seen.append(which.any(dim=1))
    assert torch.stack(seen).any(dim=0).float().mean() > 0.9


def test_testing_is_as_without_points(json_file: str) -> None:
    cfg = load_config(json_file)
    record = project.load_points(json_file, FEW)[0]
    ours = project.PointSupDatasetMapper(cfg, False)(record)
    theirs = PixelExactDatasetMapper(cfg, False)(record)
    assert ours.keys() == theirs.keys() and torch.equal(ours["image"], theirs["image"])


# Reading


def build_head(cls: Any, side: int = 4) -> Any:
    torch.manual_seed(0)
    shape = ShapeSpec(channels=3, height=side, width=side)
    head = cls(shape, num_classes=2, conv_dims=[4])
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return head.train()


def regions(boxes: list[list[float]], points: Any, labels: Any) -> Instances:
    image = Instances((32, 32), proposal_boxes=Boxes(torch.tensor(boxes)))
    image.gt_classes = torch.arange(len(boxes)) % 2
    image.gt_point_coords = torch.tensor(points)
    image.gt_point_labels = torch.tensor(labels)
    return image


def test_the_loss_at_cell_centres_is_that_of_the_cells() -> None:
    """Points at (j + 1/2) cells read exactly one cell of the prediction, of the right class."""
    head = build_head(project.PointSupMaskHead)
    boxes = [[4.0, 4.0, 20.0, 12.0], [1.0, 2.0, 9.0, 18.0]]
    cells = [[(0, 0), (7, 3), (5, 6)], [(2, 2), (0, 7), (7, 7)]]  # (column, row) of 8 x 8
    points = [
        [[x1 + (c + 0.5) * (x2 - x1) / 8, y1 + (r + 0.5) * (y2 - y1) / 8] for c, r in of_box]
        for (x1, y1, x2, y2), of_box in zip(boxes, cells, strict=True)
    ]
    labels = [[True, False, True], [False, False, True]]
    x = torch.randn(2, 3, 4, 4)
    loss = head(x, [regions(boxes, points, labels)])["loss_mask"]
    logits = head.layers(x)
    read = torch.stack([logits[k, k, r, c] for k in range(2) for c, r in cells[k]])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        read, torch.tensor(labels).flatten().float()
    )
    torch.testing.assert_close(loss, expected)
    other = build_head(project.AlignCornersPointSupMaskHead)
    off = other(x, [regions(boxes, points, labels)])["loss_mask"] - expected
    assert off.abs() > 1e-3


def test_points_outside_their_box_do_not_count() -> None:
    head, x = build_head(project.PointSupMaskHead), torch.randn(1, 3, 4, 4)
    box, inside, outside = [[4.0, 4.0, 12.0, 12.0]], [6.0, 7.0], [[12.1, 6.0], [6.0, 3.9]]
    alone = head(x, [regions(box, [[inside]], [[True]])])["loss_mask"]
    both = head(x, [regions(box, [[inside, *outside]], [[True, True, False]])])["loss_mask"]
    none = head(x, [regions(box, [outside], [[True, False]])])["loss_mask"]
    torch.testing.assert_close(both, alone)
    assert none == 0 and none.requires_grad


def test_no_regions_give_no_loss_and_inference_is_the_hosts() -> None:
    head = build_head(project.PointSupMaskHead)
    empty = Instances((32, 32), proposal_boxes=Boxes(torch.zeros(0, 4)))
    loss = head(torch.zeros(0, 3, 4, 4), [empty])["loss_mask"]
    loss.backward()
    assert loss == 0
    x = torch.randn(2, 3, 4, 4)
    masks = []
    for cls in (project.PointSupMaskHead, MaskRCNNConvUpsampleHead):
        found = Instances((32, 32), pred_classes=torch.tensor([1, 0]))
        build_head(cls).eval()(x, [found])
        masks.append(found.pred_masks)
    assert torch.equal(*masks)


@pytest.mark.parametrize(
    ("cls", "ratio"),
    [(project.PointSupMaskHead, 1.0), (project.AlignCornersPointSupMaskHead, (27 / 28) ** 2)],
)
def test_points_teach_a_mask_of_the_right_size(cls: type, ratio: float) -> None:
    """Of a disc's points alone a prediction learns the disc, or one that is 27/28 as wide."""
    radius, num = 11.0, 30000
    coords = np.random.default_rng(0).uniform(4, 28, (1, num, 2)).astype(np.float32)
    labels = ((coords - np.float32(16)) ** 2).sum(-1) < radius**2
    logits = torch.zeros(1, 1, 28, 28, requires_grad=True)

    class Free(cls):  # type: ignore[misc, valid-type]
        def layers(self, x: torch.Tensor) -> torch.Tensor:
            return logits

    head = Free(ShapeSpec(channels=3, height=14, width=14), num_classes=1, conv_dims=[4]).train()
    image = regions([[4.0, 4.0, 28.0, 28.0]], coords, labels)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(60):
        optimizer.zero_grad()
        head(torch.zeros(1, 3, 14, 14), [image])["loss_mask"].backward()
        optimizer.step()
    area = (logits > 0).sum().item() * (24 / 28) ** 2
    assert area / (np.pi * radius**2) == pytest.approx(ratio, abs=0.015)


# The scripts


def test_the_scripts_draw_train_and_evaluate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register_shapes_subset("four_point_sup", "shapes_128_val", 4)
    points = str(tmp_path / "points" / "n10.json")
    draw = load_script("PointSup/draw_points.py")
    monkeypatch.setattr(sys, "argv", ["draw_points.py", "four_point_sup", "--output", points])
    draw.main()
    assert "0 points of" in capsys.readouterr().out
    opts = ["DATASETS.TRAIN", "('four_point_sup',)", "DATASETS.TEST", "('four_point_sup',)"]
    opts += ["SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "2", "MODEL.DEVICE", "cpu"]
    opts += ["POINT_SUP.JSON_FILE", points, "OUTPUT_DIR", str(tmp_path / "out")]
    command = ["train_net.py", "--config-file", ALIGN_CORNERS_CONFIG]
    script = load_script("PointSup/train_net.py")
    monkeypatch.setattr(sys, "argv", [*command, *opts])
    script.main()
    weights = str(tmp_path / "out" / "model_final.pth")
    opts += ["POINT_SUP.JSON_FILE", "", "MODEL.WEIGHTS", weights]  # no points are needed
    monkeypatch.setattr(sys, "argv", [*command, "--eval-only", *opts])
    script.main()
    assert (tmp_path / "out" / "inference" / "coco_instances_results.json").is_file()


# Bad input


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["MODEL.ROI_MASK_HEAD.NAME", "MaskRCNNConvUpsampleHead"], "MODEL.ROI_MASK_HEAD.NAME: got"),
        (["POINT_SUP.JSON_FILE", "none.json"], "POINT_SUP.JSON_FILE: got 'none.json', expected"),
        (["POINT_SUP.SAMPLE", "-1"], "POINT_SUP.SAMPLE: got -1, expected at least 0"),
        (["INPUT.CROP.ENABLED", "True"], "INPUT.CROP.ENABLED: got True"),
        (["DATASETS.TRAIN", "('a', 'b')"], "number of DATASETS.TRAIN: got 2"),
        (["POINT_SUP.NO_SUCH_KEY", "1"], "NO_SUCH_KEY"),
    ],
)
def test_bad_configs_are_refused(json_file: str, opts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_config(json_file, *opts)


def test_bad_annotations_are_refused(source: dict[str, Any], tmp_path: Path) -> None:
    for other in ([], {"images": []}):
        with pytest.raises(ValueError, match="coco: got content without"):
            project.add_points(other, 3, 0)
    with pytest.raises(ValueError, match="num_points, seed: got 0, 0"):
        project.add_points(source, 0, 0)
    drawn = project.add_points(source, 3, 0)
    with pytest.raises(ValueError, match="without a segmentation"):
        project.add_points(drawn, 3, 0)
    drawn["annotations"][0]["points"] = drawn["annotations"][0]["points"][:2]
    path = tmp_path / "points.json"
    path.write_text(json.dumps(drawn))
    with pytest.raises(ValueError, match=r"got objects with \[2, 3\] points, expected one number"):
        project.load_points(str(path), FEW)
    with pytest.raises(ValueError, match=r"got objects with \[0\] points"):
        project.load_points(MetadataCatalog.get(FEW).json_file, FEW)


def test_records_with_too_few_points_are_refused(json_file: str) -> None:
    mapper = project.PointSupDatasetMapper(load_config(json_file, "POINT_SUP.SAMPLE", "11"), True)
    record = project.load_points(json_file, FEW)[0]
    with pytest.raises(ValueError, match="SAMPLE: got 11, expected at most 10"):
        mapper(record)
    for annotation in record["annotations"]:
        annotation.pop("points", None)
    with pytest.raises(ValueError, match="points: got an object without any"):
        mapper(record)


def test_drawing_never_overwrites_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("{}")
    draw = load_script("PointSup/draw_points.py")
    monkeypatch.setattr(sys, "argv", ["draw_points.py", str(path), "--output", str(path)])
    with pytest.raises(ValueError, match=r"--output: got .*expected another file"):
        draw.main()
    with pytest.raises(ValueError, match=r"data: got 'none\.json'"):
        draw.find_json("none.json")
