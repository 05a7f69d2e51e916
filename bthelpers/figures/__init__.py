"""From labelled arrays to matplotlib.

Imports `results`, `tasks` and what lies below them.
"""
