"""What page 06 decides in worlds with a known truth: one arm with an effect, one without.

Run: python bench/experiments.py 1000
Each world draws accounts, assigns them by the demo's lot, and lets the planted share of each arm meet; then the same
functions as the notebook's check, compare and decide. Files and notebooks take no part.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from icp_lib import demo, demo_tables, experiments, stats
from icp_lib.outcomes import Sources
from icp_lib.protocols import Protocol, Protocols
from icp_lib.studies import build_studies

END = pd.Timestamp("2026-10-01")
CUTOFFS = list(pd.date_range("2026-01-01", END, freq="QS"))
DECISION = {"ship": "better", "stop": "not better", "continue": "open", "cannot answer": "closed"}
SMALLEST_WORTH = 0.07


def plan(planted: dict) -> Protocol:
    """The protocol of a planted test."""
    primary = {name: planted[name] for name in ("metric", "touch_type", "window_days")}
    day = pd.Timestamp(planted["assigned_on"])
    return Protocol(
        id=planted["id"], question="?", candidate=planted["candidate"], arms=[planted["arm"], planted["control"]],
        control=planted["control"], written_on=(day - pd.Timedelta(days=9)).date(), assigned_on=day.date(),
        primary=primary, mde=0.12, smallest_worth=SMALLEST_WORTH, decision=DECISION,
    )  # fmt: skip


def decide_world(seed: int, protocols: Protocols, null: bool = False, cutoffs=tuple(CUTOFFS)) -> pd.DataFrame:
    """Return the decisions of one world, looked at at each cutoff; in a null world no arm does anything."""
    world = demo.draw_core(seed, 6000, null)
    listed = demo_tables.build_assignments(np.random.default_rng([seed, 7]), world, null)
    met = np.concatenate([each["account"][each["met"]] for each in world["trials"]])
    ids = [f"A{number + 1:06d}" for number in met]
    start = listed.set_index("account_id")["assigned_at"]
    touches = pd.DataFrame({"account_id": ids, "touch_type": "Meeting"})
    touches["occurred_at"] = start[ids].to_numpy() + pd.Timedelta(days=9)
    accounts = world["accounts"][world["accounts"]["account_id"].isin(start.index)]
    accounts = accounts.assign(family_id=accounts["account_id"])
    deals = world["opportunities"].head(0).assign(is_relevant=pd.Series(dtype=bool))
    sources = Sources(deals, touches, pd.DataFrame(), pd.DataFrame())
    tests = build_studies(protocols, listed, pd.DataFrame(), accounts, sources, cutoffs)
    return experiments.judge_tests(tests, accounts, sources, END).decisions


def decide_worlds(seeds, cutoffs=tuple(CUTOFFS)) -> pd.DataFrame:
    """Return the decisions of several worlds, one below the other."""
    protocols = Protocols({each["id"]: plan(each) for each in demo.TRUTH["experiments"]}, {})
    return pd.concat([decide_world(seed, protocols, cutoffs=cutoffs) for seed in seeds])


def main(n_worlds: int) -> None:
    """Print how often each planted test was decided how, and how often its range held the truth."""
    planted = {each["id"]: each for each in demo.TRUTH["experiments"]}
    found = decide_worlds(range(n_worlds))
    print("| test | true difference | worlds | ship | stop | cannot answer | withheld | range holds the truth |")
    print("|---|---|---|---|---|---|---|---|")
    for name, part in found.groupby("experiment_id"):
        effect = planted[name]["effect"]
        covered = (part["effect_low"] <= effect) & (effect <= part["effect_high"])
        shares = [part["decision"].eq(word).mean() for word in ("ship", "stop", "cannot answer", "withheld")]
        low, high = stats.estimate_proportion(covered, np.arange(len(part)))[1:3]
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {name} | {effect:+.2f} | {len(part)} | {cells} | {covered.mean():.1%} ({low:.1%} to {high:.1%}) |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
