"""Arrays in, numbers out: correlation, bootstrap, permutation and signed-rank tests.

Knows no files and no profiles. Imports `core`.
"""
