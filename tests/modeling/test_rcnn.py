"""Whole R-CNNs: all aligned they are Detectron2's, historical they differ by what they should."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from detectron2.layers import ROIAlign
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Boxes, Instances
from tiny_models import (
    CASCADE,
    assert_same_instances,
    assert_same_losses,
    detections,
    losses,
    polygon_batch,
    tiny_batch,
    tiny_config,
    tiny_model,
)
from torch.utils._python_dispatch import TorchDispatchMode

from d2align.modeling import (
    Detectron1BoxTransform,
    FloatBoxTransform,
    PixelExactRCNN,
    PyFasterRCNNBoxTransform,
)
from d2align.modeling.fast_rcnn import DecodeInOriginalPixels, EncodeInOriginalPixels
from d2align.modeling.inclusive.fast_rcnn import InclusivePredictor
from d2align.modeling.mask_head import CropPolygonsInOriginalPixels
from d2align.registry import build_paste_mask

PLAIN = ("MODEL.META_ARCHITECTURE", "GeneralizedRCNN")
KEYPOINT = (
    *("MODEL.MASK_ON", "False", "MODEL.KEYPOINT_ON", "True"),
    *("MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS", "5"),
    *("MODEL.ROI_KEYPOINT_HEAD.CONV_DIMS", "[8]"),
)
POLYGON = ("INPUT.MASK_FORMAT", "polygon")


def pair(*opts: str) -> tuple[Any, Any]:
    """An all-aligned model of ours and Detectron2's own with the same weights."""
    ours, plain = tiny_model(tiny_config(*opts)), tiny_model(tiny_config(*opts, *PLAIN), seed=1)
    plain.load_state_dict(ours.state_dict())
    assert type(ours) is PixelExactRCNN and type(plain) is GeneralizedRCNN
    return ours, plain


