"""The glossary: every figure with its anchor, every verdict with its rule."""

from __future__ import annotations

import re
from html import escape

import pytest
from test_display import Tags
from test_pages import CONTEXT

from icp_lib import glossary, marks, stats
from icp_lib.metrics import METRICS
from icp_lib.run import REPOSITORY


@pytest.fixture(scope="module")
def html() -> str:
    return glossary.render_glossary(CONTEXT)


def test_every_figure_has_its_anchor_and_its_definition(html):
    entries = {attrs["id"] for attrs in Tags(html).find("div", **{"class": "entry"})}
    assert set(METRICS) <= entries
    for metric in METRICS.values():
        entry = html[html.index(f'id="{metric.id}"') :].split('<div class="entry"')[0]
        for words in (metric.name, metric.sentence, metric.formula, metric.numerator, metric.denominator, metric.unit):
            assert escape(words, quote=False).replace("'", "&#39;") in entry


def test_every_verdict_has_its_mark_its_sentence_and_its_rule(html):
    assert set(glossary.RULES) == set(marks.VERDICTS)
    for key, rule in glossary.RULES.items():
        assert rule in html and marks.verdict_sentence(key) in html
        assert marks.verdict_mark(key).split("focusable")[1] in html, "the mark's own shape"


@pytest.mark.parametrize(
    ("verdict", "arguments"),
    [
        ("not enough data", (stats.MIN_OPPORTUNITIES - 1, 99, 2.0, 0.001)),
        ("not enough data", (99, stats.MIN_WON - 1, 2.0, 0.001)),
        ("untested", (stats.MIN_OPPORTUNITIES, stats.MIN_WON, 2.0, 0.001)),
        ("not supported", (stats.MIN_OPPORTUNITIES, stats.MIN_WON, 2.0, 0.2)),
    ],
)
def test_the_minimum_of_the_rules_is_the_one_in_use(verdict, arguments):
    assert stats.verdict(*arguments) == verdict
    assert f"Fewer than {stats.MIN_OPPORTUNITIES} deals, or fewer than {stats.MIN_WON} won" in glossary.RULES[
        "not enough data"
    ]


@pytest.mark.parametrize(
    "anchor", ["deal", "segment", "the-rest", "newer-deals", "likely", "page-failed", "mql", "arpa", "w-shaped"]
)
def test_the_words_of_the_report_have_anchors(html, anchor):
    assert f'id="{anchor}"' in html


def test_anchors_are_the_only_ones_of_their_name_and_links_stay_inside(html):
    ids = [attrs["id"] for _, attrs in Tags(html).tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert all(re.match(r"#|\.\./index|[\w-]+\.html", attrs["href"]) for attrs in Tags(html).find("a"))


def test_it_is_the_same_for_every_page_that_asks(html):
    assert glossary.render_glossary({**CONTEXT, "name": "00_data_check"}) == html


def test_how_often_it_errs_without_truth_is_what_the_bench_found(html):
    """Per thousand, the larger of its two kinds of worlds: without truth, and with a level that appears late."""
    table = (REPOSITORY / "docs" / "bench.md").read_text(encoding="utf-8").split("## discovery")[1].split("\n## ")[0]
    for word, most in stats.FALSE_OF_1000.items():
        found = [float(share) for share in re.findall(rf"any segment {word} \| ([\d.]+)%", table)]
        assert len(found) == 2 and most == round(10 * max(found))
    assert stats.CALIBRATION in html
