"""Does discovery tell truth from luck? Verdicts on planted and null worlds, with p-values and intervals.

Run: python bench/discovery.py [worlds] [lists]   (default 1,000 worlds of about 5,000 opportunities each, and smaller
null worlds until 1,000 have offered a list: more than an hour on two cores)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
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
TERRITORY = Segment.of(REP)
TRAITS = {
    "industry": Trait(), "employees": Trait(bins=[1, 5, 21, 51, 101, 251]), "country": Trait(), "region": Trait(),
    "business_model": Trait(), "technologies": Trait(), "annual_revenue": Trait(quantiles=4),
    "dispatch_method": Trait(), "web_shop": Trait(), "buyer_role": Trait(), "lead_source": Trait(),
}  # fmt: skip
NULLS = {True: "no truth", "late": "no truth; a level appears late, losses close slower"}
BATCH, ROUND, SMALLER = 40, 240, 2000
#: First seed of the smaller worlds: no world has the draws of a larger one.
OWN = 100_000
POWER = (0.27, 0.30, 0.33, 0.36, 0.39)


def build_space(seed: int, null: bool | str = False, n_accounts: int = 6000) -> space.Space:
    """Return the space of one world, as notebook 01 builds it."""
    return next(build_spaces([seed], null, n_accounts=n_accounts))


def build_spaces(
    seeds: Sequence[int], null: bool | str = False, win_rate: float | None = None, n_accounts: int = 6000
) -> Iterator[space.Space]:
    """Yield the spaces of some worlds.

    Parameters
    ----------
    seeds : sequence of int
    null : bool or "late"
        See `demo.build_world`.
    win_rate : float, optional
        Win rate of the strong segment in place of the demo's.
    n_accounts : int
    """
    strong, usual = TRUTH["segments"][0], TRUTH["segments"][0]["win_rate"]
    traits = {name: trait.model_dump() for name, trait in TRAITS.items()}
    strong["win_rate"] = win_rate or usual
    try:
        drawn = list(worlds.build_many(seeds, n_accounts, null))
    finally:
        strong["win_rate"] = usual
    for accounts, opportunities in drawn:
        yield space.build_space(accounts, opportunities, traits, cutoff=worlds.CUTOFF)


def judge_worlds(
    seeds: Sequence[int], null: bool | str = False, win_rate: float | None = None,
    n_draws: int = N_DRAWS, n_held_out: int = N_HELD_OUT,
) -> list[dict]:  # fmt: skip
    """Return what discovery says of some worlds, a row each (`build_spaces`, `judge_space`)."""
    spaces = zip(seeds, build_spaces(seeds, null, win_rate), strict=True)
    return [judge_space(here, null, seed % LEVELS_STEP, n_draws, n_held_out) for seed, here in spaces]


def judge_space(
    here: space.Space, null: bool | str = False, first: int = 0, n_draws: int = N_DRAWS, n_held_out: int = N_HELD_OUT
) -> dict:
    """Return what discovery says of one world.

    Parameters
    ----------
    here : Space
    null : bool or "late"
        Whether lifts are known to be 1, so that intervals can be counted.
    first : int
        The first level whose interval is counted, below `LEVELS_STEP`.
    n_draws, n_held_out : int
        Shuffled searches, and permutations of the newer part.
    """
    older = discovery.search_part(here, n_draws=n_draws)
    offered = offer.list_offered(here, older)
    within = disguise.compare_within(here, list(offered["rules"]))
    judged = offer.judge_offered(here, offered, within, n_draws=n_held_out)
    known = _cover_null(here, judged, first) if null else _judge_territory(here)
    return {"p": older.about["p_adjusted"].iloc[0], **_describe_list(here, judged), **known}


def judge_lists(seeds: Sequence[int], null: bool | str) -> list[dict]:
    """Return the held-out p-value and intervals of each of some smaller null worlds that offered a list."""
    rows = []
    for here in build_spaces(seeds, null, n_accounts=SMALLER):
        offered = offer.list_offered(here, discovery.search_part(here, n_draws=N_DRAWS))
        if len(offered):
            checked = discovery.check_held_out(here, offer.find_members(here, offered), N_HELD_OUT)
            intervals = [(n_won, lift.low, lift.high) for n_won, lift in zip(checked.n_won, checked.lift, strict=True)]
            rows.append({"holdout_p": checked.p_adjusted.min(), **_cover_list(intervals, "holdout")})
    return rows


def _judge_territory(here: space.Space) -> dict:
    """Whether the strong rep's territory has a lead beyond luck, and whether that is laid to the rep."""
    within = disguise.compare_within(here, [TERRITORY])
    rep = within[within["within"] == "the rep"].iloc[0]
    ids = here.accounts.loc[TERRITORY.mask(here.accounts), "account_id"]
    leads = groups.estimate_units(here.frames.capped, groups.find_units(here.frames.capped, ids)).low > 1
    return {"rep_leads": bool(leads), "rep_explains": bool(leads and rep["judged"] == "explained")}


