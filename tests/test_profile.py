"""Who leads, by which figures, and what is written where nobody does."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from icp_lib import profile
from icp_lib.offer import SEGMENT_COLUMNS
from icp_lib.schemas import CLAIM_COLUMNS

ROW = {
    "segment_id": "s1", "segment": "Freight companies", "verdict": "confirmed", "is_emerging": False,
    "conditions": '[{"attribute": "industry", "op": "is", "value": "Freight"}]', "n_accounts": 300,
    "n_opportunities": 400, "n_won": 120, "win_rate": 0.4, "win_rate_low": 0.35, "win_rate_high": 0.45,
    "margin_per_day": 40.0, "margin_per_day_low": 30.0, "margin_per_day_high": 60.0, "margin_per_day_rest": 20.0,
    "margin_per_opportunity": 3000.0, "margin_per_opportunity_rest": 1500.0, "win_rate_rest": 0.22,
    "cycle_median_days": 50.0, "cycle_median_days_low": 45.0, "cycle_median_days_high": 56.0,
    "cycle_median_days_rest": 70.0, "found_n_opportunities": 250, "found_n_won": 80, "lift_found": 2.6,
    "holdout_n_opportunities": 150.0, "holdout_n_won": 40.0, "holdout_lift": 2.0, "holdout_lift_low": 1.5,
    "holdout_lift_high": 3.0, "holdout_joint_low": 1.2, "holdout_joint_high": 3.4, "n_mature": 260,
    "n_mature_won": 100, "share_of_margin": 0.5, "share_of_margin_low": 0.4, "share_of_margin_high": 0.6,
    "deal_share_rate": 0.21, "reachable_accounts": 900,
    "reachable_note": "At most: of 400 of them the buyer role is not known",
}  # fmt: skip
UNCHECKED = {name: np.nan for name in ROW if name.startswith("holdout_")} | {"verdict": "untested"}


def build(*changes: dict) -> pd.DataFrame:
    assert set(ROW) <= set(SEGMENT_COLUMNS)
    return pd.DataFrame([ROW | change for change in changes]).reindex(columns=SEGMENT_COLUMNS)


def headline(measure: str = "margin_per_day", **change) -> pd.DataFrame:
    return profile.build_headline(build(change), measure).set_index("metric")


@pytest.mark.parametrize(("rows", "leads"), [
    ([{}], "s1"),
    ([{"holdout_lift": 0.8}, {"segment_id": "s2", "verdict": "promising"}], "s2"),  # confirmed as worse than the rest
    ([{"is_emerging": True} | UNCHECKED, {"segment_id": "s2"} | UNCHECKED], "s2"),
    ([{"verdict": "contradicted"}, {"segment_id": "s2"} | UNCHECKED], "s2"),
    ([{"segment_id": "s3", "verdict": "promising"}, {}], "s3"),  # the order of the table is kept
    ([UNCHECKED | {"lift_found": 0.7}], None),
    ([{"verdict": "explained by the rep"}, {"verdict": "not supported"}, {"verdict": "not enough data"}], None),
    ([], None),
])  # fmt: skip
def test_the_first_that_is_better_and_checked_leads(rows, leads):
    best = profile.choose_best(build(*rows))
    assert best["segment_id"].tolist() == ([leads] if leads else [])


def test_the_headline_has_the_figures_of_newer_deals():
    table = headline()
    assert table.reset_index()[profile.HEADLINE_COLUMNS].shape == (8, len(profile.HEADLINE_COLUMNS))
    assert table.index.tolist() == [
        "margin_per_day", "win_rate", "cycle_median_days", "share_of_margin", "cac", "payback_months", "retention_12",
        "reachable_accounts",
    ]  # fmt: skip
    columns = ["estimate", "conf_low", "conf_high", "n", "n_events", "comparison"]
    expected = {
        "margin_per_day": [40.0, 24.0, 68.0, 150, 40, 20.0],  # the rest's 20 a day, times 2 (1.2 to 3.4)
        "win_rate": [0.4, 0.35, 0.45, 260, 100, 0.22],
        "cycle_median_days": [50, 45, 56, 260, 100, 70],
        "share_of_margin": [0.5, 0.4, 0.6, 400, 120, np.nan],
        "reachable_accounts": [900, np.nan, np.nan, np.nan, np.nan, np.nan],
    }
    for metric, figures in expected.items():
        np.testing.assert_allclose(table.loc[metric, columns].astype(float), figures)
    table = table.loc[list(expected)]
    assert table["note"].tolist() == ["", "", "", "21% of all deals", ROW["reachable_note"]]
    assert (table["segment_id"] == "s1").all() and table["method"].notna().all() and (table["conf_level"] == 0.95).all()


def test_cost_payback_and_retention_come_from_page_03_beside_the_rest():
    row = {"conf_low": 4000.0, "conf_high": 6000.0, "n": 80, "n_events": 12, "method": "as there", "note": ""}
    costs = pd.DataFrame([
        {"segment_id": "s1", "metric": "cac", "estimate": 5000.0} | row,
        {"segment_id": "s1", "metric": "cac_zero_lag", "estimate": 4800.0} | row,
        {"segment_id": "rest", "metric": "cac", "estimate": 7000.0} | row,
        {"segment_id": "s2", "metric": "cac", "estimate": 1.0} | row,
    ])  # fmt: skip
    kept = pd.DataFrame([{"segment_id": np.nan, "metric": "retention_12", "estimate": 0.8} | row,
                         {"segment_id": "s1", "metric": "retention_12", "estimate": 0.9} | row])  # fmt: skip
    table = profile.build_headline(build({}), "margin_per_day", costs, kept, pd.DataFrame()).set_index("metric")
    columns = ["estimate", "conf_low", "conf_high", "n", "n_events", "comparison", "compared_with", "method"]
    assert table.loc["cac", columns].tolist() == [5000.0, 4000.0, 6000.0, 80, 12, 7000.0, "the rest", "as there"]
    assert table.loc["retention_12", columns[:1] + columns[5:7]].tolist() == [0.9, 0.8, "all customers"]
    assert np.isnan(table.loc["payback_months", "estimate"])
    assert table.loc["payback_months", "note"].startswith("needs spend and revenue. Add spend.csv with month")
    assert (table["segment_id"] == "s1").all()


@pytest.mark.parametrize(("measure", "metric", "figures"), [
    ("margin_per_opportunity", "margin_per_opportunity", [3000.0, 1800.0, 5100.0, 1500.0]),
    ("win_rate", "lift", [2.0, 1.2, 3.4, 1.0]),
    ("retention", "lift", [2.0, 1.2, 3.4, 1.0]),
])  # fmt: skip
def test_the_lead_is_in_the_unit_of_the_measure(measure, metric, figures):
    row = headline(measure).loc[metric]
    np.testing.assert_allclose(row[["estimate", "conf_low", "conf_high", "comparison"]].astype(float), figures)
    assert row["note"] == "" and row["method"].startswith("held-out")


def test_what_newer_deals_have_not_checked_is_said_to_be_optimistic():
    row = headline(**UNCHECKED).loc["margin_per_day"]
    assert (row["estimate"], row["n"], row["n_events"]) == (52.0, 250, 80) and np.isnan(row["conf_low"])
    assert row["note"] == "As found, which is optimistic: newer deals have not checked it"


def test_a_figure_that_cannot_be_given_stays_with_a_reason():
    table = headline(margin_per_day_rest=np.nan, win_rate=np.nan, cycle_median_days=np.nan, n_mature=20, n_mature_won=5)
    few = "20 deals are a year old, 5 of them won: too few for a figure"
    assert table.loc["margin_per_day", "note"] == "No deal of the rest is a year old"
    assert table["note"].tolist()[1:3] == [few, few] and table["estimate"].iloc[:3].isna().all()


def test_without_a_segment_to_lead_the_headline_has_no_row():
    for measure in ("margin_per_day", "win_rate"):
        table = profile.build_headline(build(), measure)
        assert table.empty and table.columns.tolist() == profile.HEADLINE_COLUMNS
    assert profile.pick_headline(table).columns.tolist() == [
        "metric", "estimate", "conf_low", "conf_high", "comparison", "compared_with", "n", "note",
    ]  # fmt: skip


@pytest.mark.parametrize(("change", "lead"), [
    ({}, "The best of 6,733 groups in older deals, and seen again in newer deals kept aside."),
    ({"verdict": "promising"},
     "The best of 6,733 groups. Newer deals point the same way; luck could still explain it."),
    (UNCHECKED, "The best of 6,733 groups in older deals. Too few newer deals to check it yet."),
])  # fmt: skip
def test_the_profile_says_how_sure_it_is(change, lead):
    written = profile.build_profile(build(change), "2026-Q3", pd.DataFrame({"hypotheses": [6733, 90]}), "Revenue.")
    assert written == {
        "name": "Freight companies", "quarter": "2026-Q3", "status": "draft", "segment_id": "s1",
        "attributes": json.loads(ROW["conditions"]), "verdict": change.get("verdict", "confirmed"), "lead": lead,
        "note": "Revenue.",
    }  # fmt: skip


@pytest.mark.parametrize(("hypotheses", "verdict", "lead"), [
    ([6733], "not supported", "6,733 groups were searched. None has a lead that luck could not give."),
    ([0], "not enough data", "No group has enough deals to be searched."),
    ([], "not enough data", "No group has enough deals to be searched."),
])  # fmt: skip
def test_no_profile_is_said_in_words(hypotheses, verdict, lead):
    written = profile.build_profile(build(), "2026-Q3", pd.DataFrame({"hypotheses": hypotheses}))
    assert (written["name"], written["segment_id"], written["attributes"]) == ("", "", [])
    assert (written["verdict"], written["lead"], written["status"]) == (verdict, lead, "draft")


def test_every_verdict_that_may_lead_has_its_words():
    for verdict in profile.LEADING:
        searched = pd.DataFrame({"hypotheses": [10]})
        assert profile.build_profile(build({"verdict": verdict}), "2026-Q3", searched)["lead"].startswith("The best of")


def test_findings_are_all_claims_in_their_columns():
    claims = pd.DataFrame({"verdict": ["confirmed"], "claim_id": ["01-s1"], "extra": [1]})
    found = profile.build_findings(claims)
    assert found.columns.tolist() == CLAIM_COLUMNS and found["claim_id"].tolist() == ["01-s1"]
    assert profile.build_findings(pd.DataFrame()).columns.tolist() == CLAIM_COLUMNS
    shown = profile.pick_findings(found)
    assert set(shown.columns) - {"compared_with"} < set(CLAIM_COLUMNS)
    beside = shown["compared_with"].where(shown["metric"] == "base_lift")
    assert shown["compared_with"].equals(beside)  # all others are compared with the rest, or with no difference
