"""Miniatures of the real architectures, pretrained on simulated speech and text."""
