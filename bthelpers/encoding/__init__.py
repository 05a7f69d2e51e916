"""From sound to features to voxels: representations, encoding models, low-level impact.

Begin with `alignment.evaluate_layers`, equation 1 of the ICLR paper; equation 2 is in `impact`.
Imports `statistics`, `data`, `models` and what lies below them.
"""
