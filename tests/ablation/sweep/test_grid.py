"""What a command asks for: every arm is checked, and bad input told, before any job starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from launching import CONFIGS, FAKE, Sweep

from d2align import engine
from d2align.ablation.sweep.callback import expand
from d2align.ablation.sweep.grid import (
    SweepArm,
    arm_choices,
    flatten,
    make_arm,
    make_grid,
)
from d2align.ablation.sweep.ledger import ArmFolder
from d2align.ablation.sweep.main import register_arms
from d2align.ablation.sweep.plan import State, make_plan
from d2align.ablation.sweep.settings import settings_from
from d2align.config import FACTORS, PRESETS, get_factors
from d2align.engine import checks

ALIGNED = "configs/shapes/ablation_aligned.yaml"


@pytest.fixture(autouse=True)
def no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "prepare_shapes", lambda names: None)


def arm(**settings: object) -> SweepArm:
    return make_arm(settings_from({"config_file": ALIGNED, "folder": "unused", **settings}))


def turned(one: SweepArm) -> dict[str, str]:
    """Every factor of the config that an arm's process will read."""
    return get_factors(engine.load_config(engine.find_config(one.config_file), list(one.opts)))


def test_there_is_an_arm_for_the_reference_each_preset_and_each_value():
    values = {f"{name}_{value}" for name, f in FACTORS.items() for value in f.values}
    assert set(arm_choices()) == {"reference", *PRESETS, *values}


@pytest.mark.parametrize("name", list(arm_choices()))
def test_arm_turns_what_its_name_says_and_nothing_else(name: str):
    choice = arm_choices()[name]
    polygons = {"INPUT": {"MASK_FORMAT": "polygon"}}  # what this value makes its targets from
    one = arm(**choice, opts=polygons if name == "mask_target_detectron1" else {})
    expected = {**PRESETS["aligned"], **PRESETS.get(choice["preset"], {}), **choice["factors"]}
    assert one.factors == turned(one) == expected
    assert one.arm == ("reference" if expected == PRESETS["aligned"] else name)


def test_one_factor_of_a_preset_is_turned_back():
    one = arm(preset="detectron1", factors={"flip": "coordinate"})
    assert one.arm == "detectron1+flip_coordinate"
    assert turned(one) == {**PRESETS["detectron1"], "flip": "coordinate"}


def test_factor_is_turned_although_the_file_has_a_preset():
    one = arm(config_file="configs/shapes/ablation_detectron1.yaml", factors={"flip": "coordinate"})
    assert one.arm == "flip_coordinate"
    assert turned(one) == {**PRESETS["detectron1"], "flip": "coordinate"}


def test_product_of_factors_has_the_reference_in_it_once():
    cells = [
        settings_from({"config_file": ALIGNED, "folder": "x", "factors": {"flip": f, "anchors": a}})
        for f in ("coordinate", "index")
        for a in ("float", "detectron1")
    ]
    names = [one.arm for one in make_grid([*cells, *cells])]
    assert names == [
        "reference",
        "anchors_detectron1",
        "flip_index",
        "flip_index+anchors_detectron1",
    ]


def test_identity_changes_with_what_decides_the_outcome_and_with_nothing_else():
    base = arm()
    same = [
        {"checkpoint_period": 7},
        {"threads": None},
        {"lease": 5},
        {"opts": {"DATALOADER": {"NUM_WORKERS": 3}, "MODEL": {"DEVICE": "cpu"}}},
    ]
    for changes in same:
        assert arm(**changes).id == base.id, changes
    other = [
        {"seed": 2},
        {"num_gpus": 2},
        {"eval_only": True},
        {"opts": {"SOLVER": {"MAX_ITER": 3}}},
        {"factors": {"flip": "index"}},
        {"program": "mine"},
    ]
    assert len({base.config_hash, *(arm(**c).config_hash for c in other)}) == len(other) + 1


