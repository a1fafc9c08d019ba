"""The soak's tool: a few images, to see that it measures what it says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "soak.py"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_soak_samples_every_pass(tmp_path: Path) -> None:
    environment = {**os.environ, "D2ALIGN_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    sizes = ["--images", "16", "--batch", "4", "--repeats", "2", "--evaluations", "2"]
    command = [sys.executable, str(TOOL), *sizes, "--output", str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "soak.json").read_text())
    assert [(phase, repeat) for phase, repeat, *_ in found["ends"]] == [
        (phase, repeat) for phase in ("train", "evaluate") for repeat in (0, 1)
    ]
    for phase, count in (("train", 4), ("evaluate", 16)):
        seen = [
            images for name, repeat, images, _ in found["samples"] if (name, repeat) == (phase, 1)
        ]
        assert len(seen) == count and seen[-1] == 16
        assert math.isfinite(found["slope_mib_per_1000_images"][phase])
        ends = [mib for name, _, mib, _ in found["ends"] if name == phase]
        growth = found["growth_of_ends_mib_per_1000_images"][phase]
        assert growth == pytest.approx((ends[1] - ends[0]) / 16 * 1000)