def with_keypoints(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    from detectron2.structures import Keypoints

    for entry in batch:
        boxes = entry["instances"].gt_boxes.tensor
        points = torch.linspace(0.1, 0.9, 5)[None, :, None]
        xy = boxes[:, None, :2] + points * (boxes[:, None, 2:] - boxes[:, None, :2])
        entry["instances"].gt_keypoints = Keypoints(torch.cat([xy, 2 * torch.ones(3, 5, 1)], dim=2))
    return batch


@pytest.mark.parametrize("opts", [(), CASCADE, KEYPOINT], ids=["mask", "cascade", "keypoint"])
def test_all_aligned_losses_equal_detectron2s_bit_for_bit(opts: tuple[str, ...]) -> None:
    batch = tiny_batch(scale=1.5)
    if opts == KEYPOINT:
        batch = with_keypoints(batch)
    ours, plain = pair(*opts)
    for seed in (0, 1):
        first, second = losses(ours, batch, seed), losses(plain, batch, seed)
        assert_same_losses(first, second)
        sum(first.values()).backward()
        sum(second.values()).backward()
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert (a.grad is None) == (b.grad is None), name
        assert a.grad is None or torch.equal(a.grad, b.grad), name


@pytest.mark.parametrize("scale", [1.0, 1.5, 0.5])
@pytest.mark.parametrize("opts", [(), CASCADE, KEYPOINT], ids=["mask", "cascade", "keypoint"])
def test_all_aligned_detections_equal_detectron2s_bit_for_bit(
    opts: tuple[str, ...], scale: float
) -> None:
    ours, plain = pair(*opts)
    found = detections(ours, tiny_batch(scale))
    assert min(len(f) for f in found) > 0
    assert_same_instances(found, detections(plain, tiny_batch(scale)))


def test_inputs_without_a_size_get_detections_in_network_pixels() -> None:
    ours, plain = pair()
    batch = [{"image": entry["image"]} for entry in tiny_batch()]
    found = detections(ours, batch)
    assert [f.image_size for f in found] == [(64, 96), (80, 64)]
    assert_same_instances(found, detections(plain, batch))


def test_inference_without_postprocess_returns_raw_detections() -> None:
    ours, plain = pair()
    ours.eval()
    plain.eval()
    with torch.no_grad():
        raw = ours.inference(tiny_batch(2.0), do_postprocess=False)
        expected = plain.inference(tiny_batch(2.0), do_postprocess=False)
    assert raw[0].pred_masks.dim() == 4
    assert_same_instances(raw, expected)


def test_inference_with_given_boxes_equals_detectron2s() -> None:
    ours, plain = pair()
    results = []
    for model in (ours, plain):
        given = [Instances((64, 96)), Instances((80, 64))]
        for instances in given:
            instances.pred_boxes = Boxes(torch.tensor([[4.0, 5.0, 40.0, 50.0]]))
            instances.pred_classes = torch.tensor([1])
        with torch.no_grad():
            outputs = model.eval().inference(tiny_batch(2.0), detected_instances=given)
        results.append([o["instances"] for o in outputs])
    assert_same_instances(*results)


def test_aligned_training_takes_polygons() -> None:
    batch = polygon_batch()
    ours, plain = pair(*POLYGON)
    assert_same_losses(losses(ours, batch), losses(plain, batch))


TRANSFORMS = {
    "ablation_aligned": FloatBoxTransform,
    "ablation_box_transform": PyFasterRCNNBoxTransform,
    "ablation_box_transform_detectron1": Detectron1BoxTransform,
    "ablation_detectron1": Detectron1BoxTransform,
    "ablation_py_faster_rcnn": PyFasterRCNNBoxTransform,
}


@pytest.mark.parametrize("opts", [(), CASCADE], ids=["standard", "cascade"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_config_reaches_every_box_transform_and_keeps_weights(
    name: str, opts: tuple[str, ...]
) -> None:
    model = tiny_model(tiny_config(*opts, config=f"{name}.yaml"))
    found = [m for m in model.modules() if isinstance(m, FastRCNNOutputLayers)]
    weights = [tuple(m.box2box_transform.weights) for m in found]
    expected = [(10.0, 10.0, 5.0, 5.0), (20.0, 20.0, 10.0, 10.0), (30.0, 30.0, 15.0, 15.0)]
    assert weights == expected[: len(found)] and len(found) == (3 if opts else 1)
    for module in (*found, model.proposal_generator):
        assert type(module.box2box_transform) is TRANSFORMS[name]
    historical = TRANSFORMS[name] is not FloatBoxTransform
    preset = name in ("ablation_detectron1", "ablation_py_faster_rcnn")
    encodes = TRANSFORMS[name] is Detectron1BoxTransform or preset
    assert all(isinstance(m, DecodeInOriginalPixels) == historical for m in found)
    assert all(isinstance(m, EncodeInOriginalPixels) == encodes for m in found)
    assert all(isinstance(m, InclusivePredictor) == preset for m in found)
    batch = polygon_batch(1.5) if preset else tiny_batch(1.5)
    sum(losses(model, batch).values()).backward()
    assert len(detections(model, tiny_batch(1.5))) == 2


def test_config_reaches_poolers_masks_and_paste() -> None:
    model = tiny_model(tiny_config(config="ablation_detectron1.yaml"))
    aligners = [m for m in model.modules() if isinstance(m, ROIAlign)]
    assert len(aligners) == 8 and not any(m.aligned for m in aligners)
    assert isinstance(model.roi_heads.mask_head, CropPolygonsInOriginalPixels)
    assert model.paste_masks is build_paste_mask("detectron1")
    plain = tiny_model(tiny_config())
    assert all(m.aligned for m in plain.modules() if isinstance(m, ROIAlign))
    assert plain.paste_masks is build_paste_mask("aligned")


# Without suppression, detections stay in the order of scores, which a decode does not change.
NO_SUPPRESSION = (
    *("MODEL.ROI_HEADS.NMS_THRESH_TEST", "1.0", "MODEL.RPN.NMS_THRESH", "1.0"),
    *("TEST.DETECTIONS_PER_IMAGE", "1000", "MODEL.MASK_ON", "False"),
)


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_py_faster_rcnns_decode_adds_one_original_pixel_to_detections(scale: float) -> None:
    aligned = tiny_model(tiny_config(*NO_SUPPRESSION))
    historical = tiny_model(tiny_config(*NO_SUPPRESSION, config="ablation_box_transform.yaml"))
    historical.proposal_generator.box2box_transform = FloatBoxTransform()
    for model in (aligned, historical):
        torch.nn.init.zeros_(model.roi_heads.box_predictor.bbox_pred.weight)
    pairs = zip(
        detections(aligned, tiny_batch(scale)),
        detections(historical, tiny_batch(scale)),
        strict=True,
    )
    for a, b in pairs:
        assert torch.equal(a.scores, b.scores) and len(a) > 30
        h, w = a.image_size
        shift = torch.tensor([0.0, 0.0, 1.0, 1.0])
        limit = torch.tensor([w, h, w, h]).float()
        expected = torch.minimum(a.pred_boxes.tensor + shift, limit)
        torch.testing.assert_close(b.pred_boxes.tensor, expected, atol=1e-4, rtol=0)
        assert (b.pred_boxes.tensor[:, 2] < w).any()  # not all of them clipped


@pytest.mark.parametrize("scale", [1.0, 0.5, 2.0])
def test_py_faster_rcnns_decode_adds_one_network_pixel_to_proposals(scale: float) -> None:
    found = []
    for config in ("ablation_aligned.yaml", "ablation_box_transform.yaml"):
        model = tiny_model(tiny_config(*NO_SUPPRESSION, config=config)).eval()
        torch.nn.init.zeros_(model.proposal_generator.rpn_head.anchor_deltas.weight)
        with torch.no_grad():
            images = model.preprocess_image(tiny_batch(scale))
            proposals, _ = model.proposal_generator(images, model.backbone(images.tensor))
        found.append(proposals)
    for a, b in zip(*found, strict=True):
        h, w = a.image_size
        # py-faster-rcnn's decode of no deltas: the anchor, and 1 more on the right and bottom.
        limit = torch.tensor([w, h, w, h]).float()
        inside = (a.proposal_boxes.tensor[:, 2:] < limit[2:] - 1).all(dim=1)
        shift = torch.tensor([0.0, 0.0, 1.0, 1.0])
        pool = b.proposal_boxes.tensor
        expected = a.proposal_boxes.tensor[inside] + shift
        # Anchors clipped away by one pixel less change the ranking, hence: nearest one.
        nearest = (expected[:, None] - pool[None]).abs().amax(dim=2).amin(dim=1)
        assert inside.sum() > 3 and (nearest < 1e-4).float().mean() > 0.8


@pytest.mark.parametrize("opts", [(), CASCADE], ids=["standard", "cascade"])
def test_historical_models_train_with_predicted_boxes_and_giou(opts: tuple[str, ...]) -> None:
    more = (
        *("MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES", str(not opts)),
        *("MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE", "giou"),
    )
    config = "ablation_box_transform_detectron1.yaml"
    model = tiny_model(tiny_config(*opts, *more, config=config))
    found = losses(model, tiny_batch(1.5))
    assert all(torch.isfinite(v) for v in found.values())


def test_constructed_without_a_config() -> None:
    reference = tiny_model(tiny_config())
    model = PixelExactRCNN(
        backbone=reference.backbone,
        proposal_generator=reference.proposal_generator,
        roi_heads=reference.roi_heads,
        pixel_mean=[103.53, 116.28, 123.675],
        pixel_std=[57.375, 57.12, 58.395],
        factors={"paste_mask": "detectron1", "box_transform": "detectron1"},
    )
    assert model.paste_masks is build_paste_mask("detectron1")
    assert len(detections(model, tiny_batch())) == 2
    with pytest.raises(TypeError, match="factor"):
        PixelExactRCNN(
            backbone=reference.backbone,
            proposal_generator=reference.proposal_generator,
            roi_heads=reference.roi_heads,
            pixel_mean=[0.0] * 3,
            pixel_std=[1.0] * 3,
            factors={"no_factor": "aligned"},
        )


class _CountOperators(TorchDispatchMode):
    """Counts the operators that run, forward and backward."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.counts[str(func.overloadpacket)] += 1
        return func(*args, **(kwargs or {}))


def test_training_step_of_all_aligned_runs_no_operator_that_detectron2s_does_not() -> None:
    counts = []
    for model in pair():
        losses(model, tiny_batch(1.5))  # compiles Detectron2's scripted transform
        losses(model, tiny_batch(1.5))
        with _CountOperators() as mode:
            sum(losses(model, tiny_batch(1.5)).values()).backward()
        counts.append(mode.counts)
    ours, plain = counts
    # _local_scalar_dense, a number that is read back, is one of them.
    assert ours["aten.convolution"] and ours["aten.convolution_backward"]
    assert ours["aten._local_scalar_dense"]
    extra = {name: n - plain[name] for name, n in ours.items() if n > plain[name]}
    assert not extra
