"""Write every picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from d2align.figures.flip import flip
from d2align.figures.paste_mask import paste_mask
from d2align.figures.roi_align import roi_align
from d2align.figures.sampling_grids import resize_2x, sampling_grids

FIGURES: dict[str, Callable[[Any], None]] = {
    "sampling_grids": sampling_grids,
    "resize_2x": resize_2x,
    "flip": flip,
    "roi_align": roi_align,
    "paste_mask": paste_mask,
}


def draw_all(folder: Path) -> list[Path]:
    """Draw every picture of ``FIGURES`` as PNG.

    Args:
        folder: where to; made if missing.

    Returns:
        The files.
    """
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, draw in FIGURES.items():
        figure = Figure(layout="constrained")
        draw(figure)
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=130, metadata={"Software": None})
        paths.append(path)
    return paths
