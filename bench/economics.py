"""Do the ranges of lifetime value and payback hold what they promise, and is the value right where large ones stay?

Run: python bench/economics.py [worlds]   (default 1,000 companies of each size)
"""

from __future__ import annotations

import sys
from datetime import datetime
from multiprocessing import get_context

import numpy as np
import pandas as pd

from icp_lib import customers as customer_table
from icp_lib import economics, months

CUTOFF, N_MONTHS, N_DRAWS = datetime(2026, 10, 1), 48, 1000
END = np.datetime64("2026-10", "M")
#: Sizes are log-normal (a demo customer's margin has 0.8), and a customer e times the size leaves that much less often.
SIGMA, CHURN, STAY, NOISE, SUPPORT = 0.8, 0.02, 0.5, 0.1, 0.08
COST = 8.0
SIZES = (45, 85, 160)


def _leaving(log_size, stay: float):
    return np.clip(CHURN * np.exp(-stay * log_size), 0.002, 0.3)


def true_curve(stay: float = STAY, most: int = economics.MOST_PAYBACK) -> np.ndarray:
    """Return the expected margin less support of a customer up to each month since the win, by quadrature.

    Support of the month of going live is part of what winning costs.
    """
    at, weight = np.polynomial.hermite_e.hermegauss(201)
    log_size = SIGMA * at
    kept = np.zeros((len(at), most + 1))
    for live in range(1, 4):
        age = np.arange(most + 1) - live
        there = (1 - _leaving(log_size, stay)[:, None]) ** np.maximum(age, 0)
        kept += np.where(age >= 0, there * np.where(age > 0, 1 - SUPPORT, 1.0), 0) / 3
    margin = np.exp(log_size - SIGMA**2 / 2)
    return np.cumsum((weight / weight.sum() * margin) @ kept)


