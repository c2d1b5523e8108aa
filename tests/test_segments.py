"""Levels of traits on the demo's world, recomputed by another route where that is short."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import worlds

from icp_lib import groups, segments
from icp_lib.rules import Segment

TRAITS = {
    "industry": {},
    "employees": {"bins": [1, 5, 21, 51, 101, 251]},
    "buyer_role": {},
    "technologies": {},
    "web_shop": {},
    "city": {},
}


@pytest.fixture(scope="module")
def world():
    return worlds.build_frames(7)


@pytest.fixture(scope="module")
def levels(world):
    return segments.estimate_levels(*world, TRAITS, cutoff=worlds.CUTOFF, gross_margin_rate=0.75)


def test_counts_equal_a_plain_groupby(world, levels):
    accounts, opportunities = world
    deals = opportunities[opportunities["is_relevant"]].merge(accounts[["account_id", "industry"]], on="account_id")
    days = (deals["closed_at"] - deals["created_at"]).dt.total_seconds() / 86400
    deals["has_won"], deals["is_won"] = deals["status"] == "won", (deals["status"] == "won") & (days <= 365)
    expected = deals.groupby("industry")["has_won"].agg(["size", "sum", "mean"])
    found = levels[(levels["attribute"] == "industry") & (levels["level"] != "Missing")].set_index("level")
    pd.testing.assert_series_equal(found["n_opportunities"].sort_index(), expected["size"], check_names=False)
    pd.testing.assert_series_equal(found["n_won"].sort_index(), expected["sum"], check_names=False)
    pd.testing.assert_series_equal(found["close_rate"].sort_index(), expected["mean"], check_names=False)
    old = deals[deals["created_at"] <= worlds.CUTOFF - pd.Timedelta(days=365)]
    rate = old[old["industry"] == "Road freight"]["is_won"].mean()
    assert found.loc["Road freight", "win_rate"] == pytest.approx(rate)


def test_money_is_the_lift_times_the_rest(levels):
    for name in ("margin_per_day", "margin_per_day_low", "margin_per_day_high"):
        expected = levels[name.replace("margin_per_day", "lift")] * levels["margin_per_day_rest"]
        np.testing.assert_allclose(levels[name], expected, equal_nan=True)


def test_the_planted_traits_lead_and_the_idle_one_does_not(levels):
    by_level = levels.set_index("segment")
    assert by_level.loc["Road freight companies", "lift_low"] > 1
    assert (
        by_level.loc["Companies with web shop: yes", "lift_low"]
        < 1
        < by_level.loc["Companies with web shop: yes", "lift_high"]
    )
    assert set(levels["verdict"]) <= {"untested", "not supported", "not enough data"}


def test_rows_are_sorted_by_verdict_then_lower_bound(levels):
    place = levels["verdict"].map(groups.VERDICT_ORDER.index)
    assert place.is_monotonic_increasing
    for _, rows in levels.groupby("verdict"):
        assert rows["lift_low"].dropna().is_monotonic_decreasing


def test_shuffled_rows_and_scaled_money_change_nothing_but_the_unit(world, levels):
    accounts, opportunities = world
    money = ["amount", "gross_margin"]
    shuffled = opportunities.sample(frac=1, random_state=1).assign(
        **{name: opportunities[name] * 100 for name in money}
    )
    again = segments.estimate_levels(
        accounts.sample(frac=1, random_state=2), shuffled, TRAITS, cutoff=worlds.CUTOFF, gross_margin_rate=0.75
    )
    assert again["segment_id"].tolist() == levels["segment_id"].tolist()
    np.testing.assert_allclose(again["lift"], levels["lift"], rtol=1e-9)
    np.testing.assert_allclose(again["margin_per_day"], levels["margin_per_day"] * 100, rtol=1e-9)


def test_a_level_below_the_minimum_says_what_is_missing(levels):
    small = levels[levels["verdict"] == "not enough data"]
    assert len(small) and small["note"].str.fullmatch(r"[\d,]+ (won|deals) of the (15|50) needed").all()


def test_value_without_the_largest_account(world, levels):
    accounts, opportunities = world
    row = levels[levels["segment"] == "Road freight companies"].iloc[0]
    assert 0 < row["share_largest"] < 0.1
    segment = Segment.of(*json.loads(row["conditions"]))
    members = accounts[segment.mask(accounts)]
    margins = opportunities[
        opportunities["account_id"].isin(members["account_id"])
        & (opportunities["status"] == "won")
        & opportunities["is_relevant"]
    ]
    largest = margins.groupby("account_id")["amount"].sum().idxmax()
    without = segments.estimate_levels(
        accounts[accounts["account_id"] != largest],
        opportunities,
        {"industry": {}},
        cutoff=worlds.CUTOFF,
        gross_margin_rate=0.75,
    )
    again = without.set_index("segment").loc["Road freight companies", "lift"]
    assert again < row["lift"] and row["lift_without_largest"] < row["lift"]


def test_no_trait_gives_the_table_without_rows(world):
    accounts, opportunities = world
    empty = segments.estimate_levels(accounts, opportunities, {"absent": {}}, cutoff=worlds.CUTOFF)
    assert empty.empty and {"segment_id", "segment", "verdict"} <= set(empty.columns)


def test_a_shrunk_lift_lies_between_its_own_and_its_attributes(levels):
    able = levels[levels["lift_shrunk"].notna()]
    assert len(able) > 20 and able["lift_shrunk"].std() < able["lift"].std()
    for _, rows in able.groupby("attribute"):
        own, shrunk = np.log(rows["lift"]), np.log(rows["lift_shrunk"])
        assert (shrunk.max() <= own.max() + 1e-12) and (shrunk.min() >= own.min() - 1e-12)
    assert levels.loc[levels["verdict"] == "not enough data", "lift_shrunk"].isna().all()


def test_an_offered_segment_that_counts_two_ways_is_listed_once(levels):
    row = levels[levels["verdict"] != "not enough data"].iloc[[0]]
    apart = row.assign(segment="Offered", lift=1.5, lift_low=1.2, lift_high=1.9, lift_per_opportunity=0.8)
    found = segments.find_disagreement(apart, pd.concat([apart, levels.head(0)]))
    assert found["segment"].tolist() == ["Offered"]
    assert segments.find_disagreement(apart.head(0), levels.head(0)).empty
