"""Figures of how far tuned models carry: sets of voxels, participants, epochs, and minutes."""
