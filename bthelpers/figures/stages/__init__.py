"""Figures along the layers: stages of processing, representational similarity, and controls."""
