"""An end to functions that do not come back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# An alarm that a function's own `except:` swallowed is repeated.
_AGAIN_S = 0.5


class TimeUp(BaseException):
    """The time is over; no `except Exception` of an audited function catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp in the body if it takes too long.

    Only where alarms reach: in a process's main thread, and not on Windows. A library that does not
    come back from its own compiled code is not stopped either.

    Args:
        seconds: of the clock on the wall.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: Any) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)
