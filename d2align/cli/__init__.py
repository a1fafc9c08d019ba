"""The ``d2align`` command and what the scripts in tools/ share: parsing, and polite errors."""

from .politely import fail_politely

__all__ = ["fail_politely"]
