"""Who buys more within a year: ranges where few or none have, and who counts as followed."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from icp_lib.growth import estimate_growth
from icp_lib.months import build_months

CUTOFF = datetime(2026, 7, 1)
KEYS = pd.DataFrame({"segment_id": ["s", ""], "segment": ["Segment", "All customers"]})


def estimate(bought: np.ndarray, n_inside: int, seed: int = 0) -> pd.Series:
    """Return expansion_12 of the first customers, each followed 16 months or longer; `bought` more in month 2 to 10."""
    rng, n = np.random.default_rng([7, seed]), len(bought)
    ids = np.array([f"A{seed:03d}{number:04d}" for number in range(n)])
    won = pd.Timestamp("2024-01-15") + pd.to_timedelta(rng.integers(0, 365, n), "D")
    live = won.to_period("M").to_timestamp() + pd.DateOffset(months=1)
    customers = pd.DataFrame({"account_id": ids, "family_id": ids, "won_at": won, "live_at": live,
                              "churned_at": pd.Series(pd.NaT, range(n), dtype="datetime64[us]"),
                              "followed_until": pd.Timestamp(CUTOFF)})  # fmt: skip
    revenue = [pd.DataFrame({"account_id": each, "month": pd.date_range(since, "2026-06-01", freq="MS")})
               for each, since in zip(ids, live, strict=True)]  # fmt: skip
    months = build_months(customers, pd.concat(revenue).assign(revenue=100.0), CUTOFF, n_draws=300)
    closed = live[bought] + pd.to_timedelta(rng.integers(40, 300, bought.sum()), "D")
    deals = pd.DataFrame({"account_id": ids[bought], "type": "expansion", "status": "won", "closed_at": closed})
    members = np.column_stack([np.arange(n) < n_inside, np.ones(n, bool)])
    found = estimate_growth(months, KEYS, members, deals)
    return found[(found["metric"] == "expansion_12") & (found["segment_id"] == "s")].iloc[0]


def test_where_nobody_has_bought_more_the_range_has_a_width():
    row = estimate(np.arange(120) >= 100, 40)
    assert row["estimate"] == 0 and row["conf_low"] == 0
    assert row["conf_high"] == pytest.approx(1.96**2 / (40 + 1.96**2), abs=1e-3)  # Wilson's end of 0 of 40


def test_a_group_is_shown_however_many_of_it_have_bought_more():
    """Of 24 followed long enough, a third bought: those who wait are fewer than 20, those followed are not."""
    row = estimate(np.arange(120) % 3 == 0, 24)
    assert row["estimate"] == pytest.approx(8 / 24) and row["note"] == "" and row["n"] == 24


def test_the_range_holds_a_small_share():
    """Nominal 95 %; as many of 50 worlds as a choice of a thousand has at least."""
    held = []
    for seed in range(50):
        bought = np.random.default_rng(seed).random(60) < 0.05
        bought[-1] = True  # outside: without any such deal there is no row
        row = estimate(bought, 40, seed)
        held.append(row["conf_low"] <= 0.05 <= row["conf_high"])
    assert sum(held) >= binom.ppf(0.001, 50, 0.95)
