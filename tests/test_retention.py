"""Who stays, grows and brings others: against other implementations, by laws, and on drawn customers."""

from __future__ import annotations

from pathlib import Path

import economics as bench
import numpy as np
import pandas as pd
import pytest
from test_economics import CUTOFF, build, write_company

from icp_lib import growth, intervals, retention, value

REFERENCE = Path(__file__).parent / "reference"
N_WORLDS = 400


def test_incidence_equals_kaplan_and_meier_and_aalen_and_johansen():
    units, said = (pd.read_csv(REFERENCE / f"economics_{name}.csv") for name in ("incidence_units", "incidence"))
    cluster, weights = np.arange(len(units)), np.ones((1, len(units)))
    for name, event in (("kaplan_meier", units["event"].where(units["event"] == 1, 0)),
                        ("aalen_johansen", units["event"])):  # fmt: skip
        found = growth.draw_incidence(units["time"], event, cluster, weights, 18)[0]
        assert found == pytest.approx(said[name].to_numpy(), rel=1e-9)


def test_incidence_stops_where_nobody_has_been_followed():
    found = growth.draw_incidence([1, 2], [1, 0], np.arange(2), np.ones((1, 2)), 4)[0]
    assert found[:3].tolist() == [0.0, 0.5, 0.5]
    assert np.isnan(found[3:]).all()
    known = growth.draw_incidence([1, 2], [1, 2], np.arange(2), np.ones((1, 2)), 4)[0]
    assert known.tolist() == [0.0, 0.5, 0.5, 0.5, 0.5]  # everybody has had one of the two


def test_kept_for_a_year_is_the_retention_of_the_value_measure():
    accounts, deals, revenue = bench.build_company(3, 400)
    deals = deals.assign(created_at=deals["closed_at"], owner_id=None, lead_source=None)
    by_month, keys, members = build(accounts, deals, revenue)
    found = retention.estimate_retention(by_month, keys, members).set_index("metric").loc["retention_12"]
    units = value.build_units(deals, accounts, cutoff=CUTOFF, measure="retention", revenue=revenue)
    assert (found["n"], found["estimate"]) == (len(units), pytest.approx(units["m"].mean()))


def test_gross_retention_never_exceeds_one_and_net_is_never_below_gross():
    rng = np.random.default_rng(2)
    for _ in range(200):
        n = rng.integers(1, 30)
        then, now = rng.lognormal(0, 1, n), rng.lognormal(0, 1, n) * (rng.random(n) > 0.2)
        found = retention.estimate_net_gross(then, now, np.arange(n))
        assert 0 <= found["grr"].low <= found["grr"].value <= found["grr"].high <= 1
        assert found["nrr"].value >= found["grr"].value - 1e-12
        assert found["nrr"].low <= found["nrr"].value <= found["nrr"].high


def test_nobody_lost_still_has_a_range():
    found = retention.estimate_net_gross(np.full(40, 10.0), np.full(40, 10.0), np.arange(40))
    assert found["grr"][1:3] == (pytest.approx(1 - 3.689 / 40, abs=1e-4), 1.0)  # the limit of no event among 40
    assert np.isnan(intervals.estimate_rare([0.0], [0.0], [0])).sum() == 4


def test_ranges_of_net_and_gross_hold_the_truth_with_few_customers():
    """Sizes are log-normal, one in eight leaves; percentiles of draws hold 87 % and 90 % of the time here."""
    truth = {"nrr": 0.9382, "grr": 0.8848}  # of four million customers
    held = dict.fromkeys(truth, 0)
    for seed in range(N_WORLDS):
        rng, n = np.random.default_rng(seed), 40
        size = np.exp(0.8 * rng.standard_normal(n))
        gone = rng.random(n) < np.clip(0.13 / np.sqrt(size), 0.02, 0.6)
        more = np.where(rng.random(n) < 0.15, 1 + rng.gamma(2, 0.15, n), 1)
        then, now = (size * np.exp(0.03 * rng.standard_normal(n)) for _ in range(2))
        found = retention.estimate_net_gross(then, now * more * ~gone, np.arange(n))
        for name, each in found.items():
            held[name] += each.low <= truth[name] <= each.high
    # 400 ranges of 95 % hold fewer than 365 times by luck in less than 1 of 1,000 runs
    assert min(held.values()) >= 365


def test_families_widen_ranges():
    then, now = np.full(60, 10.0), np.where(np.arange(60) % 6 < 2, 0.0, 10.0)
    alone = retention.estimate_net_gross(then, now, np.arange(60))["grr"]
    pairs = retention.estimate_net_gross(then, now, np.arange(60) // 2)["grr"]
    assert pairs.high - pairs.low > alone.high - alone.low


def test_spend_1_and_two_customers_of_whom_one_was_referred_cost_a_half_each():
    assert growth.adjust_referrals(1.0, 1, 1) == 0.5
    assert growth.adjust_referrals(1.0, 1, 0) == 1.0
    assert np.isnan(growth.adjust_referrals(1.0, 0, 0))


def test_a_cost_over_all_new_customers_is_not_lowered_again(monkeypatch):
    accounts, deals, revenue, referrals = write_company()
    by_month, keys, members = build(accounts, deals, revenue)
    cost = 100.0 * 6 / (by_month.weights.astype(float) @ np.ones(by_month.weights.shape[1]))
    monkeypatch.setattr("icp_lib.months.MIN_CUSTOMERS", 1)
    found = growth.estimate_referral_cac(by_month, keys, members, referrals, (keys, cost[None])).set_index("metric")
    assert found.loc["cac_referral_adjusted", "estimate"] == cost[0]
    assert found.loc["cac_direct", "estimate"] == pytest.approx(growth.adjust_referrals(cost[0] * 6, 4, 0))
    nobody = growth.estimate_referral_cac(by_month, keys, members, referrals.head(0), (keys, cost[None]))
    assert nobody.empty


def test_who_referred_whom():
    accounts, deals, revenue, referrals = write_company()
    by_month = build(accounts, deals, revenue)[0]
    found = dict(zip("ABCDEFGHIJKL", growth.find_referred(by_month, referrals), strict=True))
    assert (found["G"], found["H"], found["I"], found["A"]) == (0, -2, -1, -1)
    undated = growth.find_referred(by_month, referrals.drop(columns="referred_at"))
    assert undated[8] == 1  # without a date nothing says that it came too late


def test_growth_has_no_rows_without_its_tables():
    accounts, deals, revenue, referrals = write_company()
    by_month, keys, members = build(accounts, deals, revenue)
    assert growth.estimate_growth(by_month, keys, members).empty
    only = growth.estimate_growth(by_month, keys, members, deals[deals["type"] == "new"], referrals)
    assert set(only["metric"]) == {"referral_rate", "referrals_per_customer"}


def test_rows_in_another_order_say_the_same():
    accounts, deals, revenue = bench.build_company(3, 160)
    first = retention.estimate_retention(*build(accounts, deals, revenue))
    mixed = (frame.sample(frac=1, random_state=1) for frame in (accounts, deals, revenue))
    again = retention.estimate_retention(*build(*mixed))
    pd.testing.assert_frame_equal(first, again)
