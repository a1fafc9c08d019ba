"""Functions with a planted fault: the rule is named, the fault measured, and none is invented."""

from __future__ import annotations

import numpy as np
import planted_boxes
import planted_images
import pytest

from d2align.audit import KINDS, audit_function

DRAWS = planted_images.DRAWS | planted_boxes.DRAWS
# Many more of them: benchmarks/audit_accuracy.py.
COUNT = 6


def test_every_kind_is_drawn() -> None:
    """Resizes are drawn in test_resize_probe.py."""
    assert {"resize", *DRAWS} == set(KINDS)


@pytest.mark.parametrize("kind", DRAWS)
def test_planted_faults_are_found_and_none_is_invented(kind: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(COUNT):
        drawn = DRAWS[kind](rng)
        assert drawn.faults(audit_function(drawn.fn, kind, subject="it")) == []
