"""Bad input that belongs to no module alone."""

from __future__ import annotations

import pytest
import torch
from detectron2.structures import Boxes, Instances
from tiny_models import detections, tiny_batch, tiny_config, tiny_model


def test_original_size_of_zero_is_refused_by_name() -> None:
    batch = [{**tiny_batch()[0], "height": 0}]
    with pytest.raises(ValueError, match="height"):
        detections(tiny_model(tiny_config()), batch)


def test_historical_decodes_take_precomputed_proposals() -> None:
    opts = (
        *("MODEL.LOAD_PROPOSALS", "True"),
        *("MODEL.PROPOSAL_GENERATOR.NAME", "PrecomputedProposals"),
    )
    model = tiny_model(tiny_config(*opts, config="ablation_box_transform.yaml"))
    batch = tiny_batch(1.5)
    for entry in batch:
        entry["proposals"] = Instances(tuple(entry["image"].shape[1:]))
        entry["proposals"].proposal_boxes = Boxes(torch.tensor([[3.0, 4.0, 30.0, 40.0]]))
        entry["proposals"].objectness_logits = torch.zeros(1)
    assert len(detections(model, batch)) == 2


@pytest.mark.parametrize("config", ["ablation_aligned.yaml", "ablation_py_faster_rcnn.yaml"])
def test_images_of_nan_give_no_detections(config: str) -> None:
    (found,) = detections(
        tiny_model(tiny_config(config=config)),
        [{"image": torch.full((3, 64, 64), float("nan")), "height": 32, "width": 48}],
    )
    assert len(found) == 0 and found.pred_masks.shape == (0, 32, 48)
