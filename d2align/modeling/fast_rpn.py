"""A region proposal network that chooses the same proposals in less time on the CPU."""

from __future__ import annotations

import torch
from detectron2.modeling.proposal_generator import RPN
from detectron2.structures import Boxes, Instances
from torch import Tensor
from torchvision.ops import nms

from d2align.geometry.roi_align_choice import is_recorded

# With up to so many boxes torchvision's batched NMS moves levels apart and takes them as one.
_BOXES_MOVED_APART = 1000


class FastRPN(RPN):
    """Detectron2's RPN, with the same proposals to the last bit, faster on the CPU.

    It decodes only the anchors of the best scores, and compares boxes only within a level.

    Convention: integer corners, in network pixels; deltas are those of ``box2box_transform``.
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
        if is_recorded() or pred_objectness_logits[0].device.type != "cpu":
            return super().predict_proposals(*inputs, image_sizes)
        with torch.no_grad():
            best = [self._best_of_level(*of_level) for of_level in zip(*inputs, strict=True)]
            scores = [s for s, _ in best]
            boxes = [b for _, b in best]
            return [
                self._choose([b[i] for b in boxes], [s[i] for s in scores], size)
                for i, size in enumerate(image_sizes)
            ]

    def _best_of_level(
        self, anchors: Boxes, logits: Tensor, deltas: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Scores (N, R) of the best anchors of N images, and their boxes (N, R, 4)."""
        # Sorted, not topk: Detectron2's order among equal scores, as in padding.
        scores, index = logits.sort(descending=True, dim=1)
        limit = self.pre_nms_topk[self.training]
        scores, index = scores[:, :limit], index[:, :limit]
        chosen = deltas.gather(1, index[:, :, None].expand(-1, -1, 4)).flatten(0, 1)
        boxes = self.box2box_transform.apply_deltas(chosen, anchors.tensor[index.flatten()])
        return scores, boxes.view(*index.shape, 4)

    def _choose(
        self, boxes: list[Tensor], scores: list[Tensor], size: tuple[int, int]
    ) -> Instances:
        """The proposals of one image, from the boxes (R_l, 4) and scores (R_l,) of each level."""
        every, every_score = torch.cat(boxes), torch.cat(scores)
        levels = torch.repeat_interleave(torch.tensor([len(s) for s in scores]))
        finite = torch.isfinite(every).all(dim=1) & torch.isfinite(every_score)
        if not finite.all():
            if self.training:
                raise FloatingPointError("Predicted boxes or scores are not finite: diverged")
            every, every_score, levels = every[finite], every_score[finite], levels[finite]
        clipped = Boxes(every)
        clipped.clip(size)
        kept = clipped.nonempty(threshold=self.min_box_size).nonzero()[:, 0]
        clipped, every_score = clipped[kept], every_score[kept]
        numbers = torch.bincount(levels[kept], minlength=len(boxes)).tolist()
        best = _nms_of_levels(clipped.tensor.float(), every_score, numbers, self.nms_thresh)
        best = best[: self.post_nms_topk[self.training]]
        return Instances(size, proposal_boxes=clipped[best], objectness_logits=every_score[best])


def _nms_of_levels(boxes: Tensor, scores: Tensor, numbers: list[int], threshold: float) -> Tensor:
    """Indices of the boxes that are left, by falling score; numbers: how many on each level."""
    if 0 < len(boxes) <= _BOXES_MOVED_APART:
        # Not needed here, but it rounds the boxes as torchvision does.
        levels = torch.repeat_interleave(torch.tensor(numbers))
        boxes = boxes + (levels.to(boxes) * (boxes.max() + 1))[:, None]
    kept, first = [], 0
    for number in numbers:
        part = slice(first, first + number)
        kept.append(nms(boxes[part], scores[part], threshold) + first)
        first += number
    left = torch.cat(kept).sort()[0]
    return left[scores[left].sort(descending=True, stable=True)[1]]
