"""How fast is credit over channels, beside a peer, and do its ranges and those of reach hold the truth?

Run: python bench/attribution.py [worlds]   (default 1,000 worlds; 100,000 journeys over 12 channels for the speed)
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import peers

from icp_lib import attribution, credits, reach
from icp_lib.draws import draw_weights

CUTOFF = pd.Timestamp("2026-10-01")
N_JOURNEYS, N_CHANNELS = 100_000, 12
NONE = pd.DataFrame(columns=["segment_id", "segment", "conditions"])
NO_SPEND = pd.DataFrame(columns=["month", "category", "amount", "channel"])
SIZES = (100, 200, 400, 1600)


def draw_journeys(seed: int, n: int, k: int = N_CHANNELS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return journeys of unequal channels, one of which doubles the chance of a customer, and their accounts."""
    rng = np.random.default_rng(seed)
    names = np.array([f"channel {number:02d}" for number in range(k)], object)
    share, lengths = np.arange(k, 0, -1) / (k * (k + 1) / 2), 1 + rng.poisson(2.0, n)
    visited = rng.choice(k, lengths.sum(), p=share)
    ends = np.cumsum(lengths)
    helped = np.add.reduceat(visited == 2, ends - lengths) > 0
    paths = [list(names[visited[end - length : end]]) for end, length in zip(ends, lengths, strict=True)]
    ids = [f"{seed}-{number}" for number in range(n)]
    marks = {name: rng.integers(1, lengths + 1) for name in ("lead_visit", "deal_visit")}
    journeys = pd.DataFrame({"account_id": ids, "path": paths, "is_won": rng.random(n) < np.where(helped, 0.3, 0.15)})
    return journeys.assign(deal_at=CUTOFF, **marks), pd.DataFrame({"account_id": ids, "family_id": ids})


def estimate(journeys: pd.DataFrame, accounts: pd.DataFrame, n_draws: int) -> pd.DataFrame:
    """Return `attribution` of the company, however few its customers."""
    options = {"cutoff": CUTOFF, "n_draws": n_draws, "min_customers": 1}
    return attribution.estimate_attribution(journeys, accounts, NONE, NO_SPEND, **options)


def credit_points(journeys: pd.DataFrame, channels: list[str]) -> np.ndarray:
    """Return the credits of all rules, without ranges."""
    k = len(channels)
    sums = [credit.sum(axis=0) for credit in credits.credit_journeys(journeys, channels).values()]
    steps = np.bincount(credits.list_steps(journeys, channels)[1], minlength=(k + 1) * (k + 2))
    return np.array([*sums, credits.measure_removal(steps)])


def time_peer(journeys: pd.DataFrame) -> float | None:
    """Seconds of ChannelAttribution for first, last, linear touch and Markov; None where it is not installed."""
    python = peers.build_peer("ChannelAttribution")
    if python is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paths.csv"
        won = journeys["is_won"].astype(int)
        table = pd.DataFrame({"path": journeys["path"].str.join(" > "), "won": won, "none": 1 - won})
        table.to_csv(path, index=False)
        code = f"import peers; print('seconds:', peers.time_channels({str(path)!r}))"
        here = Path(__file__).resolve().parent
        said = subprocess.run([python, "-c", code], cwd=here, check=True, capture_output=True, text=True).stdout
    return float(said.partition("seconds:")[2])


def run_speed() -> list[str]:
    """Return the lines of the table of seconds."""
    journeys, accounts = draw_journeys(1, N_JOURNEYS)
    channels = sorted({channel for path in journeys["path"] for channel in path})
    points = peers.measure_best(lambda: credit_points(journeys, channels))[1]
    drawn = peers.measure_best(lambda: draw_weights(accounts["family_id"], 1000), 1)[1]
    whole = peers.measure_best(lambda: estimate(journeys, accounts, 1000), 1)[1]
    peer = time_peer(journeys)
    ratio = "not installed here" if peer is None else f"{peer:.2f} s; ours takes {points / peer:.1f} times as long"
    return [
        f"{N_JOURNEYS:,} journeys over {len(channels)} channels, processor seconds.",
        "",
        "| what | seconds |",
        "|---|---|",
        f"| five rules, removal effects exact | {points:.2f} |",
        f"| the same with ranges from 1,000 draws | {whole:.2f} |",
        f"| of which the shared draws of 100,000 families | {drawn:.2f} |",
        f"| ChannelAttribution: three rules and a simulated Markov chain, no ranges | {ratio} |",
    ]


