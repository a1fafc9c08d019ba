"""Which processes are alive: on this machine told exactly, on Linux by their start time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from pathlib import Path

_PROC = Path("/proc")
# Marks a process and all its descendants as parts of one attempt.
TOKEN_VARIABLE = "D2ALIGN_SWEEP_ATTEMPT"
_POLL_SECONDS = 0.2


def machine() -> str:
    """Return a name of the set of processes that this one sees: host, boot and namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append((_PROC / "sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink(_PROC / "self/ns/pid"))
    return " ".join(parts)


def start_time(pid: int) -> str:
    """Return when a process started, in ticks since boot; "" where that cannot be known.

    Args:
        pid: the process; with its start time it is never taken for another one.
    """
    return _stat(pid)[1]


def is_running(pid: int, started: str) -> bool:
    """Return whether a process of this machine is still there, and not a zombie.

    Args:
        pid: the process.
        started: what ``start_time`` gave for it.
    """
    state, found = _stat(pid)
    return found == started and state not in ("", "Z", "X")


def _stat(pid: int) -> tuple[str, str]:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return "", ""
    fields = text.rpartition(")")[2].split()  # the name in brackets may hold anything
    return fields[0], fields[19]


def processes_of(token: str) -> list[int]:
    """Return the processes of this machine that carry a token in their environment.

    Args:
        token: the value of ``TOKEN_VARIABLE``.
    """
    wanted = f"{TOKEN_VARIABLE}={token}".encode()
    found = []
    for entry in _PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def kill_processes_of(token: str, patience: float = 10.0) -> None:
    """Kill all processes of an attempt and wait until they are gone.

    Args:
        token: the value of ``TOKEN_VARIABLE``.
        patience: seconds.

    Raises:
        TimeoutError: one is still there.
    """
    deadline = time.monotonic() + patience
    while left := [pid for pid in processes_of(token) if pid != os.getpid()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {left} do not end")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def end_with_parent(parent: int) -> None:
    """Let this process end when its parent has ended, at once and however busy it is.

    If it leads a group, as an arm's process does, all of the group ends.

    Args:
        parent: the pid of the one that started it, which may have ended already.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
