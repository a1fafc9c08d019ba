"""Cell anchors: exact floats, Detectron's whole pixels, and their tiling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from d2align import geometry as g

positive = st.floats(0.1, 10)


@given(
    st.lists(st.floats(4, 512), min_size=1, max_size=3), st.lists(positive, min_size=1, max_size=3)
)
def test_cell_anchors_have_the_areas_and_ratios_asked_for(sizes, ratios) -> None:
    anchors = g.cell_anchors(sizes, ratios).double()
    wanted = [(s, r) for s in sizes for r in ratios]
    assert anchors.shape == (len(wanted), 4)
    assert torch.equal(anchors[:, :2], -anchors[:, 2:])
    w, h = g.box_sizes(anchors).unbind(1)
    # float32 results: 2^-24 on each of two sides
    np.testing.assert_allclose((w * h).sqrt(), [s for s, _ in wanted], rtol=1e-6)
    np.testing.assert_allclose(h / w, [r for _, r in wanted], rtol=1e-6)


def test_cell_anchors_hand_worked() -> None:
    anchors = g.cell_anchors([32], [0.25, 1, 4])
    assert anchors.tolist() == [[-32, -8, 32, 8], [-16, -16, 16, 16], [-8, -32, 8, 32]]
    assert anchors.dtype == torch.float32
    assert g.cell_anchors(np.array([32.0]), np.array([1.0])).dtype == torch.float32


def test_cell_anchors_equal_detectron2() -> None:
    from detectron2.modeling.anchor_generator import DefaultAnchorGenerator

    sizes, ratios = [32, 64, 101.5], [0.5, 1.0, 2.0, 0.3]
    for offset in (0.0, 0.5):
        theirs = DefaultAnchorGenerator(
            sizes=[sizes], aspect_ratios=[ratios], strides=[8], offset=offset
        )
        cell = g.cell_anchors(sizes, ratios)
        assert torch.equal(cell, next(iter(theirs.cell_anchors)))
        (expected,) = theirs([torch.zeros(1, 1, 5, 7)])
        assert torch.equal(g.tile_anchors(cell, (5, 7), 8, offset), expected.tensor)


@pytest.mark.parametrize("stride", [4, 8, 16, 32, 64])
def test_cell_anchors_detectron1_against_float(stride) -> None:
    sizes, ratios = [8 * stride], [0.5, 1, 2]
    inclusive = g.cell_anchors_detectron1(stride, sizes, ratios)
    assert inclusive.dtype == torch.float64
    exact = g.cell_anchors(sizes, ratios).double()
    w, h = g.box_sizes_detectron1(inclusive).unbind(1)
    area = (w * h) / sizes[0] ** 2
    assert area[1] == 1
    assert ((area - 1).abs() <= 0.125).all()
    # Without its last pixel, every one is centred on (stride - 1) / 2, half a pixel short of
    # the cell's centre.
    centers = (inclusive[:, :2] + inclusive[:, 2:]) / 2
    assert (centers == (stride - 1) / 2).all()
    assert (g.box_sizes_detectron1(inclusive)[1] == g.box_sizes(exact)[1]).all()


def test_cell_anchors_detectron1_area_error_reaches_an_eighth() -> None:
    anchors = g.cell_anchors_detectron1(8, [64], [2])
    assert g.box_areas_detectron1(anchors).item() / 64**2 == 1.125


def test_cell_anchors_detectron1_published_table() -> None:
    """The table in the comments of py-faster-rcnn's generate_anchors.py."""
    table = [
        [-83, -39, 100, 56],
        [-175, -87, 192, 104],
        [-359, -183, 376, 200],
        [-55, -55, 72, 72],
        [-119, -119, 136, 136],
        [-247, -247, 264, 264],
        [-35, -79, 52, 96],
        [-79, -167, 96, 184],
        [-167, -343, 184, 360],
    ]
    # Printed for MATLAB, whose first pixel is 1.
    ours = g.cell_anchors_detectron1(16, [128, 256, 512], [0.5, 1, 2])
    assert (ours + 1).tolist() == table


