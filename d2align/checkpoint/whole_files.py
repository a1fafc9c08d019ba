"""Checkpoints that are there whole or not at all, whatever stops the process that writes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d2align.atomic import replacing


class WholeFiles:
    """A path manager whose local files appear under their names only when they are written."""

    def __init__(self, manager: Any) -> None:
        """Wrap a path manager.

        Args:
            manager: one of iopath's; all but the writing of local files is left to it.
        """
        self._manager = manager

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)

    @contextlib.contextmanager
    def open(self, path: str, mode: str = "r", **kwargs: Any) -> Iterator[Any]:
        """Open a file; one that is written replaces the file of that name at the end.

        Args:
            path: local, or whatever the path manager takes; URLs are written as it writes them.
            mode: as for the built-in ``open``.
            **kwargs: of the path manager's ``open``.

        Yields:
            The file.

        Raises:
            OSError: it cannot be written to the end; nothing is left behind.
        """
        if "w" not in mode or "://" in path:
            with self._manager.open(path, mode, **kwargs) as file:
                yield file
            return
        with (
            replacing(Path(path)) as partial,
            self._manager.open(str(partial), mode, **kwargs) as file,
        ):
            yield file
