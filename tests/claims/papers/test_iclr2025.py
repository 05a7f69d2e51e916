from claim_results import MODEL, REPOSITORY

from bthelpers.claims.claim import FAMILIES
from bthelpers.claims.papers.iclr2025 import BIG_TEXT, CLAIMS


def test_every_published_claim_is_tested(published):
    """The results hold everything of HuBERT, and Whisper's alignment, but no bigger text model."""
    claims = [claim for of_topic in CLAIMS.values() for claim in of_topic]
    for number, claim in enumerate(claims):
        rows = published.rows[published.rows["claim"] == number]
        for statement in claim.statements:
            assert set(statement.families) <= set(FAMILIES)
            of_hubert = "HuBERT" in statement.families and BIG_TEXT not in statement.compared
            if of_hubert or statement.measure.evaluation == "alignment":
                assert rows["value"].notna().any(), claim.text
        assert claim.source
    remarks = published.claims["remark"]
    assert not remarks.str.contains(f"{MODEL} without (?!{BIG_TEXT})").any()


def test_every_claim_is_listed_once():
    texts = [(topic, claim.text) for topic, claims in CLAIMS.items() for claim in claims]
    assert len(set(texts)) == len(texts)


def test_the_chapter_shows_every_topic():
    chapter = (REPOSITORY / "book" / "13_claims.md").read_text(encoding="utf-8")
    for topic in CLAIMS:
        assert f'readable_claims(verdicts, "{topic}")' in chapter
        assert f'readable_rows(verdicts, "{topic}")' in chapter
