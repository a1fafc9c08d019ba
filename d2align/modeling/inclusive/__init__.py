"""Models whose boxes are inclusive indices on the inside, as Detectron's were.

Ground truth comes in and detections go out as float boxes, so that data sets, mappers, evaluators
and visualisers need not know; in between, x2 and y2 are the last pixel, and each +1 is where
Detectron had it: in network pixels in the RPN, in original pixels in the R-CNN heads.
One file for each seam, named as Detectron2 names its own; ``apply_boxes`` puts the mixins in.
"""
