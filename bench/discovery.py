"""Does discovery tell truth from luck? Verdicts on planted and null worlds, with p-values and intervals.

Run: python bench/discovery.py [worlds]   (default 1,000 worlds of about 5,000 opportunities each)
"""

from __future__ import annotations

import sys
from multiprocessing import get_context

import numpy as np
import pandas as pd
import worlds

from icp_lib import discovery, disguise, groups, offer, space, stats
from icp_lib.demo_core import TRUTH
from icp_lib.rules import Segment
from icp_lib.settings import Trait

N_DRAWS, N_HELD_OUT, LEVELS_STEP = 199, 999, 5
PLANTED = Segment.of(*worlds.STRONG)
DECOY = Segment.of(*TRUTH["decoy"]["conditions"])
TRAP = {"attribute": TRUTH["trap"]["attribute"], "op": "is", "value": TRUTH["trap"]["value"]}
REP = {"attribute": "region", "op": "is", "value": TRUTH["rep"]["region"]}
TRAITS = {
    "industry": Trait(), "employees": Trait(bins=[1, 5, 21, 51, 101, 251]), "country": Trait(), "region": Trait(),
    "business_model": Trait(), "technologies": Trait(), "annual_revenue": Trait(quantiles=4),
    "dispatch_method": Trait(), "web_shop": Trait(), "buyer_role": Trait(), "lead_source": Trait(),
}  # fmt: skip
POWER = (0.27, 0.30, 0.33, 0.36, 0.39)


def build_space(seed: int, null: bool | str = False, n_accounts: int = 6000) -> space.Space:
    """Return the space of one world, as notebook 01 builds it."""
    accounts, opportunities = worlds.build_frames(seed, n_accounts, null)
    traits = {name: trait.model_dump() for name, trait in TRAITS.items()}
    return space.build_space(accounts, opportunities, traits, cutoff=worlds.CUTOFF)


def judge_world(
    seed: int,
    null: bool | str = False,
    win_rate: float | None = None,
    n_draws: int = N_DRAWS,
    n_held_out: int = N_HELD_OUT,
) -> dict:
    """Return what discovery says of one world.

    Parameters
    ----------
    seed : int
    null : bool or "late"
        See `demo.build_world`.
    win_rate : float, optional
        Win rate of the strong segment in place of the demo's.
    n_draws, n_held_out : int
        Shuffled searches, and permutations of the newer part.
    """
    strong, usual = TRUTH["segments"][0], TRUTH["segments"][0]["win_rate"]
    strong["win_rate"] = win_rate or usual
    try:
        here = build_space(seed, null)
    finally:
        strong["win_rate"] = usual
    older = discovery.search_part(here, n_draws=n_draws)
    offered = offer.list_offered(here, older)
    within = disguise.compare_within(here, list(offered["rules"]))
    judged = offer.judge_offered(here, offered, within, n_draws=n_held_out)
    cover = _cover_null(here, judged, seed % LEVELS_STEP) if null else {}
    return {"p": older.about["p_adjusted"].iloc[0], **_describe_list(here, judged), **cover}


def _describe_list(here: space.Space, judged: pd.DataFrame) -> dict:
    planted = PLANTED.mask(here.accounts)
    masks = offer.find_members(here, judged).T
    jaccard = np.array([(mask & planted).sum() / (mask | planted).sum() for mask in masks])
    confirmed = (judged["verdict"] == "confirmed").to_numpy()
    conditions = [list(each.rules) for each in judged["rules"]]
    return {
        "n_offered": len(judged),
        "holdout_p": judged["holdout_p_adjusted"].min(),
        "is_confirmed": bool(confirmed.any()),
        "is_promising": bool((judged["verdict"] == "promising").any()),
        "planted_confirmed": bool((confirmed & (jaccard >= discovery.TWIN)).any()),
        "decoy_confirmed": bool(confirmed[[set(map(str, DECOY.rules)) <= set(map(str, c)) for c in conditions]].any()),
        "trap_confirmed": bool(confirmed[[TRAP in c for c in conditions]].any()),
        "trap_alone_confirmed": bool(confirmed[[c == [TRAP] for c in conditions]].any()),
        "rep_confirmed": bool(confirmed[[REP in c for c in conditions]].any()),
    }


