"""What papers claim, and what the results say to it.

Imports `results`, `tasks` and what lies below them.
"""
