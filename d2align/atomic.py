"""Files that are there whole or not at all, whenever the process that writes them is killed."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to, and rename that file to the wanted one when it is whole.

    After an error nothing is left behind, and the wanted file is as it was before.

    Args:
        path: the file that is wanted; its folder must exist.

    Yields:
        The path of a file beside it, to be written.

    Raises:
        OSError: it cannot be written to the end.
    """
    # Unique, since processes of several machines may write into one folder.
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        yield partial
        _to_disk(partial)
        os.replace(partial, path)
    except RuntimeError as error:  # torch's writer hides what the file said
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all.

    Args:
        path: the file; its folder must exist.
        text: its content.
    """
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _to_disk(path: Path) -> None:
    with open(path, "rb+") as f:
        os.fsync(f.fileno())
