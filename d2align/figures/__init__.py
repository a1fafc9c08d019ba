"""The article's ideas as pictures, drawn from the project's own functions.

One file a picture; ``draw_all`` writes them all.
"""

from __future__ import annotations

from d2align.figures.draw_all import FIGURES, draw_all

__all__ = ["FIGURES", "draw_all"]
