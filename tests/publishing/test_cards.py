import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml

from bthelpers.publishing.cards import page_cards, write_cards

BOOK = Path(__file__).parents[2] / "book"
PAGE = """<div role="list" class="citation-list"><div class="citation" id="id7">
<span class="backrefs">(<a href="a.html#id1">1</a>)</span>
<p>A. Author. <em>A &lt;paper&gt;</em>. <a href="https://doi.org/1">doi:1</a>.</p></div></div>
<dl class="simple glossary"><dt id="term-TR">TR<a class="headerlink" href="#term-TR">#</a></dt>
<dd><p>Time of <span id="id1">a volume</span>.</p></dd></dl>
<div class="math notranslate nohighlight" id="equation-sum"><span class="eqno">(1)</span>
\\[B = \\frac{1}{2}\\]</div>
<div class="math notranslate nohighlight">\\[x\\]</div>"""


def test_papers_terms_and_labelled_equations_have_cards():
    cards = dict(page_cards(PAGE))
    assert list(cards) == ["id7", "term-TR", "equation-sum"]
    assert cards["id7"] == "<p>A. Author. <em>A &lt;paper&gt;</em>. doi:1.</p>"
    assert cards["term-TR"] == "<p>TR</p><p>Time of <span>a volume</span>.</p>"
    assert cards["equation-sum"].startswith("<math")
    assert "<mfrac>" in cards["equation-sum"]
    assert "\\" not in cards["equation-sum"]


def test_all_cards_are_in_one_script_also_after_a_build_of_some_pages(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "api").mkdir()
    (tmp_path / "page.html").write_text(PAGE)
    (tmp_path / "api/other.html").write_text("<p>Nothing to show.</p>")
    env = SimpleNamespace(found_docs={"page", "api/other"})
    write_cards(
        SimpleNamespace(builder=SimpleNamespace(name="html"), outdir=tmp_path, env=env), None
    )
    script = (tmp_path / "_static/cards.js").read_text()
    cards = json.loads(re.match(r"const cards = (\{.*?\n\});\n", script, re.DOTALL)[1])
    assert cards == {f"page.html#{target}": card for target, card in page_cards(PAGE)}


def test_an_equation_that_is_no_mathml_is_an_error():
    with pytest.raises(MathError):
        dict(page_cards(PAGE.replace("\\frac", "\\nosuchcommand")))


def test_every_labelled_equation_of_the_book_has_a_card():
    equation = re.compile(r"^\$\$\n(.*?)\n\$\$ \([\w-]+\)$", re.MULTILINE | re.DOTALL)
    found = [tex for page in BOOK.glob("*.md") for tex in equation.findall(page.read_text())]
    assert found
    for tex in found:
        assert "<math" in tex2mathml(tex, as_block=True)
