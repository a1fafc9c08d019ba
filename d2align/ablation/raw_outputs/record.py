"""Run a model over a data set once and keep what its heads put out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from detectron2.data import build_detection_test_loader, get_detection_dataset_dicts
from detectron2.modeling.meta_arch import GeneralizedRCNN
from detectron2.modeling.roi_heads.fast_rcnn import FastRCNNOutputLayers
from detectron2.structures import Instances
from torch import Tensor

from d2align.ablation.raw_outputs.store import RawOutputs, RawStore
from d2align.data import PixelExactDatasetMapper

# Images of one shard: some 50 MB on COCO, and what a killed run does again.
SHARD_IMAGES = 25


def record(
    cfg: Any, model: Any, store: RawStore, num_images: int | None, report: Callable[[int], None]
) -> None:
    """Keep the raw outputs of the images that are not kept yet.

    Args:
        cfg: a config; its first test set is used.
        model: a GeneralizedRCNN with a box head, its weights loaded.
        store: where to keep them.
        num_images: how many images of the set, from its start; None is all.
        report: called with the number of images done since the last call.

    Raises:
        ValueError: the model has no box head of Detectron2's kind.
    """
    predictors = box_predictors(model)
    dicts = get_detection_dataset_dicts(cfg.DATASETS.TEST[0], filter_empty=False)[:num_images]
    report(store.num_images)
    rest = dicts[store.num_images :]
    if not rest:
        return  # all kept by a run before, and Detectron2's loader refuses an empty list
    loader = build_detection_test_loader(
        rest, mapper=PixelExactDatasetMapper(cfg, is_train=False), num_workers=0
    )
    model.eval()
    shard: list[RawOutputs] = []
    with torch.no_grad():
        for position, inputs in enumerate(loader, 1):
            shard.append(run_image(model, predictors, inputs[0]))
            report(1)
            if len(shard) == SHARD_IMAGES or position == len(rest):
                store.append(shard)
                shard = []


def box_predictors(model: Any) -> list[FastRCNNOutputLayers]:
    """Return the box predictors of a model, one for each cascade stage.

    Args:
        model: a Detectron2 model.

    Returns:
        At least one FastRCNNOutputLayers.

    Raises:
        ValueError: it has none.
    """
    is_rcnn = isinstance(model, GeneralizedRCNN)
    found = [m for m in model.modules() if isinstance(m, FastRCNNOutputLayers)]
    if not is_rcnn or not found:
        raise ValueError(
            f"model: got {type(model).__name__} with {len(found)} FastRCNNOutputLayers, expected a "
            "GeneralizedRCNN with a box head (Faster, Mask or Cascade R-CNN)"
        )
    return found


def run_image(
    model: Any, predictors: list[FastRCNNOutputLayers], inputs: dict[str, Any]
) -> RawOutputs:
    """Run a model on one image and return what its heads put out.

    Args:
        model: the model, in eval mode.
        predictors: its box predictors.
        inputs: one image, as the data loader gives it.

    Returns:
        The raw outputs.
    """
    with _listening(predictors) as heard:
        found = model.inference([inputs], do_postprocess=False)[0].to("cpu")
    deltas, proposals = heard["boxes"][-1]
    scores = sum(heard["probs"]) * (1.0 / len(predictors))  # as CascadeROIHeads averages
    masks = found.pred_masks[:, 0] if found.has("pred_masks") else torch.zeros((len(found), 0, 0))
    network_size = tuple(int(s) for s in found.image_size)
    size = (inputs.get("height", network_size[0]), inputs.get("width", network_size[1]))
    return RawOutputs(
        image_id=int(inputs["image_id"]),
        size=(int(size[0]), int(size[1])),
        network_size=(network_size[0], network_size[1]),
        proposals=_array(proposals),
        deltas=_array(deltas),
        scores=_array(scores),
        boxes=_array(found.pred_boxes.tensor),
        labels=found.pred_classes.numpy().astype(np.int64),
        confidences=_array(found.scores),
        masks=_array(masks),
    )


@contextlib.contextmanager
def _listening(predictors: list[FastRCNNOutputLayers]) -> Iterator[dict[str, list[Any]]]:
    """Hear what the predictors of this model are asked to decode, for as long as it lasts."""
    heard: dict[str, list[Any]] = {"boxes": [], "probs": []}

    def predict_boxes(predictions: Any, proposals: list[Instances]) -> Any:
        # A copy: inference clips what it is given in place.
        heard["boxes"].append((predictions[1].clone(), proposals[0].proposal_boxes.tensor.clone()))
        return type(predictors[-1]).predict_boxes(predictors[-1], predictions, proposals)

    def probs_of(predictor: Any) -> Callable[..., Any]:
        def predict_probs(predictions: Any, proposals: list[Instances]) -> Any:
            probs = type(predictor).predict_probs(predictor, predictions, proposals)
            heard["probs"].append(probs[0].clone())
            return probs

        return predict_probs

    try:
        for predictor in predictors:
            predictor.predict_probs = probs_of(predictor)
        predictors[-1].predict_boxes = predict_boxes
        yield heard
    finally:
        for predictor in predictors:
            vars(predictor).pop("predict_probs", None)
        vars(predictors[-1]).pop("predict_boxes", None)


def _array(tensor: Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().to("cpu", torch.float32).numpy()
    return array
