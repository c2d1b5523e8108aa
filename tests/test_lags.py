"""Lag weights: by hand on twelve accounts, against statsmodels' survival function, and where leads grow."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import twelve
from statsmodels.duration.survfunc import SurvfuncRight

from icp_lib import lags, ledger


def build(leads: pd.DataFrame, deals: pd.DataFrame, n_draws: int = 20) -> ledger.Ledger:
    ids = leads["account_id"].unique()
    accounts = pd.DataFrame({"account_id": ids, "family_id": ids})
    return ledger.build_ledger(accounts, deals, twelve.build_spend(), cutoff=twelve.CUTOFF, leads=leads,
                               n_draws=n_draws)  # fmt: skip


def simulate(seed: int, growth: float, n: int = 3000) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Leads of 40 months, growing a month by `growth`; a third is won after a gamma wait of 4 months."""
    rng = np.random.default_rng(seed)
    weight = (1 + growth) ** np.arange(40)
    back = 40 - rng.choice(40, n, p=weight / weight.sum())
    day = rng.random(n) * 28
    created = pd.Series(twelve.CUTOFF - pd.to_timedelta(back * 30.44 - day, unit="D"))
    created = created.clip(upper=twelve.CUTOFF - pd.Timedelta("1D"))
    won_at = created + pd.to_timedelta(rng.gamma(2, 2 * 30.44, n), unit="D")
    is_won = (rng.random(n) < 1 / 3) & (won_at < twelve.CUTOFF)
    ids = np.array([f"a{number:05d}" for number in range(n)])
    leads = pd.DataFrame({"account_id": ids, "created_at": created, "lead_source": None, "campaign_id": None})
    deals = pd.DataFrame({"account_id": ids, "created_at": created, "closed_at": won_at.where(is_won),
                          "status": np.where(is_won, "won", "open"), "is_relevant": True, "lead_source": None,
                          "campaign_id": None})  # fmt: skip
    return leads, deals


def test_twelve_accounts_by_hand(monkeypatch):
    """At risk: 12 and 12; 11 at lag 2, three won; 7 at lag 3, one won; 6 at lag 4, two won; 3 at lag 5, none."""
    monkeypatch.setattr(lags, "MIN_AT_RISK", 3)
    found = lags.estimate_lag(build(twelve.build_leads(), twelve.build_opportunities()))
    assert found.table["at_risk"].tolist() == [12, 12, 11, 7, 6, 3]
    after = [3 / 11, 8 / 11 * 1 / 7, 8 / 11 * 6 / 7 * 2 / 6]
    total = sum(after)
    assert found.weights[:, 0] == pytest.approx([0, 0, *(each / total for each in after), 0])
    assert found.table["won_rate"].iloc[-1] == pytest.approx(total)
    assert (found.n_leads, found.n_won, found.note) == (12, 6, "")


def test_too_few_leads_count_at_once_and_it_is_said():
    found = lags.estimate_lag(build(twelve.build_leads(), twelve.build_opportunities()))
    assert found.weights.tolist() == [[1.0] * 21]
    assert found.note == "12 accounts with a lead, 0 of them won: too few for a lag, so all cost counts at once."


def test_won_by_month_is_statsmodels_survival_function():
    leads, deals = simulate(1, 0.02)
    book = build(leads, deals)
    found = lags.estimate_lag(book)
    first = book.keys["direct"].groupby("account")["ago"].max()
    won = book.customers.set_index("account")["ago"].reindex(first.index)
    time, is_won = (first - won).fillna(first - 1), won.notna()
    # an account followed to the end of month l without a win leaves after it, a win happens within it
    oracle = SurvfuncRight(time + np.where(is_won, 0.0, 0.5), is_won.astype(int))
    at = dict(zip(oracle.surv_times, oracle.surv_prob, strict=True))
    mine = found.table[found.table["weight"] > 0]
    assert (1 - mine["won_rate"]).tolist() == pytest.approx([at[float(month)] for month in mine["months"]], rel=1e-12)


def test_where_leads_grow_lead_cohorts_keep_the_lag_and_wins_shorten_it():
    """The true mean lag is 4 months; with growth of 8 % a month that of the wins is 2 / (0.5 + ln 1.08) = 3.47."""
    of_cohorts, of_wins = [], []
    for seed in range(6):
        book = build(*simulate(seed, 0.08))
        found = lags.estimate_lag(book)
        of_cohorts.append((found.weights[:, 0] * np.arange(len(found.weights))).sum())
        first = book.keys["direct"].groupby("account")["ago"].max()
        won = book.customers.set_index("account")["ago"]
        of_wins.append((first.reindex(won.index) - won).mean())
    assert np.mean(of_cohorts) == pytest.approx(4, abs=0.25)  # five standard errors of six worlds
    assert np.mean(of_wins) == pytest.approx(3.47, abs=0.2)


def test_draws_are_those_of_the_shared_weights():
    leads, deals = simulate(3, 0.02, 400)
    book = build(leads, deals, n_draws=3)
    found = lags.estimate_lag(book)
    copies = book.weights[:, 1].astype(int)
    again = pd.concat([leads.iloc[np.repeat(np.arange(400), copies)]])
    again = again.assign(account_id=[f"{name}-{i}" for i, name in enumerate(again["account_id"])])
    twice = deals.iloc[np.repeat(np.arange(400), copies)].assign(account_id=again["account_id"].to_numpy())
    other = lags.estimate_lag(build(again, twice))
    n = min(len(found.weights), len(other.weights))
    curve, whole = np.cumsum(found.weights[:, 2]), np.cumsum(other.weights[:, 0])
    assert curve[:n] / curve[n - 1] == pytest.approx(whole[:n] / whole[n - 1])


def test_spread_lags_counts_what_lies_before_the_first_month_as_unknown():
    share, known = lags.spread_lags(np.array([[0.5], [0.3], [0.2]]), [1, 2, 3], 3)
    assert share[:, 0].tolist() == pytest.approx([0.5, 0.8, 1.0])
    assert known.tolist() == pytest.approx([(0.5 + 0.8 + 1.0) / 3])
