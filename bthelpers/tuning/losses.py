"""What tuning minimises: squared error, or correlation across voxels or over time, with a minus.

The correlation across voxels, at each TR, is BrainWavLM's (Vattikonda et al., 2025, its loss; the
two others are options of its released code). Moussa and Toneva (NeurIPS 2025) compare it with the
squared error that they and the ICLR paper tune by.
"""

from __future__ import annotations

import torch
from torch import nn


def row_correlations(
    predicted: torch.Tensor, actual: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pearson correlation of each row, where it is defined.

    Parameters
    ----------
    predicted, actual : tensor of shape (row, column)

    Returns
    -------
    r : tensor of shape (defined row,)
        Its gradient is defined too.
    defined : bool tensor of shape (row,)
        False where prediction or response is constant.

    Examples
    --------
    >>> r, defined = row_correlations(
    ...     torch.tensor([[1.0, 2.0, 4.0], [1.0, 2.0, 3.0]]),
    ...     torch.tensor([[-1.0, -2.0, -4.0], [5.0, 5.0, 5.0]]),
    ... )
    >>> r.round(decimals=2), defined
    (tensor([-1.]), tensor([ True, False]))
    """
    pair = (predicted, actual)
    defined = torch.stack([(x != x[:, :1]).any(dim=1) for x in pair]).all(dim=0)
    # Rows are left out before anything is divided: the gradient of 0 / 0 would be NaN.
    centred = (x[defined] - x[defined].mean(dim=1, keepdim=True) for x in pair)
    p, y = (nn.functional.normalize(x, dim=1, eps=torch.finfo(x.dtype).tiny) for x in centred)
    return (p * y).sum(dim=1), defined


class SquaredError(nn.Module):
    """Mean over TRs and voxels of the squared error (ICLR paper, section 3.3)."""

    splits = True  # a step's TRs may go through in parts, whose losses add up to that of all

    def forward(self, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
        """Loss of predictions and responses (tr, voxel)."""
        return nn.functional.mse_loss(predicted, actual)


class Correlation(nn.Module):
    """Minus the mean correlation of prediction and response.

    What has no correlation, because prediction or response is constant there, is left out of the
    mean, and counted while the module is in training mode.

    Attributes
    ----------
    undefined : int64 tensor of shape ()
        TRs (voxels of a step, where it is over time) that training has left out so far.
    """

    splits = False

    def __init__(self):
        super().__init__()
        self.register_buffer("undefined", torch.zeros((), dtype=torch.int64))

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """What is correlated of values (tr, voxel), row by row."""
        raise NotImplementedError

    def forward(self, predicted: torch.Tensor, actual: torch.Tensor) -> torch.Tensor:
        """Loss of predictions and responses (tr, voxel); 0, without gradient, if none has one."""
        r, defined = row_correlations(self.rows(predicted), self.rows(actual))
        if self.training:
            self.undefined += (~defined).sum()
        return -r.sum() / max(len(r), 1)


class CorrelationAcrossVoxels(Correlation):
    """Minus the mean over TRs of the correlation across voxels (BrainWavLM, its loss)."""

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """TRs."""
        return values


class CorrelationOverTime(Correlation):
    """Minus the mean over voxels of the correlation over the TRs of a step (BrainWavLM's code)."""

    def rows(self, values: torch.Tensor) -> torch.Tensor:
        """Voxels."""
        return values.T


# By `tuning.loss`.
LOSSES: dict[str, type[nn.Module]] = {
    "squared_error": SquaredError,
    "across_voxels": CorrelationAcrossVoxels,
    "over_time": CorrelationOverTime,
}
