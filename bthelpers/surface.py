"""Cortical regions of a participant's voxels, and flatmaps.

Glasser parcels come from the participant's FreeSurfer annotation, and reach the voxels through
pycortex's mapping between surface and functional volume.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import nibabel
import numpy as np
import scipy.sparse
import xarray as xr
import yaml

from bthelpers.dataset import Dataset, DatasetError

HEMISPHERES = {"lh": "L", "rh": "R"}
ANNOTATION = "label/{hemi}.HCP-MMP1.annot"
REGIONS = Path(__file__).with_name("regions.yaml")
