"""A built model whose learnt parts are replaced by given answers, and put back afterwards.

What stays is everything that is about pixels: sampling and matching, encoding and decoding,
pooling, targets, reading of heatmaps, pasting and post-processing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.load import quiet
from d2align.audit.pipeline.mapped import seeded

_MANY = 1024


class Rig:
    """A model in which backbone, box predictor and heads answer what they are told.

    Attributes:
        deltas: (R, 4) that the first box predictor answers for class 0; None for zeros. The other
            stages of a cascade answer zeros.
        scores: (R,) logits of class 0.
        mask_logits: (N, M, M) that the mask head answers for every class, or None for zeros.
        heatmaps: (N, K, S, S) that the keypoint head answers, or None for zeros.
        label_logits: (C, h, w) that the semantic head answers before its resize, or None for zeros.
        seen: by head, what it was last called with and what it answered.
        inputs: that the model was last called with, as they are inside it.
        given: detections for which masks and keypoints are wanted, of a panoptic model.
    """

    def __init__(self, model: nn.Module) -> None:
        """Make a rig; use ``rigged``, which also puts the parts in and takes them out."""
        self.model = model
        self.deltas: Tensor | None = None
        self.scores: Tensor | None = None
        self.mask_logits: Tensor | None = None
        self.heatmaps: Tensor | None = None
        self.label_logits: Tensor | None = None
        self.inputs: list[dict[str, Any]] = []
        self.given: Any = None
        self.seen: dict[str, tuple[Any, Any]] = {}

    def train(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """Return the losses of one image, with its proposals under "proposals"."""
        from detectron2.utils.events import EventStorage

        self.model.train()
        self.seen.clear()
        if is_panoptic(self.model):
            h, w = inputs["image"].shape[-2:]
            inputs = {**inputs, "sem_seg": torch.zeros(h, w, dtype=torch.int64)}
        with seeded(0), quiet(), EventStorage():
            losses: dict[str, Tensor] = self.model([inputs])
        return losses

    @torch.no_grad()
    def detect(self, inputs: dict[str, Any], given: Any = None) -> Any:
        """Return the Instances found in one image, in original pixels.

        Args:
            inputs: the model's; with "proposals" where ``given`` is None.
            given: detections (network pixels) for which masks and keypoints are wanted.
        """
        if given is None or is_panoptic(self.model):
            return self.outputs(inputs, given)["instances"]
        self.model.eval()
        with quiet():
            found = self.model.inference([inputs], [given])[0]
        return found["instances"] if isinstance(found, dict) else found

    @torch.no_grad()
    def outputs(self, inputs: dict[str, Any], given: Any = None) -> dict[str, Any]:
        """Return all that the model says of one image.

        Args:
            inputs: the model's; with "proposals" where ``given`` is None.
            given: of a panoptic model, detections (network pixels) in place of proposals.
        """
        self.model.eval()
        if is_panoptic(self.model) and hasattr(self.model, "inside"):
            # An inclusive panoptic model turns what it is given in training alone.
            if "proposals" in inputs:
                inputs = {**inputs, "proposals": self.model.inside(inputs["proposals"], inputs)}
            if given is not None:
                given = self.model.inside(given, inputs)
        self.given = given
        try:
            with quiet():
                found: dict[str, Any] = self.model([inputs])[0]
        finally:
            self.given = None
        return found


def is_panoptic(model: nn.Module) -> bool:
    """Whether a model has a semantic head beside its regions."""
    return hasattr(model, "sem_seg_head") and hasattr(model, "roi_heads")


@contextlib.contextmanager
def rigged(model: nn.Module) -> Iterator[Rig]:
    """Put a rig into a GeneralizedRCNN for a while.

    Args:
        model: of Detectron2's kind, with backbone, proposal_generator and roi_heads.

    Yields:
        The rig.

    Raises:
        ProbeFailure: it is of another kind.
    """
    heads = getattr(model, "roi_heads", None)
    if heads is None or not hasattr(model, "proposal_generator"):
        raise ProbeFailure("the model has no proposal_generator and roi_heads")
    rig = Rig(model)
    with contextlib.ExitStack() as stack:

        def replace(owner: Any, name: str, part: Any) -> None:
            stack.enter_context(replaced(owner, name, part))

        replace(model, "backbone", BlankBackbone(model.backbone))
        if is_panoptic(model):
            # It has no way in for proposals and detections.
            replace(model, "preprocess_image", _remembered(rig, model.preprocess_image))
            replace(model, "proposal_generator", GivenProposals(rig))
            replace(heads, "forward", _heads_forward(rig, heads))
            _replace_semantic(rig, model, replace)
        else:
            replace(model, "proposal_generator", None)
        # Every proposal is to be trained on.
        for owner, name, value in (
            (model, "vis_period", 0),
            (heads, "batch_size_per_image", _MANY),
            (heads, "positive_fraction", 1.0),
        ):
            if hasattr(owner, name):
                replace(owner, name, value)
        for stage, predictor in enumerate(predictors(model)):
            replace(predictor, "forward", _predictor_forward(rig, predictor, stage))
            if stage == 0:
                replace(predictor, "losses", _recorded(rig, "losses", predictor.losses))
        for name in ("mask_head", "keypoint_head"):
            head = getattr(heads, name, None)
            if hasattr(head, "layers"):
                replace(head, "layers", _layers(rig, name, head.layers))
                replace(head, "forward", _recorded(rig, name, head.forward))
        training = model.training
        try:
            yield rig
        finally:
            model.train(training)


def predictors(model: nn.Module) -> list[Any]:
    """Return the box predictors of an R-CNN, those of a cascade by stage."""
    predictor = getattr(getattr(model, "roi_heads", None), "box_predictor", None)
    if predictor is None:
        return []
    return list(predictor) if isinstance(predictor, nn.ModuleList) else [predictor]


class BlankBackbone(nn.Module):
    """Features of the right sizes that hold zeros."""

    def __init__(self, backbone: Any) -> None:
        """Take the shapes of a backbone's features."""
        super().__init__()
        self.size_divisibility = backbone.size_divisibility
        self.padding_constraints = getattr(backbone, "padding_constraints", {})
        self.shapes = backbone.output_shape()

    def output_shape(self) -> Any:
        """Return the backbone's own."""
        return self.shapes

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Return features for images (B, C, H, W)."""
        h, w = x.shape[-2:]
        return {
            name: x.new_zeros(len(x), s.channels, -(-h // s.stride), -(-w // s.stride))
            for name, s in self.shapes.items()
        }


class GivenProposals(nn.Module):
    """The proposals of the model's input, in the place of a generator of them."""

    def __init__(self, rig: Rig) -> None:
        """Take the rig that remembers the input."""
        super().__init__()
        self.rig = [rig]  # in a list, so that its model is no part of this module

    def forward(self, images: Any, features: Any, truth: Any = None) -> tuple[list[Any], Any]:
        """Return the proposals of each image, and no losses."""
        return [x.get("proposals") for x in self.rig[0].inputs], {}


