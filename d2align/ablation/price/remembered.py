"""A match table that every arm is compared with, and that draws the same images for each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields

import numpy as np

from d2align.evaluation.matches import MatchTable


@dataclass(frozen=True)
class RememberedTable(MatchTable):
    """A match table that computes the AP of a draw of images once."""

    _aps: dict[tuple[bytes, str, float | None], float] = field(
        default_factory=dict, repr=False, compare=False
    )

    def ap(
        self,
        image_weights: np.ndarray | None = None,
        area: str = "all",
        iou: float | None = None,
    ) -> float:
        """Average precision, as ``MatchTable.ap``.

        Args:
            image_weights: as there.
            area: as there.
            iou: as there.

        Returns:
            AP in 0..1, or -1 when no category has ground truth.

        Raises:
            ValueError: as there.
        """
        drawn = b"" if image_weights is None else np.asarray(image_weights).tobytes()
        key = hashlib.blake2b(drawn, digest_size=16).digest(), area, iou
        if key not in self._aps:
            self._aps[key] = super().ap(image_weights, area, iou)
        return self._aps[key]


def remembered(table: MatchTable) -> RememberedTable:
    """Return the same table, remembering.

    Args:
        table: a match table.

    Returns:
        One that gives the same numbers.
    """
    return RememberedTable(**{one.name: getattr(table, one.name) for one in fields(table)})
