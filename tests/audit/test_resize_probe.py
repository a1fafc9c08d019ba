"""The resize probe: known grids, offsets, tie and border rules are found; nothing is invented."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import resamplers as r

from d2align.audit import Finding, audit_function

# Many more of them: benchmarks/audit_accuracy.py.
DRAWS = 48


@pytest.mark.parametrize("seed", range(4))
def test_random_resizes_are_measured_to_a_hundredth_of_a_pixel(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(DRAWS // 4):
        drawn = r.draw(rng)
        finding = audit_function(drawn, "resize")
        assert r.faults(drawn, finding) == []


@pytest.mark.parametrize("grid", r.GRIDS)
@pytest.mark.parametrize("ties", r.TIES)
def test_tie_rules_of_every_grid(grid: str, ties: str) -> None:
    finding = audit_function(r.Resampler(grid, "nearest", ties=ties), "resize")
    assert finding.convention == grid
    assert finding.parameters["ties"] == ties


@pytest.mark.parametrize("border", r.BORDERS)
@pytest.mark.parametrize("antialias", [False, True])
def test_border_rules(border: str, antialias: bool) -> None:
    given = r.Resampler("half_pixel", "cubic -0.5", border=border, antialias=antialias)
    found = audit_function(given, "resize").parameters
    assert found["border"] == border
    assert found["antialias"] is antialias
    assert found["kernel"] == "cubic -0.5"
    if antialias:
        assert found["border_shrinking"] == border


def test_worked_numbers_of_a_nearest_resize() -> None:
    """floor(i n / m) reads half a pixel of the result to the left, whatever the sizes."""
    finding = audit_function(r.Resampler("asymmetric", "nearest", rounding="floor"), "resize")
    assert (finding.convention, finding.status) == ("asymmetric_floor", "deviates")
    assert finding.error_px == 0.5
    assert finding.parameters["content_shift_px"] == 0.5


def test_evidence_holds_the_positions_to_draw() -> None:
    evidence = audit_function(r.Resampler(), "resize").evidence
    wanted = np.clip((np.arange(9) + 0.5) * 6 / 9 - 0.5, 0, 5)
    np.testing.assert_allclose(evidence["positions_6_to_9"], wanted, atol=1e-4)
    assert len(evidence["positions_6_to_4"]) == 4


def unknown(fn: Any) -> Finding:
    finding = audit_function(fn, "resize", subject="it")
    assert (finding.convention, finding.status) == ("unknown", "unknown")
    assert finding.residual_px > 0.01
    return finding


def test_a_wobbling_grid_is_unknown() -> None:
    assert unknown(r.Resampler(wobble=0.3)).residual_px > 0.2


def test_a_small_offset_is_unknown_and_measured() -> None:
    finding = unknown(r.Resampler(shift_in=0.05))
    assert finding.residual_px == pytest.approx(0.05, abs=1e-3)


def test_loss_of_brightness_is_unknown() -> None:
    finding = audit_function(lambda im, size: 0.8 * r.Resampler()(im, size), "resize")
    assert finding.status == "unknown"
    assert "sum to 0.800" in finding.sentence


def test_a_transposed_result_is_unknown_or_fails() -> None:
    swapped = audit_function(lambda im, size: r.Resampler()(im, size[::-1]), "resize")
    assert swapped.status == "failed"
    assert "swapped" in swapped.sentence


def test_the_axes_are_told_apart() -> None:
    def mixed(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        rows = r.Resampler("align_corners").matrix(image.shape[0], size[0])
        columns = r.Resampler("half_pixel").matrix(image.shape[1], size[1])
        return rows @ image @ columns.T

    assert audit_function(mixed, "resize").convention == "half_pixel in x, align_corners in y"


@pytest.mark.parametrize("kernel", ["nearest", "linear"])
@pytest.mark.parametrize("grid", r.GRIDS)
def test_functions_of_uint8(kernel: str, grid: str) -> None:
    given = r.Resampler(grid, kernel)

    def as_uint8(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        return np.clip(np.round(given(image.astype(np.uint8), size)), 0, 255).astype(np.uint8)

    finding = audit_function(as_uint8, "resize")
    assert finding.convention == grid


@pytest.mark.parametrize(("rule", "exact"), [("floor", True), ("round", False), ("ceil", True)])
def test_scale_factor_calls(rule: str, exact: bool) -> None:
    """A resize by a factor s samples at 1 / s, or at the ratio of the sizes."""

    def by_scale(image: np.ndarray, scale: float) -> np.ndarray:
        sizes = [int(getattr(np, rule)(side * scale)) for side in image.shape]
        # The matrix of the exact scale: the stretch undoes the ratio of the sizes.
        rows, columns = (matrix(n, m, scale) for n, m in zip(image.shape, sizes, strict=True))
        return rows @ image @ columns.T

    @functools.cache
    def matrix(n: int, m: int, scale: float) -> np.ndarray:
        stretch = (m / n) / scale if exact else 1.0
        return r.Resampler(stretch=stretch, shift_in=0.5 * (stretch - 1)).matrix(n, m)

    finding = audit_function(by_scale, "resize_by_scale")
    assert (finding.convention, finding.status) == ("half_pixel", "aligned")
    assert finding.parameters["step"] == ("1 / scale" if exact else "input size / output size")
    assert finding.parameters["output_size_rule"] == rule


def test_a_scale_call_of_a_wrong_size_fails() -> None:
    finding = audit_function(lambda im, s: np.zeros((4, 4)), "resize_by_scale")
    assert finding.status == "failed"
    assert "at scale" in finding.sentence
