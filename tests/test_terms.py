"""Defined metrics: a link under the name, the definition once a page."""

from __future__ import annotations

from test_display import Tags

from icp_lib import terms
from icp_lib.metrics import METRICS

SPAN = '<span class="icp-term" data-metric="{}" title="old">{}</span>'


def page(*spans: str) -> str:
    return f"<body>{''.join(spans)}<footer></footer></body>"


def test_a_metric_leads_to_the_glossary_and_is_defined_once():
    html = terms.define_terms(page(SPAN.format("win_rate", "Won"), SPAN.format("win_rate", "Won again")))
    tags, metric = Tags(html), METRICS["win_rate"]
    links = tags.find("a", **{"class": "icp-term"})
    assert [(link["href"], link["title"]) for link in links] == [("glossary.html#win_rate", metric.sentence)] * 2
    definitions = tags.find("div", id="def-win_rate")
    assert len(definitions) == 1 and "popover" in definitions[0]
    assert {link["aria-describedby"] for link in links} == {"def-win_rate"}
    for words in (metric.name, metric.formula, metric.numerator, metric.denominator, metric.window):
        assert words in html
    assert html.index('id="def-') < html.index("</footer>")


def test_an_unknown_metric_stays_plain_words():
    html = terms.define_terms(page(SPAN.format("nothing", "Nothing")))
    assert html == page("Nothing")


def test_what_does_not_apply_is_left_out():
    assert [head for head, _ in terms.pick_facts(METRICS["n_won"])] == ["Counts", "From"]
    assert terms.pick_facts(METRICS["p_adjusted"]) == []