def _describe_list(here: space.Space, judged: pd.DataFrame) -> dict:
    planted = PLANTED.mask(here.accounts)
    masks = offer.find_members(here, judged).T
    jaccard = np.array([(mask & planted).sum() / (mask | planted).sum() for mask in masks])
    confirmed = (judged["verdict"] == "confirmed").to_numpy()
    conditions, words = [list(each.rules) for each in judged["rules"]], list(judged["verdict"])
    return {
        "n_offered": len(judged),
        "holdout_p": judged["holdout_p_adjusted"].min(),
        "is_confirmed": bool(confirmed.any()),
        "is_promising": bool((judged["verdict"] == "promising").any()),
        "planted_confirmed": bool((confirmed & (jaccard >= discovery.TWIN)).any()),
        "decoy_confirmed": bool(confirmed[[set(map(str, DECOY.rules)) <= set(map(str, c)) for c in conditions]].any()),
        "trap_confirmed": bool(confirmed[[TRAP in c for c in conditions]].any()),
        "trap_alone_confirmed": bool(confirmed[[c == [TRAP] for c in conditions]].any()),
        "rep_offered": any(REP in c for c in conditions),
        "rep_laid_to_rep": any(REP in c and "the rep" in word for c, word in zip(conditions, words, strict=True)),
        "rep_confirmed": bool(confirmed[[REP in c for c in conditions]].any()),
    }


def _cover_null(here: space.Space, judged: pd.DataFrame, first: int) -> dict:
    """How many intervals of lifts that are 1 hold 1: of the list in newer deals, and of one level in five."""
    listed = judged[["holdout_n_won", "holdout_lift_low", "holdout_lift_high"]].itertuples(index=False)
    found, ids = _cover_list(listed, "holdout"), here.accounts["account_id"].to_numpy()
    for kind, units in (("level", here.frames.units), ("newer", discovery.build_part(here, "held_out").units)):
        inside = [groups.find_units(units, ids[level]) for level in here.membership.T[first::LEVELS_STEP]]
        lifts = [groups.estimate_units(units, each) for each in inside]
        n_won = [units.loc[each, "has_won"].sum() for each in inside]
        found |= _cover_list(((n, lift.low, lift.high) for n, lift in zip(n_won, lifts, strict=True)), kind)
    return found


def _cover_list(intervals: Iterable[tuple[float, float, float]], kind: str) -> dict[str, int]:
    """Count intervals (won, low, high) of lifts that are 1, and those that hold 1, with many won deals and with few."""
    told = [each for each in intervals if each[0] >= stats.MIN_WON and np.isfinite(each[1])]
    counts = {}
    for size, is_many in (("many", True), ("few", False)):
        held = [low <= 1 <= high for n_won, low, high in told if (n_won >= 50) == is_many]
        counts |= {f"{kind}_{size}_n": len(held), f"{kind}_{size}_in": sum(held)}
    return counts


def _table(found: pd.DataFrame) -> list[str]:
    """Rows about p-values, verdicts and coverage of one kind of null world."""
    listed = found[found["n_offered"] > 0]
    lines = [
        ("search p at most 0.05", worlds.share(found["p"] <= 0.05)),
        ("held-out p at most 0.05, worlds that offered a list", worlds.share(listed["holdout_p"] <= 0.05)),
        ("any segment confirmed", worlds.share(found["is_confirmed"])),
        ("any segment promising", worlds.share(found["is_promising"])),
    ]
    lines += _describe_cover(found, "holdout", "held-out intervals")
    lines += _describe_cover(found, "newer", "held-out intervals of single levels")
    lines += _describe_cover(found, "level", "intervals of single levels")
    return [f"| {words} | {share} |" for words, share in lines]


