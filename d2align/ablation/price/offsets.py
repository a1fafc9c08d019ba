"""Part (b): finished detections with their boxes, or the boxes under their masks, moved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.historical import HISTORICAL_BUGS
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.pasting import PASTES
from d2align.ablation.price.roi_masks import paste_all
from d2align.ablation.price.settings import Settings
from d2align.evaluation.perturb import (
    PixelSizes,
    network_pixel_sizes,
    resize_boxes,
    shift_boxes,
    shift_masks,
    truncate_boxes,
)
from d2align.geometry import xywh_to_xyxy, xyxy_to_xywh

# What one pixel adds to x1, y1, x2 and y2.
MOVES: Mapping[str, tuple[int, int, int, int]] = {
    "right_bottom": (0, 0, 1, 1),
    "left_top": (1, 1, 0, 0),
    "shift": (1, 1, 1, 1),
    "shift_x": (1, 0, 1, 0),
    "grow": (-1, -1, 1, 1),
}
MASK_MOVES = ("right_bottom", "shift", "shift_x")
Network = tuple[int, int]


@dataclass(frozen=True)
class _Moved(Arm):
    """Boxes moved by an offset.

    Attributes:
        move: a key of ``MOVES``.
        offset: pixels; 0 is the reference, whatever the move.
        network: shortest and at most longest edge of the resized image whose pixels are meant;
            original pixels if None.
    """

    move: str
    offset: float
    network: Network | None = None

    @property
    def unit(self) -> str:
        """Which pixels are meant."""
        return "original" if self.network is None else "network"

    @property
    def name(self) -> str:
        """Move, offset and unit."""
        if self.offset == 0:
            return "as found"
        return f"{self.move} {self.offset:+g} {self.unit} px"

    def moved(self, inputs: Inputs, results: Results) -> Results:
        """Results with their boxes moved."""
        edges = (self.offset * way for way in MOVES[self.move])
        return shift_boxes(results, *edges, pixel_sizes=pixel_sizes(inputs, self.network))


@dataclass(frozen=True)
class BoxOffset(_Moved):
    """Detections with moved boxes."""

    part = "box_offset"
    metric = "bbox"

    def reference(self) -> Arm:
        """The detections as found."""
        return AS_FOUND

    def results(self, world: Inputs) -> Results:
        """The moved boxes, not clipped."""
        return self.moved(world, world.results or [])


AS_FOUND = BoxOffset("shift", 0.0)


@dataclass(frozen=True)
class BoxResize(Arm):
    """Detections with boxes resized about their centres.

    Attributes:
        percent: by how much their sides grow.
    """

    percent: float
    part = "box_offset"
    metric = "bbox"

    @property
    def name(self) -> str:
        """The percentage."""
        return f"sides {self.percent:+g} %"

    def reference(self) -> Arm:
        """The detections as found."""
        return AS_FOUND

    def results(self, world: Inputs) -> Results:
        """The resized boxes."""
        return resize_boxes(world.results or [], 1 + self.percent / 100)


@dataclass(frozen=True)
class BoxTruncation(Arm):
    """Detections whose boxes were kept as whole inclusive pixels.

    Attributes:
        network: as of ``BoxOffset``.
    """

    network: Network | None = None
    part = "box_offset"
    metric = "bbox"

    @property
    def name(self) -> str:
        """The unit."""
        unit = "original" if self.network is None else "network"
        return f"whole inclusive {unit} pixels"

    def reference(self) -> Arm:
        """The detections as found."""
        return AS_FOUND

    def results(self, world: Inputs) -> Results:
        """The truncated boxes."""
        return truncate_boxes(world.results or [], pixel_sizes(world, self.network))


@dataclass(frozen=True)
class MaskOffset(_Moved):
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


def pixel_sizes(inputs: Inputs, network: Network | None) -> PixelSizes | None:
    """Return the size of the pixels meant.

    Args:
        inputs: with the images.
        network: shortest and longest edge of the resized image, or None.

    Returns:
        (width, height) by image id, or None for original pixels.
    """
    return None if network is None else network_pixel_sizes(inputs.dataset["images"], *network)


def box_offset_arms(settings: Settings) -> list[Arm]:
    """Return the arms that move boxes.

    Args:
        settings: offsets and network size.

    Returns:
        The reference and one arm for each move, unit and offset, and each resize and truncation.
    """
    network = (settings.short_side, settings.max_side)
    arms: list[Arm] = [AS_FOUND]
    for unit in (None, network):
        for move in MOVES:
            offsets = _offsets(settings, "bbox", move, "network" if unit else "original")
            arms += [BoxOffset(move, offset, unit) for offset in offsets]
        arms.append(BoxTruncation(unit))
    return arms + [BoxResize(percent) for percent in settings.percents]


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
        offsets = _offsets(settings, "segm", move, "original")
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


def _offsets(settings: Settings, metric: str, move: str, unit: str) -> Sequence[float]:
    """The offsets asked for and those of the historical bugs, which are always marked."""
    marked = {
        b.offset for b in HISTORICAL_BUGS if (b.metric, b.move, b.unit) == (metric, move, unit)
    }
    return sorted(({*settings.offsets} | marked) - {0.0})
