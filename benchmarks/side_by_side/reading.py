"""Selected voxels of a story, from the file and from the cache, beside a read of the whole file.

The file is in the page cache. `benchmarks/read_responses.py` measures disks, and memory.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from bthelpers.data.dataset import Dataset
from side_by_side.measuring import Comparison, Contender, scaled

CODE = ("data/dataset.py", "data/files.py", "data/response_cache.py")
PARTICIPANT, STORY = "UTS02", "story"
N_TRS, N_VOXELS = 344, 94_251
SELECTED = (500, 5000, 50_000)


def comparisons(scale: float) -> Iterator[Comparison]:
    """Over selected voxels of a story of UTS02's size; voxels are multiplied by `scale`."""
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "data"), Path(folder, "cache")
        path = write_story(root, round(scale * N_VOXELS))
        for selected in scaled(SELECTED, scale):
            voxels = selection(round(scale * N_VOXELS), selected)
            reads = {
                "ours": partial(ours, Dataset(root), voxels),
                "ours, cached": partial(ours, Dataset(root, cache), voxels),
            }
            contenders = [Contender(name, read, ours=True) for name, read in reads.items()]
            whole = partial(whole_file, path, voxels)
            yield Comparison(
                "reading",
                len(voxels),
                "voxels",
                [*contenders, Contender("h5py, the whole story", whole)],
                agreement,
            )


def selection(n_voxels: int, n_selected: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(n_voxels)[:n_selected])


def write_story(root: Path, n_voxels: int) -> Path:
    """A dataset of one story of noise; returns the file of responses."""
    path = root / f"derivative/preprocessed_data/{PARTICIPANT}/{STORY}.hf5"
    path.parent.mkdir(parents=True)
    (root / "derivative/respdict.json").write_text(json.dumps({STORY: N_TRS + 20}))
    (root / "derivative/subject_xfms.json").write_text(json.dumps({PARTICIPANT: "auto"}))
    with h5py.File(path, "w") as file:
        file["data"] = np.random.default_rng(1).standard_normal((N_TRS, n_voxels))
    return path


def ours(dataset: Dataset, voxels: np.ndarray) -> np.ndarray:
    return np.array(dataset.responses(PARTICIPANT, STORY, voxels))


def whole_file(path: Path, voxels: np.ndarray) -> np.ndarray:
    with h5py.File(path) as file:
        return file["data"][:][:, voxels].astype(np.float32)


def agreement(read: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Largest difference."""
    return {"difference": float(np.abs(read - exact).max())}
