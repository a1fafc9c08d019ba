"""Detectron2's checkpointer, with files read as data and written whole."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

from detectron2.checkpoint import DetectionCheckpointer

from d2align.checkpoint.load import load_file
from d2align.checkpoint.whole_files import WholeFiles


def trusts_checkpoints(cfg: Any) -> bool:
    """Return whether a config says that code in checkpoints may run.

    Args:
        cfg: a config, with d2align's keys or without.
    """
    return bool(cfg.get("D2ALIGN", {}).get("TRUST_CHECKPOINTS", False))


class SafeCheckpointer(DetectionCheckpointer):
    """A DetectionCheckpointer that refuses files with code in them, and runs none of it.

    Differs from: DetectionCheckpointer, which unpickles whatever it is given, and leaves half a
        checkpoint under its final name when the disk is full.
    """

    def __init__(self, model: Any, save_dir: str = "", *, trust: bool = False, **kwargs: Any):
        """Make a checkpointer.

        Args:
            model: a module.
            save_dir: the folder of checkpoints to write.
            trust: whether code in checkpoints may run; see ``trusts_checkpoints``.
            **kwargs: as DetectionCheckpointer.
        """
        super().__init__(model, save_dir, **kwargs)
        self.trust = trust
        self.path_manager = WholeFiles(self.path_manager)

    def _load_file(self, filename: str) -> dict[str, Any]:
        loaded = load_file(filename, trust=self.trust)
        if not isinstance(loaded, dict):
            raise ValueError(
                f"{filename}: got a {type(loaded).__name__}, expected a dict of names and weights"
            )
        if filename.endswith(".pkl"):
            return _from_model_zoo(loaded)
        if filename.endswith(".pyth"):
            return _from_pycls(filename, loaded)
        checkpoint = loaded if "model" in loaded else {"model": loaded}
        # Detectron2 main takes PATH?matching_heuristics=True; v0.5 has no such attribute.
        query = getattr(getattr(self, "_parsed_url_during_load", None), "query", "")
        if parse_qs(query).get("matching_heuristics") == ["True"]:
            checkpoint["matching_heuristics"] = True
        return checkpoint


def _from_model_zoo(loaded: dict[str, Any]) -> dict[str, Any]:
    if "model" in loaded and "__author__" in loaded:
        return loaded
    blobs = loaded.get("blobs", loaded)  # detection models of Detectron's have it, backbones not
    weights = {name: blob for name, blob in blobs.items() if not name.endswith("_momentum")}
    return {"model": weights, "__author__": "Caffe2", "matching_heuristics": True}


def _from_pycls(filename: str, loaded: dict[str, Any]) -> dict[str, Any]:
    if "model_state" not in loaded:
        raise ValueError(
            f"{filename}: got keys {sorted(map(str, loaded))}, expected 'model_state', as pycls has"
        )
    state = loaded["model_state"]
    weights = {name: w for name, w in state.items() if not name.endswith("num_batches_tracked")}
    return {"model": weights, "__author__": "pycls", "matching_heuristics": True}
