"""Reach: a company of twelve accounts by arithmetic, what only a deal tells, and ranges against a known truth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats as distributions

from icp_lib import offer, reach
from icp_lib.rules import Segment

CUTOFF = pd.Timestamp("2026-10-01")
NONE = pd.DataFrame(columns=["segment_id", "segment", "conditions"])
OWNER = Segment.of({"attribute": "industry", "op": "is", "value": "Retail"},
                   {"attribute": "buyer_role", "op": "is", "value": "Owner"})  # fmt: skip
IDS = [f"a{number:02d}" for number in range(1, 13)]
LEAD_COLUMNS = ["lead_id", "account_id", "created_at", "mql_at", "sql_at", "lead_source", "campaign_id"]
LEADS = [
    ("l1", "a01", "2025-02-01", "2025-02-05", "2025-03-01", "Mail", None),  # the whole way
    ("l2", "a02", "2025-02-01", "2025-02-05", None, "Mail", None),  # MQL
    ("l3", "a03", "2025-02-01", None, None, "Fair", "k1"),  # lead; the campaign's channel is Mail
    ("l4", "a04", "2025-02-01", "2026-03-01", None, "Fair", None),  # MQL after more than a year: not counted
    ("l5", "a05", "2026-03-01", "2026-03-02", None, "Mail", None),  # too young as a lead, a response to the contact
    ("l6", "a06", "2025-04-01", None, None, "Own", None),  # a customer without MQL or SQL: has taken the steps
    ("l7", "a01", "2025-03-01", None, None, "Mail", None),  # a second lead of the same account
]
DEALS = [
    ("a01", "2025-03-10", "2025-05-01", "won"),
    ("a06", "2025-04-10", "2025-06-01", "won"),
    ("a07", "2024-01-10", "2024-06-01", "won"),  # a customer before it was a lead
]


def build_company():
    """Return accounts, opportunities, leads, contacts and contacted of twelve accounts."""
    accounts = pd.DataFrame({"account_id": IDS, "family_id": IDS, "industry": "Retail", "n_opportunities": 0})
    accounts["is_customer"] = accounts["account_id"].isin(["a01", "a06", "a07"])
    deals = pd.DataFrame(DEALS, columns=["account_id", "created_at", "closed_at", "status"]).assign(is_relevant=True)
    leads = pd.DataFrame([*LEADS, ("l8", "a07", "2025-01-05", None, None, "Mail", None)], columns=LEAD_COLUMNS)
    for frame in (deals, leads):
        for name in [name for name in frame if name.endswith("_at")]:
            frame[name] = pd.to_datetime(frame[name])
    contacts = pd.DataFrame({"account_id": [*IDS[:10], "a01"]})
    contacted = pd.DataFrame({"account_id": ["a02", "a05", "a08", "a09", "a01"]})
    contacted["first_touch_at"] = pd.Timestamp("2025-01-01")
    contacted["contacted_at"] = pd.to_datetime(["2025-11-01", "2026-02-01", "2026-01-01", "2026-01-01", None])
    return accounts, deals, leads, contacts, contacted


def build_steps(**changed) -> pd.DataFrame:
    names = ("accounts", "deals", "leads", "contacts", "contacted")
    tables = dict(zip(names, build_company(), strict=True)) | changed
    return reach.build_steps(*tables.values(), cutoff=CUTOFF)


def test_steps_of_twelve_accounts_by_hand():
    steps = build_steps().set_index("account_id")
    found = {name: steps.index[steps[name]].tolist() for name in reach.COUNTED}
    assert found == {
        "is_contacted": ["a02", "a05", "a08", "a09"],
        "is_response": ["a05"],
        "is_lead": ["a01", "a02", "a03", "a04", "a06"],
        "is_mql": ["a01", "a02", "a06"],
        "is_sql": ["a01", "a06"],
        "is_opportunity": ["a01", "a06"],
        "is_won": ["a01", "a06"],
    }


def estimate(steps, accounts, segments=NONE, prospects=None, **options) -> pd.DataFrame:
    prospects = pd.DataFrame({"prospect_id": ["p1", "p2", "p3"]}) if prospects is None else prospects
    return reach.estimate_reach(steps, accounts, segments, prospects, **({"min_accounts": 4} | options))


def test_reach_of_twelve_accounts_by_arithmetic():
    accounts, steps = build_company()[0], build_steps()
    row = estimate(steps, accounts, target=1).iloc[0]
    assert row[["n_matching", "n_prospects", "n_contactable", "n_contacted", "n_leads"]].tolist() == [12, 3, 7, 4, 5]
    rates = {"contactable_rate": 7 / 12, "contacted_rate": 4 / 12, "response_rate": 1 / 4, "mql_rate": 3 / 5,
             "sql_rate": 2 / 3, "opportunity_rate": 1, "won_rate": 1, "customer_rate": 2 / 5}  # fmt: skip
    assert {name: row[name] for name in rates} == pytest.approx(rates)
    assert row["expected_leads"] == pytest.approx(7 / 4)
    assert row["expected_mqls"] == pytest.approx(7 / 4 * 3 / 5)
    assert row["expected_customers"] == pytest.approx(7 / 4 * 2 / 5)
    # 1 response and 2 customers weigh as much as 1 / (1 + 1/2) = 2/3 of a count; its exact limits, scaled
    low, high = distributions.gamma.ppf(0.025, 2 / 3), distributions.gamma.ppf(0.975, 5 / 3)
    assert row["expected_customers_low"] == pytest.approx(0.7 * low * 1.5)
    assert row["expected_customers_high"] == pytest.approx(0.7 * high * 1.5)
    assert 0.2 < row["target_met_rate"] < 0.7 and row["note"].endswith("3 prospects have no contact on record")
    assert row["note"].startswith("Customers per lead are of all leads, also of those who came by themselves")


def test_cost_of_a_lead_an_mql_and_a_customer_by_arithmetic():
    accounts, _, leads, *_ = build_company()
    spend = pd.DataFrame({
        "month": pd.to_datetime(["2025-02-01", "2025-02-01", "2025-02-01", "2026-01-01", "2025-02-01"]),
        "category": ["media", "events", "media", "media", "tools"], "amount": [1000.0, 300.0, 50.0, 9999.0, 9999.0],
        "channel": ["Mail", "Fair", "Radio", "Mail", "Mail"],
    })  # fmt: skip
    campaigns = pd.DataFrame({"campaign_id": ["k1"], "channel": ["Mail"]})
    steps = build_steps()
    paid = reach.list_paid(steps, leads, campaigns, spend, cutoff=CUTOFF)
    row = estimate(steps, accounts, paid=paid).iloc[0]
    # from February 2025: leads l1, l2, l3, l7 came by Mail, l4 by Fair, l6 by Own; five accounts, 3 MQL, 2 customers
    assert row[["cost_per_lead", "cost_per_mql", "cost_per_customer"]].tolist() == [1300 / 5, 1300 / 3, 1300 / 2]
    assert "No lead has the channel Radio: its spend is left out" in row["note"]


def test_what_is_absent_is_not_made_up():
    accounts, _, leads, contacts, contacted = build_company()
    untouched = build_steps(contacted=contacted.head(0))
    row = estimate(untouched, accounts, target=1).iloc[0]
    assert row["note"].startswith("0 contacted of the 4 needed") and np.isnan(row["expected_customers"])
    assert row["customer_rate"] == 2 / 5 and np.isnan(row["contacted_rate"]) and np.isnan(row["target_met_rate"])
    row = estimate(build_steps(contacts=contacts.head(0)), accounts, has_contacts=False).iloc[0]
    assert np.isnan(row["n_contactable"]) and row["response_rate"] == 1 / 4 and "Without contacts" in row["note"]
    row = estimate(build_steps(leads=leads.head(0)), accounts).iloc[0]
    assert row["note"].startswith("0 leads of the 4 needed") and np.isnan(row["customer_rate"])
    unspent = pd.DataFrame(columns=["month", "category", "amount", "channel"])
    assert reach.list_paid(untouched, leads, pd.DataFrame(), unspent, cutoff=CUTOFF).empty
    assert list(estimate(build_steps().head(0), accounts.head(0))) == reach.COLUMNS


def draw_company(seed: int, n: int = 1500, is_owned: float = 0.4) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return steps and accounts: 30 % of contacts answer, 25 % of leads become customers, some of them with an owner.

    Who buys is known only of accounts that had a deal; of leads, 60 % have one.
    """
    rng = np.random.default_rng(seed)
    ids = [f"s{seed}-{number}" for number in range(n)]
    is_lead, chance = rng.random(n) < 0.4, rng.random(n)
    has_deal, owner = is_lead & (chance < 0.6), rng.random(n) < is_owned
    steps = pd.DataFrame({"account_id": ids, "family_id": ids, "is_contactable": rng.random(n) < 0.5})
    steps["was_touched"] = steps["is_contacted"] = rng.random(n) < 0.3
    steps["is_response"] = steps["is_contacted"] & (rng.random(n) < 0.3)
    steps["is_lead"] = steps["is_mql"] = is_lead
    steps["is_sql"] = steps["is_opportunity"] = has_deal
    steps["is_won"] = steps["is_customer"] = is_lead & (chance < 0.25)
    accounts = pd.DataFrame({"account_id": ids, "industry": "Retail", "n_opportunities": has_deal.astype(int)})
    return steps, accounts.assign(buyer_role=pd.Series(np.where(owner, "Owner", "Clerk")).where(has_deal))


