"""Environments in which d2align is claimed to work: made, tried, written down.

Needs the standard library alone, since what it makes is what the rest would need.
"""
