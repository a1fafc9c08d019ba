"""COCOEvaluator in Detectron2's place: the same results, tables, lines and files."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from coco_synthetic import SIZE, make_dataset, make_results
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import COCOEvaluator as D2COCOEvaluator
from detectron2.structures import BitMasks, Boxes, BoxMode, Instances
from predictions import feed, register, to_instances

from d2align.evaluation import COCOEvaluator
from d2align.evaluation.coco_evaluation import comm
from d2align.evaluation.predictions_file import write_predictions

LOGGER = "detectron2.evaluation.coco_evaluation"
FIELDS = [(), ("masks",), ("keypoints",), ("masks", "keypoints")]


@pytest.fixture(scope="module")
def problem() -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rng = np.random.default_rng(5)
    dataset = make_dataset(rng, 8, crowd=0.2)
    return dataset, make_results(rng, dataset, shapes=True)


@pytest.fixture
def name(problem: Any, tmp_path: Path) -> str:
    return register(problem[0], tmp_path)


def assert_same_metrics(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert list(ours) == list(theirs)
    for task in ours:
        assert list(ours[task]) == list(theirs[task])
        a, b = list(ours[task].values()), list(theirs[task].values())
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-9, equal_nan=True, err_msg=task)


def tables(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [m for m in caplog.messages if "|" in m or "NaN" in m or "No predictions" in m]


@pytest.mark.parametrize("fields", FIELDS, ids="+".join)
def test_everything_that_a_user_sees_is_as_from_detectron2(
    problem: Any,
    name: str,
    tmp_path: Path,
    fields: tuple[str, ...],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seen = []
    for cls in (COCOEvaluator, D2COCOEvaluator):
        folder = tmp_path / cls.__module__
        evaluator = cls(name, output_dir=str(folder))
        assert isinstance(evaluator, D2COCOEvaluator)
        feed(evaluator, *problem, *fields, proposals=True)
        caplog.clear()
        capsys.readouterr()
        with caplog.at_level(logging.INFO, LOGGER):
            results = evaluator.evaluate()
        summary = [line for line in capsys.readouterr().out.splitlines() if "@[" in line]
        seen.append((folder, results, tables(caplog), summary))
    (ours, results, our_tables, our_summary), (theirs, expected, their_tables, their_summary) = seen
    assert list(results) == ["box_proposals", "bbox", *["keypoints"] * ("keypoints" in fields)] + [
        "segm"
    ] * ("masks" in fields)
    assert_same_metrics(results, expected)
    assert our_tables == their_tables and len(our_tables) > 2
    assert our_summary == their_summary and len(our_summary) >= 12
    assert sorted(p.name for p in ours.iterdir()) == sorted(p.name for p in theirs.iterdir())
    for file in ("coco_instances_results.json", "box_proposals.pkl"):
        assert (ours / file).read_bytes() == (theirs / file).read_bytes()
    saved = [
        torch.load(p / "instances_predictions.pth", weights_only=False) for p in (ours, theirs)
    ]
    assert [p["instances"] for p in saved[0]] == [p["instances"] for p in saved[1]]
    assert [p.keys() for p in saved[0]] == [p.keys() for p in saved[1]]


@pytest.mark.parametrize("image_id", [7, "seven", torch.tensor(7)], ids=["int", "str", "tensor"])
def test_written_predictions_are_read_back(tmp_path: Path, image_id: Any) -> None:
    rows = [{"image_id": 7, "category_id": 1, "bbox": [0.5, 1.0, 2.0, 3.25], "score": 0.1}]
    path = tmp_path / "instances_predictions.pth"
    write_predictions(str(path), [{"image_id": image_id, "instances": rows}])
    (read,) = torch.load(path, weights_only=True)
    assert read["instances"] == rows
    assert read["image_id"] == image_id and type(read["image_id"]) is type(image_id)


def test_only_some_images_and_tasks(problem: Any, name: str) -> None:
    results = []
    for cls in (COCOEvaluator, D2COCOEvaluator):
        evaluator = cls(name, ("bbox", "segm"), False)
        feed(evaluator, *problem, "masks", "keypoints")
        results.append(evaluator.evaluate(img_ids=[1, 2, 5, 999]))
    assert list(results[0]) == ["bbox", "segm"]
    assert_same_metrics(*results)


def test_the_official_implementation_can_be_asked_for(
    problem: Any, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = []
    for fast in (True, False):
        evaluator = COCOEvaluator(name, distributed=False, use_fast_impl=fast)
        feed(evaluator, *problem, "masks")
        capsys.readouterr()
        results.append(evaluator.evaluate())
        assert ("Running per image evaluation" in capsys.readouterr().out) != fast
        assert bool(evaluator.coco_evals) == fast
    assert_same_metrics(*results)


def test_fewer_detections_an_image(problem: Any, name: str) -> None:
    dataset, results = problem
    # Before every detection come eleven better scored ones that are wrong.
    many = [{**r, "bbox": [0.0, 0.0, 5.0, 5.0], "score": 0.99} for r in results * 11] + results
    aps = []
    for limit in (None, 100, 10, 3000, 3):
        evaluator = COCOEvaluator(name, distributed=False, max_dets_per_image=limit)
        feed(evaluator, dataset, many)
        aps.append(evaluator.evaluate()["bbox"]["AP"])
        assert evaluator.coco_evals["bbox"].params.maxDets == sorted([1, 10, limit or 100])
    assert aps[0] == aps[1] > aps[2]
    assert aps[2] == aps[4] == 0 and aps[3] >= aps[1]


def test_config_in_the_place_of_tasks_gives_the_sigmas(problem: Any, name: str) -> None:
    from detectron2.config import get_cfg

    cfg = get_cfg()
    cfg.TEST.KEYPOINT_OKS_SIGMAS = [0.02 + 0.005 * i for i in range(17)]
    results = []
    for evaluator in (
        COCOEvaluator(name, cfg, True, None),
        D2COCOEvaluator(name, cfg, True, None),
        COCOEvaluator(name, kpt_oks_sigmas=cfg.TEST.KEYPOINT_OKS_SIGMAS),
        COCOEvaluator(name),
    ):
        feed(evaluator, *problem, "keypoints")
        results.append(evaluator.evaluate())
    assert_same_metrics(results[0], results[1])
    assert_same_metrics(results[2], results[1])
    assert results[3]["keypoints"]["AP"] != results[0]["keypoints"]["AP"]


@pytest.mark.parametrize("processed", [False, True])
def test_no_predictions(problem: Any, name: str, processed: bool, tmp_path: Path) -> None:
    results = []
    for cls in (COCOEvaluator, D2COCOEvaluator):
        evaluator = cls(name, distributed=False, output_dir=str(tmp_path / cls.__module__))
        evaluator.reset()
        if processed:
            feed(evaluator, problem[0], [], "masks")
        results.append(evaluator.evaluate())
    if not processed:
        assert results == [{}, {}] and not (tmp_path / COCOEvaluator.__module__).exists()
        return
    assert_same_metrics(*results)
    assert math.isnan(results[0]["bbox"]["AP"])
    files = [tmp_path / c.__module__ for c in (COCOEvaluator, D2COCOEvaluator)]
    texts = [(p / "coco_instances_results.json").read_text() for p in files]
    assert texts == ["[]", "[]"]


def test_annotations_that_are_not_public_give_files_only(problem: Any, tmp_path: Path) -> None:
    dataset = {k: v for k, v in problem[0].items() if k != "annotations"}
    evaluator = COCOEvaluator(register(dataset, tmp_path), output_dir=str(tmp_path / "out"))
    feed(evaluator, *problem)
    assert evaluator.evaluate() == {}
    rows = json.loads((tmp_path / "out" / "coco_instances_results.json").read_text())
    assert len(rows) == len(problem[1])


def test_dicts_are_converted_and_the_conversion_is_kept_or_not(tmp_path: Path) -> None:
    box = {"bbox": [10.0, 20.0, 60.0, 90.0], "bbox_mode": BoxMode.XYXY_ABS, "category_id": 1}
    records = [{"image_id": "a", "file_name": "", "height": SIZE, "width": SIZE}]
    name = f"dicts_{tmp_path.name}"
    DatasetCatalog.register(name, lambda: [{**r, "annotations": [box]} for r in records])
    MetadataCatalog.get(name).thing_classes = ["first", "second"]
    with pytest.raises(ValueError, match=r"output_dir: got None for 'dicts_"):
        COCOEvaluator(name)
    found = Instances((SIZE, SIZE), pred_boxes=Boxes(torch.tensor([[10.0, 20.0, 60.0, 90.0]])))
    found.scores, found.pred_classes = torch.tensor([0.9]), torch.tensor([1])
    evaluator = COCOEvaluator(name, output_dir=str(tmp_path))
    evaluator.process([{"image_id": "a"}], [{"instances": found}])
    result = evaluator.evaluate()["bbox"]
    assert result["AP"] == pytest.approx(100) == result["AP-second"]
    assert math.isnan(result["AP-first"])
    records.append({**records[0], "image_id": "b"})
    for allowed, images in ((True, 1), (False, 2)):
        MetadataCatalog.get(name).__dict__.pop("json_file")
        again = COCOEvaluator(name, output_dir=str(tmp_path), allow_cached_coco=allowed)
        assert len(again._coco_api.imgs) == images


def test_processes_gather_their_predictions(
    problem: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, results = problem
    alone = COCOEvaluator(name)
    feed(alone, dataset, results, "masks")
    parts = []
    for rank in range(2):
        part = COCOEvaluator(name)
        images = {**dataset, "images": dataset["images"][rank::2]}
        feed(part, images, results, "masks")
        parts.append(part)
    import pickle

    gathered = [pickle.loads(pickle.dumps(part._predictions)) for part in parts]
    monkeypatch.setattr(comm, "gather", lambda data, dst: gathered)
    assert_same_metrics(parts[0].evaluate(), alone_result := alone.evaluate())
    assert alone_result["segm"]["AP"] > 0
    monkeypatch.setattr(comm, "is_main_process", lambda: False)
    assert parts[1].evaluate() == {}


def test_predictions_of_a_model_are_left_as_they_are(problem: Any, name: str) -> None:
    instances = to_instances(*problem, 1, "masks", "keypoints")
    before = {k: getattr(v, "tensor", v).clone() for k, v in instances.get_fields().items()}
    COCOEvaluator(name).process([{"image_id": 1}], [{"instances": instances}])
    for key, value in instances.get_fields().items():
        assert torch.equal(getattr(value, "tensor", value), before[key]), key


def test_masks_come_dense_as_numbers_or_encoded(problem: Any, name: str) -> None:
    from pycocotools import mask as mask_util

    instances = to_instances(*problem, 1, "masks")
    dense = instances.pred_masks
    rles = [mask_util.encode(np.asfortranarray(m, dtype=np.uint8)) for m in dense.numpy()]
    text = [{**rle, "counts": rle["counts"].decode()} for rle in rles]
    runs = [{"size": [SIZE, SIZE], "counts": _runs(m)} for m in dense.numpy()]
    evaluator = COCOEvaluator(name)
    for masks in (dense, dense.float(), dense.to(torch.uint8), BitMasks(dense)):
        instances.pred_masks = masks
        evaluator.process([{"image_id": 1}], [{"instances": instances}])
    for encoded in (rles, text, runs):
        instances.pred_masks_rle = encoded
        evaluator.process([{"image_id": 1}], [{"instances": instances}])
    rows = [list(p["instances"]) for p in evaluator._predictions]
    assert len(rows) == 7 and len(rows[0]) > 1
    assert all(other == rows[0] for other in rows[1:])


def _runs(mask: np.ndarray) -> list[int]:
    flat = np.concatenate([[0], mask.T.ravel(), [2]])
    changes = np.flatnonzero(np.diff(flat))
    return np.diff(changes, prepend=0).tolist()


def test_id_zero_is_found_and_told(
    problem: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset, results = problem
    moved = [{**a, "id": a["id"] - 1} for a in dataset["annotations"]]
    aps = []
    for truth in (dataset["annotations"], moved):
        evaluator = COCOEvaluator(register({**dataset, "annotations": truth}, tmp_path))
        feed(evaluator, dataset, results)
        aps.append(evaluator.evaluate())
    assert_same_metrics(*aps)
    assert sum("id 0" in message for message in caplog.messages) == 1


def bad(**fields: Any) -> dict[str, Any]:
    out = Instances((SIZE, SIZE), pred_boxes=Boxes(torch.tensor([[1.0, 2.0, 3.0, 4.0]])))
    out.scores, out.pred_classes = torch.tensor([0.5]), torch.tensor([0])
    for key, value in fields.items():
        out.set(key, value)
    return {"instances": out}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"scores": torch.tensor([math.nan])}, r"scores: got NaN in image 1"),
        ({"pred_masks": torch.zeros(1, 1, 28, 28)}, r"pred_masks: got shape \(1, 1, 28, 28\)"),
        ({"pred_masks": torch.zeros(1, 0, 5)}, r"pred_masks: got shape \(1, 0, 5\)"),
    ],
)
def test_process_refuses_bad_fields(name: str, fields: dict[str, Any], message: str) -> None:
    evaluator = COCOEvaluator(name)
    with pytest.raises(ValueError, match=message):
        evaluator.process([{"image_id": 1}], [bad(**fields)])
    assert evaluator._predictions == []


def test_an_empty_image_may_have_any_fields(problem: Any, name: str) -> None:
    empty = bad(pred_masks=torch.zeros(1, 1, 28, 28))["instances"][:0]
    evaluator = COCOEvaluator(name)
    feed(evaluator, *problem, "masks")
    expected = evaluator.evaluate()
    evaluator.process([{"image_id": 1}], [{"instances": empty}])
    assert_same_metrics(evaluator.evaluate(), expected)


def test_an_evaluation_forgets_the_one_before(problem: Any, name: str) -> None:
    evaluator = COCOEvaluator(name)
    feed(evaluator, *problem)
    assert evaluator.evaluate()["bbox"]["AP"] > 0 and evaluator.coco_evals
    evaluator._predictions.clear()
    evaluator.process([{"image_id": 1}], [{"instances": bad()["instances"][:0]}])
    assert math.isnan(evaluator.evaluate()["bbox"]["AP"]) and not evaluator.coco_evals


def test_process_refuses_encoded_masks_of_several_sizes(name: str) -> None:
    pair = Instances.cat([bad()["instances"]] * 2)
    pair.pred_masks_rle = [{"size": [4, n], "counts": b"0"} for n in (5, 6)]
    with pytest.raises(ValueError, match=r"pred_masks_rle: got sizes \[\[4, 5\], \[4, 6\]\]"):
        COCOEvaluator(name).process([{"image_id": 1}], [{"instances": pair}])


@pytest.mark.parametrize(
    ("image_id", "fields", "tasks", "message"),
    [
        (1, {"pred_classes": torch.tensor([3])}, None, r"pred_classes: got 3.*expected 0 to 2"),
        (1, {"pred_classes": torch.tensor([-1])}, None, r"pred_classes: got -1"),
        (77, {}, None, r"image_id: got 77"),
        (1, {}, ("segm",), r"tasks: got 'segm'.*image 1 have no pred_masks"),
        (1, {"pred_keypoints": torch.zeros(1, 5, 3)}, None, r"kpt_oks_sigmas: got 17, 5 keypoints"),
    ],
)
def test_evaluate_refuses_what_does_not_fit(
    name: str, image_id: int, fields: dict[str, Any], tasks: Any, message: str
) -> None:
    evaluator = COCOEvaluator(name, tasks)
    evaluator.process([{"image_id": image_id}], [bad(**fields)])
    with pytest.raises(ValueError, match=message):
        evaluator.evaluate()


def test_nothing_is_written_before_a_refusal(problem: Any, tmp_path: Path) -> None:
    metadata = [
        {"thing_classes": ["a", "b"]},
        {"thing_dataset_id_to_contiguous_id": {1: 0, 3: 2, 5: 3}},
    ]
    for wrong in metadata:
        evaluator = COCOEvaluator(
            register(problem[0], tmp_path, **wrong), output_dir=str(tmp_path / "out")
        )
        evaluator.process([{"image_id": 1}], [bad()])
        with pytest.raises(ValueError, match=next(iter(wrong))):
            evaluator.evaluate()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": "bbox"}, r"tasks: got 'bbox', expected None or a tuple"),
        ({"tasks": ("boxes",)}, r"tasks: got \('boxes',\)"),
        ({"max_dets_per_image": 0}, r"max_dets_per_image: got 0"),
    ],
)
def test_constructor_refuses(name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        COCOEvaluator(name, **arguments)


def test_unknown_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match="dataset_name: got 'nowhere_val'"):
        COCOEvaluator("nowhere_val")
