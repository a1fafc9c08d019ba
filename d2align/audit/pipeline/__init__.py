"""The audit of a whole Detectron2 project: how far is each field off, after each stage?

``load`` builds the project, ``stages`` lists what is measured; this package itself imports
nothing, so that the command's other parts need no Detectron2.
"""
