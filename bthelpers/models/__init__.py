"""Pretrained models of speech and of text, loaded, run and described.

Imports `core` and `params`.
"""
