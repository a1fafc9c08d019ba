"""Checkpoints: flip equivariance without ground truth, and bias against it, on known shifts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from detectron2.structures import Boxes, BoxMode, Instances
from PIL import Image
from pycocotools import mask as coco_mask

from d2align.audit.pipeline import trained
from d2align.audit.pipeline.bias import mean_over_images
from d2align.audit.pipeline.trained import audit_checkpoint, audit_detections, mirror_rows

SIZE = (90, 120)


def encode(mask: np.ndarray) -> Any:
    return coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))


def scene(shift: float, growth: float, images: int = 12, noise: float = 0.3) -> Any:
    """A COCO dict, and what a detector that shifts and grows everything finds, mirrored too."""
    rng = np.random.default_rng(0)
    h, w = SIZE
    truth: Any = {"images": [], "annotations": []}
    plain, mirrored = [], []
    for image in range(images):
        truth["images"].append({"id": image, "height": h, "width": w})
        for x in (12.0, 50.0, 80.0):
            box = np.array([x, 20.0, 25.0, 40.0])
            row = {"image_id": image, "category_id": 0, "iscrowd": 0}
            truth["annotations"].append(
                {**row, "id": len(truth["annotations"]) + 1, "bbox": box.tolist()}
            )

            def found(box: np.ndarray, row: Any = row) -> Any:
                off = np.array([shift - growth, 0, 2 * growth, 0]) + rng.normal(0, noise, 4)
                return {**row, "bbox": (box + off).tolist(), "score": 0.9}

            plain.append(found(box))
            mirrored += mirror_rows([found(np.array([w - x - 25, 20, 25, 40]))], w)
    return truth, plain, mirrored


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.4])
def test_a_shift_is_seen_with_and_without_ground_truth(shift: float) -> None:
    flip, bias = audit_detections(*scene(shift, 0.0))
    assert flip.subject == "flip equivariance: boxes" and bias.subject == "bias: boxes"
    for found in (flip, bias):
        assert found.parameters["x_px"] == pytest.approx(shift, abs=0.1)
        assert found.parameters["x_low"] < shift < found.parameters["x_high"]
        assert found.convention == ("shifted" if shift else "aligned")
        assert found.error_px == pytest.approx(abs(shift), abs=0.1)


def test_widths_are_seen_only_against_ground_truth() -> None:
    flip, bias = audit_detections(*scene(0.0, 0.5))
    assert flip.status == "aligned" and bias.convention == "resized"
    assert bias.parameters["width_px"] == pytest.approx(1.0, abs=0.15)


def test_masks_are_mirrored_and_measured() -> None:
    truth, plain, mirrored = scene(0.0, 0.0, noise=0.0)
    grid = np.arange(SIZE[1])[None] + 0 * np.arange(SIZE[0])[:, None]

    def draw(rows: Any, off: int) -> None:
        for row in rows:
            x, _, w, _ = row["bbox"]
            mask = (grid >= round(x) + off) & (grid < round(x + w) + off)
            row["segmentation"] = encode(mask)

    draw(truth["annotations"], 0)
    draw(plain, 1)
    draw(mirrored, -1)  # what a shift of +1 is when mirrored back
    found = {f.subject: f for f in audit_detections(truth, plain, mirrored)}
    for name in ("flip equivariance: masks", "bias: masks"):
        assert found[name].parameters["x_px"] == pytest.approx(1.0)
    assert found["bias: masks"].parameters["edge_px"] == 0
    back = mirror_rows(mirror_rows(plain, SIZE[1]), SIZE[1])
    assert [r["bbox"] for r in back] == [r["bbox"] for r in plain]
    masks = [coco_mask.decode(r["segmentation"]) for r in (back[0], plain[0])]
    np.testing.assert_array_equal(*masks)


def test_too_few_objects_are_said_to_be_so() -> None:
    for found in audit_detections(*scene(0.0, 0.0, images=2)):
        assert found.status == "failed" and "more images" in found.sentence


def test_the_interval_is_over_images() -> None:
    # Every image has its own error, and a hundred objects that share it.
    errors = np.repeat(np.random.default_rng(1).normal(0, 1, 30), 100)
    mean = mean_over_images(errors, np.repeat(np.arange(30), 100))
    assert (mean.high - mean.low) / 2 == pytest.approx(2.58 / np.sqrt(30), rel=0.35)


class ShiftedDetector(torch.nn.Module):
    """Finds the light rectangle of an image, a third of a pixel too far right."""

    def forward(self, inputs: Any) -> Any:
        (one,) = inputs
        light = (one["image"].float().mean(dim=0) > 100).nonzero().float()
        (y1, x1), (y2, x2) = light.min(dim=0).values, light.max(dim=0).values + 1
        h, w = one["height"], one["width"]
        scale = w / one["image"].shape[-1]
        box = torch.stack([x1, y1, x2, y2]) * scale + torch.tensor([1 / 3, 0, 1 / 3, 0])
        found = Instances((h, w), pred_boxes=Boxes(box[None]), scores=torch.tensor([0.9]))
        found.pred_classes = torch.tensor([0])
        return [{"instances": found}]


def test_a_whole_checkpoint_audit(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    records = []
    for k in range(12):
        pixels = np.zeros((96, 128, 3), dtype=np.uint8)
        pixels[20:60, 10 + 3 * k : 50 + 3 * k] = 200
        path = tmp_path / f"{k}.png"
        Image.fromarray(pixels).save(path)
        box = [10.0 + 3 * k, 20.0, 50.0 + 3 * k, 60.0]
        annotation = {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 0}
        record = {"file_name": str(path), "height": 96, "width": 128, "image_id": k}
        records.append({**record, "annotations": [annotation]})
    monkeypatch.setattr(trained, "_load", lambda cfg: ShiftedDetector())
    monkeypatch.setattr(trained, "_records", lambda name, count: records[:count])
    monkeypatch.setattr("d2align.engine.check_datasets", lambda cfg, eval_only: None)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"")
    opts = ["INPUT.MIN_SIZE_TEST", "192", "MODEL.META_ARCHITECTURE", "PixelExactRCNN"]
    config = "configs/shapes/ablation_aligned.yaml"
    flip, bias = audit_checkpoint(config, str(weights), opts, 12)
    assert flip.parameters["x_px"] == pytest.approx(1 / 3, abs=0.03)
    assert bias.parameters["x_px"] == pytest.approx(1 / 3, abs=0.03)
    assert bias.parameters["y_px"] == pytest.approx(0, abs=0.03)


def test_weights_and_data_sets_that_are_not_there() -> None:
    config = "configs/shapes/ablation_aligned.yaml"
    with pytest.raises(ValueError, match=r"DATASETS: got 'nothing'"):
        audit_checkpoint(config, "w.pth", ["DATASETS.TEST", "('nothing',)"])
    with pytest.raises(ValueError, match=r"DATASETS.TEST: got none"):
        audit_checkpoint(config, "w.pth", ["DATASETS.TEST", "()"])
