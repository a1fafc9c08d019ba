"""A region proposal network that makes the same proposals in less time on the CPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from detectron2.layers import batched_nms
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.proposal_generator.proposal_utils import find_top_rpn_proposals
from detectron2.structures import Boxes, Instances
from torch import Tensor, nn
from torchvision.ops import nms

from d2align.geometry.roi_align_choice import is_recorded
from d2align.modeling.fast_class import with_class

Model = TypeVar("Model", bound=nn.Module)
Best = Callable[[Tensor, int], tuple[Tensor, Tensor]]

# With up to so many boxes torchvision moves levels apart and compares every box with every other.
_MOVED_APART = 1000


class FastRPN(RPN):
    """Detectron2's RPN, with the same proposals to the last bit, faster on the CPU.

    It decodes only the anchors of the best scores, and compares boxes only within a level.

    Convention: that of its ``box2box_transform``, in network pixels.
    """

    def predict_proposals(
        self,
        anchors: list[Boxes],
        pred_objectness_logits: list[Tensor],
        pred_anchor_deltas: list[Tensor],
        image_sizes: list[tuple[int, int]],
    ) -> list[Instances]:
        """Decode the deltas of the best anchors and choose among their boxes.

        Args:
            anchors: (R_l, 4) XYXY, pixels, for each level.
            pred_objectness_logits: (N, R_l) for each level.
            pred_anchor_deltas: (N, R_l, 4) for each level.
            image_sizes: (h, w) of N images, pixels.

        Returns:
            N Instances with proposal_boxes and objectness_logits, by falling score.

        Raises:
            FloatingPointError: in training, boxes or scores that are not finite.
        """
        inputs = (anchors, pred_objectness_logits, pred_anchor_deltas)
        is_left_alone = is_recorded() or pred_objectness_logits[0].device.type != "cpu"
        best = None if is_left_alone else detectron2s_best()
        if best is None:
            return super().predict_proposals(*inputs, image_sizes)
        with torch.no_grad():
            scores, boxes, levels = self._decode_best(best, *inputs)
            return [
                self._choose(boxes[i], scores[i], levels, size)
                for i, size in enumerate(image_sizes)
            ]

    def _decode_best(
        self, best: Best, anchors: list[Boxes], logits: list[Tensor], deltas: list[Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores (N, R) of the best anchors of all levels, their boxes (N, R, 4), levels (R,)."""
        limit = self.pre_nms_topk[self.training]
        chosen = [best(of_level, limit) for of_level in logits]
        scores = torch.cat([s for s, _ in chosen], dim=1)
        indices = [i for _, i in chosen]
        near = [a.tensor[i] for a, i in zip(anchors, indices, strict=True)]
        moves = [
            d.gather(1, i[:, :, None].expand(-1, -1, 4))
            for d, i in zip(deltas, indices, strict=True)
        ]
        boxes = self.box2box_transform.apply_deltas(
            torch.cat(moves, dim=1).flatten(0, 1), torch.cat(near, dim=1).flatten(0, 1)
        )
        numbers = torch.tensor([i.shape[1] for i in indices])
        return scores, boxes.view(*scores.shape, 4), torch.repeat_interleave(numbers)

    def _choose(
        self, boxes: Tensor, scores: Tensor, levels: Tensor, size: tuple[int, int]
    ) -> Instances:
        """The proposals of one image, from boxes (R, 4), scores (R,) and levels (R,)."""
        finite = torch.isfinite(boxes).all(dim=1) & torch.isfinite(scores)
        if not finite.all():
            if self.training:
                raise FloatingPointError("Predicted boxes or scores are not finite: diverged")
            boxes, scores, levels = boxes[finite], scores[finite], levels[finite]
        clipped = Boxes(boxes)
        clipped.clip(size)
        large = clipped.nonempty(threshold=self.min_box_size)
        if not large.all():
            clipped, scores, levels = clipped[large], scores[large], levels[large]
        kept = _nms_of_levels(clipped.tensor, scores, levels, self.nms_thresh)
        kept = kept[: self.post_nms_topk[self.training]]
        return Instances(size, proposal_boxes=clipped[kept], objectness_logits=scores[kept])

    def __prepare_scriptable__(self) -> RPN:
        return with_class(self, RPN)


def use_fast_rpn(model: Model) -> Model:
    """Make the RPN modules of a built model the fast ones.

    Convention: unchanged, and so are the proposals.

    Args:
        model: any module; in place, and only the classes of those modules change. Subclasses of
            RPN are left as they are.

    Returns:
        The same model.
    """
    for module in model.modules():
        if type(module) is RPN:
            module.__class__ = FastRPN
    return model


def _nms_of_levels(boxes: Tensor, scores: Tensor, levels: Tensor, threshold: float) -> Tensor:
    """Indices of the boxes that are left, by falling score; levels: (R,), rising."""
    if not 0 < len(boxes) <= _MOVED_APART:
        return batched_nms(boxes, scores, levels, threshold)
    boxes = boxes.float()
    # Levels need not be moved apart here, but that rounds the boxes as torchvision does.
    boxes = boxes + (levels.to(boxes) * (boxes.max() + 1))[:, None]
    kept, first = [], 0
    for number in torch.bincount(levels).tolist():
        part = slice(first, first + number)
        kept.append(nms(boxes[part], scores[part], threshold) + first)
        first += number
    left = torch.cat(kept).sort()[0]
    return left[scores[left].sort(descending=True, stable=True)[1]]


def _by_sort(scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    if limit < scores.shape[1]:
        # Where no two are equal, all ways give the same, and sorting all of them is the slowest.
        best, index = _by_topk(scores, limit + 1)
        if (best[:, :-1] > best[:, 1:]).all():
            return best[:, :limit], index[:, :limit]
    best, index = scores.sort(descending=True, dim=1)
    return best[:, :limit], index[:, :limit]


def _by_topk(scores: Tensor, limit: int) -> tuple[Tensor, Tensor]:
    found: Any = scores.topk(min(limit, scores.shape[1]), dim=1)
    return found.values, found.indices


@functools.cache
def detectron2s_best() -> Best | None:
    """Return how the installed Detectron2 takes the best scores, which decides among equal ones.

    Returns:
        A function (scores (N, R), limit) -> scores and indices, (N, limit) at most; None if it
        is unknown.
    """
    number, limit = 400, 100
    equal = torch.zeros(1, number)
    apart = torch.arange(number)[:, None] * 2.0 + torch.tensor([0.0, 0, 1, 1])
    found = find_top_rpn_proposals(
        [apart[None]], [equal], [(2 * number, 2 * number)], 0.5, limit, limit, 0.0, False
    )[0]
    taken = found.proposal_boxes.tensor[:, 0] / 2
    for best in (_by_sort, _by_topk):
        if torch.equal(best(equal, limit)[1][0].to(taken), taken):
            return best
    return None