def test_cell_anchors_orders() -> None:
    sizes, ratios = [32, 64], [1, 2]
    w = g.box_sizes(g.cell_anchors(sizes, ratios))[:, 0]
    assert w[0] == 32
    assert w[2] == 64
    w = g.box_sizes_detectron1(g.cell_anchors_detectron1(16, sizes, ratios))[:, 0]
    assert w[0] == 32
    assert w[1] == 64


@given(st.integers(1, 5), st.integers(1, 5), st.floats(0.5, 64), st.floats(0, 0.99))
def test_tile_anchors_lie_a_stride_apart(h, w, stride, offset) -> None:
    cell = g.cell_anchors([16], [1, 2]).double()
    tiled = g.tile_anchors(cell, (h, w), stride, offset).reshape(h, w, 2, 4)
    for i, j in np.ndindex(h, w):
        shift = torch.tensor([j + offset, i + offset] * 2, dtype=torch.float64) * stride
        torch.testing.assert_close(tiled[i, j] - cell, shift.expand(2, 4), rtol=0, atol=1e-9)


def test_tile_anchors_offset_half_is_centred_on_the_image() -> None:
    tiled = g.tile_anchors(g.cell_anchors([32], [1]), (3, 4), 16, 0.5)
    centers = (tiled[:, :2] + tiled[:, 2:]) / 2
    assert centers.mean(0).tolist() == [32, 24]
    centers = g.flip_boxes(tiled, 64)
    assert {tuple(b) for b in centers.tolist()} == {tuple(b) for b in tiled.tolist()}
    # The zoo's offset is half a stride to the left and above.
    zoo = g.tile_anchors(g.cell_anchors([32], [1]), (3, 4), 16)
    assert (zoo - tiled == -8).all()


def test_tile_anchors_keep_dtype_device_and_input(device) -> None:
    cell = g.cell_anchors([8, 9], [1]).to(device)
    before = cell.clone()
    for dtype in (torch.float32, torch.float64):
        out = g.tile_anchors(cell.to(dtype), (2, 3), 4)
        assert out.dtype == dtype
        assert out.device == cell.device
        assert out.shape == (12, 4)
    assert torch.equal(cell, before)
    assert g.tile_anchors(cell[:0], (2, 3), 4).shape == (0, 4)


@pytest.mark.parametrize("bad", [[], [0], [-1.0], [math.nan], [math.inf]])
def test_cell_anchors_refuse_bad_numbers(bad) -> None:
    with pytest.raises(ValueError, match="sizes"):
        g.cell_anchors(bad, [1])
    with pytest.raises(ValueError, match="aspect_ratios"):
        g.cell_anchors([32], bad)
    with pytest.raises(ValueError, match="sizes"):
        g.cell_anchors_detectron1(16, bad, [1])
    with pytest.raises(ValueError, match="aspect_ratios"):
        g.cell_anchors_detectron1(16, [32], bad)
    for stride in bad:
        with pytest.raises(ValueError, match="stride"):
            g.cell_anchors_detectron1(stride, [32], [1])


CELL = torch.zeros(1, 4)


@pytest.mark.parametrize(
    ("args", "name"),
    [
        (([[0, 0, 1, 1]], (2, 2), 4), "anchors"),
        ((torch.zeros(4), (2, 2), 4), "anchors"),
        ((torch.zeros(1, 5), (2, 2), 4), "anchors"),
        ((CELL.long(), (2, 2), 4), "anchors"),
        ((CELL * math.nan, (2, 2), 4), "anchors"),
        ((CELL, (0, 2), 4), "grid_size"),
        ((CELL, (2,), 4), "grid_size"),
        ((CELL, (2, 2.5), 4), "grid_size"),
        ((CELL, (2, 2), 0), "stride"),
        ((CELL, (2, 2), -4), "stride"),
        ((CELL, (2, 2), 4, 1.0), "offset"),
        ((CELL, (2, 2), 4, -0.1), "offset"),
        ((CELL, (2, 2), 4, math.nan), "offset"),
    ],
)
def test_tile_anchors_refuses_bad_input(args, name) -> None:
    with pytest.raises(ValueError, match=name):
        g.tile_anchors(*args)