def _cover_null(here: space.Space, judged: pd.DataFrame, first: int) -> dict:
    """How many intervals of lifts that are 1 hold 1: of the list in newer deals, and of one level in five."""
    found = {f"{kind}_{size}": [] for kind in ("holdout", "level") for size in ("many", "few")}
    for row in judged.itertuples():
        _note_cover(found, "holdout", row.holdout_n_won, row.holdout_lift_low, row.holdout_lift_high)
    units, ids = here.frames.units, here.accounts["account_id"].to_numpy()
    for level in here.membership.T[first::LEVELS_STEP]:
        inside = groups.find_units(units, ids[level])
        lift = groups.estimate_units(units, inside)
        _note_cover(found, "level", units.loc[inside, "has_won"].sum(), lift.low, lift.high)
    return {f"{name}_{word}": n for name, held in found.items() for word, n in (("n", len(held)), ("in", sum(held)))}


def _note_cover(found: dict, kind: str, n_won: float, low: float, high: float) -> None:
    if n_won >= stats.MIN_WON and np.isfinite(low):
        found[f"{kind}_{'many' if n_won >= 50 else 'few'}"].append(low <= 1 <= high)


def _table(found: pd.DataFrame) -> list[str]:
    """Rows about p-values, verdicts and coverage of one kind of null world."""
    listed = found[found["n_offered"] > 0]
    lines = [
        ("search p at most 0.05", worlds.share(found["p"] <= 0.05)),
        ("held-out p at most 0.05, worlds that offered a list", worlds.share(listed["holdout_p"] <= 0.05)),
        ("any segment confirmed", worlds.share(found["is_confirmed"])),
        ("any segment promising", worlds.share(found["is_promising"])),
    ]
    for kind, words in (("holdout", "held-out intervals"), ("level", "intervals of single levels")):
        for size, n_won in (("many", "50 won or more"), ("few", "15 to 49 won")):
            total, inside = found[f"{kind}_{size}_n"].sum(), found[f"{kind}_{size}_in"].sum()
            lines.append((f"coverage of {words}, {n_won}", f"{inside / total:.1%} (of {total:,})" if total else "none"))
    return [f"| {words} | {share} |" for words, share in lines]


def run(n_worlds: int) -> list[str]:
    """Return the lines of the tables."""
    with get_context("spawn").Pool(2) as pool:

        def judge(n: int, *options) -> pd.DataFrame:
            return pd.DataFrame(pool.starmap(judge_world, [(seed, *options) for seed in range(n)], chunksize=5))

        planted = judge(n_worlds)
        lines = [f"{n_worlds:,} worlds with a planted truth.", "", "| what | share of worlds |", "|---|---|"]
        lines += [
            f"| {words} | {worlds.share(planted[name])} |"
            for name, words in (
                ("planted_confirmed", "a segment that shares 60 % (Jaccard) with the planted one is confirmed"),
                ("decoy_confirmed", "a segment with all conditions of the decoy is confirmed"),
                ("trap_alone_confirmed", "the Simpson trap is confirmed by itself"),
                ("trap_confirmed", "any segment with the trap among its conditions is confirmed"),
                ("rep_confirmed", "any segment with the strong rep's territory is confirmed"),
            )
        ]
        for null, words in ((True, "no truth"), ("late", "no truth; a level appears late, losses close slower")):
            lines += ["", f"{n_worlds:,} worlds: {words}.", "", "| what | share |", "|---|---|"]
            lines += _table(judge(n_worlds, null))
        n_power = max(10, n_worlds // 5)
        lines += ["", f"Power: {n_power:,} worlds each."]
        lines += ["", "| win rate of the planted segment | confirmed |", "|---|---|"]
        lines += [
            f"| {rate:.2f} | {worlds.share(judge(n_power, False, rate)['planted_confirmed'])} |" for rate in POWER
        ]
    return lines


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)))
