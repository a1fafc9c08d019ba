"""d2align: pixel-exact coordinates for Detectron2.

``import d2align`` gives the geometry and the version and loads no detectron2; the components
are in ``d2align.modeling`` and ``d2align.data``.
"""

try:
    from d2align import geometry
except ModuleNotFoundError as e:
    if e.name not in ("torch", "numpy"):
        raise
    raise ModuleNotFoundError(
        f"d2align needs {e.name}, which is not installed: see https://pytorch.org/get-started",
        name=e.name,
    ) from None

__version__ = "0.1.0"

__all__ = ["__version__", "geometry"]
