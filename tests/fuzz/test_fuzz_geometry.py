"""Every public function of d2align.geometry, with good arguments and with odd ones."""

from __future__ import annotations

import pytest
from fuzz_geometry import AREAS, TARGETS, warm_up
from fuzz_target import check_good, check_odd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from d2align import geometry

CONSTANTS = {"SCALE_CLAMP", "PIL_POLYGON_FATTENING"}
SHORT = settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.fixture(autouse=True)
def compiled() -> None:
    warm_up()


def test_every_public_name_is_fuzzed_once() -> None:
    assert set(TARGETS) == set(geometry.__all__) - CONSTANTS
    assert len(TARGETS) == sum(len(area.TARGETS) for area in AREAS)
    assert all(isinstance(getattr(geometry, name), float) for name in CONSTANTS)


@pytest.mark.parametrize("name", TARGETS)
def test_good_arguments_are_taken_and_the_law_holds(name: str) -> None:
    @SHORT
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check_good(TARGETS[name], data)

    run()


@pytest.mark.parametrize("name", TARGETS)
def test_odd_arguments_are_taken_or_refused_by_name(name: str) -> None:
    @SHORT
    @given(st.data())
    def run(data: st.DataObject) -> None:
        check_odd(TARGETS[name], data)

    run()
