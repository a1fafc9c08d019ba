"""The command on projects, mappers by import path, and projects that cannot be measured."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest
from detectron2 import model_zoo
from detectron2.data import DatasetMapper
from planted_projects import PLAIN, SHAPES, tiny

from d2align.audit.card import read_card
from d2align.audit.main import add_arguments, main
from d2align.audit.pipeline.load import load_pipeline
from d2align.audit.pipeline.stages import STAGES, audit_pipeline

CONFIG = str(SHAPES / "ablation_aligned.yaml")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return main(parser.parse_args(words))


class WideBoxes(DatasetMapper):
    """A mapper as people write them, with a fault."""

    def __call__(self, dataset_dict: dict[str, Any]) -> dict[str, Any]:
        found = super().__call__(dataset_dict)
        if "instances" in found:
            found["instances"].gt_boxes.tensor[:, 2:] += 1
        return found


def make_wide_boxes(cfg: Any, is_train: bool) -> WideBoxes:
    return WideBoxes(cfg, is_train)


def add_own_keys(cfg: Any) -> None:
    cfg.MY_KEY = "nothing"


def test_a_project_with_a_table_a_card_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = str(tmp_path / "card.json")
    assert run("--config-file", CONFIG, "--json", card, "--fail-over", "0.1", *PLAIN) == 0
    out = capsys.readouterr().out
    assert "mapper, resize and flip  boxes" in out
    # Detectron2's own anchors and masks are told, and excused.
    assert "known: corner" in out and "known: floor_nearest" in out
    assert "0 of" in out and "2 known of Detectron2 itself" in out and "excused: 2" in out
    assert max(map(len, out.splitlines())) <= 100
    assert {"anchors", "paste", "results"} <= {f.kind for f in read_card(card).findings}
    fixed = ("MODEL.ANCHOR_GENERATOR.OFFSET", "0.5")
    found = audit_pipeline(load_pipeline(CONFIG, [*PLAIN, *fixed]), ["anchors"])
    assert [f.convention for f in found] == ["centred"] and found[0].error_px == 0


def test_the_mask_fix_is_seen_by_the_audit() -> None:
    found = audit_pipeline(tiny("mask_resize", plain=False), ["mapper", "labels"])
    assert len([f for f in found if f.kind == "labels by dtype"]) == 5
    assert all(f.status == "aligned" for f in found)


@pytest.mark.parametrize("name", ["WideBoxes", "make_wide_boxes"])
def test_a_mapper_by_import_path(name: str) -> None:
    mapper = f"{Path(__file__).stem}:{name}"
    project = load_pipeline(CONFIG, PLAIN, mapper=mapper)
    assert project.mapper_name == mapper
    found = {f.subject: f.convention for f in audit_pipeline(project, ["mapper"])}
    cases = ("read", "resize", "flip", "resize and flip")
    bad = {subject for subject, convention in found.items() if convention != "aligned"}
    assert bad == {f"mapper, {case}: boxes" for case in cases}


def test_keys_of_the_projects_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f'_BASE_: "{CONFIG}"\nMY_KEY: "here"\n')
    with pytest.raises(ValueError, match=r"MY_KEY.*--setup"):
        load_pipeline(str(path), PLAIN)
    assert load_pipeline(str(path), PLAIN, setup=f"{Path(__file__).stem}:add_own_keys")


def test_a_lazy_config(tmp_path: Path) -> None:
    path = tmp_path / "project.py"
    path.write_text(
        "from detectron2.config import LazyCall as L, get_cfg\n"
        "from detectron2.data import DatasetMapper, transforms as T\n"
        "from omegaconf import OmegaConf\n"
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import planted_projects\n"
        "def build():\n"
        "    return planted_projects.tiny().model\n"
        "model = L(build)()\n"
        "dataloader = OmegaConf.create()\n"
        "dataloader.train = OmegaConf.create()\n"
        "dataloader.train.mapper = L(DatasetMapper)(is_train=True, augmentations=[\n"
        "    L(T.ResizeShortestEdge)(short_edge_length=(112, 128), max_size=176,"
        " sample_style='choice'),\n"
        "    L(T.RandomFlip)()], image_format='BGR', use_instance_mask=True)\n"
    )
    project = load_pipeline(str(path), ["dataloader.train.mapper.image_format=RGB"])
    assert project.train_mapper.image_format == "RGB" and project.test_mapper is None
    found = audit_pipeline(project, [s for s in STAGES if s != "paste"])
    bad = {f.subject for f in found if f.status != "aligned"}
    assert bad == {"labels by dtype: float32 masks", "anchors: anchor_generator"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--config-file", "nowhere.yaml"), "nowhere.yaml"),
        (("--config-file", "nowhere.py"), "expected a file"),
        (("--config-file", CONFIG, "NO.SUCH.KEY", "1"), "NO.SUCH.KEY"),
        (("--config-file", CONFIG, "--mapper", "no_module:x"), "cannot import"),
        (("--config-file", CONFIG, "--num-images", "1"), "--num-images"),
        (("--lint", "x.py", "--mapper", "a:b"), "without --config-file"),
        (("--config-file", CONFIG, "--weights", "nowhere.pth"), "nowhere.pth"),
    ],
)
def test_bad_input_is_refused_in_a_line(words: tuple[str, ...], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        run(*words)


@pytest.mark.parametrize(
    ("mapper", "says"),
    [
        (lambda record: 1 / 0, "ZeroDivisionError"),
        (lambda record: None, "no dict with"),
        (lambda record: {"image": "x"}, "no dict with"),
    ],
)
def test_a_bad_mapper_gets_a_clear_record(mapper: Any, says: str) -> None:
    found = audit_pipeline(dataclasses.replace(tiny(), train_mapper=mapper), ["mapper", "anchors"])
    assert found[0].status == "failed" and says in found[0].sentence
    assert found[1].kind == "anchors"  # the rest goes on
    with pytest.raises(ValueError, match=r"stages: got \['mappers'\]"):
        audit_pipeline(tiny(), ["mappers"])


def test_a_model_without_what_a_stage_measures_is_no_fault() -> None:
    project = dataclasses.replace(tiny(), model=__import__("torch").nn.Identity())
    assert {f.kind for f in audit_pipeline(project, [s for s in STAGES if s != "mapper"])} == {
        "labels by dtype",
        "load",
        "results",
    }


def test_the_model_is_as_it_was_afterwards() -> None:
    model = tiny("keypoint_aligned").model
    before = {name: vars(m).keys() for name, m in model.named_modules()}
    kinds = {name: type(m) for name, m in model.named_modules()}
    project = dataclasses.replace(tiny("keypoint_aligned"), model=model)
    audit_pipeline(project, ["box_round_trip", "keypoints", "output"])
    assert {name: type(m) for name, m in model.named_modules()} == kinds
    assert {name: vars(m).keys() for name, m in model.named_modules()} == before


def faults(name: str, *opts: str) -> set[str]:
    project = load_pipeline(model_zoo.get_config_file(name), opts)
    quick = [stage for stage in STAGES if stage != "paste"]
    return {f.subject for f in audit_pipeline(project, quick) if f.status != "aligned"}


@pytest.mark.parametrize(
    "name",
    [
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
        "COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml",
        "COCO-Detection/retinanet_R_50_FPN_1x.yaml",
    ],
)
def test_detectron2s_zoo_has_nothing_but_what_is_known(name: str) -> None:
    small = ("INPUT.MIN_SIZE_TRAIN", "(240, 256)", "INPUT.MIN_SIZE_TEST", "256")
    assert faults(name, *small) == {"labels by dtype: float32 masks", "anchors: anchor_generator"}


def test_no_probe_needs_detectron2_at_the_top() -> None:
    import subprocess

    code = (
        "import sys; sys.modules['detectron2'] = None\n"
        "import argparse; from d2align.audit.main import add_arguments, main\n"
        "p = argparse.ArgumentParser(); add_arguments(p)\n"
        "try:\n"
        "    main(p.parse_args(['--config-file', 'x.yaml']))\n"
        "except ValueError as e:\n"
        "    print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "needs Detectron2" in done.stdout, done.stderr
