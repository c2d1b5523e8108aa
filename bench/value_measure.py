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


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)))
