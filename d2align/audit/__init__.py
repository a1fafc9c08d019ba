"""The auditor: which pixel convention does a function obey, and by how many pixels is it off?"""

from d2align.audit.function import assert_aligned, audit_function
from d2align.audit.probes import KINDS
from d2align.audit.record import Finding

__all__ = ["KINDS", "Finding", "assert_aligned", "audit_function"]
