"""Part (b), boxes: finished detections with their boxes moved."""

from __future__ import annotations

from dataclasses import dataclass

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.historical import HISTORICAL_BUGS
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.moves import MOVES, Moved, Network, marked_offsets, pixel_sizes
from d2align.ablation.price.settings import Settings
from d2align.evaluation.perturb import clip_boxes_to_images, resize_boxes, truncate_boxes


@dataclass(frozen=True)
class BoxOffset(Moved):
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
class ClippedBoxOffset(Moved):
    """Detections with moved boxes, clipped to the image as after a decoder."""

    part = "box_offset"
    metric = "bbox"

    @property
    def name(self) -> str:
        """Move, offset and unit."""
        return f"{super().name}, clipped"

    def reference(self) -> Arm:
        """The detections as found."""
        return AS_FOUND

    def results(self, world: Inputs) -> Results:
        """The moved boxes, clipped."""
        moved = self.moved(world, world.results or [])
        return clip_boxes_to_images(moved, world.dataset["images"])


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


def box_offset_arms(settings: Settings) -> list[Arm]:
    """Return the arms that move boxes.

    Args:
        settings: offsets and network size.

    Returns:
        The reference, one arm for each move, unit and offset, and one for each truncation, resize
        and clipped mistake.
    """
    network = (settings.short_side, settings.max_side)
    arms: list[Arm] = [AS_FOUND]
    for unit in (None, network):
        for move in MOVES:
            offsets = marked_offsets(settings, "bbox", move, "network" if unit else "original")
            arms += [BoxOffset(move, offset, unit) for offset in offsets]
        arms.append(BoxTruncation(unit))
    clipped = (bug for bug in HISTORICAL_BUGS if bug.clipped)
    arms += [ClippedBoxOffset(bug.move, bug.offset) for bug in clipped]
    return arms + [BoxResize(percent) for percent in settings.percents]
