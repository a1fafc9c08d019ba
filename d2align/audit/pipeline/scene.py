"""Objects, proposals and ground truth at known sub-pixel places, for a rigged model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from detectron2.structures import BitMasks, Boxes, Instances, Keypoints, PolygonMasks

from d2align.audit.guard import ProbeFailure
from d2align.audit.pipeline.targets import Target

NETWORK = (320, 416)  # (h, w) of the network's image, pixels
ORIGINAL = (200, 260)  # of the original
SCALE = NETWORK[0] / ORIGINAL[0]
_CENTRES = ((73.31, 81.57), (207.83, 78.19), (341.47, 84.71), (76.13, 236.39), (211.61, 241.07))
_RADII = (41.3, 33.7, 46.9, 37.1, 44.2)
_NEAR = 3.0  # pixels: boxes in the model are at most so far from those given


@dataclass(frozen=True)
class Scene:
    """What is in the image.

    Attributes:
        objects: in network pixels.
        proposals: (N, 4) XYXY, network pixels; each overlaps one object.
        owners: (N,) the object of each.
        network: (h, w) of the image, pixels.
        base: what the input has besides; by default a black image of ``ORIGINAL`` size.
        given_truth: ground truth in place of one made of the objects.
    """

    objects: Sequence[Target]
    proposals: np.ndarray
    owners: np.ndarray
    network: tuple[int, int] = NETWORK
    base: dict[str, Any] | None = None
    given_truth: Instances | None = None

    @property
    def boxes(self) -> np.ndarray:
        """The (N, 4) boxes of the objects that own the proposals."""
        return np.array([o.box for o in self.objects])[self.owners]

    def inputs(self, truth: Instances | None = None, given: bool = True) -> dict[str, Any]:
        """Return the model's input.

        Args:
            truth: of the ground truth, for training.
            given: whether the proposals are part of it.
        """
        h, w = ORIGINAL
        found = {"image": torch.zeros(3, *self.network), "height": h, "width": w, "image_id": 1}
        found |= self.base or {}
        if given:
            found["proposals"] = Instances(
                self.network,
                proposal_boxes=Boxes(torch.tensor(self.proposals).float()),
                objectness_logits=torch.arange(len(self.proposals), 0, -1).float(),
            )
        return found if truth is None else {**found, "instances": truth}

    def truth(self, masks: str | None = None, keypoints: Any = None) -> Instances:
        """Return the ground truth of the image.

        Args:
            masks: polygon | bitmask, or None.
            keypoints: (objects, K, 2), network pixels, or None.
        """
        if self.given_truth is not None:
            return self.given_truth
        found = Instances(self.network)
        found.gt_boxes = Boxes(torch.tensor(np.array([o.box for o in self.objects])).float())
        found.gt_classes = torch.zeros(len(self.objects), dtype=torch.int64)
        if masks == "polygon":
            found.gt_masks = PolygonMasks([[o.polygon.reshape(-1)] for o in self.objects])
        elif masks == "bitmask":
            bits = np.stack([o.mask for o in self.objects])
            found.gt_masks = BitMasks(torch.from_numpy(bits).bool())
        if keypoints is not None:
            points = torch.tensor(np.asarray(keypoints)).float()
            visible = torch.full((*points.shape[:2], 1), 2.0)
            found.gt_keypoints = Keypoints(torch.cat([points, visible], dim=2))
        return found

    def detections(self, boxes: np.ndarray) -> Instances:
        """Return boxes (N, 4), network pixels, as detections of class 0, best first."""
        return Instances(
            self.network,
            pred_boxes=Boxes(torch.tensor(boxes).float()),
            scores=torch.linspace(0.9, 0.5, len(boxes)),
            pred_classes=torch.zeros(len(boxes), dtype=torch.int64),
        )

    def rows_of(self, boxes: Any) -> np.ndarray:
        """Return which proposal each box of a model is; -1 for ground truth among them.

        Args:
            boxes: (R, 4) tensor, network pixels, perhaps with last pixels for right edges.

        Raises:
            ProbeFailure: none of them is a proposal.
        """
        away = np.abs(boxes.detach().double().numpy()[:, None, :] - self.proposals[None])
        away = away.max(axis=2)
        rows = np.where(away.min(axis=1) < _NEAR, away.argmin(axis=1), -1)
        # Of ground truth and a proposal close to it, the proposal is the nearer.
        rows[away.argmin(axis=0)[rows] != np.arange(len(rows))] = -1
        if (rows < 0).all():
            raise ProbeFailure("the model's heads were given none of the proposals")
        return rows


def make_scene(per_object: int = 5, seed: int = 0) -> Scene:
    """Return a scene.

    Args:
        per_object: proposals for each object, at different places and of different sizes.
        seed: of their random numbers.
    """
    objects = [Target(NETWORK, c, r) for c, r in zip(_CENTRES, _RADII, strict=True)]
    rng = np.random.default_rng(seed)
    proposals = []
    for o in objects:
        for k in range(per_object):
            outward = rng.uniform(1.5, 7.5, 4) + [0.0, 3.7 * (k % 2), 0.0, 0.0]
            proposals.append(o.box + outward * [-1, -1, 1, 1])
    owners = np.repeat(np.arange(len(objects)), per_object)
    # Whole float32 numbers, so that nothing is lost on the way into the model.
    return Scene(objects, np.array(proposals).astype(np.float32).astype(np.float64), owners)
