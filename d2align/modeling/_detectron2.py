"""Fail early, with a way out, where Detectron2 is missing."""

try:
    import detectron2  # noqa: F401
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        "d2align's components need Detectron2: run `python tools/install_detectron2.py`, or see "
        "https://detectron2.readthedocs.io/tutorials/install.html",
        name="detectron2",
    ) from None
