from pathlib import Path

import pytest

from bthelpers.data.regions import GLASSER_AREAS, load_regions

BRAINWAVLM = Path(__file__).parents[2] / "params/regions/brainwavlm.yaml"
FOUR_PARTS = ["angular_gyrus", "lateral_temporal", "inferior_frontal", "middle_frontal"]


def test_regions_of_the_paper():
    regions = load_regions()
    expected = {
        "angular_gyrus": "PFm PGs PGi TPOJ2 TPOJ3",
        "lateral_temporal": "STSda STSva STGa TE1a TE2a TGv TGd A5 STSdp STSvp PSL STV TPOJ1",
        "inferior_frontal": "44 45 IFJa IFSp",
        "middle_frontal": "55b",
        "primary_auditory": "A1",
        "early_auditory": "A1 PBelt MBelt LBelt RI A4",
    }
    for name, areas in expected.items():
        assert set(regions[name]) == {f"{s}_{area}" for s in "LR" for area in areas.split()}
    assert len(regions["late_language"]) == 2 * (5 + 13 + 4 + 1)
    assert set(regions["late_language"]) == set().union(*(regions[part] for part in FOUR_PARTS))
    assert len(regions) == 7


def test_brainwavlm_tunes_towards_the_cortex_and_parts_of_it():
    regions = load_regions(BRAINWAVLM)
    sets = {name: set(parcels) for name, parcels in regions.items()}
    for name, side in (("left_hemisphere", "L"), ("right_hemisphere", "R")):
        assert sets[name] == {f"{side}_{area}" for area in GLASSER_AREAS}
    assert sets["cortex"] == sets["left_hemisphere"] | sets["right_hemisphere"]
    assert sets["auditory_cortex"] == set(load_regions()["early_auditory"])
    assert sets["rest_of_cortex"] == sets["cortex"] - sets["auditory_cortex"]
    for name, parcels in load_regions().items():  # chapters show them of any profile
        assert regions[name] == parcels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [44, 55b]", {"a": ("L_44", "R_44", "L_55b", "R_55b")}),
        ("a: [R_A1, A1]", {"a": ("R_A1", "L_A1")}),
        ("b: [a, A1]\na: [L_A1, L_V1]", {"b": ("L_A1", "L_V1", "R_A1"), "a": ("L_A1", "L_V1")}),
        ("a: [A1, V1, -L_A1]", {"a": ("R_A1", "L_V1", "R_V1")}),
        ("a: [A1, -44, -A1, L_A1]", {"a": ("L_A1",)}),
        ("b: [A1, 4, -a]\na: [R_*]", {"b": ("L_A1", "L_4"), "a": None}),
    ],
)
def test_own_region_table(tmp_path, text, expected):
    (tmp_path / "regions.yaml").write_text(text)
    found = load_regions(tmp_path / "regions.yaml")
    assert list(found) == list(expected)
    assert all(found[name] == parcels for name, parcels in expected.items() if parcels)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [STSdq]", "'STSdq' in region 'a'.*nearest is 'STSdp'"),
        ("late_language: [A1]\na: [late_languag]", "nearest is 'late_language'"),
        ("a: [L_XYZ]", "'L_XYZ' in region 'a' is neither"),
        ("a: [A1, -STSdq]", "'STSdq' in region 'a'.*nearest is 'STSdp'"),
        ("a: [b]\nb: [a]", "'a' contains itself"),
        ("a: [A1, -a]", "'a' contains itself"),
        ("\n".join(f"r{k}: [r{k + 1}]" for k in range(200)), "is nested too deeply"),
        ("a: []", "'a' holds no parcel"),
        ("a: [A1, -L_A1, -R_A1]", "'a' holds no parcel"),
        ("a: [A1]\nA: [A4]", "regions 'a' and 'A' differ only in case"),
        ("a: A1", "expected lines such as"),
        ("- A1", "must hold keys with values, such as 'primary_auditory: .A1.'"),
        ("", "must hold keys with values"),
    ],
)
def test_wrong_region_table(tmp_path, text, message):
    (tmp_path / "regions.yaml").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        load_regions(tmp_path / "regions.yaml")
    assert "regions.yaml" in str(caught.value)


def test_regions_that_double_with_each_level_take_no_time(tmp_path):
    """Resolved one by one, these would be 2 ** 60."""
    doubling = [f"r{k}: [r{k - 1}, r{k - 1}]" for k in range(1, 61)]
    (tmp_path / "regions.yaml").write_text("\n".join(["r0: [A1]", *doubling]))
    assert load_regions(tmp_path / "regions.yaml")["r60"] == ("L_A1", "R_A1")