def run_credit(n_worlds: int) -> list[str]:
    """Return the lines of the coverage of shares of credit, by customers in the group."""
    k, lines = 5, ["", f"{n_worlds:,} worlds of 5 channels: share of ranges of credit that hold the truth.", ""]
    truth = estimate(*draw_journeys(10**6, 200_000, k), 1).set_index(["rule", "channel"])["share_rate"]
    lines += [f"| customers | {' | '.join(credits.RULES)} |", f"|---|{'---|' * len(credits.RULES)}"]
    for size in SIZES:
        held, customers = [], []
        for seed in range(n_worlds):
            found = estimate(*draw_journeys(seed, size, k), 400).set_index(["rule", "channel"]).reindex(truth.index)
            customers.append(found["n"].max())
            held.append((found["share_rate_low"] <= truth) & (truth <= found["share_rate_high"]))
        shares = pd.concat(held, axis=1).mean(axis=1).groupby(level="rule").mean()
        lines.append(f"| {np.mean(customers):.0f} | {' | '.join(f'{shares[rule]:.1%}' for rule in credits.RULES)} |")
    return lines


def draw_company(seed: int, n: int, response: float, won: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return steps and accounts of a company whose rates are known."""
    rng = np.random.default_rng(seed)
    ids = [f"{seed}-{number}" for number in range(n)]
    steps = pd.DataFrame({"account_id": ids, "family_id": ids, "is_contactable": rng.random(n) < 0.5})
    steps["was_touched"] = steps["is_contacted"] = rng.random(n) < 0.3
    steps["is_response"] = steps["is_contacted"] & (rng.random(n) < response)
    steps["is_lead"] = steps["is_mql"] = steps["is_sql"] = steps["is_opportunity"] = rng.random(n) < 0.4
    steps["is_won"] = steps["is_customer"] = steps["is_lead"] & (rng.random(n) < won)
    return steps, pd.DataFrame({"account_id": ids, "n_opportunities": 1})


def run_reach(n_worlds: int) -> list[str]:
    """Return the lines of the coverage of expected customers, and of how often a target came true."""
    lines = ["", f"{n_worlds:,} companies: expected customers, and the chance of the target against what came.", ""]
    lines += ["| accounts | responses and customers, together | ranges that hold the truth | chance said | came |"]
    lines += ["|---|---|---|---|---|"]
    for n, response, won in ((300, 0.15, 0.15), (600, 0.15, 0.2), (1500, 0.2, 0.25), (6000, 0.2, 0.25)):
        held, said, came, scarce, rng = [], [], [], [], np.random.default_rng(1)
        for seed in range(n_worlds):
            steps, accounts = draw_company(seed, n, response, won)
            some = int((steps["is_contactable"] & ~steps["is_customer"]).sum())
            truth = some * response * won
            target = max(1, round(truth))
            row = reach.estimate_reach(steps, accounts, NONE, pd.DataFrame(), target=target, n_draws=400).iloc[0]
            held.append(row["expected_customers_low"] <= truth <= row["expected_customers_high"])
            said.append(row["target_met_rate"])
            came.append(rng.binomial(some, response * won) >= target)
            scarce.append(1 / (1 / max(steps["is_response"].sum(), 1) + 1 / max(steps["is_won"].sum(), 1)))
        cells = f"{np.mean(held):.1%} | {np.mean(said):.1%} | {np.mean(came):.1%}"
        lines.append(f"| {n:,} | {np.mean(scarce):.0f} | {cells} |")
    return lines


def main(n_worlds: int) -> None:
    """Print all tables and the seconds they took."""
    started = time.process_time()
    for part in (run_speed(), run_credit(n_worlds), run_reach(n_worlds)):
        print("\n".join(part), flush=True)
    print(f"\n{time.process_time() - started:.0f} processor seconds.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
