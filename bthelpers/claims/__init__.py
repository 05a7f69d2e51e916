"""What papers claim, and what the results say to it.

`iclr2025` and `stages2025` list the claims of a paper each, `margins` what counts as equal;
`verdicts.evaluate_claims` judges them, and `expected` and `null_studies` say how often it errs.
Imports `results`, `tasks` and what lies below them.
"""
