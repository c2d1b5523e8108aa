"""Coverage of the ranges of the cost to win a customer: ``python bench/efficiency.py``; truth known by construction.

Prints, for a year and for a quarter, the share of worlds whose 95 % range holds the true cost per customer, the mean of
the estimates over the truth, and the same without the lag and with every cost moved by the lead's lag.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import costs, ledger
from icp_lib.rules import Segment

CUTOFF = pd.Timestamp("2026-10-01")
MONTHS = 36
#: Per lead of each channel: cost; per open day of a deal: salaries; per customer: onboarding, and support until live.
LEAD_COST, DAY_COST, ONBOARDING, SUPPORT = {"Search": 60.0, "Fair": 90.0}, 6.0, 400.0, 40.0
FREIGHT = Segment.of({"attribute": "industry", "op": "is", "value": "Freight"})


PERIODS = {"year": costs.YEAR, "quarter": (1, 2, 3), "quarter before": (4, 5, 6)}


class World(NamedTuple):
    """Frames as a notebook has them, and the true cost per customer of all and of the segment."""

    accounts: pd.DataFrame
    opportunities: pd.DataFrame
    leads: pd.DataFrame
    spend: pd.DataFrame
    revenue: pd.DataFrame
    truth: dict[str, float]


class Rules(NamedTuple):
    """How a world is made: leads a month at the end, growth a quarter, win rates by segment, mean days to win, lose."""

    leads: float = 120.0
    growth: float = 0.05
    win_rates: tuple[float, float] = (0.10, 0.20)
    won_days: float = 60.0
    lost_days: float = 75.0
    lead_days: float = 30.0


USUAL = Rules()


def build_world(seed: int, rules: Rules = USUAL) -> World:
    """Draw one company: leads by a Poisson process, each a company that is won or lost; spend is what was expected.

    Parameters
    ----------
    seed : int
    rules : Rules
    """
    rng = np.random.default_rng(seed)
    ago = np.arange(MONTHS, 0, -1)
    expected = rules.leads * (1 + rules.growth) ** (-(ago - 1) / 3)
    month = np.repeat(np.arange(MONTHS), rng.poisson(expected))
    n = len(month)
    starts = pd.date_range(end=CUTOFF - pd.DateOffset(months=1), periods=MONTHS, freq="MS")
    lead_at = starts.to_numpy()[month] + (30 * rng.random(n) * 86400e6).astype("timedelta64[us]")
    freight, search = rng.random(n) < 0.3, rng.random(n) < 0.6
    is_won = rng.random(n) < np.where(freight, rules.win_rates[1], rules.win_rates[0])
    wait, days = _draw_days(rng, is_won, rules)
    ids = np.array([f"a{number:05d}" for number in range(n)])
    opened = lead_at + (wait * 86400e6).astype("timedelta64[us]")
    closed = opened + (days * 86400e6).astype("timedelta64[us]")
    accounts = pd.DataFrame({"account_id": ids, "family_id": ids, "industry": np.where(freight, "Freight", "Food"),
                             "lead_source": np.where(search, "Search", "Fair")})  # fmt: skip
    leads = pd.DataFrame({"account_id": ids, "created_at": lead_at, "lead_source": accounts["lead_source"],
                          "campaign_id": None})  # fmt: skip
    deals = pd.DataFrame({"account_id": ids, "created_at": opened, "closed_at": closed, "is_relevant": True,
                          "status": np.where(is_won, "won", "lost")})  # fmt: skip
    deals = deals[deals["created_at"] < CUTOFF]
    is_open = deals["closed_at"] >= CUTOFF
    deals = deals.assign(status=deals["status"].mask(is_open, "open"), closed_at=deals["closed_at"].mask(is_open))
    deals = deals.assign(lead_source=None, campaign_id=None)
    revenue = _build_revenue(rng, deals)
    spend = _build_spend(expected, starts, rules, revenue)
    return World(accounts, deals, leads, spend, revenue, _find_truth(rules))


def _draw_days(rng: np.random.Generator, is_won: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    """Days from lead to deal, and from deal to its end."""
    n = len(is_won)
    mean = np.where(is_won, rules.won_days, rules.lost_days)
    return rng.gamma(2, rules.lead_days / 2, n), np.minimum(rng.gamma(3, mean / 3, n), 360.0)


@lru_cache
def _open_share(rules: Rules) -> np.ndarray:
    """Expected open days of a lead's deal in each calendar month after the lead's, as the ledger counts days."""
    rng = np.random.default_rng(7)
    n = 400_000
    rate = 0.7 * rules.win_rates[0] + 0.3 * rules.win_rates[1]
    is_won = rng.random(n) < rate
    wait, days = _draw_days(rng, is_won, rules)
    first = 30 * rng.random(n) + wait
    last = np.floor(first + days)
    first = np.floor(first)
    edges = np.arange(0, 30 * 24, 30)
    inside = np.minimum(last[:, None] + 1, edges + 30) - np.maximum(first[:, None], edges)
    return np.clip(inside, 0, None).mean(axis=0)


def _build_spend(expected: np.ndarray, starts, rules: Rules, revenue: pd.DataFrame) -> pd.DataFrame:
    """Media by channel as leads are expected, salaries as open days are; onboarding and support as customers had."""
    share = _open_share(rules)
    before = expected[0] * (1 + rules.growth) ** (-np.arange(len(share), 0, -1) / 3)
    every = np.concatenate([before, expected])
    days = np.array([(every[: i + 1][::-1][: len(share)] * share[: min(i + 1, len(share))]).sum()
                     for i in range(len(share), len(every))])  # fmt: skip
    rows = [
        pd.DataFrame({"month": starts, "category": "media", "channel": name, "amount": expected * part * cost})
        for (name, cost), part in zip(LEAD_COST.items(), (0.6, 0.4), strict=True)
    ]
    rows.append(pd.DataFrame({"month": starts, "category": "salaries", "channel": None, "amount": days * DAY_COST}))
    if len(revenue):
        cost = revenue.groupby("month", as_index=False)[["onboarding_cost", "support_cost"]].sum()
        for name in ("onboarding", "support"):
            rows.append(pd.DataFrame({"month": cost["month"], "category": name, "channel": None,
                                      "amount": cost[f"{name}_cost"]}))  # fmt: skip
    return pd.concat(rows, ignore_index=True).assign(campaign_id=None, audience=None)


def _build_revenue(rng: np.random.Generator, deals: pd.DataFrame) -> pd.DataFrame:
    """The month of going live: the one after the win; onboarding is skewed."""
    won = deals[deals["status"] == "won"]
    month = won["closed_at"].dt.to_period("M").dt.to_timestamp() + pd.DateOffset(months=1)
    skewed = ONBOARDING * rng.gamma(2, 0.5, len(won))
    frame = pd.DataFrame({"account_id": won["account_id"], "month": month, "revenue": 100.0,
                          "onboarding_cost": skewed, "support_cost": SUPPORT})  # fmt: skip
    return frame[frame["month"] < CUTOFF]


def _find_truth(rules: Rules) -> dict[str, float]:
    """Expected cost of a lead over its chance to be won, and what comes after the win."""
    media = 0.6 * LEAD_COST["Search"] + 0.4 * LEAD_COST["Fair"]
    whole = 0.7 * rules.win_rates[0] + 0.3 * rules.win_rates[1]

    def cost(rate):
        days = rate * min(rules.won_days, 360) + (1 - rate) * min(rules.lost_days, 360) + 1
        return (media + DAY_COST * days) / rate + ONBOARDING + SUPPORT

    # salaries are spent as expected of all leads, so a segment's day costs what all days cost
    return {"": cost(whole), FREIGHT.segment_id: cost(rules.win_rates[1])}


def measure(world: World, n_draws: int = 400, periods=tuple(PERIODS)) -> pd.DataFrame:
    """Return one row a group, period and lag: estimate, low, high, truth, n."""
    book = ledger.build_ledger(world.accounts, world.opportunities, world.spend, cutoff=CUTOFF, leads=world.leads,
                               revenue=world.revenue, n_draws=n_draws)  # fmt: skip
    groups = pd.DataFrame([FREIGHT.describe()])
    made = costs.build_costs(book, groups, FREIGHT.mask(world.accounts)[:, None])
    rows = []
    for name in periods:
        period = PERIODS[name]
        for lag in costs.LAGS:
            counted = costs.count_costs(made, period, lag=lag)
            for group, key in enumerate(made.groups["segment_id"]):
                found, _ = costs.estimate_cost(counted, group)
                rows.append({"group": "segment" if key else "all", "period": name, "lag": lag, "estimate": found.value,
                             "low": found.low, "high": found.high, "truth": world.truth[key],
                             "n": counted.won[group, 0], "known": counted.known})  # fmt: skip
    return pd.DataFrame(rows)


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return coverage and bias by group, period and lag."""
    held = (rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"])
    table = rows.assign(held=held, ratio=rows["estimate"] / rows["truth"])
    return table.groupby(["lag", "period", "group"], sort=False).agg(
        n=("n", "mean"), coverage=("held", "mean"), ratio=("ratio", "mean")
    ).reset_index()  # fmt: skip


def main() -> None:
    """Print a table for spend that grows slowly, and one for spend that grows fast."""
    n_worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for rules in (USUAL, Rules(leads=250.0, growth=0.25)):
        rows = pd.concat([measure(build_world(seed, rules)) for seed in range(n_worlds)], ignore_index=True)
        print(f"\n{n_worlds:,} worlds, spend grows by {rules.growth:.0%} a quarter.\n")
        print("| lag | period | customers of | customers | ranges that hold the truth | mean of estimate over truth |")
        print("|---|---|---|---|---|---|")
        for row in summarise(rows).itertuples():
            cells = f"{row.n:.0f} | {row.coverage:.1%} | {row.ratio:.3f}"
            print(f"| {row.lag} | {row.period} | {row.group} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
