"""Converted weights of Detectron's compute what Detectron's layers do with its blobs."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from detectron1_network import CLASSES, OPTS, Detectron1Network, assert_close, made_up_blobs
from detectron2.modeling import build_model
from project_scripts import PROJECTS, load_script

from d2align.checkpoint import SafeCheckpointer
from d2align.config import PRESETS, get_factors
from d2align.engine import load_config

FOLDER = PROJECTS / "detectron1_models"
FPN, C4 = str(FOLDER / "mask_rcnn_R_50_FPN.yaml"), str(FOLDER / "mask_rcnn_R_50_C4.yaml")
convert = load_script("detectron1_models/convert.py")


def write(path: Path, blobs: dict[str, Any]) -> str:
    path.write_bytes(pickle.dumps({"blobs": blobs, "cfg": "MODEL: {}"}, 2))
    return str(path)


@pytest.fixture(scope="module", params=[FPN, C4], ids=["FPN", "C4"])
def pair(request: Any, tmp_path_factory: Any) -> tuple[Any, Detectron1Network]:
    """A converted model, and Detectron's layers with the same blobs."""
    folder = tmp_path_factory.mktemp("weights")
    blobs = made_up_blobs(fpn=request.param == FPN)
    path = write(folder / "model_final.pkl", blobs)
    cfg = load_config(request.param, [*OPTS, "MODEL.WEIGHTS", str(folder / "model.pth")])
    state, unused = convert.convert(convert.read_blobs(path), cfg)
    assert len(unused) == 1  # what was kept of ImageNet's classifier
    convert.save(state, cfg.MODEL.WEIGHTS)
    model = build_model(cfg).eval()
    SafeCheckpointer(model).load(cfg.MODEL.WEIGHTS)
    return model.double(), Detectron1Network(blobs)


def image() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(-100, 100, (1, 3, 128, 192)))


def features(model: Any, network: Detectron1Network) -> tuple[list[Any], list[Any]]:
    with torch.no_grad():
        ours = list(model.backbone(image()).values())
    is_c4 = len(ours) == 1
    return ours, [network.body(image(), 4)[4]] if is_c4 else network.pyramid(image())


def test_features_are_detectrons(pair: Any) -> None:
    ours, theirs = features(*pair)
    assert len(ours) == len(theirs) in (1, 5)
    for a, b in zip(ours, theirs, strict=True):
        assert_close(a, b)


def test_rpn_scores_the_same_anchors(pair: Any) -> None:
    """Each anchor, found by its size and ratio, has Detectron's logit and deltas."""
    model, network = pair
    _, maps = features(model, network)
    suffix = "" if len(maps) == 1 else "_fpn2"
    with torch.no_grad():
        logits, deltas = model.proposal_generator.rpn_head(maps)
    num_sizes = 5 if len(maps) == 1 else 1
    for level, x in enumerate(maps):
        their_logits, their_deltas = network.rpn(x, suffix)
        for size in range(num_sizes):
            for ratio in range(3):
                ours, theirs = size * 3 + ratio, ratio * num_sizes + size
                assert_close(logits[level][0, ours], their_logits[theirs])
                found = deltas[level][0, 4 * ours : 4 * ours + 4]
                assert_close(found, their_deltas[theirs])


def test_anchors_are_in_the_order_of_the_rpn(pair: Any) -> None:
    """Sizes slowest: three ratios of each size, one after another, widest first."""
    model, _ = pair
    for cells in model.proposal_generator.anchor_generator.cell_anchors:
        w, h = (cells[:, 2:] - cells[:, :2]).unbind(dim=1)
        assert all((r[:-1] < r[1:]).all() for r in (h / w).view(-1, 3))
        assert (((w * h).view(-1, 3).mean(dim=1)).diff() > 0).all()


def test_box_head_is_detectrons_with_the_background_last(pair: Any) -> None:
    model, network = pair
    heads, generator = model.roi_heads, torch.Generator().manual_seed(0)
    with torch.no_grad():
        if hasattr(heads, "box_head"):
            pooled = torch.randn(5, 8, 7, 7, generator=generator).double()
            ours = heads.box_predictor(heads.box_head(pooled))
            hidden = network.fc(network.fc(pooled, "fc6").relu(), "fc7").relu()
        else:
            pooled = torch.randn(5, 64, 14, 14, generator=generator).double()
            ours = heads.box_predictor(heads.res5(pooled).mean(dim=[2, 3]))
            hidden = network.stage(pooled, 5).mean(dim=[2, 3])
    scores, deltas = network.boxes(hidden)
    assert_close(ours[0].softmax(dim=1), scores.roll(-1, dims=1))
    assert_close(ours[1].unflatten(1, (-1, 4)), deltas[:, 1:])
    assert scores.shape[1] == CLASSES


def test_mask_head_is_detectrons_without_the_background(pair: Any) -> None:
    model, network = pair
    heads, generator = model.roi_heads, torch.Generator().manual_seed(0)
    is_c4 = hasattr(heads, "res5")
    x = torch.randn(3, 128 if is_c4 else 8, 7, 7, generator=generator).double()
    with torch.no_grad():
        ours = heads.mask_head.layers(x)
    for k in () if is_c4 else range(1, 5):
        x = network.conv(x, f"_[mask]_fcn{k}").relu()
    assert_close(ours, network.masks(x)[:, 1:])


@pytest.mark.parametrize("config", [FPN, C4])
def test_configs_have_every_pixel_as_in_detectron(config: str) -> None:
    cfg = load_config(config, ["MODEL.DEVICE", "cpu"])
    assert get_factors(cfg) == PRESETS["detectron1"] and cfg.D2ALIGN.BOXES == "inclusive"
    assert cfg.MODEL.PIXEL_MEAN == [102.9801, 115.9465, 122.7717]
    assert cfg.INPUT.FORMAT == "BGR" and cfg.MODEL.RESNETS.STRIDE_IN_1X1
    assert tuple(cfg.MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS) == (10, 10, 5, 5)
    sampling = 2 if config == FPN else 0
    assert sampling == cfg.MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO


def test_missing_weights_and_other_files_are_refused(tmp_path: Path) -> None:
    blobs = made_up_blobs(fpn=True)
    cfg = load_config(FPN, OPTS)
    del blobs["conv_rpn_fpn2_w"]
    with pytest.raises(ValueError, match=r"rpn_head\.conv\.weight'\] \(1 in all\)"):
        convert.convert(convert.read_blobs(write(tmp_path / "a.pkl", blobs)), cfg)
    (tmp_path / "b.pkl").write_bytes(pickle.dumps({"model": {}}))
    with pytest.raises(ValueError, match="no 'blobs'"):
        convert.read_blobs(str(tmp_path / "b.pkl"))


def test_the_command_converts(tmp_path: Path) -> None:
    weights = write(tmp_path / "model_final.pkl", made_up_blobs(fpn=True))
    out = tmp_path / "model.pth"
    command = [sys.executable, str(FOLDER / "convert.py"), weights, "--config-file", FPN]
    done = subprocess.run(
        [*command, "--output", str(out), *OPTS], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "weights in" in done.stdout and out.is_file()
    assert not list(tmp_path.glob("*.part"))
