"""What to measure, and how finely."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Grids and draws.

    Attributes:
        offsets: pixels by which boxes are moved; 0 need not be among them.
        percents: by which boxes are resized about their centres.
        short_side: network pixels are those of the image resized to this shortest edge,
        max_side: and at most this longest edge.
        mask_sizes: sides of the RoI masks of the mask ceiling; the first is its main one.
        study: whether to vary sharpness, size and threshold under the pastes.
        num_draws: bootstrap draws.
        seed: of the draws.
    """

    offsets: tuple[float, ...] = (-2.0, -1.0, -0.5, -0.25, 0.25, 0.5, 1.0, 2.0)
    percents: tuple[float, ...] = (-4.0, -2.0, -1.0, 1.0, 2.0, 4.0)
    short_side: int = 800
    max_side: int = 1333
    mask_sizes: tuple[int, ...] = (28, 14, 56, 112)
    study: bool = True
    num_draws: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        for name, values in (("offsets", self.offsets), ("percents", self.percents)):
            if not values or not all(math.isfinite(v) for v in values):
                raise ValueError(f"{name}: got {values}, expected at least one finite number")
        if min(self.percents) <= -100:
            raise ValueError(f"percents: got {min(self.percents)}, expected above -100")
        for name in ("short_side", "max_side"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}, expected at least 1 pixel")
        if not self.mask_sizes or min(self.mask_sizes) < 1:
            raise ValueError(f"mask_sizes: got {self.mask_sizes}, expected sides of at least 1")
        if self.num_draws < 2:
            raise ValueError(f"num_draws: got {self.num_draws}, expected at least 2")
        if self.seed < 0:
            raise ValueError(f"seed: got {self.seed}, expected at least 0")


QUICK = Settings(
    offsets=(-1.0, 1.0), percents=(-2.0, 2.0), mask_sizes=(28,), study=False, num_draws=200
)
