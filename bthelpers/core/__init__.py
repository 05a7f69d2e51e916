"""The ground: clocks, signals, files, errors and provenance.

Imports nothing of bthelpers, and no PyTorch.
"""
