import dataclasses
import math

import numpy as np
import pytest
from coco_synthetic import make_dataset, make_results

from d2align.evaluation.bootstrap import combine_bases, paired_bootstrap, verdict
from d2align.evaluation.matches import match_detections
from d2align.evaluation.perturb import shift_boxes
from d2align.evaluation.resolution import bases_to_resolve, images_to_resolve
from d2align.evaluation.student_t import t_quantile


def jittered(rng, results, sigma=0.7):
    noise = rng.normal(0, sigma, (len(results), 4)).tolist()
    return [shift_boxes([r], *n)[0] for r, n in zip(results, noise, strict=True)]


@pytest.fixture(scope="module")
def bases():
    """Reference and shifted tables of three bases on the same 40 images."""
    rng = np.random.default_rng(0)
    dataset = make_dataset(rng, 40)
    runs = [make_results(rng, dataset) for _ in range(3)]
    shifted = [shift_boxes(run, right=3, bottom=3) for run in runs]
    return [[match_detections(dataset, run) for run in arm] for arm in (runs, shifted)]


def test_a_harmful_shift_is_found_and_its_numbers_agree(bases):
    one = paired_bootstrap(bases[0][0], bases[1][0], num_draws=200)
    assert one.delta == pytest.approx(one.variant_ap - one.reference_ap)
    assert one.reference_ap == pytest.approx(100 * bases[0][0].ap())
    assert one.base_deltas == (one.delta,)
    assert one.low < one.delta < one.high < 0
    assert verdict(one) == "lower"
    assert (one.num_images, one.num_draws, one.base_se) == (40, 200, 0.0)
    assert not one.includes_base_variance
    back = paired_bootstrap(bases[1][0], bases[0][0], num_draws=200)
    assert verdict(back) == "higher"
    assert (back.low, back.high) == pytest.approx((-one.high, -one.low))


def test_equal_arms_differ_by_exactly_zero(bases):
    same = paired_bootstrap(bases[0], bases[0], num_draws=20)
    assert (same.low, same.delta, same.high, same.se) == (0, 0, 0, 0)
    assert verdict(same) == "same"


