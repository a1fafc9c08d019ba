"""The whole of it on small inputs, and its tables, numbers and pictures."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
from price_inputs import one_object, small_dataset, small_inputs, write_inputs

from d2align.ablation.price.box_offsets import BoxOffset
from d2align.ablation.price.inputs import Inputs
from d2align.ablation.price.main import plan, price_of_a_pixel
from d2align.ablation.price.measure import measure_all
from d2align.ablation.price.schema import PARTS, check_price
from d2align.ablation.price.sections import interval_text, make_sections
from d2align.ablation.price.settings import Settings
from d2align.evaluation.bootstrap import paired_bootstrap
from d2align.evaluation.matches import match_detections
from d2align.evaluation.perturb import shift_boxes

TOOL = Path(__file__).parents[3] / "tools" / "price_of_a_pixel.py"
SETTINGS = Settings(offsets=(-1.0, 1.0), percents=(2.0,), mask_sizes=(14,), num_draws=10)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return small_inputs(Path(tmp_path_factory.mktemp("inputs")))


@pytest.fixture(scope="module")
def output(inputs: Inputs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = Path(tmp_path_factory.mktemp("output")) / "new" / "folder"
    price_of_a_pixel(inputs, SETTINGS, output, workers=1)
    return output


def test_every_part_is_measured_and_written(output: Path) -> None:
    names = {path.name for path in output.iterdir()}
    assert names == {"table.md", "price.json", "price.png", "ceilings.png"}
    content = json.loads((output / "price.json").read_text())
    assert {one["part"] for one in content["measurements"]} == set(PARTS)
    assert content["settings"]["num_draws"] == 10 and content["images"] == 6
    for name in ("price.png", "ceilings.png"):
        assert (output / name).stat().st_size > 30_000


def test_a_box_arm_is_the_paired_bootstrap_of_moved_boxes(inputs: Inputs, output: Path) -> None:
    before = match_detections(inputs.dataset, inputs.results)
    moved = shift_boxes(inputs.results, right=1, bottom=1)
    expected = paired_bootstrap(before, match_detections(inputs.dataset, moved), num_draws=10)
    name = BoxOffset("right_bottom", 1.0).name
    content = json.loads((output / "price.json").read_text())
    (found,) = [
        one for one in content["measurements"] if one["arm"] == name and one["metric"] == "bbox"
    ]
    for key in ("delta", "low", "high", "se", "reference_ap"):
        assert found["areas"]["all"][key] == getattr(expected, key)
    assert found["reference"] == "as found"


def test_the_table_holds_every_section_and_the_terminal_the_short_ones(
    output: Path, inputs: Inputs, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = (output / "table.md").read_text()
    for title in (
        "The ceiling: boxes",
        "The ceiling: masks",
        "Historical mistakes as offsets",
        "Pastes",
        "What the price of Detectron's paste rests on",
        "Boxes moved",
        "Boxes under the RoI masks moved",
        "Finished masks moved",
    ):
        assert f"\n## {title}\n" in page
    assert page.count("\n| py-faster-rcnn decode ") == 1
    assert "6 images, " in page and "10 paired resamples of the images (seed 0)" in page
    alone = Inputs(inputs.dataset, inputs.results, None, inputs.sources)
    price_of_a_pixel(alone, SETTINGS, tmp_path, workers=1)
    shown = capsys.readouterr().out
    assert "Historical mistakes as offsets" in shown and "Boxes moved" not in shown


def test_ground_truth_alone_gives_the_ceilings(inputs: Inputs) -> None:
    arms, notes = plan(Inputs(inputs.dataset, None, None, {}), SETTINGS)
    assert {arm.part for arm in arms} == {"box_ceiling", "mask_ceiling"} and notes == []


def test_what_is_left_out_is_said() -> None:
    inputs = one_object([10, 10, 20, 20])
    first = inputs.dataset["annotations"][0]
    inputs.dataset["annotations"] = [
        {**first, "segmentation": []},
        {**first, "id": 2, "bbox": [5, 5, 0, 9]},
    ]
    arms, notes = plan(inputs, SETTINGS)
    assert {arm.part for arm in arms} == {"box_ceiling"}
    assert "1 objects have empty boxes" in notes[0] and "no segmentation" in notes[1]


def test_intervals_read_well(inputs: Inputs) -> None:
    before = match_detections(inputs.dataset, inputs.results)
    same = paired_bootstrap(before, before, num_draws=10)
    assert (interval_text(same), interval_text(None)) == ("0", "")
    moved = match_detections(inputs.dataset, shift_boxes(inputs.results, right=9))
    text = interval_text(paired_bootstrap(before, moved, num_draws=10))
    assert text.startswith("-") and text.endswith("]") and text.count(", ") == 1


def test_sections_without_rows_are_left_out(inputs: Inputs) -> None:
    measured = measure_all([BoxOffset("shift", 0.0)], inputs, SETTINGS, workers=1)
    assert [section.title for section in make_sections(measured)] == ["Boxes moved"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda c: c.pop("code"),
        lambda c: c.update(extra=1),
        lambda c: c["measurements"][0]["areas"]["all"].update(ap=101),
        lambda c: c["measurements"][0].update(part="other"),
        lambda c: c["inputs"]["annotations"].update(sha256="abc"),
    ],
)
def test_the_schema_refuses_what_is_not_a_price(output: Path, spoil) -> None:
    content = json.loads((output / "price.json").read_text())
    check_price(content)
    spoiled = copy.deepcopy(content)
    spoil(spoiled)
    with pytest.raises(ValueError, match=r"price\.json: at \$"):
        check_price(spoiled)


def test_bad_folders_and_workers_are_refused_first(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="--output: got"):
        price_of_a_pixel(inputs, SETTINGS, tmp_path / "file" / "folder", workers=1)
    with pytest.raises(ValueError, match="workers: got 0"):
        price_of_a_pixel(inputs, SETTINGS, tmp_path / "new", workers=0)
    assert not (tmp_path / "new").exists()


def test_two_processes_measure_the_same(inputs: Inputs) -> None:
    arms = [BoxOffset("shift", 0.0), BoxOffset("shift", 1.0), BoxOffset("grow", 1.0)]
    alone = measure_all(arms, inputs, SETTINGS, workers=1)
    assert measure_all(arms, inputs, SETTINGS, workers=2) == alone


def test_the_tool_tells_bad_input_in_a_line_and_writes_nothing(tmp_path: Path) -> None:
    paths = write_inputs(tmp_path, small_dataset())
    output = tmp_path / "output"
    options = ["--annotations", paths["boxes"], "--output", output, "--quick"]
    command = [sys.executable, str(TOOL), *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 2
    assert done.stderr.startswith("error: results.json: got list of")
    assert not output.exists()
