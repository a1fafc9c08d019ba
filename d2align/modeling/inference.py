"""What whole models need beyond their heads: the scale of their images, and a chosen paste."""

from __future__ import annotations

from typing import Any

from detectron2.modeling.meta_arch.panoptic_fpn import combine_semantic_and_instance_outputs
from detectron2.modeling.postprocessing import sem_seg_postprocess
from detectron2.structures import Instances

from d2align.geometry.paste_mask import paste_masks_unchecked
from d2align.modeling.image_scale import attach_scales
from d2align.modeling.postprocessing import PasteMasks, postprocess_batch
from d2align.modeling.rle_masks import POSTPROCESS


class KnowsImageScale:
    """A mixin over a meta-architecture: its images know their scale to original pixels.

    Convention: the scale is im_scale where an input has it, or network size / original size for
    each axis. Cropping augmentations are not seen, so historical decodes want none.
    """

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> Any:
        """Normalize and batch images whose sizes know their scale to original pixels.

        Args:
            batched_inputs: as in GeneralizedRCNN.forward.

        Returns:
            Detectron2's ImageList.
        """
        images = super().preprocess_image(batched_inputs)  # type: ignore[misc]
        stride = self.backbone.size_divisibility  # type: ignore[attr-defined]
        return attach_scales(images, batched_inputs, stride)

    def float_detections(self, results: list[Instances]) -> list[Instances]:
        """Return raw detections as float boxes, which they are unless a mixin says otherwise.

        Args:
            results: the heads' detections, in network pixels.

        Returns:
            Instances in network pixels.
        """
        return results


class PixelExactInference(KnowsImageScale):
    """A mixin over GeneralizedRCNN: knows the scale of its images, and pastes with ``paste``.

    Convention: integer corners; historical R-CNN decodes happen in original pixels.

    Attributes:
        paste_masks: a value of ``PASTE_MASK_REGISTRY``.
        mask_format: bitmask, dense pred_masks as from Detectron2, or rle, pred_masks_rle for
            COCOEvaluator without a full-image mask.
    """

    paste_masks: PasteMasks = staticmethod(paste_masks_unchecked)
    mask_format: str = "bitmask"

    def inference(
        self,
        batched_inputs: list[dict[str, Any]],
        detected_instances: Any = None,
        do_postprocess: bool = True,
    ) -> Any:
        """Detect, and paste masks with the chosen paste.

        Args:
            batched_inputs: as in GeneralizedRCNN.forward.
            detected_instances: as in GeneralizedRCNN.inference.
            do_postprocess: False returns raw detections in network pixels.

        Returns:
            As GeneralizedRCNN.inference.
        """
        # GeneralizedRCNN calls its own _postprocess by class name, so it is not overridable.
        results = super().inference(  # type: ignore[misc]
            batched_inputs, detected_instances, do_postprocess=False
        )
        results = self.float_detections(results)
        if not do_postprocess:
            return results
        postprocess = POSTPROCESS[self.mask_format]
        return postprocess_batch(results, batched_inputs, self.paste_masks, postprocess)


class PixelExactPanopticInference(KnowsImageScale):
    """A mixin over PanopticFPN: knows the scale of its images, and pastes with ``paste``.

    Convention: integer corners; historical R-CNN decodes happen in original pixels.
    """

    paste_masks: PasteMasks = staticmethod(paste_masks_unchecked)

    def inference(self, batched_inputs: list[dict[str, Any]], do_postprocess: bool = True) -> Any:
        """Detect and segment, pasting masks with the chosen paste.

        Args:
            batched_inputs: as in PanopticFPN.forward.
            do_postprocess: False returns raw detections and semantic outputs.

        Returns:
            As PanopticFPN.inference.
        """
        detections, semantics = super().inference(  # type: ignore[misc]
            batched_inputs, do_postprocess=False
        )
        detections = self.float_detections(detections)
        if not do_postprocess:
            return detections, semantics
        network_sizes = [d.image_size for d in detections]
        processed = postprocess_batch(detections, batched_inputs, self.paste_masks)
        for out, semantic, size in zip(processed, semantics, network_sizes, strict=True):
            instances = out["instances"]
            sem_seg = sem_seg_postprocess(semantic, size, *instances.image_size)
            out["sem_seg"] = sem_seg
            out["panoptic_seg"] = combine_semantic_and_instance_outputs(
                instances,
                sem_seg.argmax(dim=0),
                self.combine_overlap_thresh,  # type: ignore[attr-defined]
                self.combine_stuff_area_thresh,  # type: ignore[attr-defined]
                self.combine_instances_score_thresh,  # type: ignore[attr-defined]
            )
        return processed