def _remembered(rig: Rig, preprocess_image: Callable[..., Any]) -> Callable[..., Any]:
    def call(inputs: list[dict[str, Any]]) -> Any:
        rig.inputs = inputs
        return preprocess_image(inputs)

    return call


def _heads_forward(rig: Rig, heads: Any) -> Callable[..., Any]:
    forward = heads.forward

    def call(images: Any, features: Any, proposals: Any, targets: Any = None) -> Any:
        if rig.given is not None:
            return heads.forward_with_given_boxes(features, [rig.given]), {}
        return forward(images, features, proposals, targets)

    return call


def _replace_semantic(rig: Rig, model: Any, replace: Callable[..., None]) -> None:
    head = model.sem_seg_head
    if not hasattr(head, "layers"):
        raise ProbeFailure("the semantic head has no layers() whose logits could be given")
    layers = head.layers
    shapes: dict[int, tuple[int, ...]] = {}

    def answer(features: Any) -> Tensor:
        height = next(iter(features.values())).shape[-2]
        if height not in shapes:
            with torch.no_grad():
                shapes[height] = layers(features).shape
        if rig.label_logits is not None and not model.training:
            return rig.label_logits[None].expand(shapes[height])
        return torch.zeros(shapes[height])

    replace(head, "layers", answer)


@contextlib.contextmanager
def replaced(owner: Any, name: str, part: Any) -> Iterator[None]:
    """Set an attribute of an instance for a while."""
    own = name in vars(owner) or name in getattr(owner, "_modules", {})
    before = getattr(owner, name)
    setattr(owner, name, part)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)  # a method of its class shows again


def _recorded(rig: Rig, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        answer = rig.seen.get(name, (None, None))[1]
        rig.seen[name] = (args, answer)
        return method(*args, **kwargs)

    return call


def _predictor_forward(rig: Rig, predictor: Any, stage: int) -> Callable[[Tensor], Any]:
    shapes = [predictor.cls_score.out_features, predictor.bbox_pred.out_features]

    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        scores, deltas = (x.new_zeros(len(x), n) for n in shapes)
        if rig.scores is not None and not rig.model.training:
            scores[:, 0] = rig.scores[: len(x)]
        if stage == 0 and rig.deltas is not None:
            deltas[:, :4] = rig.deltas[: len(x)]
        deltas.requires_grad_(rig.model.training)
        rig.seen[f"predictor{stage}"] = ((), deltas)
        return scores, deltas

    return forward


def _layers(rig: Rig, name: str, layers: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    shapes: dict[Any, tuple[int, ...]] = {}

    def answer(x: Tensor) -> Tensor:
        key = tuple(x.shape[1:])
        if key not in shapes:
            with torch.no_grad():
                shapes[key] = tuple(layers(x[:1].detach()).shape[1:])
        given = rig.mask_logits if name == "mask_head" else rig.heatmaps
        if given is None or rig.model.training:
            out = x.new_zeros(len(x), *shapes[key]).requires_grad_(rig.model.training)
        elif name == "mask_head":
            out = given[: len(x), None].expand(-1, shapes[key][0], -1, -1)
        else:
            out = given[: len(x)]
        rig.seen[name] = (rig.seen.get(name, ((), None))[0], out)
        return out

    return answer
