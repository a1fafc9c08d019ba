"""instances_predictions.pth: the predictions as Detectron2 keeps them, written faster."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from types import SimpleNamespace
from typing import IO, Any

import torch

from d2align.evaluation.files import open_whole


class _PlainPickler:
    """Pickles without torch's question about every object whether it is a storage."""

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        self._pickler = pickle.Pickler(file, protocol)

    def dump(self, obj: Any) -> None:
        self._pickler.dump(obj)


_PLAIN_PICKLE = SimpleNamespace(__name__="plain_pickle", Pickler=_PlainPickler)


def write_predictions(path: str, predictions: Sequence[dict[str, Any]]) -> None:
    """Write predictions for torch.load.

    Args:
        path: of the file, which appears whole.
        predictions: of each image: image_id, and rows of COCO results as "instances" or
            Instances as "proposals".
    """
    rows = [as_rows(one) for one in predictions]
    with open_whole(path, "wb") as file:
        if all(map(_is_plain, predictions)):
            torch.save(rows, file, pickle_module=_PLAIN_PICKLE)
        else:
            torch.save(rows, file)


def as_rows(prediction: dict[str, Any]) -> dict[str, Any]:
    """Return a prediction whose "instances", if it has any, are a list of COCO result dicts."""
    if "instances" not in prediction:
        return prediction
    return {**prediction, "instances": list(prediction["instances"])}


def _is_plain(prediction: dict[str, Any]) -> bool:
    # Rows are numbers and texts. Proposals, and an image_id of the user's own, may hold tensors.
    return "proposals" not in prediction and isinstance(prediction["image_id"], int | str)