def _describe_cover(found: pd.DataFrame, kind: str, words: str) -> list[tuple[str, str]]:
    lines = []
    for size, n_won in (("many", "50 won or more"), ("few", "15 to 49 won")):
        total, inside = found[f"{kind}_{size}_n"].sum(), found[f"{kind}_{size}_in"].sum()
        lines.append((f"coverage of {words}, {n_won}", f"{inside / total:.1%} (of {total:,})" if total else "none"))
    return lines


def run(n_worlds: int, n_lists: int) -> Iterator[list[str]]:
    """Yield the lines of the tables, each as soon as it is counted."""
    with get_context("spawn").Pool(2) as pool:

        def spread(call, seeds: range, *options) -> pd.DataFrame:
            batches = [(seeds[start : start + BATCH], *options) for start in range(0, len(seeds), BATCH)]
            return pd.DataFrame([row for rows in pool.starmap(call, batches, chunksize=1) for row in rows])

        planted = spread(judge_worlds, range(n_worlds))
        yield describe_planted(planted)
        lists, start = pd.DataFrame(), 0
        for null, words in NULLS.items():
            found = spread(judge_worlds, range(n_worlds), null)
            head = ["", f"{n_worlds:,} worlds: {words}.", "", "| what | share |", "|---|---|"]
            yield head + _table(found)
            lists = pd.concat([lists, found[found["n_offered"] > 0]])
        while len(lists) < n_lists:
            seeds, null = range(OWN + start, OWN + start + ROUND), list(NULLS)[start // ROUND % 2]
            lists, start = pd.concat([lists, spread(judge_lists, seeds, null)]), start + ROUND
        yield describe_lists(lists, start)
        few = range(max(10, n_worlds // 5))
        weaker = {rate: spread(judge_worlds, few, False, rate) for rate in POWER}
        yield describe_power(weaker | {TRUTH["segments"][0]["win_rate"]: planted})


def describe_planted(found: pd.DataFrame) -> list[str]:
    """Return the lines about worlds with a planted truth."""
    what = {
        "a segment that shares 60 % (Jaccard) with the planted one is confirmed": found["planted_confirmed"],
        "a segment with all conditions of the decoy is confirmed": found["decoy_confirmed"],
        "the Simpson trap is confirmed by itself": found["trap_alone_confirmed"],
        "any segment with the trap among its conditions is confirmed": found["trap_confirmed"],
        "the strong rep's territory leads beyond luck": found["rep_leads"],
        "of these: explained by the rep": found.loc[found["rep_leads"], "rep_explains"],
        "any segment with the territory among its conditions is offered": found["rep_offered"],
        "of these: explained by the rep, one at least": found.loc[found["rep_offered"], "rep_laid_to_rep"],
        "any segment with the territory among its conditions is confirmed": found["rep_confirmed"],
    }
    lines = [f"{len(found):,} worlds with a planted truth.", "", "| what | share of worlds |", "|---|---|"]
    return lines + [f"| {words} | {worlds.share(values)} |" for words, values in what.items()]


def describe_lists(lists: pd.DataFrame, n_worlds: int) -> list[str]:
    """Return the lines about the null worlds that offered a list."""
    lines = [("held-out p at most 0.05", worlds.share(lists["holdout_p"] <= 0.05))]
    lines += _describe_cover(lists, "holdout", "held-out intervals")
    words = f"Lists offered in null worlds: those above, and {n_worlds:,} worlds of {SMALLER:,} accounts."
    head = ["", words, "", "| what | share |", "|---|---|"]
    return [*head, *(f"| {words} | {share} |" for words, share in lines)]


def describe_power(found: dict[float, pd.DataFrame]) -> list[str]:
    """Return the lines about weaker truths, and the planted one."""
    lines = ["", "Power.", "", "| win rate of the planted segment | confirmed |", "|---|---|"]
    return lines + [f"| {rate:.2f} | {worlds.share(each['planted_confirmed'])} |" for rate, each in found.items()]


if __name__ == "__main__":
    for part in run(*map(int, sys.argv[1:])) if len(sys.argv) > 1 else run(1000, 1000):
        print("\n".join(part), flush=True)
