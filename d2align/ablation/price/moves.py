"""What an arm that moves boxes is made of: the move, the offset and whose pixels are meant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from d2align.ablation.price.arms import Arm, Results
from d2align.ablation.price.historical import HISTORICAL_BUGS
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.settings import Settings
from d2align.evaluation.perturb import PixelSizes, network_pixel_sizes, shift_boxes

# What one pixel adds to x1, y1, x2 and y2.
MOVES: Mapping[str, tuple[int, int, int, int]] = {
    "right_bottom": (0, 0, 1, 1),
    "left_top": (1, 1, 0, 0),
    "shift": (1, 1, 1, 1),
    "shift_x": (1, 0, 1, 0),
    "grow": (-1, -1, 1, 1),
}
Network = tuple[int, int]


@dataclass(frozen=True)
class Moved(Arm):
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


def pixel_sizes(inputs: Inputs, network: Network | None) -> PixelSizes | None:
    """Return the size of the pixels meant.

    Args:
        inputs: with the images.
        network: shortest and longest edge of the resized image, or None.

    Returns:
        (width, height) by image id, or None for original pixels.
    """
    return None if network is None else network_pixel_sizes(inputs.dataset["images"], *network)


def marked_offsets(settings: Settings, metric: str, move: str, unit: str) -> Sequence[float]:
    """Return the offsets asked for and those of the historical mistakes, always marked.

    Args:
        settings: with the offsets.
        metric: ``"bbox"`` or ``"segm"``.
        move: a key of ``MOVES``.
        unit: ``"original"`` or ``"network"``.

    Returns:
        Pixels in rising order, without 0.
    """
    marked = {
        b.offset for b in HISTORICAL_BUGS if (b.metric, b.move, b.unit) == (metric, move, unit)
    }
    return sorted(({*settings.offsets} | marked) - {0.0})