def build_company(seed: int, n_expected: float, stay: float = STAY) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return accounts, opportunities and revenue of a company that wins customers at a steady rate.

    Customers go live one to three months after the win; one in ten belongs to a family of two of like size.
    """
    rng = np.random.default_rng(seed)
    n = max(rng.poisson(n_expected), 2)
    family = np.where(rng.random(n) < 0.05, np.maximum(np.arange(n) - 1, 0), np.arange(n))
    own = rng.standard_normal(n)
    log_size = SIGMA * np.where(family == np.arange(n), own, 0.8 * own[family] + 0.6 * own)
    won = rng.integers(0, N_MONTHS, n)  # months before the end, 0 is the last
    live = rng.integers(1, 4, n)
    stayed = rng.geometric(_leaving(log_size, stay))
    first, after = won - live, won - live - stayed
    count = np.maximum(first - np.maximum(after, -1), 0)
    row = np.repeat(np.arange(n), count)
    ago = np.repeat(first, count) - (np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count))
    paid = np.exp(log_size - SIGMA**2 / 2)[row] * np.exp(NOISE * rng.standard_normal(len(row)) - NOISE**2 / 2)
    ids = np.array([f"a{i:05d}" for i in range(n)], object)
    accounts = pd.DataFrame({"account_id": ids, "family_id": ids[family]})
    closed_at = _first_day(won) + pd.to_timedelta(rng.integers(0, 28, n), unit="D")
    deals = pd.DataFrame({"account_id": ids, "is_relevant": True, "status": "won", "closed_at": closed_at})
    revenue = pd.DataFrame({"account_id": ids[row], "month": _first_day(ago), "revenue": paid * 1.25,
                            "gross_margin": paid, "support_cost": SUPPORT * paid})  # fmt: skip
    return accounts, deals, revenue


def _first_day(ago) -> pd.Series:
    return pd.Series((END - 1 - np.asarray(ago).astype("timedelta64[M]")).astype("datetime64[us]"))


def judge_company(seed: int, n_expected: float, stay: float = STAY, n_draws: int = N_DRAWS) -> dict:
    """Return whether the ranges of one company hold the truth, and rival figures of the same value.

    The cost of winning a customer is the spend of the last twelve months over those won in them, in the same draws.
    """
    accounts, deals, revenue = build_company(seed, n_expected, stay)
    table = customer_table.build_customers(accounts, deals, revenue, CUTOFF)
    by_month = months.build_months(table, revenue, CUTOFF, n_draws=n_draws)
    keys, members = months.mark_customers(by_month, accounts, pd.DataFrame())
    is_new = (by_month.customers["won"] > by_month.last - 12).to_numpy()
    n_new = by_month.weights.astype(float) @ np.bincount(by_month.cluster, is_new, by_month.weights.shape[1])
    with np.errstate(divide="ignore"):
        cac = COST * n_expected * 12 / N_MONTHS / n_new
    found = economics.draw_economics(by_month, keys, members, (keys, cac[None]))
    rows = economics.estimate_economics(found).set_index("metric")
    truth, curve = true_curve(stay), found.curves[0]
    horizon = economics.find_horizon(found.seen[0], curve.shape[1])
    payback = economics.find_payback(truth[None], np.array([COST]))[0]
    said = {"n": found.n[0], "n_new": n_new[0], "horizon": horizon, "followed": curve.shape[1] - 1, "payback": payback}
    if horizon > 0:
        ltv = rows.loc["ltv"]
        said |= {"ltv_truth": truth[horizon], "ltv": ltv["estimate"], "ltv_low": ltv["conf_low"],
                 "ltv_high": ltv["conf_high"]}  # fmt: skip
        plain = np.quantile(_plain(by_month, horizon), [0.025, 0.975])
        said |= {"plain_low": plain[0], "plain_high": plain[1]}
        said |= economics.rival_values(by_month, members[:, 0], horizon)
    paid = rows.loc["payback_months"]
    said |= {"paid": paid["estimate"], "paid_low": paid["conf_low"], "paid_high": paid["conf_high"]}
    return said


def _plain(by_month: months.Months, horizon: int) -> np.ndarray:
    """The same value in plain draws, for comparison."""
    margin, is_seen = months.shift_to_win(by_month, horizon)
    weights = by_month.weights[1:, by_month.cluster].astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nansum(weights @ margin / (weights @ is_seen), axis=1)


def measure_coverage(judged: pd.DataFrame) -> dict:
    """Return how often each range held the truth, and the mean of estimate over truth."""
    said = {"worlds": len(judged)}
    told = judged.dropna(subset=["ltv_low"])
    for name in ("ltv", "plain"):
        said[f"{name}_held"] = _held(told[f"{name}_low"], told["ltv_truth"], told[f"{name}_high"])
    for name in ("ltv", "product_of_means"):
        ratio = told[name] / told["ltv_truth"]
        said[f"{name}_ratio"] = ratio.mean()
    reach = judged[judged["payback"] < judged["followed"]]
    told = reach.dropna(subset=["paid_low"])
    said["payback_worlds"] = len(told)
    said["payback_held"] = _held(told["paid_low"], told["payback"], told["paid_high"])
    return said


def _held(low, truth, high) -> float:
    return float(((low <= truth) & (truth <= high)).mean())


def _judge(task) -> dict:
    return judge_company(*task)


def main() -> None:
    """Print what was measured, one row a size."""
    n_worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| customers expected | worlds | LTV held | plain draws held | product of means / truth | LTV / truth "
          "| payback held |")  # fmt: skip
    print("|---|---|---|---|---|---|---|")
    with get_context("spawn").Pool(2) as pool:
        for n_expected in SIZES:
            tasks = [(seed, n_expected) for seed in range(n_worlds)]
            judged = pd.DataFrame(pool.map(_judge, tasks))
            said = measure_coverage(judged)
            print(f"| {n_expected} | {said['worlds']:,} | {said['ltv_held']:.1%} | {said['plain_held']:.1%} | "
                  f"{said['product_of_means_ratio']:.3f} | {said['ltv_ratio']:.3f} | "
                  f"{said['payback_held']:.1%} (of {said['payback_worlds']:,}) |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
