"""Runs on a cluster of SLURM: what they ask for, and what is granted.

`requests` follow the table of steps and the cluster's file in ``profiles/``; `slurm` looks at the
cluster. Imports `params` and the table of steps.
"""
