"""Variance that is explained by ordinary least squares."""

import numpy as np


def explained(responses, regressors):
    """Share of each column's variance that least squares explains."""
    design = np.column_stack([np.ones(len(regressors)), regressors])
    coefficients, *_ = np.linalg.lstsq(design, responses, rcond=None)
    return 1 - (responses - design @ coefficients).var(axis=0) / responses.var(axis=0)
