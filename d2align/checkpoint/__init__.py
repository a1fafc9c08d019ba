"""Checkpoints read as data: no code in them is run unless the user says so."""

from .checkpointer import SafeCheckpointer, trusts_checkpoints
from .load import load_file

__all__ = ["SafeCheckpointer", "load_file", "trusts_checkpoints"]
