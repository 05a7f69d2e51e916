"""How far tuned models carry: sets of voxels, other participants, epochs, and few minutes of data.

Imports the other `results` and what lies below them.
"""
