"""Files of results that are there whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from detectron2.utils.file_io import PathManager

from d2align.atomic import replacing


@contextlib.contextmanager
def open_whole(path: str, mode: str) -> Iterator[IO]:
    """Open a file that appears under its name only when it is written to the end.

    Args:
        path: local, or a URL that a handler of Detectron2's PathManager takes. What such a
            handler does with a half-written file is its own affair.
        mode: "w" or "wb".

    Yields:
        The file.

    Raises:
        OSError: it cannot be written to the end; nothing is left behind.
    """
    if "://" in path:
        with PathManager.open(path, mode) as file:
            yield file
        return
    with replacing(Path(path)) as partial, open(partial, mode) as file:
        yield file
