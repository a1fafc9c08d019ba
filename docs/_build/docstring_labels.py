"""Shows the project's own docstring labels, such as ``Convention:``, as paragraphs of their own."""

from __future__ import annotations

import re
from typing import Any

import griffe

LABELS = ("Convention", "Differs from", "Source")
# A label, and all that belongs to it: up to an empty line, another label or the end.
_LABELLED = re.compile(
    rf"^({'|'.join(LABELS)}):[ ]*(.*(?:\n(?!\n|(?:{'|'.join(LABELS)}):).+)*)", re.MULTILINE
)
_RETURNS = re.compile(r"^(Returns:\n[ ]+)", re.MULTILINE)


class DocstringLabels(griffe.Extension):
    """Makes "Convention: x" read as a bold label in a paragraph of its own."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object that was loaded."""
        if obj.docstring:
            obj.docstring.value = label(obj.docstring.value)
            if obj.is_function and obj.returns is not None:
                obj.docstring.value = name_returned_type(obj.docstring.value, str(obj.returns))


def label(text: str) -> str:
    """Return a docstring with each label in bold, in a paragraph on one line."""

    def paragraph(match: re.Match[str]) -> str:
        words = " ".join(match[2].split())
        return f"\n**{match[1]}:** {words}\n"

    return _LABELLED.sub(paragraph, text)


def name_returned_type(text: str, annotation: str) -> str:
    """Return a docstring whose ``Returns:`` begins with the type, so that no colon passes for one.

    Args:
        text: the docstring.
        annotation: the type.

    Returns:
        The docstring.
    """
    return _RETURNS.sub(lambda match: f"{match[1]}{annotation}: ", text)
