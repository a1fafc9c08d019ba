"""The registries that Detectron2 lacks, and a ``build_*`` function beside each.

A component is registered under its factor's value: ``BOX_TRANSFORM_REGISTRY.get("float")``. Your
own goes in with ``@BOX_TRANSFORM_REGISTRY.register("mine")`` and is chosen by that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class NamedRegistry:
    """A mapping from a value of a factor to the class or function that carries it out."""

    def __init__(self, factor: str) -> None:
        """Make an empty registry.

        Args:
            factor: what its entries are choices of, as in config values and file names.
        """
        self.factor = factor
        self._entries: dict[str, Any] = {}

    def register(self, name: str) -> Callable[[Any], Any]:
        """Return a decorator that registers a class or function under a name.

        Args:
            name: the value by which it is chosen.

        Returns:
            The decorator.

        Raises:
            ValueError: the name is taken.
        """

        def decorate(entry: Any) -> Any:
            if name in self._entries:
                raise ValueError(f"{self.factor}: {name!r} is already registered, as {self[name]}")
            self._entries[name] = entry
            return entry

        return decorate

    def get(self, name: str) -> Any:
        """Return what is registered under a name.

        Args:
            name: one of the registered values.

        Returns:
            The class or function.

        Raises:
            ValueError: nothing is registered under that name; the message lists the choices.
        """
        if name not in self._entries:
            raise ValueError(f"{self.factor}: got {name!r}, expected one of {list(self)}")
        return self._entries[name]

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries


BOX_TRANSFORM_REGISTRY = NamedRegistry("box_transform")
FLIP_REGISTRY = NamedRegistry("flip")
VERTICAL_FLIP_REGISTRY = NamedRegistry("vertical flip")
MASK_TARGET_REGISTRY = NamedRegistry("mask_target")
PASTE_MASK_REGISTRY = NamedRegistry("paste_mask")


def build_box_transform(name: str, weights: Any, scale_clamp: float | None = None) -> Any:
    """Return the box transform of that name.

    Args:
        name: a value of the factor box_transform.
        weights: (wx, wy, ww, wh), positive.
        scale_clamp: upper limit of dw and dh; None takes the transform's own.

    Returns:
        An object with ``get_deltas`` and ``apply_deltas``, as Detectron2's Box2BoxTransform.

    Raises:
        ValueError: an unknown name, or weights that are not four positive numbers.
    """
    cls = BOX_TRANSFORM_REGISTRY.get(name)
    return cls(weights) if scale_clamp is None else cls(weights, scale_clamp)


def build_flip(name: str, width: int) -> Any:
    """Return the horizontal flip of that name.

    Args:
        name: a value of the factor flip.
        width: of the image, pixels.

    Returns:
        A fvcore transform.

    Raises:
        ValueError: an unknown name.
    """
    return FLIP_REGISTRY.get(name)(width)


def build_vertical_flip(name: str, height: int) -> Any:
    """Return the vertical flip of that name.

    Args:
        name: a value of the factor flip that has a vertical form.
        height: of the image, pixels.

    Returns:
        A fvcore transform.

    Raises:
        ValueError: an unknown name.
    """
    return VERTICAL_FLIP_REGISTRY.get(name)(height)


def build_mask_target(name: str) -> Any:
    """Return the masks of that name, which know how they are cropped.

    Args:
        name: a value of the factor mask_target.

    Returns:
        A subclass of Detectron2's BitMasks, or of its PolygonMasks.

    Raises:
        ValueError: an unknown name.
    """
    return MASK_TARGET_REGISTRY.get(name)


def build_paste_mask(name: str) -> Any:
    """Return the paste of that name.

    Args:
        name: a value of the factor paste_mask.

    Returns:
        A function (masks, boxes, image_size, threshold) -> (N, h, w) bool.

    Raises:
        ValueError: an unknown name.
    """
    return PASTE_MASK_REGISTRY.get(name)
