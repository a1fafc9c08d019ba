"""Record a checkpoint's raw outputs, replay every arm, and compare them."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.data import MetadataCatalog
from detectron2.utils.file_io import PathManager
from tqdm import tqdm

from d2align import __version__
from d2align.ablation import report
from d2align.ablation.comparison import METRICS, Row
from d2align.ablation.raw_outputs.arms import (
    REFERENCE,
    REPLAY_ARMS,
    RERUN_ARMS,
    ReplayArm,
)
from d2align.ablation.raw_outputs.boxes import BoxStage, box_stage
from d2align.ablation.raw_outputs.record import box_predictors, record
from d2align.ablation.raw_outputs.results import check_replay, write_results
from d2align.ablation.raw_outputs.store import RawStore, file_sha256
from d2align.ablation.report.diffs import config_diff
from d2align.ablation.study import Arm
from d2align.checkpoint import SafeCheckpointer, trusts_checkpoints
from d2align.engine import Trainer, check_datasets, check_weights
from d2align.evaluation.bootstrap import paired_bootstrap
from d2align.evaluation.matches import MatchTable, match_detections
from d2align.modeling import apply

_LEAD = (
    "AP of the same trained weights under other conventions, minus AP as they are, with 95 % "
    'intervals over images. "Replay": exact, from the recorded outputs of one run of the network, '
    'without masks of other boxes. "Network run again": proposals and masks change, too.'
)


@dataclass(frozen=True)
class ReplaySettings:
    """What to replay, and how.

    Attributes:
        output: the folder of all files.
        num_images: of the test set, from its start; None is all.
        rerun: whether to run the network again for what changes proposals.
        num_draws: bootstrap draws over images.
    """

    output: Path
    num_images: int | None = None
    rerun: bool = False
    num_draws: int = 1000


def replay_and_report(cfg: Any, settings: ReplaySettings, command: str) -> list[list[Row]]:
    """Replay a checkpoint, print the table and write the report.

    Args:
        cfg: as in ``replay_checkpoint``.
        settings: what to replay.
        command: what reproduces it.

    Returns:
        The rows of each arm.

    Raises:
        ValueError: as ``replay_checkpoint``.
    """
    table = replay_checkpoint(cfg, settings)
    arms = {arm.arm.name: arm.arm for arm in REPLAY_ARMS} | {arm.name: arm for arm in RERUN_ARMS}
    metadata = MetadataCatalog.get(cfg.DATASETS.TEST[0])
    reference = settings.output / f"{REFERENCE.arm.name}.json"
    outcome = report.Outcome(
        title=f"What each pixel convention costs, on {cfg.DATASETS.TEST[0]}",
        lead=(_LEAD,),
        rows=table,
        pairs=lambda arm: [[(reference, settings.output / f"{arm.name}.json")]],
        dataset=_truth(cfg, settings),
        image_root=Path(metadata.image_root),
        config_diffs={rows[0].arm.name: _diff(cfg, arms[rows[0].arm.name]) for rows in table},
        command=command,
        settings=_identity(cfg, settings),
        num_draws=min(settings.num_draws, 250),
    )
    print(report.terminal(outcome))
    for path in report.save(outcome, settings.output)[:3]:
        print(f"wrote {path}")
    return table


def _diff(cfg: Any, arm: Arm) -> list[str]:
    if arm.kind == "replay" and arm.factor == "box_transform":
        return [f"box_transform: float -> {arm.value}, in the last box stage alone"]
    if arm.factor == "clip":
        return ["clip of the last box stage: to W, H -> to W - 1, H - 1"]
    return config_diff(cfg, arm)


def replay_checkpoint(cfg: Any, settings: ReplaySettings) -> list[list[Row]]:
    """Record a checkpoint once and measure every convention that its outputs allow.

    Args:
        cfg: a config, all aligned, with MODEL.WEIGHTS and a test set of COCO's format.
        settings: what to replay.

    Returns:
        The rows of each arm: box AP and, where masks are known, mask AP.

    Raises:
        ValueError: missing weights or data, a config that turns a detail itself, a model whose
            detections do not follow from its last box stage.
    """
    _check(cfg)
    model = Trainer.build_model(cfg)
    predictors = box_predictors(model)
    stage = box_stage(predictors[-1])
    store = RawStore(settings.output / "raw", _identity(cfg, settings))
    SafeCheckpointer(model, trust=trusts_checkpoints(cfg)).load(cfg.MODEL.WEIGHTS)
    total = _num_images(cfg, settings)
    with tqdm(total=total, desc="network, once", unit="image") as bar:
        record(cfg, model, store, settings.num_images, bar.update)
    check_replay(next(iter(store)), stage)
    reference = _replay(store, stage, REFERENCE, cfg, settings)
    comparison = _Comparison(cfg, settings, reference)
    table = []
    for arm in REPLAY_ARMS:
        results = _replay(store, stage, arm, cfg, settings)
        table.append(comparison.rows(arm.arm, results))
    for arm in RERUN_ARMS if settings.rerun else ():
        table.append(comparison.rows(arm, _run_again(cfg, model, arm, settings)))
    return table


def _check(cfg: Any) -> None:
    from d2align.config import PRESETS, get_factors

    check_datasets(cfg, eval_only=True)
    check_weights(cfg, resume=False)
    if not cfg.MODEL.WEIGHTS:
        raise ValueError("MODEL.WEIGHTS: got '', expected the checkpoint to replay")
    for factor in ("box_transform", "paste_mask"):
        value, aligned = get_factors(cfg)[factor], PRESETS["aligned"][factor]
        if value != aligned:
            raise ValueError(
                f"{factor}: got {value!r}, expected {aligned!r} in the config: the replay turns it"
            )


def _identity(cfg: Any, settings: ReplaySettings) -> dict[str, Any]:
    plain = copy.deepcopy(cfg)
    plain.defrost()
    plain.OUTPUT_DIR = ""
    data = MetadataCatalog.get(cfg.DATASETS.TEST[0]).json_file
    return {
        "d2align": __version__,
        "weights": file_sha256(Path(PathManager.get_local_path(cfg.MODEL.WEIGHTS))),
        "config": hashlib.sha256(plain.dump().encode()).hexdigest(),
        "data set": cfg.DATASETS.TEST[0],
        "annotations": file_sha256(Path(PathManager.get_local_path(data))),
        "number of images": settings.num_images,
    }


def _num_images(cfg: Any, settings: ReplaySettings) -> int:
    return len(_truth(cfg, settings)["images"])


def _truth(cfg: Any, settings: ReplaySettings) -> dict[str, Any]:
    path = PathManager.get_local_path(MetadataCatalog.get(cfg.DATASETS.TEST[0]).json_file)
    truth: dict[str, Any] = json.loads(Path(path).read_text())
    # In the order in which Detectron2 loads them.
    truth["images"] = sorted(truth["images"], key=lambda i: i["id"])[: settings.num_images]
    kept = {image["id"] for image in truth["images"]}
    truth["annotations"] = [a for a in truth["annotations"] if a["image_id"] in kept]
    return truth


def _replay(
    store: RawStore, stage: BoxStage, arm: ReplayArm, cfg: Any, settings: ReplaySettings
) -> Path:
    out = settings.output / f"{arm.arm.name}.json"
    with tqdm(total=store.num_images, desc=arm.arm.name, unit="image") as bar:
        write_results(store, stage, arm, cfg.DATASETS.TEST[0], out, bar.update)
    return out


def _run_again(cfg: Any, model: Any, arm: Arm, settings: ReplaySettings) -> Path:
    from d2align.ablation.raw_outputs.rerun import run_again

    out = settings.output / f"{arm.name}.json"
    turned = apply(model, **{arm.factor: arm.value})
    with tqdm(total=_num_images(cfg, settings), desc=f"network, {arm.name}", unit="image") as bar:
        run_again(cfg, turned, settings.num_images, out, bar.update)
    return out


class _Comparison:
    """Compares results files with the reference's, on the images that were recorded."""

    def __init__(self, cfg: Any, settings: ReplaySettings, reference: Path) -> None:
        self.truth, self.num_draws = _truth(cfg, settings), settings.num_draws
        self.reference = self._tables(reference)

    def rows(self, arm: Arm, results: Path) -> list[Row]:
        variant = self._tables(results)
        deltas = {
            metric: paired_bootstrap(self.reference[metric], table, num_draws=self.num_draws)
            for metric, table in variant.items()
        }
        return [Row(arm, metric, delta) for metric, delta in deltas.items()]

    def _tables(self, path: Path) -> dict[str, MatchTable]:
        results: Sequence[dict[str, Any]] = json.loads(path.read_text())
        has_masks = any("segmentation" in r for r in results)
        metrics = [m for m in METRICS if m == "bbox" or has_masks]
        return {m: match_detections(self.truth, results, m, areas=["all"]) for m in metrics}
