"""What papers claim, a file each, in our words.

`iclr2025`, `stages2025`, `brainwavlm2025` and `many2025`. Imports the other `claims` and what lies
below them.
"""
