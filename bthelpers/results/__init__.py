"""The results folder, and the labelled arrays and tables made from it.

Begin with `store.Results`; the other modules read what it opens. Imports `encoding`, `tuning` and
what lies below them.
"""
