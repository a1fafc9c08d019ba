"""Part (b), masks: the boxes under RoI masks moved, and finished masks moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.historical import HISTORICAL_BUGS
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.moves import Moved, marked_offsets
from d2align.ablation.price.pasting import PASTES
from d2align.ablation.price.roi_masks import paste_all
from d2align.ablation.price.settings import Settings
from d2align.evaluation.perturb import shift_masks
from d2align.geometry import xywh_to_xyxy, xyxy_to_xywh

MASK_MOVES = ("right_bottom", "shift", "shift_x")


@dataclass(frozen=True)
class MaskOffset(Moved):
    """RoI masks pasted, aligned, into moved boxes."""

    part = "mask_offset"
    metric = "segm"

    def reference(self) -> Arm:
        """The masks pasted into their own boxes."""
        return MaskOffset("shift", 0.0)

    def results(self, world: Inputs) -> Results:
        """The pasted masks."""
        masks = world.roi_masks
        assert masks is not None
        bboxes = xyxy_to_xywh(masks.boxes).tolist()
        ids = masks.image_ids.tolist()
        found = [{"image_id": i, "bbox": b} for i, b in zip(ids, bboxes, strict=True)]
        boxes = torch.tensor([one["bbox"] for one in self.moved(world, found)])
        moved = replace(masks, boxes=xywh_to_xyxy(boxes))
        return paste_all(moved, world.image_sizes, PASTES["aligned"])


@dataclass(frozen=True)
class ResultMaskShift(Arm):
    """Finished masks moved to the right by whole pixels.

    Attributes:
        offset: original pixels.
    """

    offset: int
    part = "result_mask_shift"
    metric = "segm"

    @property
    def name(self) -> str:
        """The offset."""
        return f"masks {self.offset:+d} px in x" if self.offset else "as found"

    def reference(self) -> Arm:
        """The masks as found."""
        return ResultMaskShift(0)

    def results(self, world: Inputs) -> Results:
        """The moved masks."""
        results = world.results or []
        return shift_masks(results, self.offset) if self.offset else results


def mask_offset_arms(settings: Settings) -> list[Arm]:
    """Return the arms that move the boxes under RoI masks.

    Args:
        settings: offsets and network size.

    Returns:
        The reference and one arm for each move, unit and offset.
    """
    network = (settings.short_side, settings.max_side)
    arms: list[Arm] = [MaskOffset("shift", 0.0)]
    for move in MASK_MOVES:
        offsets = marked_offsets(settings, "segm", move, "original")
        arms += [MaskOffset(move, offset) for offset in offsets]
    bugs = [bug for bug in HISTORICAL_BUGS if (bug.metric, bug.unit) == ("segm", "network")]
    return arms + [MaskOffset(bug.move, bug.offset, network) for bug in bugs]


def result_mask_arms(settings: Settings) -> list[Arm]:
    """Return the arms that move finished masks.

    Args:
        settings: offsets, of which the whole ones are used.

    Returns:
        The reference and one arm for each whole offset.
    """
    whole = [int(offset) for offset in settings.offsets if offset == int(offset) and offset]
    return [ResultMaskShift(offset) for offset in (0, *whole)]
