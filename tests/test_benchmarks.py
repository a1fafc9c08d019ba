"""The benchmarks run, and their report says what they found."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "benchmarks"
SCRIPTS = sorted(p.name for p in FOLDER.glob("*.py") if not p.name.startswith("_"))
ROW = {"name": "a row", "ratio": 0.5, "low": 0.4, "high": 0.625, "ours_ms": 2.0, "peer_ms": 1.0}
CURVE = {"title": "masks", "x": [1, 10], "ours_ms": [1.0, 2.0], "peer_ms": [3.0, 40.0]}
FOUND = {"title": "A title", "rows": [ROW], "curves": [CURVE], "notes": {"MiB": 0.12345, "n": "3"}}


@pytest.fixture(autouse=True)
def on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))


@pytest.fixture
def report() -> Any:
    import _report

    return _report


def test_no_script_hides_a_module() -> None:
    """A script's folder comes first on its path: cuda.py there would be found for torch's cuda."""
    hidden = [n for n in SCRIPTS if n[:-3] in sys.stdlib_module_names | {"cuda", "torch", "numpy"}]
    assert not hidden


def test_readme_names_every_script() -> None:
    text = (FOLDER / "README.md").read_text()
    assert not [name for name in SCRIPTS if f"`{name}" not in text and name != "run.py"]


def test_table_has_rows_curves_and_notes(report: Any) -> None:
    assert report.table([FOUND]) == "\n".join(
        [
            "### A title",
            "",
            "| what | times faster [5th, 95th percentile] | d2align, ms | peer, ms |",
            "|---|---|---|---|",
            "| a row | 0.50 [0.40, 0.62] | 2 | 1 |",
            "",
            "By masks:",
            "",
            "|  | 1 | 10 |",
            "| --- | --- | --- |",
            "| d2align, ms | 1 | 2 |",
            "| peer, ms | 3 | 40 |",
            "",
            "- MiB: 0.123",
            "- n: 3",
        ]
    )


def test_pictures(report: Any, tmp_path: Path) -> None:
    report.draw_ratios([FOUND], tmp_path / "ratios.png")
    report.draw_curves([CURVE] * 4, tmp_path / "curves.png")
    report.draw_curves([], tmp_path / "none.png")
    assert (tmp_path / "ratios.png").stat().st_size > 1000
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert not (tmp_path / "none.png").exists()


def test_readme_gets_the_table_between_its_markers(report: Any, tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text((FOLDER / "README.md").read_text())
    before, after = path.read_text().split(report.BEGIN)[0], path.read_text().split(report.END)[1]
    for text in ("one", "two"):
        report.put_into_readme(path, text + "\n")
        expected = f"{before}{report.BEGIN}\n\n{text}\n\n{report.END}{after}"
        assert path.read_text() == expected
    path.write_text("no markers")
    with pytest.raises(ValueError, match=r"README.md: expected .*once each"):
        report.put_into_readme(path, "three")
    assert path.read_text() == "no markers"


def test_without_a_gpu_there_is_nothing_to_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = gpu.measure(quick=True)
    assert found["rows"] == [] and found["notes"] == {"device": "no GPU: nothing was measured"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu() -> None:
    import gpu

    found = gpu.measure(quick=True)
    assert len(found["rows"]) == 7 and all(r.get("differing_pixels", 0) == 0 for r in found["rows"])


def test_byte_identity() -> None:
    import byte_identity

    found = byte_identity.measure(quick=False, masks=100)["notes"]
    assert len(found) == 3 and all(value.startswith("0 of 1") for value in found.values())


def test_a_differing_byte_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import byte_identity

    original = byte_identity.paste_masks_to_rle

    def paste_masks_to_rle(masks: Any, boxes: Any, size: Any, threshold: float) -> Any:
        return original(masks, boxes + 0.3, size, threshold)

    monkeypatch.setattr(byte_identity, "paste_masks_to_rle", paste_masks_to_rle)
    with pytest.raises(SystemExit, match=r"paste_masks_to_rle: [1-9]"):
        byte_identity.measure(quick=False, masks=60)


def test_run_puts_no_partial_table_into_the_readme(tmp_path: Path) -> None:
    readme = (FOLDER / "README.md").read_text()
    command = [FOLDER / "run.py", "--only", "gpu", "--update-readme", "--output", tmp_path]
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )
    assert done.returncode == 1 and "stays as it is" in done.stdout, done.stderr
    assert (FOLDER / "README.md").read_text() == readme
    assert {p.name for p in tmp_path.iterdir()} >= {"results.json", "table.md", "gpu.log"}
