"""How often the intervals of d2align.evaluation.bootstrap hold the truth; nominal 95%.

Run ``python benchmarks/bootstrap_coverage.py`` (under two minutes on one core).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests/evaluation")]

from coco_synthetic import make_dataset, make_results  # noqa: E402

from d2align.evaluation.bootstrap import _draw_deltas, combine_bases  # noqa: E402
from d2align.evaluation.matches import MatchTable, match_detections  # noqa: E402
from d2align.evaluation.perturb import shift_boxes  # noqa: E402

# Standard deviations: image noise all bases share, image noise of each base, base effect.
SETTINGS = ((1, 0.1, 0), (1, 1, 0), (1, 0.3, 0.3), (1, 1, 1), (1, 0.5, 1), (1, 1, 3), (0.3, 0.3, 3))


def model_coverage(
    num_bases: int, shared: float, own: float, base: float, trials: int, num_images: int = 60
) -> tuple[float, float]:
    """Coverage and median half width over the ideal one, for normal image and base effects.

    The bootstrap covariance of a mean is known in closed form, so nothing is resampled. For
    one base the truth is that base's own delta: the interval claims no more.
    """
    rng = np.random.default_rng([num_bases, int(10 * shared), int(10 * own), int(10 * base)])
    target_base = base if num_bases > 1 else 0.0
    hits, widths = 0, []
    for _ in range(trials):
        images = rng.normal(0, shared, (num_images, 1)) + rng.normal(
            0, own, (num_images, num_bases)
        )
        images *= np.sqrt(num_images)
        deltas = images.mean(axis=0) + rng.normal(0, 1, num_bases) * target_base
        covariance = np.atleast_2d(np.cov(images, rowvar=False)) / num_images
        half_width = combine_bases(deltas, covariance, num_images, 0.95)[2]
        hits += abs(deltas.mean()) <= half_width
        widths.append(half_width)
    ideal = 1.96 * np.sqrt(shared**2 + (own**2 + target_base**2) / num_bases)
    return hits / trials, float(np.median(widths) / ideal)


def detection_trial(seed: int, num_images: int, shift: float) -> tuple[MatchTable, MatchTable]:
    """Two arms with independent jitter of one law; the variant's far edges moved by ``shift``."""
    rng = np.random.default_rng(seed)
    dataset = make_dataset(rng, num_images)
    found = make_results(rng, dataset)
    arms = []
    for moved in (0.0, shift):
        noise = rng.normal(0, 0.7, (len(found), 4))
        arm = [shift_boxes([r], *n)[0] for r, n in zip(found, noise.tolist(), strict=True)]
        arm = shift_boxes(arm, right=moved, bottom=moved)
        arms.append(match_detections(dataset, arm, areas=["all"]))
    return arms[0], arms[1]


def detection_misses(
    trials: int, num_images: int, shift: float, truth: float, num_draws: int
) -> dict[str, int]:
    """How many intervals leave the truth out: the t interval, and the percentile interval."""
    misses = {"t": 0, "percentile": 0}
    for trial in range(trials):
        reference, variant = detection_trial(trial, num_images, shift)
        draws = _draw_deltas([[reference]], [[variant]], num_draws, trial, "all", None)
        delta = 100 * (variant.ap() - reference.ap())
        covariance = np.atleast_2d(draws.var(ddof=1)) * num_images / (num_images - 1)
        half_width = combine_bases(np.array([delta]), covariance, num_images, 0.95)[2]
        misses["t"] += abs(delta - truth) > half_width
        low, high = np.percentile(draws, [2.5, 97.5])
        misses["percentile"] += not low <= truth <= high
    return misses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=200, help="detection problems of each kind")
    parser.add_argument("--model-trials", type=int, default=2000, help="of each normal model")
    args = parser.parse_args()

    print("Normal model: coverage (median half width / ideal); sd of shared / own / base noise")
    print(
        f"{'shared':>6} {'own':>4} {'base':>4}" + "".join(f"{f'B={b}':>15}" for b in (1, 2, 3, 5))
    )
    for shared, own, base in SETTINGS:
        row = f"{shared:>6} {own:>4} {base:>4}"
        for num_bases in (1, 2, 3, 5):
            covered, width = model_coverage(num_bases, shared, own, base, args.model_trials)
            row += f"{100 * covered:>8.1f} ({width:.2f})"
        print(row, flush=True)

    print("\nDetection problems, one base: intervals that miss the truth (5% nominal)")
    band = 1.96 * np.sqrt(args.trials * 0.05 * 0.95)
    print(f"95% binomial band: {0.05 * args.trials - band:.0f}..{0.05 * args.trials + band:.0f}")
    num_images = 100
    for shift in (0.0, 1.0):
        truth = 0.0
        if shift:
            reference, variant = detection_trial(10**6, 4000, shift)
            truth = 100 * (variant.ap() - reference.ap())
        misses = detection_misses(args.trials, num_images, shift, truth, num_draws=200)
        print(
            f"{num_images} images, shift {shift:.0f} px (truth {truth:+.2f} AP): "
            f"t {misses['t']}, percentile {misses['percentile']} of {args.trials}",
            flush=True,
        )


if __name__ == "__main__":
    main()
