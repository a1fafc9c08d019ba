"""What the command-line tools share: errors of the user's are told in a line, not a traceback."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]
_OURS = (_PACKAGE, _PACKAGE.parent / "projects", _PACKAGE.parent / "tools")


def fail_politely(main: Callable[[], int | None]) -> int:
    """Run a tool's main function, turning bad input into a message and an exit code.

    Args:
        main: takes its arguments from the command line.

    Returns:
        What main returned, by default 0; or 2 after bad input, which was described on standard
        error.
    """
    try:
        code = main()
    except (ValueError, ModuleNotFoundError) as e:
        if isinstance(e, ModuleNotFoundError) and e.name != "detectron2":
            raise
        if not _is_ours(e):
            raise  # a defect somewhere else, whose traceback is wanted
        print(f"error: {e}", file=sys.stderr)
        return 2
    return code or 0


def _is_ours(error: Exception) -> bool:
    """Whether an error was raised by d2align's own checks, or by those of its projects."""
    where = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
    return any(where.is_relative_to(folder) for folder in _OURS)