def test_seed_weights_and_keys_reach_the_config(tmp_path: Path):
    weights = tmp_path / "model.pth"
    weights.write_bytes(b"")
    one = arm(seed=5, weights=str(weights), opts={"SOLVER": {"STEPS": [3, 4]}})
    cfg = engine.load_config(ALIGNED, list(one.opts))
    assert (5, str(weights), (3, 4)) == (cfg.SEED, cfg.MODEL.WEIGHTS, cfg.SOLVER.STEPS)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"factors": {"flip": "mirror"}}, r"flip: got 'mirror', expected one of \['coordinate'"),
        ({"factors": {"flop": "index"}}, r"factor: got 'flop', expected one of \['box_transf"),
        ({"preset": "mmdet"}, r"D2ALIGN.PRESET: got 'mmdet', expected one of \['aligned'"),
        ({"seed": -1}, "seed: got -1, expected a whole number from 0"),
        ({"seed": "one"}, "seed: got 'one'"),
        ({"num_gpus": 0}, "num_gpus: got 0"),
        ({"eval_only": "yes"}, "eval_only: got 'yes'"),
        ({"lease": 0}, "lease: got 0"),
        ({"arms": "x"}, "sweep: got the key 'arms', expected one of"),
        ({"opts": {"NO": {"KEY": 1}}}, "Non-existent key: NO.KEY"),
        ({"opts": "SEED 1"}, "opts: got 'SEED 1'"),
        ({"config_file": "no/such.yaml"}, r"--config-file: got 'no/such.yaml'|no/such.yaml"),
        ({"weights": "/no/such.pth"}, "MODEL.WEIGHTS: got '/no/such.pth'"),
        ({"opts": {"DATASETS": {"TRAIN": ["coco_2018"]}}}, "DATASETS: got 'coco_2018'"),
    ],
)
def test_bad_input_is_a_value_error(settings: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        arm(**settings)


def test_flatten_gives_dotted_names():
    tree = {"a": {"b": {"c": 1}, "d": [2]}, "e": None}
    assert flatten(tree) == {"a.b.c": 1, "a.d": [2], "e": None}


GRIDS = {
    "sweep": (1, {"reference"}),
    "shapes": (11, {"reference", "flip_index", "py_faster_rcnn"}),  # of each seed
    "coco_finetune": (6, {"reference", "anchors_detectron1"}),
    "coco_train": (11, {"reference", "detectron1"}),
    "coco_inference": (12, {"reference", "paste_mask_detectron1"}),
}


@pytest.mark.parametrize("name", sorted(p.stem for p in CONFIGS.glob("*.yaml")))
def test_grid_of_each_file(name: str, monkeypatch: pytest.MonkeyPatch):
    for check in ("check_datasets", "check_weights"):
        monkeypatch.setattr(checks, check, lambda *args, **kwargs: None)
    count, some = GRIDS[name]
    register_arms()
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(name, return_hydra_config=True)
        params = config.hydra.sweeper.params or {}
        if "seed" in params:
            assert params.seed == "1,2,3"
            params.seed = "1"  # a third of the time
        settings = expand(config)
    arms = make_grid(settings)
    assert len(arms) == len(settings) == count
    assert some <= {one.arm for one in arms}
    assert all(one.arm in arm_choices() for one in arms)
    assert {s.reference for s in settings} == {"reference"}


def plan_of(root: Path, *settings: dict[str, object]):
    made = [settings_from({"config_file": ALIGNED, "folder": str(root), **s}) for s in settings]
    return make_plan(make_grid(made), made)


def test_folder_may_grow_but_keeps_one_answer_to_a_question(tmp_path: Path):
    first = plan_of(tmp_path, {"seed": 1})
    grown = plan_of(tmp_path, {"seed": 1}, {"seed": 2}, {"factors": {"flip": "index"}})
    assert set(first.ids) < set(grown.ids)
    config = tmp_path / "mine.yaml"
    base = Path(ALIGNED).resolve().parent / "Base-shapes.yaml"
    for iterations in (10, 20):
        config.write_text(f"_BASE_: {base}\nSOLVER:\n  MAX_ITER: {iterations}\n")
        if iterations == 10:
            plan_of(tmp_path, {"config_file": str(config)})
    with pytest.raises(ValueError, match=r"folder: got .*the config has changed since"):
        plan_of(tmp_path, {"config_file": str(config)})
    with pytest.raises(ValueError, match=r"reference: got 'refernce', expected one of"):
        plan_of(tmp_path, {"reference": "refernce"})
    with pytest.raises(ValueError, match=r"reference: got \['aligned', 'reference'\]"):
        plan_of(tmp_path, {"reference": "aligned"}, {"seed": 2})


def test_state_of_an_arm_as_a_command_sees_it(tmp_path: Path):
    plan = plan_of(tmp_path, {})
    (arm_id,) = plan.ids
    folder: ArmFolder = plan.folder(arm_id)
    assert plan.state(arm_id) is State.TO_DO
    attempt = folder.claim()
    assert plan.state(arm_id) is State.RUNNING
    attempt.end("failed", 1, 0.0, [])
    assert plan.state(arm_id) is State.FAILED
    later = plan_of(tmp_path, {})
    assert later.state(arm_id) is State.TO_DO  # a new command tries it again
    folder.claim().end("stopped", -9, 0.0, [])
    assert later.state(arm_id) is State.TO_DO
    folder.result.write_text("{}")
    assert later.state(arm_id) is plan.state(arm_id) is State.DONE


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["arm=reference,flip_mirror"], ["Could not find 'arm/flip_mirror'", "flip_index"]),
        (["arm=reference", "+factors.flip=index,mirror"], ["flip: got 'mirror', expected one of"]),
        (["seed=1,-1"], ["seed: got -1"]),
        (["+sed=1,2"], ["sweep: got the key 'sed'"]),
        (["hydra/launcher=joblib", "seed=1,x"], ["seed: got 'x'"]),
    ],
)
def test_command_with_bad_input_ends_before_any_job(
    tmp_path: Path, arguments: list[str], messages: list[str]
):
    sweep = Sweep(tmp_path / "sweep", [*FAKE, *arguments], {"D2ALIGN_CACHE": str(tmp_path / "c")})
    assert sweep.finish() == 2
    for message in ["error: ", *messages]:
        assert message in sweep.said()
    assert "Traceback" not in sweep.said()
    assert not list(sweep.root.glob("arms/*"))
