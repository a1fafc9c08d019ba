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


class DocstringLabels(griffe.Extension):
    """Makes "Convention: x" read as a bold label in a paragraph of its own."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite the docstring of an object that was loaded."""
        if obj.docstring:
            obj.docstring.value = label(obj.docstring.value)


def label(text: str) -> str:
    """Return a docstring with each label in bold, in a paragraph on one line."""

    def paragraph(match: re.Match[str]) -> str:
        words = " ".join(match[2].split())
        return f"\n**{match[1]}:** {words}\n"

    return _LABELLED.sub(paragraph, text)
