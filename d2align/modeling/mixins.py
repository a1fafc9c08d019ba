"""Put a mixin before the class of one built module, and take it away again.

Only the given module's class changes, to a subclass that is pickled by what it was made of.
"""

from __future__ import annotations

import functools
from typing import Any

from torch import nn


def set_mixin(module: nn.Module, mixin: type | None) -> None:
    """Put a mixin before a module's own class, in the place of one that was put there before.

    Args:
        module: changed in place, and nothing but its class.
        mixin: a class without state of its own; None leaves the module's own class.
    """
    plain = class_without_mixin(module)
    module.__class__ = plain if mixin is None else _class_with_mixin(mixin, plain)


def class_without_mixin(module: nn.Module) -> type:
    """Return a module's class less a mixin that was put before it.

    Args:
        module: any module.

    Returns:
        Its own class.
    """
    plain: type = vars(type(module)).get("class_without_mixin", type(module))
    return plain


@functools.cache
def _class_with_mixin(mixin: type, plain: type) -> type:
    if issubclass(plain, mixin):
        return plain
    members = {"class_without_mixin": plain, "mixin": mixin, "__reduce_ex__": _reduce}
    return type(f"{mixin.__name__}{plain.__name__}", (mixin, plain), members)


def _reduce(self: Any, protocol: int) -> Any:
    """Pickle a module whose class was made here, by what its class was made of."""
    made_of = (type(self).mixin, type(self).class_without_mixin)
    return _rebuild, made_of, self.__dict__


def _rebuild(mixin: type, plain: type) -> Any:
    cls = _class_with_mixin(mixin, plain)
    return cls.__new__(cls)
