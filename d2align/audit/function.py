"""Audit one function: which pixel convention does it obey, and by how much is it off?"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from d2align.audit.guard import ProbeFailure
from d2align.audit.probes import CONTRACTS, KINDS
from d2align.audit.record import ALIGNED_PX, Finding
from d2align.audit.time_limit import TimeUp, time_limit

# A minute is ten times what the slowest function of any library takes.
TIME_LIMIT_S = 60.0


def audit_function(
    fn: Any, kind: str, *, subject: str | None = None, time_limit_s: float = TIME_LIMIT_S
) -> Finding:
    """Find the convention that a function obeys, by experiment.

    Convention: errors are against d2align's own, integer corners and sampling grid 2.

    Args:
        fn: the function, or the pair or set of functions that some kinds need. The contract of
            each kind is in its file under ``d2align/audit/probes``.
        kind: what it does, one of ``KINDS``.
        subject: its name in the report; its own by default.
        time_limit_s: how long all of it may take, seconds; one that hangs is stopped.

    Returns:
        The finding. A function that raises, hangs, changes its input, answers at random, or answers
        with NaN or a wrong shape gets the status "failed" and a sentence that says so.

    Raises:
        ValueError: an unknown kind, or a time limit that is not positive.
    """
    if not time_limit_s > 0:
        raise ValueError(f"time_limit_s: got {time_limit_s}, expected seconds above 0")
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind!r}, expected one of {', '.join(KINDS)}")
    subject = subject or name_of(fn)
    try:
        with time_limit(time_limit_s):
            return KINDS[kind](fn, subject)
    except TimeUp:
        why = f"it takes longer than {time_limit_s:g} s"
    except ProbeFailure as e:
        why = str(e)
    sentence = f"Could not be measured: {why}. Expected: {CONTRACTS[kind]}."
    return Finding(kind, subject, "none", "failed", sentence)


def assert_aligned(fn: Any, *, kind: str, tolerance_px: float = ALIGNED_PX) -> Finding:
    """Assert in a test that a function obeys d2align's convention.

    Args:
        fn: as for ``audit_function``.
        kind: one of ``KINDS``.
        tolerance_px: the largest error allowed, pixels.

    Returns:
        The finding.

    Raises:
        AssertionError: it is farther off, obeys no known convention, or cannot be measured; the
            message says which and how to fix it.
        ValueError: an unknown kind, or a negative tolerance.
    """
    __tracebackhide__ = True
    if not tolerance_px >= 0:
        raise ValueError(f"tolerance_px: got {tolerance_px}, expected at least 0")
    finding = audit_function(fn, kind)
    far = finding.error_px is None or finding.error_px > tolerance_px
    if far or finding.status not in ("aligned", "deviates"):
        off = "" if finding.error_px is None else f", {finding.error_px:.3f} px off"
        raise AssertionError(
            f"{finding.subject} as {kind}: {finding.convention}{off} "
            f"(at most {tolerance_px:g} px wanted). {finding.sentence}"
        )
    return finding


def load_function(path: str) -> Any:
    """Import what ``MODULE:NAME`` names; modules of the working directory are found too.

    Args:
        path: such as ``my_project.transforms:resize``; NAME may have dots.

    Returns:
        The object.

    Raises:
        ValueError: no such module or name, or a path of another form.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ValueError(
            f"MODULE:NAME: got {path!r}, expected such as my_project.transforms:resize"
        )
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as e:  # whatever a module raises when it is imported
        why = f"{type(e).__name__}: {e}"
        raise ValueError(f"MODULE:NAME: cannot import {module_name!r} ({why})") from e
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"MODULE:NAME: {module_name} has no {name!r}{hint}")
        found = getattr(found, part)
    return found


def name_of(fn: Callable[..., Any]) -> str:
    """Return a function's own name, with its module."""
    name = getattr(fn, "__qualname__", type(fn).__qualname__)
    module = getattr(fn, "__module__", None) or type(fn).__module__
    return f"{module}.{name}"
