"""An existing training script before and after, and LazyConfigs, on a few images of shapes."""

from __future__ import annotations

import difflib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from project_scripts import PROJECTS

from d2align.data.shapes import generate_shapes
from d2align.engine.lazy_command import run_lazy
from d2align.modeling import FloatBoxTransform, PixelExactRCNN

ROOT = PROJECTS.parent
FOLDER = PROJECTS / "existing_project"
LAZY = ROOT / "configs" / "lazy"
TINY = [
    *("MODEL.WEIGHTS", "", "MODEL.DEVICE", "cpu", "MODEL.RESNETS.NORM", "BN"),
    *("MODEL.RESNETS.STEM_OUT_CHANNELS", "8", "MODEL.RESNETS.RES2_OUT_CHANNELS", "16"),
    *("MODEL.RESNETS.WIDTH_PER_GROUP", "4", "MODEL.FPN.OUT_CHANNELS", "8"),
    *("MODEL.ROI_BOX_HEAD.FC_DIM", "16", "MODEL.ROI_MASK_HEAD.CONV_DIM", "8"),
    *("MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", "8", "MODEL.RPN.POST_NMS_TOPK_TEST", "20"),
    *("INPUT.MIN_SIZE_TRAIN", "(64,)", "INPUT.MIN_SIZE_TEST", "64"),
    *("DATALOADER.NUM_WORKERS", "0", "SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "2"),
    *("SOLVER.STEPS", "()"),
]


def run(script: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def test_before_and_after_are_three_lines_apart() -> None:
    before, after = (
        (FOLDER / f"train_{name}.py").read_text().splitlines() for name in ("before", "after")
    )
    diff = list(difflib.ndiff(before, after))
    added = [line[2:] for line in diff if line.startswith("+ ") and line[2:].strip()]
    assert len(added) == 3
    assert len([line for line in diff if line.startswith("- ")]) == 2
    assert "from d2align.modeling import apply" in added
    assert "d2align" not in "\n".join(before)


@pytest.mark.parametrize("name", ["before", "after"])
def test_both_scripts_train_and_evaluate(tmp_path: Path, name: str) -> None:
    paths = generate_shapes("shapes_128_val", tmp_path / "data", 4)
    data = [str(paths.json_file), str(paths.image_root), "6"]
    printed = run(FOLDER / f"train_{name}.py", *data, *TINY, "OUTPUT_DIR", str(tmp_path / "out"))
    assert (tmp_path / "out" / "model_final.pth").is_file()
    assert "Evaluation results for bbox" in printed or "AP" in printed


def test_lazy_configs_instantiate_every_part_themselves() -> None:
    cfg = LazyConfig.load(str(LAZY / "mask_rcnn_R_50_FPN_1x.py"))
    cfg.model.backbone.bottom_up.stages.depth = 18
    cfg.model.backbone.bottom_up.stages.pop("stride_in_1x1")
    cfg.model.factors = {"paste_mask": "detectron1"}
    model = instantiate(cfg.model)
    assert isinstance(model, PixelExactRCNN)
    assert isinstance(model.proposal_generator.box2box_transform, FloatBoxTransform)
    assert model.roi_heads.box_predictor.box2box_transform.weights == (10, 10, 5, 5)
    assert model.paste_masks.__name__.startswith("paste_masks_detectron1")


def test_the_lazy_tool_trains_and_evaluates_on_shapes(tmp_path: Path) -> None:
    config = tmp_path / "few.py"
    text = (LAZY / "mask_rcnn_shapes.py").read_text()
    (tmp_path / "mask_rcnn_R_50_FPN_1x.py").write_text(
        (LAZY / "mask_rcnn_R_50_FPN_1x.py").read_text()
    )
    subset = "from d2align.data.shapes.register import register_shapes_subset\n"
    subset += "register_shapes_subset('few', 'shapes_128_val', 4)\n"
    config.write_text(text + subset + "dataloader.test.dataset.names = 'few'\n")
    opts = ["dataloader.train.dataset.names=few", "dataloader.train.total_batch_size=2"]
    opts += ["train.max_iter=2", "train.device=cpu"]
    out = tmp_path / "out"
    tool = ROOT / "tools" / "lazyconfig_train_net.py"
    printed = run(tool, "--config-file", str(config), *opts, f"train.output_dir={out}")
    assert "AP" in printed
    saved = torch.load(out / "model_final.pth", weights_only=True)
    assert saved["trainer"]["iteration"] == 1
    assert json.loads((out / "metrics.json").read_text().splitlines()[-1])


@pytest.mark.parametrize(("name", "text"), [("a.yaml", ""), ("none.py", None), ("a.py", "x = 1")])
def test_other_files_are_refused(tmp_path: Path, name: str, text: str | None) -> None:
    from detectron2.engine import default_argument_parser

    if text is not None:
        (tmp_path / name).write_text(text)
    args = default_argument_parser().parse_args(["--config-file", str(tmp_path / name)])
    with pytest.raises(ValueError, match="--config-file"):
        run_lazy(args)
