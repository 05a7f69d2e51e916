from claim_results import MODEL, REPOSITORY

from bthelpers.claims.iclr2025 import CLAIMS
from bthelpers.claims.verdicts import FAMILIES


def test_every_published_claim_is_tested(written, published):
    """The results hold everything of HuBERT, and Whisper's alignment."""
    for topic, claims in CLAIMS.items():
        for claim in claims:
            rows = published[(published["topic"] == topic) & (published["claim"] == claim.text)]
            if "HuBERT" in claim.families or claim.measure.evaluation == "alignment":
                assert rows["value"].notna().any(), claim.text
            assert set(claim.families) <= set(FAMILIES)
            assert claim.source
    assert not published["verdict"].isna().any()
    assert not published["verdict"].str.contains(f"{MODEL} without").any()


def test_the_chapter_shows_every_topic():
    chapter = (REPOSITORY / "book" / "13_claims.md").read_text(encoding="utf-8")
    for topic in CLAIMS:
        assert f'of_topic["{topic}"]' in chapter
