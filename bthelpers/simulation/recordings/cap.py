"""A cap of 64 electrodes on a sphere, by the 10-10 system.

The midline is an arc from the nose to the back of the head; electrodes are a tenth of it, 18°,
apart. A ring is as far below its top as its front is. On each arc across the head, from the ring
over the midline to the ring, electrodes are equidistant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RADIUS = 0.095  # m, of the head
# Arcs across the head: the name, and degrees of the midline electrode in front of the top one.
ARCS = {"AF": 54, "F": 36, "FC": 18, "C": 0, "CP": -18, "P": -36, "PO": -54}
RING = {"AF": "AF", "F": "F", "FC": "FT", "C": "T", "CP": "TP", "P": "P", "PO": "PO"}
# By the outermost number of an arc: electrodes from the ring to the midline.
ODD = {"AF": (7, 3), "PO": (7, 3)}
ALONE = {  # of no arc: degrees from the top, and around the head from the nose to the right
    "Fp1": (72, -18), "Fpz": (72, 0), "Fp2": (72, 18),
    "O1": (72, -162), "Oz": (72, 180), "O2": (72, 162),
    "Iz": (90, 180), "P9": (90, -126), "P10": (90, 126),
}  # fmt: skip


def electrodes() -> dict[str, NDArray[np.float64]]:
    """Names of 64 electrodes and where each is: metres to the right, front and top, (3,)."""
    found = {name: _on_sphere(*place) for name, place in ALONE.items()}
    for arc, front in ARCS.items():
        middle = _on_sphere(front, 0)
        found[f"{arc}z"] = middle
        odd = ODD.get(arc, (7, 5, 3, 1))
        for side in (-1, 1):
            outermost = _on_sphere(72, side * (90 - front))
            for place, number in enumerate(odd):
                name = f"{RING[arc] if number == 7 else arc}{number + (side > 0)}"
                found[name] = _between(outermost, middle, place / len(odd))
    return {name: RADIUS * unit for name, unit in found.items()}


def _on_sphere(from_top: float, around: float) -> NDArray[np.float64]:
    top, azimuth = np.radians([from_top, around])
    return np.array([np.sin(top) * np.sin(azimuth), np.sin(top) * np.cos(azimuth), np.cos(top)])


def _between(one: NDArray, other: NDArray, share: float) -> NDArray[np.float64]:
    """The point of a great circle that is so far on the way from one unit vector to another."""
    angle = np.arccos(one @ other)
    return (np.sin((1 - share) * angle) * one + np.sin(share * angle) * other) / np.sin(angle)


def nearness(place: NDArray, centre: NDArray, width: float) -> float:
    """How near an electrode is to another: 1 at its place, a Gaussian of the angle (degrees)."""
    cosine = place @ centre / np.linalg.norm(place) / np.linalg.norm(centre)
    return float(np.exp(-0.5 * (np.degrees(np.arccos(np.clip(cosine, -1, 1))) / width) ** 2))
