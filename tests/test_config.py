"""Configs: every file loads, every overlay changes only what it declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from detectron2 import model_zoo
from detectron2.config import get_cfg

from d2align.config import (
    BOXES,
    FACTORS,
    PRESETS,
    add_d2align_config,
    check_d2align_config,
    get_factors,
    set_factor,
    set_preset,
)
from d2align.engine import load_config
from d2align.fixes import FIXES, get_fixes, set_fix

CONFIGS = Path(__file__).parents[1] / "configs"
FOLDERS = [CONFIGS, CONFIGS / "shapes"]
FILES = sorted(p for folder in FOLDERS for p in folder.glob("ablation_*.yaml"))
# File stem without "ablation_" -> the factors it turns.
SINGLE = {
    "box_transform": {"box_transform": "py_faster_rcnn"},
    "box_transform_detectron1": {"box_transform": "detectron1"},
    "flip": {"flip": "detectron1"},
    "flip_index": {"flip": "index"},
    "anchors": {"anchors": "detectron1"},
    "roi_align": {"roi_align": "unaligned"},
    "mask_target": {"mask_target": "unaligned"},
    "paste_mask": {"paste_mask": "detectron1"},
    "keypoint_flip_index": {"flip": "index"},
    "anchor_offset": {"anchor_offset": "centred"},
    "mask_resize": {"mask_resize": "unbiased"},
}
SWITCHES = {**FACTORS, **FIXES}
DETECTRON2S = {name: fix.values[0] for name, fix in FIXES.items()}
# The factors with keys of our own.
OWN_FACTORS = ("box_transform", "flip", "mask_target", "paste_mask")
PRESET_FILES = {"detectron1", "py_faster_rcnn"}
# What a historical preset sets beside the factors.
PRESET_KEYS = {"D2ALIGN.PRESET", "D2ALIGN.BOXES", "MODEL.RPN.BOUNDARY_THRESH", "INPUT.MASK_FORMAT"}
PRESET_KEYS |= {
    f"MODEL.ROI_{head}_HEAD.POOLER_SAMPLING_RATIO" for head in ("BOX", "MASK", "KEYPOINT")
}
REFERENCES = {"aligned", "keypoint_aligned"}


def stem(path: Path) -> str:
    return path.stem.removeprefix("ablation_")


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    out = {}
    for key, value in node.items():
        if hasattr(value, "items"):
            out.update(flat(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out


def differing(first: Any, second: Any) -> set[str]:
    a, b = flat(first), flat(second)
    assert a.keys() == b.keys()
    return {key for key in a if a[key] != b[key]}


def load(path: Path, *opts: str) -> Any:
    return load_config(str(path), list(opts))


def ids(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def test_every_config_file_is_known_here() -> None:
    for folder in FOLDERS:
        found = {stem(p) for p in folder.glob("ablation_*.yaml")}
        assert found == {*SINGLE, *PRESET_FILES, *REFERENCES}
        others = {p.name for p in folder.glob("*.yaml") if not p.name.startswith("ablation_")}
        assert all(name.startswith("Base-") for name in others)
    # The second value of each factor is what its own file turns it to.
    assert all(SINGLE[name] == {name: factor.values[1]} for name, factor in SWITCHES.items())


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_config_loads_and_tells_its_factors(path: Path) -> None:
    cfg = load(path)
    name = stem(path)
    expected = PRESETS[name] if name in PRESET_FILES else PRESETS["aligned"]
    expected = {**expected, **DETECTRON2S, **SINGLE.get(name, {})}
    assert {**get_factors(cfg), **get_fixes(cfg)} == expected
    assert cfg.VERSION == 2
    assert cfg.OUTPUT_DIR.endswith(path.stem)
    if path.parent == CONFIGS / "shapes":
        assert cfg.MODEL.WEIGHTS == "" and cfg.DATASETS.TRAIN[0].startswith("shapes_")


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_overlay_differs_from_the_reference_only_in_its_declared_keys(path: Path) -> None:
    name = stem(path)
    reference = "ablation_keypoint_aligned" if name.startswith("keypoint") else "ablation_aligned"
    found = differing(load(path.with_name(f"{reference}.yaml")), load(path))
    found.discard("OUTPUT_DIR")
    if name in PRESET_FILES:
        allowed = {key for factor in FACTORS.values() for key in factor.keys}
        assert found == allowed | PRESET_KEYS
    else:
        assert found == {key for factor in SINGLE.get(name, {}) for key in SWITCHES[factor].keys}


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_overlay_sets_only_its_declared_keys_in_its_own_text(path: Path) -> None:
    import yaml

    own = yaml.safe_load(path.read_text())
    keys = set(flat(own)) - {"_BASE_", "OUTPUT_DIR"}
    name = stem(path)
    if name in PRESET_FILES:
        assert keys == {"D2ALIGN.PRESET"} and own["D2ALIGN"]["PRESET"] == name
    else:
        assert keys == {key for factor in SINGLE.get(name, {}) for key in SWITCHES[factor].keys}
    base = "Base-keypoint" if name.startswith("keypoint") else "Base-COCO"
    shapes_base = "Base-shapes-keypoint" if name.startswith("keypoint") else "Base-shapes"
    expected = shapes_base if path.parent.name == "shapes" else base
    assert own["_BASE_"] == f"{expected}.yaml"


def test_output_folders_are_all_different() -> None:
    folders = [load(path).OUTPUT_DIR for path in FILES]
    assert len(set(folders)) == len(folders)


@pytest.mark.parametrize(
    ("ours", "zoos", "declared"),
    [
        (
            "ablation_aligned.yaml",
            "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml",
            {"INPUT.MASK_FORMAT"},
        ),
        ("ablation_keypoint_aligned.yaml", "COCO-Keypoints/keypoint_rcnn_R_50_FPN_1x.yaml", set()),
    ],
)
def test_coco_schedule_is_the_zoos_apart_from_declared_differences(
    ours: str, zoos: str, declared: set[str]
) -> None:
    cfg = load(CONFIGS / ours)
    zoo = get_cfg()
    add_d2align_config(zoo)
    zoo.MODEL.SMALL_RESNET = cfg.MODEL.SMALL_RESNET.clone()
    zoo.merge_from_file(model_zoo.get_config_file(zoos))
    declared = declared | {"MODEL.META_ARCHITECTURE", "SOLVER.REFERENCE_WORLD_SIZE", "OUTPUT_DIR"}
    if ours == "ablation_keypoint_aligned.yaml":
        declared |= {"INPUT.MASK_FORMAT"}  # without effect: there are no masks
    if not torch.cuda.is_available():
        declared |= {"MODEL.DEVICE"}
    assert differing(cfg, zoo) == declared
    assert cfg.SOLVER.IMS_PER_BATCH == 16 and cfg.SOLVER.REFERENCE_WORLD_SIZE == 8


def aligned(*opts: str) -> Any:
    return load(CONFIGS / "ablation_aligned.yaml", *opts)


def test_defaults_are_aligned() -> None:
    cfg = get_cfg()
    add_d2align_config(cfg)
    assert get_factors(cfg) == PRESETS["aligned"]
    check_d2align_config(cfg)
    assert get_factors(load_config("")) == PRESETS["aligned"]


@pytest.mark.parametrize("factor", FACTORS)
def test_set_factor_and_get_factors_agree_and_touch_only_declared_keys(factor: str) -> None:
    for value in FACTORS[factor].values:
        drawn = (factor, value) == ("mask_target", "detectron1")
        opts = ("INPUT.MASK_FORMAT", "polygon") if drawn else ()
        cfg = aligned(*opts)
        set_factor(cfg, factor, value)
        assert get_factors(cfg) == {**PRESETS["aligned"], factor: value}
        assert differing(cfg, aligned(*opts)) <= set(FACTORS[factor].keys)
        check_d2align_config(cfg)


def test_set_fix_and_get_fixes_agree_and_touch_only_declared_keys() -> None:
    assert (
        get_fixes(aligned()) == DETECTRON2S == {"anchor_offset": "corner", "mask_resize": "nearest"}
    )
    for name, fix in FIXES.items():
        cfg = aligned()
        set_fix(cfg, name, fix.values[1])
        assert get_fixes(cfg) == {**DETECTRON2S, name: fix.values[1]}
        assert get_factors(cfg) == PRESETS["aligned"]
        assert differing(cfg, aligned()) == set(fix.keys)
    assert get_fixes(aligned("MODEL.ANCHOR_GENERATOR.OFFSET", "0.25"))["anchor_offset"] == "0.25"
    with pytest.raises(ValueError, match=r"fix: got 'flip'.*anchor_offset.*mask_resize"):
        set_fix(aligned(), "flip", "index")
    with pytest.raises(ValueError, match=r"mask_resize: got 'area'.*nearest.*unbiased"):
        set_fix(aligned(), "mask_resize", "area")
    with pytest.raises(ValueError, match=r"D2ALIGN.MASK_RESIZE: got 'area'.*nearest.*unbiased"):
        aligned("D2ALIGN.MASK_RESIZE", "area")


@pytest.mark.parametrize("key", ["PRESET", "BOXES", *(k.upper() for k in OWN_FACTORS)])
def test_unknown_value_is_refused_with_the_choices(key: str) -> None:
    others = {"PRESET": list(PRESETS), "BOXES": list(BOXES)}
    choices = others[key] if key in others else list(FACTORS[key.lower()].values)
    with pytest.raises(ValueError, match=f"D2ALIGN.{key}: got 'v2', expected one of") as error:
        aligned(f"D2ALIGN.{key}", "v2")
    assert str(choices) in str(error.value)


def test_unknown_factor_or_value_is_refused_with_the_choices() -> None:
    with pytest.raises(ValueError, match=r"factor: got 'rotation'.*box_transform.*paste_mask"):
        set_factor(aligned(), "rotation", "float")
    with pytest.raises(ValueError, match=r"flip: got 'float'.*coordinate.*detectron1.*index"):
        set_factor(aligned(), "flip", "float")
    with pytest.raises(ValueError, match=r"PRESET: got 'caffe'.*aligned.*detectron1"):
        set_preset(aligned(), "caffe")


@pytest.mark.parametrize(
    "opts",
    [
        ("D2ALIGN.FLIPS", "index"),
        ("D2ALIGN.FLIP",),
        ("D2ALIGN.FLIP", "3"),
        ("SOLVER.BASE_LR", "fast"),
        ("NO.SUCH.KEY", "1"),
    ],
)
def test_unknown_keys_and_wrong_types_are_refused(opts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=opts[0].split(".")[0]):
        aligned(*opts)


@pytest.mark.parametrize(
    ("target", "needed", "given"),
    [("unaligned", "bitmask", "polygon"), ("detectron1", "polygon", "bitmask")],
)
def test_historical_mask_targets_need_their_mask_format(
    target: str, needed: str, given: str
) -> None:
    opts = ("D2ALIGN.MASK_TARGET", target, "INPUT.MASK_FORMAT", given)
    with pytest.raises(ValueError, match=f"MASK_TARGET: got '{target}'.*MASK_FORMAT '{needed}'"):
        aligned(*opts)
    assert given == aligned(*opts, "MODEL.MASK_ON", "False").INPUT.MASK_FORMAT


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VERSION: 2\nD2ALIGN: {FLIPS: index}\n", "D2ALIGN.FLIPS"),
        ("VERSION: 2\nD2ALIGN: {FLIP: mirror}\n", "mirror"),
        ("_BASE_: nowhere.yaml\n", "nowhere.yaml"),
    ],
)
def test_bad_config_file_is_refused_in_a_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=expected):
        load(path)


@pytest.mark.parametrize(
    "text",
    ["a: [1\n", "- 1\n", "", "VERSION: !!python/object/apply:os.getpid []\n"],
    ids=["malformed", "list", "empty", "tag"],
)
def test_unreadable_config_file_is_refused_in_a_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"bad\.yaml"):
        load(path)


def test_config_file_runs_no_code(tmp_path: Path) -> None:
    made = tmp_path / "made"
    path = tmp_path / "bad.yaml"
    path.write_text(f'VERSION: !!python/object/apply:os.mkdir ["{made}"]\n')
    with pytest.raises(Exception, match="python/object"):
        load(path)
    assert not made.exists()


@pytest.mark.parametrize("path", ["nowhere.yaml", str(CONFIGS)])
def test_missing_config_file_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=Path(path).name):
        load_config(path)


@pytest.mark.parametrize(
    ("key", "choice"),
    [
        ("MODEL.ANCHOR_GENERATOR.NAME", "Detectron1AnchorGenerator"),
        ("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlignV2"),
        ("MODEL.ROI_MASK_HEAD.POOLER_TYPE", "ROIAlignV2"),
    ],
)
def test_unknown_value_of_detectron2s_keys_is_refused_with_the_choices(
    key: str, choice: str
) -> None:
    with pytest.raises(ValueError, match=choice):
        aligned(key, "NoSuchThing")


def test_flip_without_a_vertical_form_is_refused_for_vertical_flips() -> None:
    with pytest.raises(ValueError, match="vertical"):
        aligned("INPUT.RANDOM_FLIP", "vertical", "D2ALIGN.FLIP", "detectron1")


def test_own_entries_of_the_registries_are_chosen_by_name() -> None:
    from d2align.registry import PASTE_MASK_REGISTRY

    PASTE_MASK_REGISTRY.register("test_own")(lambda *arguments: None)
    try:
        assert aligned("D2ALIGN.PASTE_MASK", "test_own").D2ALIGN.PASTE_MASK == "test_own"
    finally:
        PASTE_MASK_REGISTRY._entries.pop("test_own")


def test_poolers_of_different_kinds_and_other_components_are_told_by_name() -> None:
    cfg = aligned("MODEL.ROI_BOX_HEAD.POOLER_TYPE", "ROIAlign")
    assert get_factors(cfg)["roi_align"] == "mixed"
    cfg = aligned("MODEL.ANCHOR_GENERATOR.NAME", "RotatedAnchorGenerator")
    assert get_factors(cfg)["anchors"] == "RotatedAnchorGenerator"


def test_heads_without_a_pooler_are_left_out_of_the_factor() -> None:
    none = ("MODEL.ROI_MASK_HEAD.POOLER_TYPE", "")
    assert get_factors(aligned(*none))["roi_align"] == "aligned"
    cfg = load(CONFIGS / "shapes" / "ablation_detectron1.yaml", *none)
    assert get_factors(cfg)["roi_align"] == "unaligned"
    assert cfg.MODEL.ROI_MASK_HEAD.POOLER_TYPE == ""


def test_cpu_line_is_printed_where_there_is_no_gpu(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert aligned().MODEL.DEVICE == "cpu"
    assert capsys.readouterr().out == "d2align: no GPU was found, so MODEL.DEVICE is set to cpu\n"
    assert aligned("MODEL.DEVICE", "cpu").MODEL.DEVICE == "cpu"
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert aligned().MODEL.DEVICE == "cuda" and capsys.readouterr().out == ""


def test_panoptic_models_need_masks_to_combine() -> None:
    opts = ("MODEL.META_ARCHITECTURE", "PixelExactPanopticFPN", "MODEL.MASK_ON", "False")
    with pytest.raises(ValueError, match=r"MODEL\.MASK_ON: got False for a panoptic model"):
        aligned(*opts)
    assert not aligned(*opts, "MODEL.PANOPTIC_FPN.COMBINE.ENABLED", "False").MODEL.MASK_ON
