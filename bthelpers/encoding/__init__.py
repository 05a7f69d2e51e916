"""From sound to features to voxels: representations, encoding models, low-level impact.

Imports `statistics`, `data`, `models` and what lies below them.
"""
