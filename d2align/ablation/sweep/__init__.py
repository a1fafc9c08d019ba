"""Sweeps: factors x variants x seeds x configs, on one machine or a cluster, killed and resumed."""
