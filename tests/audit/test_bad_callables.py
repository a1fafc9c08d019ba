"""Functions that misbehave get a clear record, never a crash, for every kind of probe."""

from __future__ import annotations

import itertools
import json
import signal
import time
from typing import Any

import contracts as c
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from d2align.audit import KINDS, audit_function

# Anchors take no array and contours come in lists: some spoilings mean nothing there.
FAULTS = {
    "raises": (c.raising, "raised RuntimeError: no such luck"),
    "leaves": (c.exiting, "raised SystemExit"),
    "nothing": (c.answering(None), "NoneType"),
    "text": (c.answering("ok"), "expected"),
    "nan": (c.with_nan, "NaN"),
    "shape": (c.misshapen, "shape"),
    "edits": (c.editing, "changes its input"),
    "random": (c.at_random, "differently to the same input"),
    "later": (c.sometimes, "raised MemoryError"),
}
WITHOUT_ARRAYS = {("anchors", "edits"), ("find_contours", "shape")}
LISTS = {("find_contours", "nothing"), ("find_contours", "text")}


def test_every_kind_has_a_sound_example() -> None:
    assert set(c.SOUND) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_sound_functions_are_aligned(kind: str) -> None:
    finding = audit_function(c.SOUND[kind], kind)
    assert finding.status == "aligned", finding.sentence
    assert finding.error_px <= 0.01


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_callables_get_a_record(kind: str, fault: str) -> None:
    if (kind, fault) in WITHOUT_ARRAYS:
        return
    spoil, says = FAULTS[fault]
    finding = audit_function(c.each(c.SOUND[kind], spoil), kind, subject="it")
    assert finding.status == "failed"
    assert finding.error_px is None
    if (kind, fault) not in LISTS:
        assert says in finding.sentence
    assert type(finding).from_json(json.loads(json.dumps(finding.to_json()))) == finding


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_function_gets_a_record(kind: str) -> None:
    assert audit_function(object(), kind, subject="it").status == "failed"


@pytest.mark.parametrize("kind", KINDS)
def test_what_hangs_is_stopped(kind: str) -> None:
    def hang(*args: Any) -> Any:
        while True:
            try:
                time.sleep(0.001)
            except Exception:
                continue

    hanging = c.each(c.SOUND[kind], lambda fn: hang)
    finding = audit_function(hanging, kind, subject="it", time_limit_s=0.05)
    assert finding.status == "failed"
    assert "takes longer than 0.05 s" in finding.sentence


LAZY = {
    "its input": lambda fn: lambda *args: args[0],
    "nothing to see": lambda fn: lambda *args: np.zeros((0, 3)),
    "zeros": lambda fn: lambda *args: np.zeros(np.shape(fn(*args))),
}


@pytest.mark.parametrize("answer", LAZY)
@pytest.mark.parametrize("kind", KINDS)
def test_lazy_answers_are_never_aligned(kind: str, answer: str) -> None:
    if (kind, answer) == ("transform", "its input"):
        return  # what moves nothing agrees
    finding = audit_function(c.each(c.SOUND[kind], LAZY[answer]), kind, subject="it")
    assert finding.status != "aligned"


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="time_limit_s"):
        audit_function(len, "resize", time_limit_s=0)


def test_an_alarm_of_somebody_elses_is_left_as_it_was() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    try:
        audit_function(c.SOUND["box_area"], "box_area")
        signal.raise_signal(signal.SIGALRM)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert rung == [1]


answers = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.complex_numbers(),
        st.text(max_size=3),
        st.binary(max_size=3),
        st.sampled_from((torch.zeros(2, 2), torch.ones(3, requires_grad=True), object(), range(3))),
        npst.arrays(
            st.sampled_from((np.float32, np.int8, bool, complex, "U2", "M8[s]", object)),
            npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
        ),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=1), inner),
    max_leaves=4,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(answer=answers, sound_calls=st.integers(0, 30))
def test_any_answer_at_any_call_gets_a_record(kind: str, answer: Any, sound_calls: int) -> None:
    calls = itertools.count()

    def spoil(fn: Any) -> Any:
        return lambda *args: fn(*args) if next(calls) < sound_calls else answer

    finding = audit_function(c.each(c.SOUND[kind], spoil), kind, subject="it")
    assert type(finding).from_json(json.loads(json.dumps(finding.to_json()))) == finding
    assert finding.status != "aligned" or sound_calls > 0


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=5)
@given(seed=st.integers(0, 10**6), how=st.sampled_from(("constant", "noise", "huge", "shuffled")))
def test_nonsense_of_the_right_shape_is_never_aligned(kind: str, seed: int, how: str) -> None:
    """Repeatable nonsense: no crash, no sound verdict."""

    def spoil(fn: Any) -> Any:
        def bad(*args: Any) -> Any:
            out = fn(*args)
            if isinstance(out, list):
                return [nonsense(np.array(item, dtype=np.float64)) for item in out]
            return nonsense(np.asarray(out, dtype=np.float64))

        return bad

    def nonsense(out: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(seed)
        if how == "constant":
            return np.full(out.shape, float(rng.integers(-3, 300)))
        if how == "noise":
            return rng.normal(size=out.shape) * 100
        if how == "huge":
            return np.full(out.shape, 1e30)
        return rng.permutation(out.ravel()).reshape(out.shape)

    finding = audit_function(c.each(c.SOUND[kind], spoil), kind, subject="it")
    # A permutation of few values can be the same again.
    assert finding.status != "aligned" or (how == "shuffled" and kind in ("nms", "find_contours"))
    assert finding.sentence