def test_what_only_a_deal_tells_does_not_choose_those_who_came_far():
    segments = pd.DataFrame([OWNER.describe()])
    found = [estimate(*draw_company(seed, 4000), segments, n_draws=2).iloc[1] for seed in range(6)]
    rates = pd.DataFrame(found)
    # 40 % of the customers have an owner who buys: 0.25 x 0.4; taken from those whose buyer is known it were 0.25 / 0.6
    assert rates["customer_rate"].mean() == pytest.approx(0.1, abs=0.015)
    assert rates["response_rate"].mean() == pytest.approx(0.3, abs=0.03)
    assert rates["note"].str.contains("Only a deal tells the buyer role").all()
    told = reach.pick_costs(rates.assign(cost_per_lead=100.0))["note"]
    assert set(told) == {"Only a deal tells the buyer role: rates are of all companies alike otherwise"}
    steps, accounts = draw_company(0, 4000)
    clerk = (accounts["buyer_role"] == "Clerk") | steps["is_customer"]
    assert found[0]["n_matching"] - found[0]["n_prospects"] == (~clerk).sum()


def test_as_many_are_still_to_be_won_as_notebook_01_counts():
    steps, accounts = draw_company(0)
    rng, tried = np.random.default_rng(0), accounts["n_opportunities"] > 0
    accounts["industry"] = rng.choice(["Retail", "Energy"], len(accounts))
    accounts.loc[rng.random(len(accounts)) < 0.2, "buyer_role"] = None  # not even every deal tells
    prospects = pd.DataFrame({"prospect_id": list("abc"), "industry": ["Retail", "Energy", None]})
    known = accounts.assign(is_customer=steps["is_customer"])
    here = SimpleNamespace(accounts=known[tried], untried=known[~tried])
    pair = Segment.of(*OWNER.rules, {"attribute": "industry", "op": "is", "value": "Retail"})
    segments = pd.DataFrame([OWNER.describe(), pair.describe()])
    found = estimate(steps, accounts, segments, prospects, n_draws=2)["n_matching"].iloc[1:]
    assert [offer.count_reachable(each, here, prospects)[0] for each in (OWNER, pair)] == found.tolist()


