"""Region sets: named lists of parcels of the Glasser atlas (HCP-MMP1), or of other regions.

Of recordings of sensors, the members of regions are electrodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from bthelpers.core.errors import DatasetError, did_you_mean, listed
from bthelpers.params.schema import ParameterError, same_but_for_case
from bthelpers.params.yaml_files import read_yaml

REGIONS = Path(__file__).with_name("regions.yaml")
DEEPEST = 100  # levels of regions in regions

# The areas of Glasser et al. (Nature 2016), each in both hemispheres.
GLASSER_AREAS = tuple(
    """
    1 2 3a 3b 4 6a 6d 6ma 6mp 6r 6v 7AL 7Am 7PC 7PL 7Pm 7m 8Ad 8Av 8BL 8BM 8C 9-46d 9a 9m 9p 10d
    10pp 10r 10v 11l 13l 23c 23d 24dd 24dv 25 31a 31pd 31pv 33pr 43 44 45 46 47l 47m 47s 52 55b 5L
    5m 5mv A1 A4 A5 AAIC AIP AVI DVT EC FEF FFC FOP1 FOP2 FOP3 FOP4 FOP5 FST H IFJa IFJp IFSa IFSp
    IP0 IP1 IP2 IPS1 Ig LBelt LIPd LIPv LO1 LO2 LO3 MBelt MI MIP MST MT OFC OP1 OP2-3 OP4 PBelt PCV
    PEF PF PFcm PFm PFop PFt PGi PGp PGs PH PHA1 PHA2 PHA3 PHT PI PIT POS1 POS2 PSL PeEc Pir PoI1
    PoI2 PreS ProS RI RSC SCEF SFL STGa STSda STSdp STSva STSvp STV TA2 TE1a TE1m TE1p TE2a TE2p TF
    TGd TGv TPOJ1 TPOJ2 TPOJ3 V1 V2 V3 V3A V3B V3CD V4 V4t V6 V6A V7 V8 VIP VMV1 VMV2 VMV3 VVC a10p
    a24 a24pr a32pr a47r a9-46v d23ab d32 i6-8 p10p p24 p24pr p32 p32pr p47r p9-46v pOFC s32 s6-8
    v23ab
    """.split()  # noqa: SIM905
)


def glasser_parcels(name: str) -> list[str]:
    """Parcels that a name stands for: of both hemispheres, of one, or all of one; or none."""
    if name in ("L_*", "R_*"):
        return [f"{name[0]}_{area}" for area in GLASSER_AREAS]
    if name in GLASSER_AREAS:
        return [f"{side}_{name}" for side in "LR"]
    return [name] if name[:2] in ("L_", "R_") and name[2:] in GLASSER_AREAS else []


def one_electrode(name: str) -> list[str]:
    """The electrode of a name: caps name them as they like."""
    return [name]


def load_regions(
    path: Path | None = None, known: Callable[[str], list[str]] = glasser_parcels
) -> dict[str, tuple[str, ...]]:
    """Read a region table and resolve regions made of other regions.

    Parameters
    ----------
    path : Path, optional
        YAML file that maps each region's name to a list of Glasser parcels (``A1`` for both
        hemispheres, ``L_A1`` for one, ``L_*`` for a whole hemisphere) or of other regions. A
        minus before a member takes its parcels away from those listed before. Default: the region
        sets of Moussa et al. (ICLR 2025), appendix A.1.
    known : callable
        What a name that is no region of the table stands for, or nothing: `glasser_parcels`, or
        `one_electrode`.

    Returns
    -------
    dict
        Region name to its parcels, each with its hemisphere (``L_A1``), in the table's order.

    Raises
    ------
    ParameterError
        If there is no such file or no such table in it; if the names of two regions differ only in
        case, a name is neither a parcel nor a region, or a region contains itself or nothing.

    Examples
    --------
    >>> load_regions()["primary_auditory"]
    ('L_A1', 'R_A1')
    """
    path = REGIONS if path is None else Path(path)
    table = read_yaml(path, "primary_auditory: [A1]")
    for name, members in table.items():
        named = isinstance(members, list) and all(type(one) in (str, int) for one in members)
        if not named or not isinstance(name, str) or not name.isprintable():
            raise ParameterError(f"{path}: expected lines such as 'primary_auditory: [A1]'")
    if problem := same_but_for_case(table):
        raise ParameterError(f"{path}: regions {problem}")
    # YAML reads areas such as 44 as numbers
    table = {name: [str(member) for member in members] for name, members in table.items()}
    resolved: dict[str, list[str]] = {}
    regions = {name: tuple(_resolve(name, table, path, known, resolved)) for name in table}
    for name, parcels in regions.items():
        if not parcels:
            raise ParameterError(f"{path}: region {name!r} holds no parcel")
    return regions


def _resolve(
    name: str,
    table: dict[str, list[str]],
    path: Path,
    known: Callable[[str], list[str]],
    resolved: dict[str, list[str]],
    inside: tuple = (),
) -> list[str]:
    """Parcels with hemisphere of a region, a parcel or an area, in order, without repeats.

    Regions are kept in `resolved`: those of the same ones twice, level upon level, would double
    the work with each.
    """
    if name in resolved:
        return resolved[name]
    if name in inside or len(inside) > DEEPEST:
        raise ParameterError(f"{path}: region {name!r} contains itself, or is nested too deeply")
    if name in table:
        parcels: list[str] = []
        for member in table[name]:
            one, within = member.removeprefix("-"), (*inside, name)
            named = _resolve(one, table, path, known, resolved, within)
            if member.startswith("-"):
                parcels = [parcel for parcel in parcels if parcel not in named]
            else:
                parcels += [parcel for parcel in named if parcel not in parcels]
        resolved[name] = parcels
        return parcels
    if parcels := known(name):
        return parcels
    raise ParameterError(
        f"{path}: {name!r} in region {inside[-1]!r} is neither a parcel of the Glasser atlas nor "
        f"a region of this table{did_you_mean(name, [*GLASSER_AREAS, *table])}"
    )


def masks_of(
    labels: np.ndarray, regions: Mapping[str, tuple[str, ...]], participant: str
) -> xr.DataArray:
    """Voxels, or electrodes, of each region: bool (region, voxel), by the label of each voxel.

    Raises
    ------
    DatasetError
        If a region holds none.
    """
    masks = np.array([np.isin(labels, members) for members in regions.values()])
    for name, mask in zip(regions, masks, strict=True):
        if not mask.any():
            raise DatasetError(
                f"region {name!r} holds no voxel of {participant}: none lies mostly in one of its "
                f"parcels ({listed(regions[name])}); add others in the table of regions"
            )
    return xr.DataArray(masks, dims=("region", "voxel"), coords={"region": list(regions)})
