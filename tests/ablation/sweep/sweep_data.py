"""A data set of a few images, registered in every process of a sweep by ``imports``."""

from d2align.data.shapes.register import register_shapes_subset

register_shapes_subset("sweep_train", "shapes_128_train", 8)
register_shapes_subset("sweep_val", "shapes_128_val", 4)
