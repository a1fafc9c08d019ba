"""JAX: jax.image and jax.scipy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.ndimage import map_coordinates

NAME = "JAX"
PACKAGES = ("jax", "jaxlib")


def resize() -> dict[str, Callable[..., Any]]:
    """jax.image.resize."""

    def by(method: str, antialias: bool) -> Callable[..., Any]:
        # Compiled as one program a shape: operation by operation takes far longer.
        def resized(image: Any, size: tuple[int, int]) -> Any:
            return jax.image.resize(image, size, method, antialias=antialias)

        compiled = jax.jit(resized, static_argnums=1)
        return lambda im, size: np.asarray(compiled(jnp.asarray(im, jnp.float32), size))

    return {
        f"jax.image.resize({method}, antialias={antialias})": by(method, antialias)
        for method, antialias in (
            ("nearest", True),
            ("linear", True),
            ("linear", False),
            ("cubic", False),
        )
    }


def sample_points() -> dict[str, Callable[..., Any]]:
    """jax.scipy.ndimage.map_coordinates."""

    def sample(image: np.ndarray, points: np.ndarray) -> Any:
        return np.asarray(map_coordinates(jnp.asarray(image), list(points[:, ::-1].T), order=1))

    return {"jax.scipy.ndimage.map_coordinates(order=1)": sample}
