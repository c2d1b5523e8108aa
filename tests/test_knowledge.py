"""Claims under their verdicts."""

from __future__ import annotations

import numpy as np
import pandas as pd
from test_display import EVIL
from test_front import CLAIMS, FRONT
from test_pages import PAGES

from icp_lib import front, knowledge


def claims(verdicts: list[str], **columns) -> pd.DataFrame:
    table = pd.concat([CLAIMS.head(1)] * len(verdicts), ignore_index=True)
    return table.assign(verdict=verdicts, claim=[f"Claim {i}." for i in range(len(verdicts))], **columns)


def test_claims_stand_under_their_verdict_without_numbers_where_too_few():
    html = front.render_front(FRONT, pd.DataFrame(), CLAIMS, {})
    assert html.index("Carriers are worth more.") < html.index("New carriers.")
    assert "9.9" not in html and "8 of 15 won" in html and "2.7× (2.2 to 3.2)" in html
    assert 'href="01_segment_discovery.html"' in html and EVIL not in html


def test_groups_come_in_the_order_of_the_verdicts():
    groups, _, _ = knowledge.group_claims(claims(["not enough data", "untested", "confirmed", "contradicted"]), PAGES)
    assert [each["word"] for each in groups] == ["Confirmed", "Contradicted", "Untested", "Not enough data"]
    assert [each["is_open_on_phone"] for each in groups] == [True, True, False, False]


def test_an_explained_claim_names_what_explains_it():
    table = claims(["explained by", "explained by the rep"], explained_by=["region", None])
    (group,), _, _ = knowledge.group_claims(table, PAGES)
    under = [each["under"] for each in group["claims"]]
    assert "explained by region" in under[0] and "explained by the rep" in under[1]


def test_what_is_not_measured_does_not_stretch_the_axis():
    narrow = claims(["confirmed"])
    wide = pd.concat([narrow, CLAIMS[CLAIMS["verdict"] == "not enough data"]], ignore_index=True)
    assert knowledge.group_claims(wide, PAGES)[1] == knowledge.group_claims(narrow, PAGES)[1]


def test_a_long_group_is_cut_with_its_count_and_page():
    groups, _, _ = knowledge.group_claims(claims(["not supported"] * 15), PAGES)
    assert len(groups[0]["claims"]) == 12 and groups[0]["n"] == 15 and groups[0]["more"] == "3 more on page 01"
    assert not groups[0]["is_open"]


def test_a_note_that_all_claims_share_is_said_once():
    table = claims(["confirmed", "promising"], note="revenue, not margin")
    groups, _, shared = knowledge.group_claims(table, PAGES)
    assert shared == "revenue, not margin"
    assert all("revenue" not in each["under"] for group in groups for each in group["claims"])


def test_a_claim_without_verdict_or_figure_says_so():
    table = claims(["confirmed"]).assign(verdict=None, estimate=np.nan, conf_low=np.nan, conf_high=np.nan)
    (group,), _, _ = knowledge.group_claims(table, PAGES)
    assert group["word"] == "Untested" and group["claims"][0]["value"] == "no figure"
