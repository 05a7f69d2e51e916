"""What papers claim, and what the results say to it.

`iclr2025` lists the claims; `verdicts.evaluate_claims` judges them. Imports `results`, `tasks` and
what lies below them.
"""
