"""What older releases of torch have under another name."""

from __future__ import annotations

import torch

if hasattr(torch, "compiler") and hasattr(torch.compiler, "is_compiling"):

    def is_compiling() -> bool:
        """Return whether torch.compile looks on."""
        return torch.compiler.is_compiling()

else:  # before 2.3

    def is_compiling() -> bool:
        """Return whether torch.compile looks on."""
        return torch._utils.is_compiling()


try:
    torch.is_autocast_enabled("cpu")
except TypeError:  # before 2.4

    def is_autocast_enabled_on_cpu() -> bool:
        """Return whether operators on the CPU choose their precision."""
        return torch.is_autocast_cpu_enabled()

else:

    def is_autocast_enabled_on_cpu() -> bool:
        """Return whether operators on the CPU choose their precision."""
        return torch.is_autocast_enabled("cpu")
