"""PointRend with d2align's point sampling is Detectron2's, and align_corners is off as stated."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import ROI_MASK_HEAD_REGISTRY, build_model
from detectron2.projects.point_rend import PointRendMaskHead
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks
from detectron2.utils.events import EventStorage
from project_scripts import PROJECTS, load_script

from d2align.data.shapes.register import register_shapes_subset

FOLDER = PROJECTS / "PointRend"
sys.path.insert(0, str(FOLDER))
project = importlib.import_module("aligned_point_rend")
CONFIG = str(FOLDER / "configs" / "pointrend_shapes.yaml")
ALIGN_CORNERS_CONFIG = str(FOLDER / "configs" / "pointrend_shapes_align_corners.yaml")
HOST, OURS = "PointRendMaskHead", "PixelExactPointRendMaskHead"
ALIGN_CORNERS = "AlignCornersPointRendMaskHead"
SIZE, STRIDE, CHANNELS, CLASSES = (96, 128), 4, 32, 6


def build_head(name: str, *opts: str) -> Any:
    """A head with weights that are the same for all names, and large enough to matter."""
    cfg = project.load_config(CONFIG, ["MODEL.DEVICE", "cpu", *opts])
    shape = {"p2": ShapeSpec(channels=CHANNELS, stride=STRIDE)}
    torch.manual_seed(0)
    head = ROI_MASK_HEAD_REGISTRY.get(name)(cfg, shape)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return head


def features() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    h, w = (n // STRIDE for n in SIZE)
    return {"p2": torch.randn(3, CHANNELS, h, w, generator=generator)}


def boxes(num: int, seed: int) -> Boxes:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(num, 2, generator=generator) * 60
    return Boxes(torch.cat([corner, corner + 4 + torch.rand(num, 2, generator=generator) * 30], 1))


def proposals(counts: tuple[int, ...] = (3, 0, 2)) -> list[Instances]:
    out = []
    for seed, num in enumerate(counts):
        generator = torch.Generator().manual_seed(seed)
        masks = torch.rand(num, *SIZE, generator=generator) > 0.5
        image = Instances(SIZE, proposal_boxes=boxes(num, seed))
        image.gt_classes = torch.randint(CLASSES, (num,), generator=generator)
        if num:  # as where an image has no ground truth
            image.gt_masks = BitMasks(masks)
        out.append(image)
    return out


def detections(counts: tuple[int, ...] = (3, 0, 2)) -> list[Instances]:
    return [
        Instances(SIZE, pred_boxes=p.proposal_boxes, pred_classes=p.gt_classes)
        for p in proposals(counts)
    ]


def train(head: Any, instances: list[Instances]) -> dict[str, torch.Tensor]:
    torch.manual_seed(7)
    with EventStorage():
        losses: dict[str, torch.Tensor] = head.train()(features(), instances)
    return losses


def test_training_points_and_labels_are_the_hosts_to_the_bit() -> None:
    found = {}
    for name in (HOST, OURS):
        head = build_head(name).train()
        coarse = torch.randn(5, CLASSES, 7, 7, generator=torch.Generator().manual_seed(2))
        torch.manual_seed(3)
        found[name] = head._sample_train_points(coarse, proposals())
    points, labels = found[OURS]
    assert torch.equal(points, found[HOST][0]) and torch.equal(labels, found[HOST][1])
    assert points.shape == (5, 196, 2) and labels.shape == (5, 196)


@pytest.mark.parametrize("share", ["0.0", "0.75", "1.0"])
def test_losses_and_gradients_are_the_hosts(share: str) -> None:
    """But for the last bits of the regular grid, which the host makes by an affine transform."""
    opts = ("MODEL.POINT_HEAD.IMPORTANCE_SAMPLE_RATIO", share)
    host, ours = build_head(HOST, *opts), build_head(OURS, *opts)
    theirs, mine = train(host, proposals()), train(ours, proposals())
    assert mine.keys() == theirs.keys() == {"loss_mask", "loss_mask_point"}
    for name, loss in theirs.items():
        torch.testing.assert_close(mine[name], loss, rtol=1e-6, atol=0)
    sum(theirs.values()).backward()
    sum(mine.values()).backward()
    for a, b in zip(ours.parameters(), host.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4 * b.grad.abs().max())


@pytest.mark.parametrize("steps", ["1", "3", "5"])
def test_masks_are_the_hosts(steps: str) -> None:
    opts = ("MODEL.POINT_HEAD.SUBDIVISION_STEPS", steps)
    masks = {}
    for name in (HOST, OURS):
        head = build_head(name, *opts).eval()
        with torch.no_grad():
            masks[name] = [i.pred_masks for i in head(features(), detections())]
    side = 7 * 2 ** int(steps)
    for mine, theirs in zip(masks[OURS], masks[HOST], strict=True):
        assert mine.shape[1:] == (1, side, side)
        torch.testing.assert_close(mine, theirs, rtol=0, atol=2e-5)
    assert masks[OURS][0].std() > 0.1  # masks that say something


def test_images_without_objects() -> None:
    """No detection gives no mask; no foreground at all, where the host fails, gives no loss."""
    head = build_head(OURS).eval()
    with torch.no_grad():
        assert [len(i.pred_masks) for i in head(features(), detections((0, 0, 0)))] == [0, 0, 0]
    losses = train(build_head(OURS), proposals((0, 0, 0)))
    assert sum(losses.values()).item() == 0


def ramp() -> torch.Tensor:
    """One map whose channels are the x and y of the centres of its cells, in pixels."""
    h, w = (n // STRIDE for n in SIZE)
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    return torch.stack([x, y])[None] * STRIDE


@pytest.mark.parametrize("name", [OURS, ALIGN_CORNERS])
def test_features_are_read_where_the_points_are(name: str) -> None:
    """Aligned at x itself; with align_corners (1/2 - x/W) cells from it, towards the middle."""
    head, inside = build_head(name), Boxes(torch.tensor([[8.0, 8, 60, 40], [90, 60, 120, 90]]))
    unit = torch.rand(2, 50, 2)
    read = head._features_at({"p2": ramp()}, ["p2"], [inside], unit).transpose(1, 2)
    corners, size = inside.tensor, torch.tensor([128.0, 96.0])
    coords = corners[:, None, :2] + unit * (corners[:, None, 2:] - corners[:, None, :2])
    off = (0.5 - coords / size) * STRIDE if name == ALIGN_CORNERS else torch.zeros_like(coords)
    torch.testing.assert_close(read, coords + off, rtol=0, atol=1e-3)
    assert name == OURS or off.abs().max() > 1  # pixels


def test_coarse_masks_are_read_half_a_cell_off_at_the_edges_by_align_corners() -> None:
    coarse = (torch.arange(7) + 0.5).expand(1, 1, 7, 7)
    unit = torch.tensor([[[0.5 / 7, 0.5], [0.5, 0.5], [6.5 / 7, 0.5]]])
    aligned = build_head(OURS).sampling.unit(coarse, unit)[0, 0]
    off = build_head(ALIGN_CORNERS).sampling.unit(coarse, unit)[0, 0] - aligned
    torch.testing.assert_close(aligned, torch.tensor([0.5, 3.5, 6.5]))
    torch.testing.assert_close(off, torch.tensor([3 / 7, 0.0, -3 / 7]))


def test_labels_at_pixel_centres_are_the_pixels() -> None:
    (image,) = proposals((4,))
    head = build_head(OURS).train()
    pixels = torch.randint(0, 96, (4, 30, 2), generator=torch.Generator().manual_seed(5))
    labels = head._masks_at(image, pixels + 0.5)
    expected = [m[p[:, 1], p[:, 0]] for m, p in zip(image.gt_masks.tensor, pixels, strict=True)]
    torch.testing.assert_close(labels, torch.stack(expected).float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("config", [CONFIG, ALIGN_CORNERS_CONFIG])
def test_weights_of_the_host_fit_old_ones_included(config: str) -> None:
    cfg = project.load_config(config, ["MODEL.DEVICE", "cpu"])
    model = build_model(cfg)
    assert type(model.roi_heads.mask_head).__name__ == cfg.MODEL.ROI_MASK_HEAD.NAME
    assert isinstance(model.roi_heads.mask_head, PointRendMaskHead)
    state = model.state_dict()
    host = build_head(HOST).state_dict()
    prefix = "roi_heads.mask_head."
    assert {k.removeprefix(prefix) for k in state if k.startswith(prefix)} == set(host)
    old = {
        k.replace("mask_head.coarse_head.fc", "mask_coarse_head.coarse_mask_fc")
        .replace("mask_head.coarse_head", "mask_coarse_head")
        .replace("mask_head.point_head", "mask_point_head"): v
        for k, v in state.items()
    }
    assert old.keys() != state.keys()
    model.load_state_dict(old, strict=True)


def test_the_two_configs_differ_in_the_head_alone() -> None:
    aligned, other = (project.load_config(c) for c in (CONFIG, ALIGN_CORNERS_CONFIG))
    other.MODEL.ROI_MASK_HEAD.NAME, other.OUTPUT_DIR = OURS, aligned.OUTPUT_DIR
    assert other == aligned


@pytest.mark.parametrize(
    ("opts", "message"),
    [
        (["MODEL.ROI_MASK_HEAD.NAME", "MaskRCNNConvUpsampleHead"], "MODEL.ROI_MASK_HEAD.NAME: got"),
        (["INPUT.MASK_FORMAT", "polygon"], "INPUT.MASK_FORMAT: got 'polygon', expected 'bitmask'"),
        (["MODEL.POINT_HEAD.NUM_CLASSES", "80"], "NUM_CLASSES: got 80, expected .* 6"),
        (["MODEL.NO_SUCH_KEY", "1"], "NO_SUCH_KEY"),
        (["D2ALIGN.FLIP", "mirror"], "D2ALIGN.FLIP: got 'mirror', expected one of"),
    ],
)
def test_bad_configs_are_refused(opts: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        project.load_config(CONFIG, opts)


def test_other_bad_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("MODEL: [")
    for path in ("none.yaml", str(tmp_path / "bad.yaml")):
        with pytest.raises(ValueError, match=path):
            project.load_config(path)
    (image,) = proposals((1,))
    image.gt_masks = PolygonMasks([[torch.tensor([1.0, 1, 9, 1, 9, 9]).numpy()]])
    with pytest.raises(ValueError, match="gt_masks: got PolygonMasks, expected BitMasks"):
        build_head(OURS)._labels_at([image], torch.rand(1, 5, 2))


@pytest.mark.parametrize("config", [CONFIG, ALIGN_CORNERS_CONFIG])
def test_the_script_trains_and_evaluates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str
) -> None:
    register_shapes_subset("few_point_rend", "shapes_128_val", 4)
    opts = ["DATASETS.TRAIN", "('few_point_rend',)", "DATASETS.TEST", "('few_point_rend',)"]
    opts += ["SOLVER.IMS_PER_BATCH", "2", "SOLVER.MAX_ITER", "2", "OUTPUT_DIR", str(tmp_path)]
    command = ["train_net.py", "--config-file", config]
    script = load_script("PointRend/train_net.py")
    monkeypatch.setattr(sys, "argv", [*command, *opts, "MODEL.DEVICE", "cpu"])
    script.main()
    weights = str(tmp_path / "model_final.pth")
    saved = torch.load(weights, weights_only=True)
    assert "roi_heads.mask_head.point_head.fc1.weight" in saved["model"]
    assert "loss_mask_point" in (tmp_path / "metrics.json").read_text()
    monkeypatch.setattr(sys, "argv", [*command, "--eval-only", *opts, "MODEL.WEIGHTS", weights])
    script.main()
    assert (tmp_path / "inference" / "coco_instances_results.json").is_file()
