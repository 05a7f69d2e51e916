"""From a model's pooled features to voxels: linear heads, of one participant or of several.

On a common surface all participants have the same vertices, and one head may serve them all, which
Moussa and Toneva (NeurIPS 2025) found better than a head for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from bthelpers.params.tuning import TuningSettings

SHARED = "shared"


class Head(nn.Module):
    """Linear map from pooled features to voxels, or two without a nonlinearity between them.

    Parameters
    ----------
    widths : sequence of int
        Of the features, of the bottleneck if there is one, and of the voxels.
    generator : torch.Generator, optional
        Of weights after Xavier (BrainWavLM's released code). Without it they start at zero, which
        a correlation would have no gradient at.
    """

    def __init__(self, widths: Sequence[int], generator: torch.Generator | None = None):
        super().__init__()
        self.register_buffer("mean", torch.zeros(widths[0]))
        self.register_buffer("scale", torch.ones(widths[0]))
        # Plain nn.Linear would draw from the global random numbers.
        maps = [nn.utils.skip_init(nn.Linear, *ends) for ends in pairwise(widths)]
        for one in maps:
            nn.init.zeros_(one.bias)
            if generator is None:
                nn.init.zeros_(one.weight)
            else:
                nn.init.xavier_uniform_(one.weight, generator=generator)
        self.linear = nn.Sequential(*maps)

    def standardize(self, features: torch.Tensor) -> None:
        """Standardise what comes in by the mean and deviation of these features (tr, feature)."""
        self.mean = features.mean(dim=0)
        self.scale = features.std(dim=0) + torch.finfo(features.dtype).eps

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Predictions (tr, voxel) from features (tr, feature)."""
        return self.linear((pooled - self.mean) / self.scale)


def make_heads(
    n_features: int, n_voxels: Mapping[str, int], settings: TuningSettings, seed: int
) -> nn.ModuleDict:
    """Heads of participants: one for all of them, under `SHARED`, or one for each.

    Parameters
    ----------
    n_features : int
    n_voxels : mapping of str to int
        Voxels, or vertices of a common surface, by participant.
    settings : TuningSettings
    seed : int
        Of weights that do not start at zero.

    Raises
    ------
    ValueError
        If a participant has no voxel or, with a loss that correlates across them, fewer than
        three; or if one head is to serve participants with different numbers of voxels.
    """
    least = 3 if settings.loss == "across_voxels" else 1
    for participant, number in n_voxels.items():
        if number < least:
            raise ValueError(
                f"{participant or 'the participant'} has {number} voxels to tune towards:"
                f" tuning.loss {settings.loss!r} needs {least} or more; name more region sets"
                " or another loss"
            )
    shared = settings.heads == "shared"
    if shared and len(set(n_voxels.values())) > 1:
        raise ValueError(
            f"one head cannot serve participants with different numbers of voxels ({n_voxels}):"
            " bring responses to a common surface, or set tuning.heads to separate"
        )
    middle = [settings.bottleneck] if settings.head == "bottleneck" else []
    zero = settings.loss == "squared_error" and not middle
    generator = None if zero else torch.Generator().manual_seed(seed)
    one_each = {SHARED: next(iter(n_voxels.values()))} if shared else n_voxels
    return nn.ModuleDict(
        {name: Head([n_features, *middle, number], generator) for name, number in one_each.items()}
    )


def head_of(heads: nn.ModuleDict, participant: str) -> Head:
    """The head that serves a participant."""
    return heads[SHARED] if SHARED in heads else heads[participant]


def shared_vertices(
    vertex_voxels: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Voxels of participants at the vertices of a common surface that all of them have.

    Parameters
    ----------
    vertex_voxels : mapping of str to int array of shape (vertex,)
        By participant, as of `bthelpers.data.cortex.vertex_voxels`; -1 where there is no voxel.
    masks : mapping of str to bool array of shape (voxel,)
        Voxels that are tuned towards.

    Returns
    -------
    dict of str to int array of shape (shared vertex,)
        The voxel at each vertex at which every participant's is tuned towards.

    Raises
    ------
    ValueError
        If participants' surfaces differ, or no vertex is shared.

    Examples
    --------
    >>> voxels = {"one": np.array([0, 1, -1, 2]), "other": np.array([1, 0, 0, 1])}
    >>> masks = {"one": np.array([True, True, True]), "other": np.array([False, True])}
    >>> shared_vertices(voxels, masks)
    {'one': array([0, 2]), 'other': array([1, 1])}
    """
    sizes = {participant: len(voxels) for participant, voxels in vertex_voxels.items()}
    if len(set(sizes.values())) != 1:
        raise ValueError(f"participants are on different surfaces: {sizes} vertices")
    # At -1, whichever voxel's mask is read is overruled.
    shared = np.all(
        [masks[one][voxels] & (voxels >= 0) for one, voxels in vertex_voxels.items()], axis=0
    )
    if not shared.any():
        raise ValueError(
            f"no vertex of the common surface has a voxel to tune towards in each of"
            f" {', '.join(vertex_voxels)}: name more region sets under voxels.regions"
        )
    return {participant: voxels[shared] for participant, voxels in vertex_voxels.items()}
