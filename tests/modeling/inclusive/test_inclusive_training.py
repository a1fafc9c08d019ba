"""The presets train a few steps on the built-in data, and are evaluated on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator
from detectron2.structures import PolygonMasks
from detectron2.utils.events import EventStorage
from tiny_models import SHAPES, tiny_config

from d2align.data import PixelExactDatasetMapper
from d2align.data.shapes.register import prepare_shapes, register_shapes_subset
from d2align.engine import Trainer

KEYPOINTS = (
    *("MODEL.MASK_ON", "False", "MODEL.KEYPOINT_ON", "True", "MODEL.ROI_HEADS.NUM_CLASSES", "1"),
    *("MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS", "7", "MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS", "[8]"),
)
DATA = {"shapes_128_train": (), "shapes_keypoints_128_train": KEYPOINTS}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Six images of each built-in data set."""
    cache, names = tmp_path_factory.mktemp("shapes"), {}
    for full in DATA:
        names[full] = f"d2align_test_{full}"
        register_shapes_subset(names[full], full, 6, cache=cache)
    prepare_shapes(list(names.values()))
    yield names
    for name in names.values():
        DatasetCatalog.pop(name)
        MetadataCatalog.pop(name)


@pytest.mark.parametrize("full", DATA)
@pytest.mark.parametrize("preset", ["detectron1", "py_faster_rcnn"])
def test_presets_train_and_are_evaluated(
    preset: str, full: str, data: dict[str, str], tmp_path: Path
) -> None:
    sets = ("DATASETS.TRAIN", f"('{data[full]}',)", "DATASETS.TEST", f"('{data[full]}',)")
    cfg = tiny_config(*sets, *DATA[full], config=f"ablation_{preset}.yaml")
    assert (SHAPES / f"ablation_{preset}.yaml").exists()
    torch.manual_seed(0)
    model: Any = Trainer.build_model(cfg).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    mapper = PixelExactDatasetMapper(cfg, True)
    batch = [mapper(record) for record in DatasetCatalog.get(data[full])]
    assert all("im_scale" in entry for entry in batch)
    if cfg.MODEL.MASK_ON:
        assert all(isinstance(entry["instances"].gt_masks, PolygonMasks) for entry in batch)
    totals = []
    for _ in range(8):
        with EventStorage():
            found = model(batch)
        assert all(torch.isfinite(v) for v in found.values())
        optimizer.zero_grad()
        sum(found.values()).backward()
        optimizer.step()
        totals.append(float(sum(v.detach() for v in found.values())))
    assert totals[-1] < 0.9 * totals[0]
    evaluator = COCOEvaluator(
        data[full],
        distributed=False,
        output_dir=str(tmp_path),
        kpt_oks_sigmas=cfg.TEST.KEYPOINT_OKS_SIGMAS or [0.05] * 7,
    )
    results = Trainer.test(cfg, model, [evaluator])
    tasks = {"bbox", "segm"} if cfg.MODEL.MASK_ON else {"bbox", "keypoints"}
    assert set(results) == tasks
