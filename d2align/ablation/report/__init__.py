"""A comparison's outcome as a page: HTML, Markdown, JSON, pictures, and text for the terminal.

``outcome.py`` says what a report is made from, ``page.py`` what a page is made of; ``content.py``
writes the one from the other, ``html.py``, ``markdown.py`` and ``terminal.py`` set it.
"""

from __future__ import annotations

from d2align.ablation.report.outcome import Outcome
from d2align.ablation.report.save import save
from d2align.ablation.report.terminal import terminal

__all__ = ["Outcome", "save", "terminal"]
