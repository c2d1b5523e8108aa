"""Is the value measure honest? Lift in worlds without truth, and coverage of its interval where the truth is known.

Run: python bench/value_measure.py [worlds]   (default 1,000 worlds of about 5,000 opportunities each)
"""

from __future__ import annotations

import sys
from multiprocessing import get_context

import numpy as np
import pandas as pd
import worlds

from icp_lib import stats, value
from icp_lib.rules import Segment

GROUPS = {"strong": Segment.of(*worlds.STRONG), "late": Segment.of(worlds.LATE)}
ACCOUNTS_FOR_TRUTH = 400_000


def estimate(seed: int, null: bool | str, group: str, measure: str, n_accounts: int = 6000) -> dict:
    """Return one world's lift of one group with its interval, and the lift of two measures that are not used."""
    accounts, opportunities = worlds.build_frames(seed, n_accounts, null)
    units = value.build_units(opportunities, accounts, cutoff=worlds.CUTOFF, measure=measure)
    inside = units["account_id"].isin(accounts["account_id"][GROUPS[group].mask(accounts)]).to_numpy()
    lift = stats.estimate_lift(units["m"], units["e"], inside, pd.factorize(units["family_id"])[0])
    closed = ~units["is_open"].to_numpy()
    return {
        "lift": lift.value,
        "low": lift.low,
        "high": lift.high,
        "closed_only": _plain(units[closed], inside[closed]),
        "days_at_risk": _plain(units, inside),
    }


def _plain(units: pd.DataFrame, inside: np.ndarray) -> float:
    """Ratio of plain sums, creation quarters not compared like with like."""
    return (units["m"][inside].sum() / units["d"][inside].sum()) / (
        units["m"][~inside].sum() / units["d"][~inside].sum()
    )


def run(n_worlds: int) -> list[str]:
    """Return the lines of the table."""
    tasks = {
        "no truth": (True, "strong", "margin_per_day"),
        "no truth; the group is recent and losses close slower": ("late", "late", "margin_per_day"),
        "the same, win rate": ("late", "late", "win_rate"),
        "planted segment": (False, "strong", "margin_per_day"),
    }
    lines = [
        "| world | worlds | mean lift | simulation error | true lift | coverage of the 95 % interval | closed-only | "
        "plain days at risk |",
        "|---|---|---|---|---|---|---|---|",
    ]
    with get_context("spawn").Pool(2) as pool:
        for words, (null, group, measure) in tasks.items():
            found = pd.DataFrame(
                pool.starmap(estimate, [(seed, null, group, measure) for seed in range(n_worlds)], chunksize=10)
            )
            truth = 1.0 if null else pool.apply(estimate, (n_worlds, null, group, measure, ACCOUNTS_FOR_TRUTH))["lift"]
            covered = ((found["low"] <= truth) & (truth <= found["high"])).mean()
            means = found[["lift", "closed_only", "days_at_risk"]].mean()
            error = worlds.simulation_error(found["lift"])
            lines.append(
                f"| {words} | {n_worlds:,} | {means['lift']:.3f} | {error:.3f} | {truth:.2f} | {covered:.1%} | "
                f"{means['closed_only']:.2f} | {means['days_at_risk']:.2f} |"
            )
    return lines


def estimate_drift(seed: int, shares: tuple[float, ...], ratio: float, n_deals: int = 50_000) -> float:
    """Return the lift of a group whose every deal is worth `ratio` times the rest's, in quarters of given shares."""
    rng = np.random.default_rng(seed)
    quarter = rng.integers(0, len(shares), n_deals)
    inside = rng.random(n_deals) < np.array(shares)[quarter]
    value_of = 1.0 + 0.2 * quarter  # quarters differ in what a deal brings, for everybody alike
    won = rng.random(n_deals) < 0.22
    m = won * rng.lognormal(0, 0.8, n_deals) * value_of * np.where(inside, ratio, 1.0)
    units = pd.DataFrame({"m": m, "d": 1.0, "quarter": quarter, "is_won": won})
    return stats.estimate_lift(m, value.expected(units), inside, np.arange(n_deals)).value


def run_drift(n_worlds: int) -> list[str]:
    """Return the lines of the second table."""
    shapes = {
        "12 % of the deals in each of ten quarters": (0.12,) * 10,
        "1, 3 and 6 % in the last three quarters": (0.0,) * 7 + (0.01, 0.03, 0.06),
        "20 % in the last three quarters": (0.0,) * 7 + (0.2,) * 3,
        "50 % in the last three quarters": (0.0,) * 7 + (0.5,) * 3,
    }
    lines = ["| the group's share of deals | true lift | mean lift | simulation error |", "|---|---|---|---|"]
    for words, shares in shapes.items():
        for ratio in (1.0, 2.0):
            lifts = [estimate_drift(seed, shares, ratio) for seed in range(n_worlds)]
            error = worlds.simulation_error(np.array(lifts))
            lines.append(f"| {words} | {ratio:.2f} | {np.mean(lifts):.2f} | {error:.2f} |")
    return lines


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("\n".join(run(n)))
    print("\nA group that grows: its own deals are part of its quarters' average, so a true lead shrinks towards 1.\n")
    print("\n".join(run_drift(max(2, n // 50))))
