"""coord = index + 0.5 and index = floor(coord)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from references import assert_pure

from d2align.geometry import centers_to_corners, coord_to_index, corners_to_centers, index_to_coord

ALL = [index_to_coord, coord_to_index, corners_to_centers, centers_to_corners]


@given(st.integers(-(2**22), 2**22))
def test_coord_to_index_inverts_index_to_coord(index: int) -> None:
    indices = torch.tensor([index])
    assert coord_to_index(index_to_coord(indices)).tolist() == [index]


@given(st.floats(-1e6, 1e6))
def test_coord_to_index_pixel_contains_coordinate(x: float) -> None:
    index = coord_to_index(torch.tensor([x], dtype=torch.float64)).item()
    assert index <= x < index + 1


@given(st.floats(-1e6, 1e6))
def test_index_to_coord_of_own_pixel_is_within_half_a_pixel(x: float) -> None:
    coords = torch.tensor([x], dtype=torch.float64)
    center = index_to_coord(coord_to_index(coords)).double()
    assert (center - coords).abs().item() <= 0.5


@given(st.floats(-1e6, 1e6))
def test_corners_to_centers_round_trip(x: float) -> None:
    coords = torch.tensor([x], dtype=torch.float64)
    back = centers_to_corners(corners_to_centers(coords))
    assert torch.allclose(back, coords, rtol=0, atol=1e-9)


def test_coord_to_index_hand_worked() -> None:
    coords = torch.tensor([0.0, 0.5, 0.999, 1.0, 639.5, 640.0, -0.1])
    assert coord_to_index(coords).tolist() == [0, 0, 0, 1, 639, 640, -1]
    assert coord_to_index(coords).dtype == torch.int64


def test_index_to_coord_first_and_last_pixel_are_half_a_pixel_inside() -> None:
    assert index_to_coord(torch.tensor([0, 639])).tolist() == [0.5, 639.5]
    assert index_to_coord(torch.tensor([0, 639])).dtype == torch.get_default_dtype()


def test_corners_to_centers_puts_pixel_zero_on_zero() -> None:
    centers = index_to_coord(torch.arange(5))
    assert corners_to_centers(centers).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("fn", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_coords_numpy_in_numpy_out(fn, dtype, shape) -> None:
    x = np.full(shape, 2.25, dtype)
    out = assert_pure(fn, x)
    assert isinstance(out, np.ndarray)
    assert out.shape == shape
    assert out.dtype == (np.int64 if fn is coord_to_index else dtype)


@pytest.mark.parametrize("fn", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coords_keep_dtype_device_and_input(fn, dtype, device) -> None:
    x = torch.linspace(-3, 3, 7, dtype=dtype, device=device)
    out = assert_pure(fn, x)
    assert out.device == x.device
    assert out.dtype == (torch.int64 if fn is coord_to_index else dtype)


@pytest.mark.parametrize("fn", [index_to_coord, corners_to_centers, centers_to_corners])
def test_coords_gradient_is_one(fn) -> None:
    x = torch.randn(4, dtype=torch.float64, requires_grad=True)
    fn(x).sum().backward()
    assert x.grad.tolist() == [1, 1, 1, 1]
