"""Every parameter of a run, and nothing that computes.

Imports `core`.
"""
