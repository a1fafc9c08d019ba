"""The stages of a pipeline, in the order in which data goes through them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.anchors import audit_anchors
from d2align.audit.pipeline.box_coding import audit_box_coding, audit_box_round_trip
from d2align.audit.pipeline.dense import audit_dense
from d2align.audit.pipeline.keypoints import audit_keypoints
from d2align.audit.pipeline.labels import audit_labels
from d2align.audit.pipeline.load import Pipeline
from d2align.audit.pipeline.mapper import audit_mapper
from d2align.audit.pipeline.mask_target import audit_mask_target
from d2align.audit.pipeline.matching import audit_matching
from d2align.audit.pipeline.output import audit_output
from d2align.audit.pipeline.paste import audit_paste
from d2align.audit.pipeline.pooling import audit_pooling
from d2align.audit.pipeline.results import audit_results
from d2align.audit.pipeline.whole import audit_whole
from d2align.audit.record import Finding

STAGES: dict[str, Callable[[Pipeline], list[Finding]]] = {
    "mapper": audit_mapper,
    "labels": audit_labels,
    "anchors": audit_anchors,
    "matching": audit_matching,
    "box_coding": audit_box_coding,
    "box_round_trip": audit_box_round_trip,
    "pooling": audit_pooling,
    "mask_target": audit_mask_target,
    "keypoints": audit_keypoints,
    "paste": audit_paste,
    "output": audit_output,
    "dense_output": audit_dense,
    "results": audit_results,
    "whole": audit_whole,
}


def audit_pipeline(pipeline: Pipeline, stages: Sequence[str] | None = None) -> list[Finding]:
    """Measure where each field drifts in a project's pipeline.

    Convention: integer corners; drift is measured less expected, pixels, right and down positive.

    Args:
        pipeline: what is audited.
        stages: names from ``STAGES``; all by default.

    Returns:
        Findings in the order of the stages. A stage that cannot be measured gets one that says
        why.

    Raises:
        ValueError: an unknown stage.
    """
    names = list(STAGES) if stages is None else list(stages)
    unknown = [name for name in names if name not in STAGES]
    if unknown:
        raise ValueError(f"stages: got {unknown}, expected some of {list(STAGES)}")
    found: list[Finding] = []
    for name in names:
        try:
            found += STAGES[name](pipeline)
        except ProbeFailure as e:
            found.append(_failed(name, str(e)))
        except Exception as e:  # a project's own code may do anything
            text = " ".join(str(e).split())[:160]
            found.append(_failed(name, f"{type(e).__name__}: {text}"))
    return found


def _failed(stage: str, why: str) -> Finding:
    return Finding(stage, f"{stage}: all", "none", "failed", f"Could not be measured: {why}.")
