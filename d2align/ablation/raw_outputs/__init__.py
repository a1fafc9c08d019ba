"""Run a checkpoint once, keep what its heads put out, and try other conventions on that.

``store.py`` keeps it on disk, ``record.py`` runs the model, ``boxes.py`` and ``masks.py`` replay
decodes, clips and pastes without the network, ``main.py`` compares them.
"""
