"""What papers claim, and what the results say to it.

`papers` lists the claims of each paper, `margins` what counts as equal;
`verdicts.evaluate_claims` judges them, and `expected` and `null_studies` say how often it errs.
Imports `results`, `tasks` and what lies below them.
"""
