"""Fuzzed: every switch of a config: values, junk and combinations, then a tiny model of it."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

import tiny_models
import torch
from fuzz_target import Finding, Tally
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn

from d2align.config import BOXES, FACTORS, MASK_FORMATS, MASK_RESIZES, PRESETS, choices

# key -> values that it may have in some combination.
SWITCHES: dict[str, tuple[Any, ...]] = {
    "D2ALIGN.PRESET": ("", *PRESETS),
    "D2ALIGN.BOXES": BOXES,
    "D2ALIGN.MASK_RESIZE": MASK_RESIZES,
    "D2ALIGN.TEST.MASK_FORMAT": MASK_FORMATS,
    "D2ALIGN.FAST_CPU": (True, False),
    "D2ALIGN.TRUST_CHECKPOINTS": (True, False),
    **{f.keys[0]: choices(n) for n, f in FACTORS.items() if f.keys[0].startswith("D2ALIGN.")},
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator", "Detectron1AnchorGenerator"),
    **dict.fromkeys(FACTORS["roi_align"].keys, ("ROIAlignV2", "ROIAlign")),
}
# Keys of Detectron2's own that decide which combinations can work.
_NEIGHBOURS: dict[str, tuple[Any, ...]] = {
    "INPUT.MASK_FORMAT": ("polygon", "bitmask"),
    "INPUT.RANDOM_FLIP": ("horizontal", "vertical", "none"),
    "INPUT.CROP.ENABLED": (True, False),
    "MODEL.MASK_ON": (True, False),
    "MODEL.META_ARCHITECTURE": ("PixelExactRCNN", "PixelExactRetinaNet", "PixelExactPanopticFPN"),
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": ("smooth_l1", "giou"),
    "MODEL.ROI_BOX_HEAD.TRAIN_ON_PRED_BOXES": (True, False),
    "MODEL.ANCHOR_GENERATOR.OFFSET": (0.0, 0.5),
}
_JUNK = ("", "nonsense", "Float", "None", "[]", "{}", "1", "-1", "nan", "1e400", "'", "(1, 2)", "é")
_RETINANET = dict(zip(tiny_models.RETINANET[::2], tiny_models.RETINANET[1::2], strict=True))
_PANOPTIC = dict(zip(tiny_models.PANOPTIC[::2], tiny_models.PANOPTIC[1::2], strict=True))


@st.composite
def options(draw: DrawFn) -> dict[str, str]:
    """Some switches with good values, and perhaps one with junk."""
    pool = {**SWITCHES, **_NEIGHBOURS}
    keys = draw(st.lists(st.sampled_from(sorted(pool)), max_size=5, unique=True))
    chosen = {key: str(draw(st.sampled_from(pool[key]))) for key in keys}
    if draw(st.integers(0, 3)) == 0:
        chosen[draw(st.sampled_from(sorted(SWITCHES)))] = draw(st.sampled_from(_JUNK))
    architecture = chosen.get("MODEL.META_ARCHITECTURE", "")
    if "RetinaNet" in architecture:
        chosen = {**_RETINANET, **chosen, "MODEL.MASK_ON": "False"}
    if "Panoptic" in architecture:
        chosen = {**_PANOPTIC, **chosen}
    return chosen


def check_options(data: DataObject, tally: Tally | None = None) -> None:
    """A config is refused by the name of a key, or a model of it detects and trains."""
    chosen = data.draw(options(), label="options")
    tally = tally or Tally()
    flat = [text for pair in chosen.items() for text in pair]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            cfg = tiny_models.tiny_config(*flat)
    except ValueError as error:
        tally.odd_refused += 1
        # A value that does not parse into the key's type is told by Detectron2's own message.
        names = {part for key in (*chosen, "D2ALIGN") for part in (key, key.split(".")[-1])}
        if not any(re.search(re.escape(name), str(error)) for name in names):
            raise Finding(f"a refusal that names no key: {error!r}\n{chosen}") from error
        return
    except Exception as error:
        raise Finding(f"loading raised a {type(error).__name__}: {error}\n{chosen}") from error
    tally.good += 1
    try:
        _run(cfg)
    except Exception as error:
        raise Finding(f"running raised a {type(error).__name__}: {error}\n{chosen}") from error


def _run(cfg: Any) -> None:
    model = tiny_models.tiny_model(cfg)
    batch = tiny_models.tiny_batch(1.5, masks=cfg.MODEL.MASK_ON)
    for found in tiny_models.detections(model, batch):
        fields = found.get_fields()
        assert torch.isfinite(fields["pred_boxes"].tensor).all()
        assert len({len(value) for value in fields.values()}) <= 1
    if cfg.INPUT.MASK_FORMAT == "polygon" and cfg.MODEL.MASK_ON:
        batch = tiny_models.polygon_batch(1.5)
    for name, loss in tiny_models.losses(model, batch).items():
        assert torch.isfinite(loss), name
