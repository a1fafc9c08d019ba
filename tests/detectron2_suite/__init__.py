"""Detectron2's own unit tests, from a checkout, with d2align's components in their place."""
