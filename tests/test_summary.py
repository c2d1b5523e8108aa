"""The summary: one page of words, the same facts as the front page, in Markdown and in plain text."""

from __future__ import annotations

import pandas as pd
import pytest
from test_display import EVIL
from test_front import CLAIMS, FRONT, HEADLINE, PROFILE

from icp_lib import summary
from icp_lib.checks import DataError


def build(kind, headline=HEADLINE, claims=CLAIMS, profile=PROFILE, **context):
    return summary.build_summary(FRONT | context, headline, claims, profile, kind)


def test_the_answer_stands_first_and_every_figure_has_its_range():
    text = build("txt")
    parts = ("ideal customer", "Road-freight carriers with 5 to 20 employees.", "What is it worth?", "What do we know")
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert "Won within a year: 34% (30 to 39); the rest 20%; n = 431." in text
    assert "Margin per selling day: €45 (38 to 51); the rest €17; n = 431." in text
    assert "Sales cycle, won deals: not measured (no deal won yet)." in text
    beside = build("txt", HEADLINE.assign(compared_with="all customers"))
    assert "34% (30 to 39); all customers 20%; n = 431." in beside
    assert "How sure are we? Confirmed. Seen where we looked" in text


def test_claims_stand_under_their_verdict_and_too_few_print_no_figure():
    text = build("txt")
    assert "Confirmed (1)." in text and "  - Carriers are worth more: 2.7× (2.2 to 3.2), n = 431." in text
    assert "  - New carriers: 8 of 15 won." in text and "9.9" not in text


def test_pages_that_failed_are_named_with_their_reason():
    failed = {"number": "03", "title": "Efficiency", "status": "failed", "status_words": "Failed", "words": "No month."}
    text = build("txt", pages=[failed])
    assert "Which pages failed?" in text and "  - 03 Efficiency: No month." in text
    assert "Which pages failed?" not in build("txt", pages=[])


def test_plain_text_has_no_long_line_and_no_markup():
    text = build("txt", claims=pd.concat([CLAIMS] * 5), profile=PROFILE | {"lead": "They earn much. " * 20})
    assert max(map(len, text.splitlines())) <= 78
    assert not [line for line in text.splitlines() if line.startswith(("#", "**", "|"))]
    assert "n =\n" not in text and "\N{NO-BREAK SPACE}" not in text


def test_many_claims_of_one_verdict_are_counted():
    claims = pd.concat([CLAIMS.head(1)] * 12, ignore_index=True)
    text = build("txt", claims=claims)
    assert "Confirmed (12)." in text and text.count("Carriers are worth more") == 5 and "7 more: see the front" in text


def test_words_from_the_data_are_no_markup():
    text = build("md", profile=PROFILE | {"name": f"{EVIL} [x](http://y) # `z`"}, company="*A_B*")
    assert "<" not in text.replace("&lt;", "") and r"\[x\](http" in text and r"\*A\_B\*" in text
    assert text.startswith("# ") and "**Confirmed (1)." in text


def test_nothing_measured_says_so():
    text = build("txt", pd.DataFrame(), pd.DataFrame(), {})
    assert "No profile yet." in text and "No figure yet" in text and "No claim yet" in text
    assert "nan" not in text.lower()


def test_there_are_two_kinds():
    with pytest.raises(DataError, match=r"kind: 'html' is not known\. Allowed: md, txt\."):
        build("html")
