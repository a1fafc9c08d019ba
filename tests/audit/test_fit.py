"""Lines through positions: exact for what they were made for, honest about the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2align.audit.fit import fit_line, fit_rippled_line, fit_rounded_line

offsets = st.floats(-5, 5)
strides = st.floats(0.2, 4).filter(lambda s: abs(s - round(s)) > 0.05)


@given(offsets, strides)
def test_outliers_do_not_move_a_line(offset: float, stride: float) -> None:
    i = np.arange(40)
    position = offset + stride * i
    position[[3, 17, 30]] += 9
    line = fit_line(i, position)
    assert line.offset == pytest.approx(offset, abs=1e-6)
    assert line.stride == pytest.approx(stride, abs=1e-7)
    assert line.scatter == pytest.approx(9, abs=1e-3)


@given(offsets)
def test_a_ripple_does_not_move_a_line(offset: float) -> None:
    """The ripple of a cubic kernel of -0.75, at the golden ratio."""
    i, stride = np.arange(100), 0.618034
    true = offset + stride * i
    line = fit_rippled_line(i, true + 0.09 * np.sin(2 * np.pi * true))
    assert np.abs(line.at(i) - true).max() < 1e-3
    assert line.scatter < 1e-3


@given(offsets, st.integers(0, 1000))
def test_rounded_positions_give_their_line_back(offset: float, seed: int) -> None:
    stride = 0.3 + np.random.default_rng(seed).random() * 2
    i = np.arange(1500)
    line = fit_rounded_line(i, np.round(offset + stride * i))
    assert line.scatter == 0
    # As far off as its own doubt says, and no farther.
    assert np.abs(line.at(i) - offset - stride * i).max() <= line.doubt + 1e-6


def test_doubt_is_small_for_golden_ratios_and_large_for_whole_ones() -> None:
    i = np.arange(1600)
    assert fit_rounded_line(i, np.round(0.2 + 0.618034 * i)).doubt < 0.005
    assert fit_rounded_line(i, np.round(0.2 + 0.5 * i)).doubt > 0.1


def test_what_no_line_rounds_to_has_scatter() -> None:
    i = np.arange(100)
    index = np.round(0.618 * i)
    index[50] += 3
    assert fit_rounded_line(i, index).scatter > 0.5
