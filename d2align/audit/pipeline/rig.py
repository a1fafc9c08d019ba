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
        seen: by head, what it was last called with and what it answered.
    """

    def __init__(self, model: nn.Module) -> None:
        """Make a rig; use ``rigged``, which also puts the parts in and takes them out."""
        self.model = model
        self.deltas: Tensor | None = None
        self.scores: Tensor | None = None
        self.mask_logits: Tensor | None = None
        self.heatmaps: Tensor | None = None
        self.seen: dict[str, tuple[Any, Any]] = {}

    def train(self, inputs: dict[str, Any]) -> dict[str, Tensor]:
        """Return the losses of one image, with its proposals under "proposals"."""
        from detectron2.utils.events import EventStorage

        self.model.train()
        self.seen.clear()
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
        self.model.eval()
        with quiet():
            if given is None:
                return self.model([inputs])[0]["instances"]
            found = self.model.inference([inputs], [given])[0]
        return found["instances"] if isinstance(found, dict) else found


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
    if hasattr(model, "sem_seg_head"):
        raise ProbeFailure(
            "the heads of a panoptic model take no given detections; audit them with "
            "MODEL.META_ARCHITECTURE GeneralizedRCNN"
        )
    rig = Rig(model)
    with contextlib.ExitStack() as stack:

        def replace(owner: Any, name: str, part: Any) -> None:
            stack.enter_context(_replaced(owner, name, part))

        replace(model, "backbone", BlankBackbone(model.backbone))
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


@contextlib.contextmanager
def _replaced(owner: Any, name: str, part: Any) -> Iterator[None]:
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
