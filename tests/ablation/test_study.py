"""Plans: every file that a task needs is made before it, and arms are paired with equals."""

from __future__ import annotations

from dataclasses import replace

import pytest

from d2align.ablation.crossover import crossings
from d2align.ablation.study import (
    ARMS,
    FULL_ARMS,
    Study,
    choose_arms,
    finetunes,
    full_study,
    quick_study,
)
from d2align.ablation.tasks import plan
from d2align.config import FACTORS
from d2align.fixes import FIXES


@pytest.mark.parametrize("study", [quick_study(), full_study()], ids=["quick", "full"])
def test_plan_makes_every_file_before_it_is_needed(study: Study):
    made: set[str] = set()
    for task in plan(study):
        assert made.issuperset(task.needs), task
        assert task.out not in made
        made.add(task.out)


def test_quick_study_has_the_inference_factors_and_the_flip_and_full_has_all():
    quick = {arm.factor for arm in quick_study().arms}
    assert {"paste_mask", "box_transform", "flip", "null"} <= quick
    assert {*FACTORS, *FIXES} - {"mask_resize"} < {arm.factor for arm in full_study().arms}
    assert {*FACTORS, *FIXES} < {arm.factor for arm in ARMS}
    assert full_study().num_bases >= 3


def test_arms_turn_factors_to_known_values_and_names_are_unique():
    assert len({arm.name for arm in ARMS}) == len(ARMS)
    for arm in ARMS:
        if arm.factor != "null":
            assert arm.value in {**FACTORS, **FIXES}[arm.factor].values[1:]


def test_arms_are_chosen_by_name():
    chosen = choose_arms(["anchor_offset_centred", "flip_index"])
    assert [arm.name for arm in chosen] == ["flip_index", "anchor_offset_centred"]
    assert full_study(arms=chosen).arms == chosen and full_study(arms=chosen).num_bases == 4
    with pytest.raises(ValueError, match=r"--arms: got \['flips'\].*flip_index"):
        choose_arms(["flips"])


def test_masks_to_be_resized_must_not_be_polygons(tmp_path):
    from d2align.ablation.main import run_ablation

    study = quick_study(arms=choose_arms(["mask_resize_unbiased"]))
    with pytest.raises(ValueError, match=r"polygons of \['shapes_128_train'\].*shapes_128_rle"):
        run_ablation(study, "configs/shapes/ablation_aligned.yaml", tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()


def test_equal_arms_train_for_equally_long():
    tasks = plan(full_study())
    for kind in ("finetune", "late", "crossing"):
        assert len({task.units for task in tasks if task.kind == kind}) == 1


def test_key_depends_on_what_decides_the_weights_and_on_nothing_else():
    study = quick_study()
    assert study.key() == replace(study, num_bases=7, num_draws=3, arms=FULL_ARMS).key()
    assert study.key() != replace(study, late_iterations=1).key()
    assert study.key() != replace(study, opts=("MODEL.DEVICE", "cpu")).key()


def test_fine_tunes_are_repeated_with_other_batches_that_both_ends_share():
    study = quick_study()
    arm = next(a for a in study.arms if a.name == "flip_detectron1")
    by_out = {task.out: task for task in plan(study) if task.kind == "finetune" and task.base == 1}
    pairs = finetunes(study, arm)
    assert [order for order, *_ in pairs] == [0, 1]
    for order, reference, variant in pairs:
        ends = [by_out[f"base1/{end.name}.pth"] for end in (reference, variant)]
        assert [task.order for task in ends] == [order, order]
        assert [task.arm.factor for task in ends] == ["reference", "flip"]
    assert len(by_out) == 6  # the reference's are shared with the null


def test_a_crossover_fine_tunes_both_ends_from_both_starts_with_equal_batches():
    study = replace(full_study(), crossover_orders=2)
    arm = next(a for a in study.arms if a.name == "roi_align_unaligned")
    by_out = {task.out: task for task in plan(study) if task.kind == "crossing" and task.base == 1}
    starts = []
    for reference, variant in crossings(study, arm):
        to_aligned, to_variant = (by_out[f"base1/{c.arm.name}.pth"] for c in (reference, variant))
        assert to_aligned.needs == to_variant.needs
        assert to_aligned.order == to_variant.order
        assert (to_aligned.arm.factor, to_variant.arm.factor) == ("reference", "roi_align")
        starts += to_aligned.needs
    assert starts == ["base1/final.pth", "base1/roi_align_unaligned.pth"] * 2
    variant_base = [t for t in plan(study) if t.out == "base1/roi_align_unaligned.pth"]
    assert [t.kind for t in variant_base] == ["late"]  # trained under the variant, from early on