def test_ranges_hold_the_truth_and_the_chance_of_the_target_comes_true():
    held, chances, met, rng = [], [], [], np.random.default_rng(1)
    for seed in range(50):
        steps, accounts = draw_company(seed)
        n = int((steps["is_contactable"] & ~steps["is_customer"]).sum())
        truth = n * 0.3 * 0.25
        row = estimate(steps, accounts, target=round(0.075 * n), n_draws=400, min_accounts=30).iloc[0]
        held.append(row["expected_customers_low"] <= truth <= row["expected_customers_high"])
        chances.append(row["target_met_rate"])
        met.append(rng.binomial(n, 0.3 * 0.25) >= row["target"])
    assert np.mean(held) >= 0.80  # at a coverage of 0.93 fewer happen less than once in 1,000
    # chances and what came true differ by chance alone: the sum of Bernoulli variances, 3.3 standard errors
    chances, met = np.array(chances), np.array(met)
    assert abs(met.sum() - chances.sum()) <= 3.3 * np.sqrt((chances * (1 - chances)).sum() + 50 * chances.var())


def test_rows_in_another_order_change_nothing():
    steps, accounts = draw_company(3)
    order = np.random.default_rng(1).permutation(len(steps))
    mixed = [frame.iloc[order].reset_index(drop=True) for frame in (steps, accounts)]
    pd.testing.assert_frame_equal(estimate(steps, accounts), estimate(*mixed))