def test_draws_follow_the_seed(bases):
    first, again, other = (
        paired_bootstrap(bases[0][0], bases[1][0], num_draws=30, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first.se != other.se and first.delta == other.delta


def test_several_bases_average_and_area_and_iou_reach_the_tables(bases):
    three = paired_bootstrap(*bases, num_draws=100, area="large", iou=0.75)
    each = [
        100 * (v.ap(area="large", iou=0.75) - r.ap(area="large", iou=0.75))
        for r, v in zip(*bases, strict=True)
    ]
    assert three.base_deltas == pytest.approx(each)
    assert three.delta == pytest.approx(np.mean(each))
    assert three.includes_base_variance
    assert three.se == pytest.approx(math.hypot(three.image_se, three.base_se))


def test_repeats_of_a_base_count_as_their_mean_and_not_as_more_bases(bases):
    reference, variant = bases
    grouped = paired_bootstrap([reference[:2], reference[2:]], [variant[:2], variant[2:]], 50)
    each = [100 * (v.ap() - r.ap()) for r, v in zip(reference, variant, strict=True)]
    assert grouped.base_deltas == pytest.approx(((each[0] + each[1]) / 2, each[2]))
    repeated = paired_bootstrap([[t, t, t] for t in reference], [[t, t, t] for t in variant], 50)
    once = paired_bootstrap(reference, variant, 50)
    assert dataclasses.astuple(repeated)[:6] == pytest.approx(dataclasses.astuple(once)[:6])
    with pytest.raises(ValueError, match=r"reference\[0\]: got no table"):
        paired_bootstrap([[]], [variant[:1]], 50)


def test_pairing_cancels_what_the_arms_share(bases):
    paired = paired_bootstrap(bases[0][0], bases[1][0], num_draws=200)
    rng = np.random.default_rng(5)
    spread = [100 * bases[0][0].ap(rng.multinomial(40, np.full(40, 1 / 40))) for _ in range(200)]
    assert paired.se < np.std(spread)


def test_base_variance_excludes_the_image_noise_already_counted():
    covariance = np.array([[3.0, 1.0], [1.0, 3.0]])  # shared 1, own 2
    deltas = np.array([-2.0, 2.0])  # sample variance 8
    image_se, base_se, half = combine_bases(deltas, covariance, 1000, 0.95)
    assert image_se**2 == pytest.approx(2.0)
    assert base_se**2 == pytest.approx((8 - 2) / 2)
    wanted = math.hypot(t_quantile(0.975, 999) * 1.0, t_quantile(0.975, 1) * math.sqrt(8 / 2))
    assert half == pytest.approx(wanted)
    assert combine_bases(np.array([0.0, 0.1]), covariance, 1000, 0.95)[1] == 0.0


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [
        (0.975, 1, 12.706205),
        (0.975, 2, 4.302653),
        (0.975, 4, 2.776445),
        (0.995, 9, 3.249836),
        (0.95, 30, 1.697261),
        (0.975, 200, 1.971896),
        (0.975, 1000, 1.962339),
    ],
)
def test_t_quantiles_are_the_tabulated_ones(probability, degrees, expected):
    assert t_quantile(probability, degrees) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize(
    ("num_bases", "base", "low", "high"),
    [(1, 0.0, 0.93, 0.97), (2, 1.0, 0.92, 0.99), (3, 1.0, 0.93, 0.99), (5, 1.0, 0.93, 0.98)],
)
def test_coverage_of_normal_image_and_base_effects(num_bases, base, low, high):
    rng = np.random.default_rng(num_bases)
    hits, trials, num_images = 0, 1000, 50
    for _ in range(trials):
        images = rng.normal(size=(num_images, 1)) + rng.normal(0, 0.5, (num_images, num_bases))
        deltas = math.sqrt(num_images) * images.mean(axis=0) + rng.normal(0, base, num_bases)
        covariance = np.atleast_2d(np.cov(images, rowvar=False))
        hits += abs(deltas.mean()) <= combine_bases(deltas, covariance, num_images, 0.95)[2]
    assert low <= hits / trials <= high


def test_null_arms_are_told_apart_about_one_time_in_twenty():
    misses, trials = 0, 60
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        dataset = make_dataset(rng, 40)
        found = make_results(rng, dataset)
        arms = [match_detections(dataset, jittered(rng, found), areas=["all"]) for _ in range(2)]
        misses += verdict(paired_bootstrap(*arms, num_draws=80, seed=trial)) in ("lower", "higher")
    assert misses <= 8  # 3 expected; more than 8 has a chance below 1 in 100


def test_more_images_resolve_smaller_effects(bases):
    one = paired_bootstrap(bases[0][0], bases[1][0], num_draws=100)
    even = images_to_resolve(one, one.high - one.delta, power=0.5)
    assert even == one.num_images  # the half width is what this many images resolve half the time
    halved = images_to_resolve(one, (one.high - one.delta) / 2, power=0.5)
    assert 3.5 < halved / even < 4.1
    assert images_to_resolve(one, -1.0) == images_to_resolve(one, 1.0)
    assert images_to_resolve(one, 1.0) > images_to_resolve(one, 1.0, power=0.5)
    assert images_to_resolve(one, 1e6) == 2


def test_more_bases_resolve_smaller_effects(bases):
    three = dataclasses.replace(paired_bootstrap(*bases, num_draws=50), base_se=1.0, image_se=0.01)
    assert bases_to_resolve(three, 1.0) > bases_to_resolve(three, 2.0) > 2
    assert bases_to_resolve(three, 1e6) == 2
    # Far out, where the quantiles no longer change, half the effect takes four times the bases.
    assert 3.7 < bases_to_resolve(three, 0.4) / bases_to_resolve(three, 0.8) < 5
    with pytest.raises(ValueError, match="use more images"):
        bases_to_resolve(three, 0.02)
    with pytest.raises(ValueError, match="at least 2"):
        bases_to_resolve(paired_bootstrap(bases[0][0], bases[1][0], num_draws=5), 1.0)


def test_bases_that_differ_hide_small_effects_at_any_number_of_images(bases):
    three = paired_bootstrap(*bases, num_draws=50)
    spread = dataclasses.replace(three, base_se=1.0)
    with pytest.raises(ValueError, match="use more bases"):
        images_to_resolve(spread, 0.5)
    assert images_to_resolve(spread, 50.0) >= 2
    for bad in ({"effect": 0.0}, {"effect": 1.0, "power": 1.0}):
        with pytest.raises(ValueError, match="got"):
            images_to_resolve(three, **bad)


def test_bad_input_is_named(bases):
    reference, variant = bases[0][0], bases[1][0]
    fewer = dataclasses.replace(variant, image_ids=variant.image_ids[1:])
    other = dataclasses.replace(variant, category_ids=variant.category_ids + 1)
    masks = dataclasses.replace(variant, iou_type="segm")
    cases = [
        ((reference, fewer), {}, r"variant\[0\]: got other image_ids"),
        ((reference, other), {}, r"variant\[0\]: got other category_ids"),
        ((reference, masks), {}, r"variant\[0\]: got iou_type 'segm'"),
        ((bases[0], variant), {}, "variant: got 1 tables"),
        (([], []), {}, "variant: got 0 tables"),
        ((reference, variant), {"num_draws": 0}, "num_draws: got 0"),
        ((reference, variant), {"confidence": 1.0}, "confidence: got 1.0"),
        ((reference, variant), {"area": "huge"}, "area: got 'huge'"),
        ((reference, variant), {"iou": 0.3}, "iou: got 0.3"),
    ]
    for tables, options, message in cases:
        with pytest.raises(ValueError, match=message):
            paired_bootstrap(*tables, **options)


def test_no_ground_truth_is_refused():
    dataset = {**make_dataset(np.random.default_rng(0), 5), "annotations": []}
    table = match_detections(dataset, [])
    with pytest.raises(ValueError, match="ground truth"):
        paired_bootstrap(table, table)
