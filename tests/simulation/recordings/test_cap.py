import numpy as np
import pytest

from bthelpers.simulation.recordings.cap import RADIUS, electrodes, nearness

# A cap of 64 by the 10-10 system.
NAMES = """
Fp1 Fpz Fp2 AF7 AF3 AFz AF4 AF8 F7 F5 F3 F1 Fz F2 F4 F6 F8 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8
T7 C5 C3 C1 Cz C2 C4 C6 T8 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10
PO7 PO3 POz PO4 PO8 O1 Oz O2 Iz
""".split()  # noqa: SIM905


def test_names_are_those_of_a_cap_of_64():
    assert len(NAMES) == 64
    assert sorted(electrodes()) == sorted(NAMES)


def test_electrodes_are_on_the_head_and_apart():
    places = np.stack([*electrodes().values()])
    np.testing.assert_allclose(np.linalg.norm(places, axis=1), RADIUS)
    apart = np.linalg.norm(places[:, None] - places, axis=2)[np.triu_indices(64, 1)]
    assert apart.min() > 0.015


def test_sides_mirror_each_other():
    """Odd numbers are on the left, even ones on the right, and z in the middle."""
    places = electrodes()
    for name, (right, front, top) in places.items():
        if name.endswith("z"):
            assert right == pytest.approx(0, abs=1e-12)
            continue
        letters, number = name.rstrip("0123456789"), int(name.lstrip("ACFIOPTzp"))
        other = places[f"{letters}{number + (1 if number % 2 else -1)}"]
        assert (right < 0) == bool(number % 2)
        np.testing.assert_allclose([-right, front, top], other, atol=1e-12)


def test_rows_follow_each_other_from_the_nose():
    places = electrodes()
    for row in (["Fpz", "AFz", "Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz"], ["F3", "C3", "P3"]):
        front = [places[name][1] for name in row]
        assert front == sorted(front, reverse=True)
    np.testing.assert_allclose(places["Cz"], [0, 0, RADIUS], atol=1e-12)
    np.testing.assert_allclose(
        places["T7"] / RADIUS, [-np.sin(np.radians(72)), 0, np.cos(np.radians(72))], atol=1e-12
    )


def test_nearness_is_a_gaussian_of_the_angle():
    places = electrodes()
    assert nearness(places["Cz"], places["Cz"], 30) == pytest.approx(1)
    assert nearness(places["FCz"], places["Cz"], 18) == pytest.approx(np.exp(-0.5))
