"""The results folder, and the labelled arrays and tables made from it.

Imports `encoding`, `tuning` and what lies below them.
"""
