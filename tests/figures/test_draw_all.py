"""The pictures are drawn, and show the numbers that the geometry gives."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from d2align.figures import FIGURES, draw_all


def test_every_picture_is_written_and_none_is_blank(tmp_path):
    paths = draw_all(tmp_path / "new")
    assert [path.stem for path in paths] == list(FIGURES)
    for path in paths:
        with Image.open(path) as image:
            assert image.width > 600 and np.asarray(image.convert("L")).std() > 8


def _dots(name: str, panel: int) -> np.ndarray:
    figure = Figure()
    FIGURES[name](figure)
    lines = [line for line in figure.axes[panel].lines if line.get_marker() == "o"]
    return np.concatenate([line.get_xydata() for line in lines])


def test_roi_align_s_points_are_the_bins_centres_and_half_a_pixel_off():
    aligned, unaligned = (_dots("roi_align", panel) for panel in (0, 1))
    x, y = np.meshgrid(2 + (np.arange(3) + 0.5) * 4 / 3, 2 + (np.arange(3) + 0.5))
    assert aligned == pytest.approx(np.stack([x.ravel(), y.ravel()], axis=1))
    assert unaligned == pytest.approx(aligned + 0.5)


def test_grid_samples_are_the_article_s():
    dots = _dots("sampling_grids", 0)
    rows = [dots[dots[:, 1] == -row, 0].tolist() for row in range(3)]
    assert rows == [[0, 1, 2, 3, 4], [0.5, 1.5, 2.5, 3.5], [0, 1, 2, 3]]


def test_only_the_historical_flip_leaves_its_shape():
    figure = Figure()
    FIGURES["flip"](figure)
    for axes, off in zip(figure.axes, (0, 0, -1), strict=True):
        shape = axes.patches[0].get_xy()[:-1]
        outline = axes.lines[-1].get_xydata()[:-1]
        assert outline - shape == pytest.approx(np.broadcast_to([off, 0], shape.shape))
