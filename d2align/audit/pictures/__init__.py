"""Pictures of deviations, drawn from what the probes measured, on one HTML page."""

from __future__ import annotations

from d2align.audit.pictures.draw import draw
from d2align.audit.pictures.page import pictures_page

__all__ = ["draw", "pictures_page"]
