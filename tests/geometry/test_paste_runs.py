"""Where the compiled kernel cannot be used, the same masks come out, and one warning."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from test_paste_mask import SIZE, boxes_in_and_out, random_masks

from d2align import geometry as g
from d2align.geometry import _numba, paste_runs

PASTE = """
import sys, warnings
{before}
import torch
from d2align import geometry as g
masks, boxes = torch.load(sys.argv[1])
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    dense = [g.paste_masks(masks, boxes, {size}), g.paste_masks_detectron1(masks, boxes, {size})]
    rles = g.paste_masks_to_rle(masks, boxes, {size})
    rles += g.paste_masks_detectron1_to_rle(masks, boxes, {size})
ours = [str(w.message) for w in caught if w.category is RuntimeWarning]
torch.save((dense, rles, ours, {after}), sys.argv[2])
"""


def paste_in_a_process(folder: Path, before: str = "", after: str = "None", **env: str) -> tuple:
    """The four pastes of 100 masks in a fresh process, its warnings, and an expression."""
    torch.save((random_masks(100), boxes_in_and_out(100)), folder / "in.pt")
    code = PASTE.format(before=before, size=SIZE, after=after)
    done = subprocess.run(
        [sys.executable, "-c", code, folder / "in.pt", folder / "out.pt"],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(folder / "out.pt")


def assert_as_here(dense: list, rles: list) -> None:
    masks, boxes = random_masks(100), boxes_in_and_out(100)
    assert torch.equal(dense[0], g.paste_masks(masks, boxes, SIZE))
    assert torch.equal(dense[1], g.paste_masks_detectron1(masks, boxes, SIZE))
    expected = g.paste_masks_to_rle(masks, boxes, SIZE)
    assert rles == expected + g.paste_masks_detectron1_to_rle(masks, boxes, SIZE)


def test_without_numba_the_same_and_one_warning(tmp_path) -> None:
    dense, rles, caught, _ = paste_in_a_process(tmp_path, 'sys.modules["numba"] = None')
    assert_as_here(dense, rles)
    assert len(caught) == 1
    assert "numba cannot be imported" in caught[0]


def test_on_a_machine_that_does_not_fuse(tmp_path) -> None:
    """torch's plain instructions round a b + c twice, and so does the kernel."""
    after = "g.paste_runs._grid_sample_formula(torch.float32)"
    dense, rles, caught, formula = paste_in_a_process(
        tmp_path, after=after, ATEN_CPU_CAPABILITY="default"
    )
    from d2align.geometry.rle_axes import PLAIN

    assert (caught, formula) == ([], PLAIN)
    for mask, rle in zip(dense[0], rles, strict=False):
        assert g.rle.encode_mask(mask) == rle
    # Few bits hang on the rounding.
    here = g.paste_masks(random_masks(100), boxes_in_and_out(100), SIZE)
    assert (here != dense[0]).sum() < 20


def test_an_unknown_rounding_is_noticed(monkeypatch) -> None:
    sample = paste_runs.sample_masks
    paste_runs._grid_sample_formula.cache_clear()
    monkeypatch.setattr(paste_runs, "sample_masks", lambda *args: sample(*args).nextafter(ONE))
    masks, boxes = random_masks(20), boxes_in_and_out(20)
    with pytest.warns(RuntimeWarning, match="rounding of grid_sample") as caught:
        dense = g.paste_masks(masks, boxes, SIZE)
        g.paste_masks_to_rle(masks, boxes, SIZE)
    assert len(caught) == 1
    monkeypatch.undo()
    paste_runs._grid_sample_formula.cache_clear()
    assert torch.equal(dense, g.paste_masks(masks, boxes, SIZE))


ONE = torch.tensor(1.0)


def test_a_threshold_of_0_in_the_masks_dtype_is_left_to_torch() -> None:
    masks, boxes = random_masks(5), boxes_in_and_out(5)
    assert paste_runs.paste_runs(masks, boxes, SIZE, 1e-50, along_rows=True) is None
    assert paste_runs.paste_runs(masks.double(), boxes, SIZE, 1e-50, along_rows=True) is not None
    soft = g.paste_soft_masks(masks, boxes, SIZE)
    near = g.paste_dense.near_boxes(boxes, SIZE)
    assert torch.equal(g.paste_masks(masks, boxes, SIZE, 1e-50), (soft >= 0) & near)


def test_entry_without_a_folder_to_cache_in() -> None:
    namespace: dict = {}
    exec("def double(x):\n    return 2 * x", namespace)  # from no file: nowhere to cache
    _numba.warn_no_cache.cache_clear()
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR") as caught:
        compiled = [_numba.entry(namespace["double"]) for _ in range(2)]
    assert len(caught) == 1
    assert [double(4) for double in compiled] == [8, 8]


def test_entry_where_the_cache_cannot_be_written(monkeypatch) -> None:
    from numba.core.caching import FunctionCache

    def fail(self, *args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FunctionCache, "save_overload", fail)
    _numba.warn_no_cache.cache_clear()
    compiled = _numba.entry(triple)
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR") as caught:
        assert compiled(4) == 12
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert compiled(5) == 15


def triple(x):
    return 3 * x


def test_entry_forgets_what_was_compiled_before_a_change(tmp_path) -> None:
    kernel, helper = tmp_path / "rle_kernel.py", tmp_path / "rle_helper.py"
    indices = [tmp_path / f"rle_kernel.f-{i}.py311.nbi" for i in range(2)]
    for path, time in ((kernel, 10), (helper, 20), (indices[0], 15), (indices[1], 25)):
        path.touch()
        os.utime(path, (time, time))
    _numba._forget_stale(tmp_path, kernel)
    assert [index.exists() for index in indices] == [False, True]
