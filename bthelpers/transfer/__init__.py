"""How far a tuned model carries: to stories, minutes and participants that did not tune it.

Ridges are fitted anew to its representations. Imports `encoding` and what lies below it.
"""
