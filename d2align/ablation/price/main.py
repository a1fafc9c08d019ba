"""The whole of it: inputs, arms, report."""

from __future__ import annotations

import importlib.metadata
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from d2align.ablation.price.arms import Arm
from d2align.ablation.price.box_ceiling import box_ceiling_arms
from d2align.ablation.price.box_offsets import box_offset_arms
from d2align.ablation.price.curves import CURVES, curve_points, draw_curves
from d2align.ablation.price.dots import draw_dots
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.mask_ceiling import mask_ceiling_arms
from d2align.ablation.price.mask_offsets import mask_offset_arms, result_mask_arms
from d2align.ablation.price.measure import Measurement, measure_all
from d2align.ablation.price.pastes import paste_arms, study_arms
from d2align.ablation.price.report import markdown, terminal
from d2align.ablation.price.schema import as_json
from d2align.ablation.price.sections import make_sections
from d2align.ablation.price.settings import Settings
from d2align.ablation.sweep.environment import code_version, environment
from d2align.atomic import replacing, write_text


def price_of_a_pixel(
    inputs: Inputs, settings: Settings, output: Path, workers: int
) -> list[Measurement]:
    """Measure all that the inputs allow, print it, and write the report.

    Args:
        inputs: ground truth, and perhaps detections.
        settings: how finely.
        output: the folder.
        workers: processes.

    Returns:
        The measurements.

    Raises:
        ValueError: the folder cannot be written, or there are no workers.
    """
    if workers < 1:
        raise ValueError(f"workers: got {workers}, expected at least 1")
    _check_folder(output)
    started = time.monotonic()
    arms, notes = plan(inputs, settings)
    measurements = measure_all(arms, inputs, settings, min(workers, len(arms)))
    seconds = time.monotonic() - started
    content = as_json(inputs, settings, measurements, _made_with(), seconds, notes)
    print(terminal(content, make_sections(measurements)))
    for path in write(content, measurements, output):
        print(f"wrote {path}")
    return measurements


def plan(inputs: Inputs, settings: Settings) -> tuple[list[Arm], list[str]]:
    """Return the arms that the inputs allow.

    Args:
        inputs: ground truth, and perhaps detections.
        settings: how finely.

    Returns:
        The arms, and a note on each thing that is left out.
    """
    arms, notes = box_ceiling_arms(), []
    crowds_aside = [one for one in inputs.dataset["annotations"] if not one.get("iscrowd", 0)]
    if len(crowds_aside) > len(inputs.objects):
        notes.append(
            f"{len(crowds_aside) - len(inputs.objects)} objects have empty boxes; they stay in "
            "the ground truth and no arm of the ceilings finds them."
        )
    if inputs.has_masks:
        arms += mask_ceiling_arms(settings.mask_sizes)
    else:
        notes.append("Some objects have no segmentation: nothing was measured on masks.")
    if inputs.results is not None:
        arms += box_offset_arms(settings)
    if inputs.results_have_masks and inputs.has_masks:
        arms += result_mask_arms(settings)
    if inputs.roi_masks is not None and inputs.has_masks:
        arms += [*mask_offset_arms(settings), *paste_arms()]
        arms += study_arms(inputs.roi_masks) if settings.study else []
    return arms, notes


def write(content: dict[str, Any], measurements: Sequence[Measurement], output: Path) -> list[Path]:
    """Write the report's files, each whole or not at all.

    Args:
        content: of price.json.
        measurements: the measurements.
        output: the folder, made if it is not there.

    Returns:
        The files.
    """
    output.mkdir(parents=True, exist_ok=True)
    table, numbers = output / "table.md", output / "price.json"
    write_text(table, markdown(content, make_sections(measurements)))
    write_text(numbers, json.dumps(content, indent=1))
    pictures = {output / "ceilings.png": draw_dots}
    if any(curve_points(measurements, curve) for curve in CURVES):
        pictures[output / "price.png"] = draw_curves
    for path, draw in pictures.items():
        with replacing(path) as partial:
            draw(measurements, partial)
    return [table, numbers, *pictures]


def _check_folder(output: Path) -> None:
    there = output
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ValueError(
            f"--output: got {str(output)!r}, expected a folder that can be made and written"
        )


def _made_with() -> dict[str, Any]:
    versions = {**environment("cpu"), "hotcoco": importlib.metadata.version("hotcoco")}
    return {"code": code_version(), "environment": versions}
