"""The success inputs against retention: the slope by another route, a planted one, and what is said of too few."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from companies import CUTOFF, build_frames

from icp_lib import success


def test_the_slope_and_its_error_are_those_of_matrix_algebra():
    rng = np.random.default_rng(1)
    x, y, family = rng.normal(size=80), rng.normal(size=80), np.arange(80) // 2
    design = np.column_stack([np.ones(80), x])
    bread = np.linalg.inv(design.T @ design)
    beta = bread @ design.T @ y
    scores = design * (y - design @ beta)[:, None]
    sums = np.array([scores[family == each].sum(axis=0) for each in range(40)])
    error = np.sqrt((bread @ (sums.T @ sums) @ bread)[1, 1] * 40 / 39 * 79 / 78)
    found = success.estimate_slope(x, y, family)
    assert found.value == pytest.approx(beta[1])
    assert (found.high - found.low) / 2 == pytest.approx(2.0243941639 * error)  # t with 38 degrees of freedom


def company(n: int = 500, slope: float = 0.15, seed: int = 1):
    """Customers won 20 to 30 months ago; each point of fit_technical adds `slope` to the chance to stay a year."""
    rng = np.random.default_rng(seed)
    ids = np.array([f"a{i:04d}" for i in range(n)], object)
    score, other = rng.integers(0, 6, n).astype(float), rng.integers(0, 6, n).astype(float)
    deals = pd.DataFrame({"opportunity_id": ids, "account_id": ids, "days_ago": rng.uniform(650, 900, n), "days": 30.0,
                          "status": "won"})  # fmt: skip
    accounts, opportunities = build_frames({"account_id": ids, "fit_technical": score, "fit_cultural": other}, deals)
    stays = rng.random(n) < 0.2 + slope * score
    start = opportunities.set_index("account_id")["closed_at"].reindex(ids).dt.to_period("M").dt.to_timestamp()
    rows = [(account, at + pd.DateOffset(months=k)) for account, at, kept in zip(ids, start, stays, strict=True)
            for k in range(18 if kept else 5)]  # fmt: skip
    revenue = pd.DataFrame(rows, columns=["account_id", "month"]).assign(revenue=10.0)
    return accounts, opportunities, revenue[revenue["month"] < CUTOFF]


def test_a_planted_input_is_confirmed_and_the_other_is_not():
    table = success.estimate_success(*company(), CUTOFF).set_index("attribute")
    planted = table.loc["fit_technical"]
    assert planted["verdict"] == "confirmed" and planted["gap_point_rate_low"] < 0.15 < planted["gap_point_rate_high"]
    assert planted["kept_high_rate"] > planted["kept_low_rate"] + 0.2
    assert table.loc["fit_cultural", "verdict"] == "not supported" and table["hypotheses"].eq(2).all()
    assert planted["n"] == 500 and planted["n_kept"] + planted["n_left"] == 500


def test_few_customers_print_no_figure_and_no_scores_no_rows():
    accounts, opportunities, revenue = company(30)
    table = success.estimate_success(accounts, opportunities, revenue, CUTOFF)
    assert (table["verdict"] == "not enough data").all() and table["gap_point_rate"].isna().all()
    assert table["note"].str.contains("18 older customers of the 50 needed").all()
    none = success.estimate_success(
        accounts.drop(columns=["fit_technical", "fit_cultural"]), opportunities, revenue, CUTOFF
    )
    assert none.empty and list(none) == success.SUCCESS_COLUMNS
    assert success.estimate_success(accounts, opportunities, revenue.head(0), CUTOFF).empty


def test_the_gate_counts_the_older_part_where_it_was_found():
    """A fifth leave: of 90 customers enough do in all, but too few of the older ones; of 200 enough of both."""
    rows = {}
    for n in (90, 200):
        table = success.estimate_success(*company(n, slope=0.4, seed=3), CUTOFF)
        rows[n] = table.set_index("attribute").loc["fit_technical"]
    assert rows[90]["n_left"] >= 15 and rows[90]["verdict"] == "not enough data"
    assert "older ones stayed or left, whichever is fewer; 15 needed" in rows[90]["note"]
    assert rows[200]["verdict"] != "not enough data"
