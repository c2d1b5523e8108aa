"""Who was there early: the curve against statsmodels, the landmark by hand, and chance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from companies import CUTOFF, build_frames

from icp_lib import contrast, personas, trait_answers

REFERENCE = pd.read_csv(Path(__file__).parent / "reference" / "incidence.csv")
NO_TOUCHES = pd.DataFrame({"contact_id": pd.Series(dtype="str"), "occurred_at": pd.Series(dtype="datetime64[us]")})


@pytest.mark.parametrize("case", sorted(REFERENCE["case"].unique()))
def test_incidence_is_that_of_statsmodels(case):
    rows = REFERENCE[REFERENCE["case"] == case]
    outcome = rows["outcome"].where(rows["day"] < personas.HORIZON_DAYS, 0)
    found = personas.estimate_incidence(rows["day"], outcome, np.ones((len(rows), 1)))
    assert found[0] == pytest.approx(rows["won"].iloc[0], rel=1e-10)  # the file has twelve digits


def test_without_open_deals_it_is_the_share_won_and_a_weight_of_two_is_two_deals():
    day, outcome = np.array([1.0, 5, 5, 170]), np.array([1, 2, 1, 2])
    assert personas.estimate_incidence(day, outcome, np.ones((4, 1)))[0] == pytest.approx(0.5)
    weights = np.array([2.0, 1, 1, 1])[:, None]
    twice = personas.estimate_incidence(np.append(day, 1.0), np.append(outcome, 1), np.ones((5, 1)))
    assert personas.estimate_incidence(day, outcome, weights)[0] == pytest.approx(twice[0])
    assert np.isnan(personas.estimate_incidence(day, outcome, np.zeros((4, 1)))[0])


def company(days, status, days_ago=600.0):
    ids = np.array([f"a{i:04d}" for i in range(len(days))], object)
    deals = pd.DataFrame(
        {"opportunity_id": ids, "account_id": ids, "days_ago": days_ago, "days": days, "status": status}
    )
    return build_frames({"account_id": ids}, deals)


def people(accounts, seen_days, role="Owner"):
    """One contact an account, first touched so many days after the deal was opened."""
    ids = "c" + accounts["account_id"]
    contacts = pd.DataFrame({"contact_id": ids, "account_id": accounts["account_id"], "buyer_role": role,
                             "seniority": "Head", "created_at": CUTOFF - pd.Timedelta(days=2000)})  # fmt: skip
    touches = pd.DataFrame({"contact_id": ids, "occurred_at": accounts["first_opportunity_at"]
                            + pd.to_timedelta(seen_days, unit="D")})  # fmt: skip
    return contacts, touches


def test_only_who_was_there_by_day_30_of_deals_open_then():
    accounts, deals = company([10.0, 31, 100, 100, 400], ["won", "won", "lost", "won", "open"])
    contacts, touches = people(accounts, [1.0, 1, 29, 31, -500])
    found = personas.build_landmark(accounts, deals, contacts, touches, CUTOFF)
    assert found.deals["account_id"].tolist() == ["a0001", "a0002", "a0003", "a0004"]  # a0000 closed on day 10
    assert found.present[("buyer_role", "Owner")].tolist() == [True, True, False, True]
    assert found.deals["outcome"].tolist() == [1, 2, 1, 0] and found.deals["day"].iloc[0] == pytest.approx(1.0)
    late = touches.assign(occurred_at=touches["occurred_at"].mask(touches.index == 3, CUTOFF))
    pd.testing.assert_frame_equal(
        found.present, personas.build_landmark(accounts, deals, contacts, late, CUTOFF).present
    )
    recorded = personas.build_landmark(accounts, deals, contacts, NO_TOUCHES, CUTOFF)
    assert recorded.present[("buyer_role", "Owner")].all() and not recorded.by_touch


def world(n, rate_with, rate_without, seed):
    rng = np.random.default_rng(seed)
    has = rng.random(n) < 0.4
    won = rng.random(n) < np.where(has, rate_with, rate_without)
    ago = rng.uniform(1, 900, n)
    days = np.where(won, rng.uniform(31, 200, n), rng.uniform(31, 260, n))
    status = np.where(days > ago, "open", np.where(won, "won", "lost"))
    accounts, deals = company(days, status, ago)
    return accounts, deals, *people(accounts, np.where(has, 5.0, 90.0))


def test_a_role_that_goes_with_a_win_is_confirmed_and_gives_claims():
    table = personas.estimate_personas(personas.build_landmark(*world(1500, 0.6, 0.25, 1), CUTOFF))
    owner = table[table["persona"] == "Owner"].iloc[0]
    assert owner["verdict"] == "confirmed" and owner["gap_won_rate_low"] > 0.15
    rates = owner["holdout_won_with_rate"] - owner["holdout_won_without_rate"]
    assert rates == pytest.approx(owner["holdout_gap_won_rate"])
    assert owner["won_with_rate"] - owner["won_without_rate"] == pytest.approx(owner["gap_won_rate"])
    claims = trait_answers.build_claims(pd.DataFrame(columns=contrast.TRAIT_COLUMNS), table)
    # Owner and Head are the same contacts: said once, with the figure and the n of the table.
    assert claims["claim"].iloc[0] == "Where Owner was there by day 30, deals are won more often."
    assert not claims["claim"].str.contains("Head").any()
    shown = personas.pick_personas(table).set_index("persona").loc["Owner"]
    assert claims["estimate"].iloc[0] == shown["holdout_gap_won_rate"]
    assert claims["n"].iloc[0] == shown["holdout_n_with"] < owner["n_with"]
    head = personas.pick_personas(table).set_index("persona").loc["Head", "note"]
    assert head == "Nearly the same people as Owner: of deals with either 100% have both"


def row(**figures):
    """A persona that was found, where newer deals are tried."""
    return {"found_n": 400, "found_won": 90, "found_won_without": 90, "lift_found": 1.4, "p_adjusted": 0.002,
            "holdout_lift": 1.01, "holdout_p_value": 0.47, "holdout_p_adjusted": 0.47, "holdout_won": 60.0,
            **figures}  # fmt: skip


def test_newer_deals_that_show_nothing_are_no_sign_of_the_same_direction():
    assert personas._judge(row()) == "not supported"
    assert personas._judge(row(holdout_lift=1.1, holdout_p_value=0.2, holdout_p_adjusted=0.2)) == "promising"
    assert personas._judge(row(holdout_lift=1.3, holdout_p_value=0.01, holdout_p_adjusted=0.01)) == "confirmed"
    limits = {"holdout_gap_won_rate_low": -0.001, "holdout_gap_won_rate_high": 0.2, "verdict": "confirmed"}
    assert "asks for one side only" in personas._note(row(**limits))
    assert personas._note(row(**limits | {"holdout_gap_won_rate_low": 0.001})) == ""
    told = pd.DataFrame({"persona": ["Owner", "Buyer"], "verdict": "promising", "p_adjusted": [0.002, 0.3],
                         "same_as": ""})  # fmt: skip
    words = trait_answers.pick_people(told)["luck_words"].tolist()
    assert words == ["In newer deals it could still be luck.", "Where it was found, it could still be luck."]


def test_where_nothing_goes_with_a_win_hardly_anything_is_said():
    """One role: a verdict that says something comes in under 8 % of worlds; five of ten are under 1 in 1,000."""
    told, covered = 0, 0
    for seed in range(10):
        table = personas.estimate_personas(personas.build_landmark(*world(300, 0.35, 0.35, 50 + seed), CUTOFF))
        owner = table[table["persona"] == "Owner"].iloc[0]
        told += owner["verdict"] not in ("not supported", "not enough data")
        covered += owner["gap_won_rate_low"] <= 0 <= owner["gap_won_rate_high"]
        assert owner["verdict"] != "confirmed"
    assert told <= 4 and covered >= 6


def test_of_nobody_there_is_a_table_without_rows():
    accounts, deals = company([100.0], ["won"])
    contacts, touches = people(accounts.head(0), [])
    table = personas.estimate_personas(personas.build_landmark(accounts, deals, contacts, touches, CUTOFF))
    assert table.empty and list(table) == personas.PERSONA_COLUMNS
    assert personas.pick_personas(table).empty


def test_few_deals_print_no_figure():
    table = personas.estimate_personas(personas.build_landmark(*world(60, 0.6, 0.25, 1), CUTOFF))
    thin = table[table["verdict"] == "not enough data"]
    assert len(thin) and thin[["won_with_rate", "gap_won_rate", "gap_won_rate_high"]].isna().all(axis=None)
    assert thin["note"].str.contains("needed").all()
