"""Segments that hold: found on older accounts, fixed, then checked on newer ones (notebook 01)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import draws, groups, permutation, power, pruning, search, stats
from icp_lib.space import PLACEBOS, SUMS, Part, Space, build_part

MOST_OFFERED, MOST_P, MOST_SHARED = 6, 0.20, 1 / 3
MIN_SUPPORT = {"found": 50, "recent": 25}
TWIN, N_RESAMPLES, N_AT_ONCE = 0.6, 100, 20
N_DRAWS, N_HELD_OUT, SEED = 999, 9_999, 1
#: With more accounts than this the null world is made of multipliers in place of permutations.
MOST_PERMUTED = 100_000
SIZES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)
COLUMN = {name: number for number, name in enumerate(SUMS)}


class Found(NamedTuple):
    """What the search of one part came back with; its offered list is fixed before anything newer is read.

    Attributes
    ----------
    part : Part
    conjunctions : array of int, shape (M, depth)
        All that were looked at; level numbers of the space, padded with -1.
    candidates : DataFrame
        One row a conjunction that says more than each of its parents, the largest T first: number (row of
        `conjunctions`), n_accounts, n_opportunities, n_won, lift, lift_capped, t, p_adjusted, has_placebo, is_placebo
        (nothing but), is_offered.
    noise : DataFrame
        n_opportunities, noise_50, noise_95: the best lift of a search without truth, by size of the group.
    draws : DataFrame
        draw, lift: the best group of the leader's size in each shuffled search.
    about : DataFrame
        One row: what was searched, and what luck gave.
    """

    part: Part
    conjunctions: np.ndarray
    candidates: pd.DataFrame
    noise: pd.DataFrame
    draws: pd.DataFrame
    about: pd.DataFrame

    @property
    def offered(self) -> pd.DataFrame:
        """The candidates on the offered list."""
        return self.candidates[self.candidates["is_offered"]]


def search_part(
    space: Space, part: str = "found", beside: Found | None = None, depth: int = 3, n_draws: int = N_DRAWS
) -> Found:
    """Search every conjunction of a part, adjust for the search, and fix the offered list.

    Offered are at most six, with an adjusted p of at most 0.20, of which no two share more than a third of the accounts
    of the smaller. Placebos take part in the search and are never offered.

    Parameters
    ----------
    space : Space
    part : {'found', 'recent'}
        The older accounts, or everything opened in the newest three quarters.
    beside : Found, optional
        What is offered already: this list is distinct from it, and both together are at most six.
    depth : int
        At most so many conditions.
    n_draws : int
        Shuffled searches.
    """
    data = build_part(space, part)
    found, luck = _search(space, data, MIN_SUPPORT[part], depth, n_draws)
    sums = dict(zip(SUMS, found.sums.T, strict=True))
    keep = pruning.prune_conjunctions(found, luck.t, sums["m_capped"], sums["e_capped"])
    table = pd.DataFrame({name: sums[name] for name in ("n_accounts", "n_opportunities", "n_won")}).astype(int)
    for name, ending in (("lift", ""), ("lift_capped", "_capped")):
        table[name] = _lift(sums[f"m{ending}"], sums[f"e{ending}"], data.sums[:, COLUMN[f"m{ending}"]].sum(),
                            data.sums[:, COLUMN[f"e{ending}"]].sum())  # fmt: skip
    table = table.assign(number=np.arange(len(table)), t=luck.t, p_adjusted=luck.p)
    table["has_placebo"] = np.r_[space.is_placebo, False][found.levels].any(axis=1)
    table["is_placebo"] = np.r_[space.is_placebo, True][found.levels].all(axis=1)
    candidates = table[keep & (luck.t > 0)].sort_values(["t", "number"], ascending=[False, True], ignore_index=True)
    candidates["is_offered"] = candidates["number"].isin(_offer(space, found.levels, candidates, part, beside))
    noise = _build_noise(luck, data)
    return Found(data, found.levels, candidates, noise, _build_draws(luck, data, candidates),
                 _describe_search(space, data, part, depth, luck, candidates))  # fmt: skip


def _search(
    space: Space, data: Part, least: int, depth: int, n_draws: int
) -> tuple[search.Conjunctions, permutation.Permuted]:
    """Every conjunction with enough deals, and what luck gives; levels with too few cost nothing, however many."""
    counted = COLUMN["n_opportunities"]
    numbers = np.flatnonzero(space.membership[data.rows].T @ data.sums[:, counted] >= least)
    levels = space.membership[np.ix_(data.rows, numbers)]
    minimum = {COLUMN["n_accounts"]: 1, counted: least}
    found = search.search_conjunctions(levels, space.attribute[numbers], data.sums, depth=depth, minimum=minimum)
    expected = data.sums[:, COLUMN["e_capped"]]
    luck = _shuffle(data, levels, found.levels, n_draws, expected=expected, sizes=SIZES)
    return found._replace(levels=np.r_[numbers, -1][found.levels]), luck  # numbers of the space; -1: no condition


def _shuffle(
    data: Part, levels: np.ndarray, conjunctions: np.ndarray, n_draws: int, sign: float = 1.0, **noise
) -> permutation.Permuted:
    """The search repeated without truth: outcomes permuted, or for very many accounts multiplied by normal numbers."""
    residual, keywords = sign * data.residual, {"family": data.family, "seed": SEED}
    if len(data.rows) <= MOST_PERMUTED:
        keywords |= {"n_draws": n_draws, **noise}
        return permutation.permute_search(levels, conjunctions, residual, data.stratum, **keywords)
    powers = np.column_stack([residual**power for power in range(4)])
    keywords["n_draws"] = min(n_draws, N_DRAWS)  # a fixed list needs no more: there are very many accounts
    return permutation.multiplier_search(levels, conjunctions, powers, data.stratum, **keywords)


def _lift(m, e, total_m: float, total_e: float) -> np.ndarray:
    """Lift over the rest from sums; NaN where the rest has nothing."""
    rest_m, rest_e = total_m - m, total_e - e
    is_known = (e > 0) & (rest_m > 0) & (rest_e > 0)
    return np.divide(m * rest_e, e * rest_m, out=np.full(len(m), np.nan), where=is_known)


def _offer(space: Space, conjunctions: np.ndarray, candidates: pd.DataFrame, part: str, beside) -> np.ndarray:
    """Numbers of the conjunctions that are offered, distinct from each other and from those beside."""
    able = candidates[(candidates["p_adjusted"] <= MOST_P) & ~candidates["has_placebo"]]
    if part == "found":
        able = able[able["n_won"] >= stats.MIN_WON]
    none = np.zeros((0, conjunctions.shape[1]), int)
    taken = none if beside is None else beside.conjunctions[beside.offered["number"]]
    numbers = np.r_[len(conjunctions) + np.arange(len(taken)), able["number"].to_numpy()].astype(int)
    chosen = pruning.choose_distinct(
        space.membership, np.vstack([conjunctions, taken]), numbers, most=MOST_OFFERED, shared=MOST_SHARED
    )
    return chosen[chosen < len(conjunctions)]


def _build_noise(luck: permutation.Permuted, data: Part) -> pd.DataFrame:
    """What luck alone reaches at each size of a group, in deals; nothing where the draws were multipliers."""
    if not len(luck.best_lift):
        return pd.DataFrame(columns=["n_opportunities", "noise_50", "noise_95"])
    n = data.sums[:, COLUMN["n_opportunities"]].sum()
    rows = [
        (round(n * np.sqrt(max(each.share_low, SIZES[1] / 2) * each.share_high)), each.lift_50, each.lift_95)
        for each in permutation.search_noise(luck, SIZES)
    ]
    return pd.DataFrame(rows, columns=["n_opportunities", "noise_50", "noise_95"])


def _build_draws(luck: permutation.Permuted, data: Part, candidates: pd.DataFrame) -> pd.DataFrame:
    """The best lift of each shuffled search among groups of the leader's size (a tenth where there is no leader)."""
    if not len(luck.best_lift):
        return pd.DataFrame(columns=["draw", "lift"])
    total = data.sums[:, COLUMN["n_opportunities"]].sum()
    share = candidates["n_opportunities"].iloc[0] / total if len(candidates) else 0.1
    lifts = luck.best_lift[int(np.searchsorted(SIZES[1:-1], share, side="right"))]
    return pd.DataFrame({"draw": np.arange(1, len(lifts) + 1), "lift": lifts}).dropna(ignore_index=True)


def _describe_search(space, data, part, depth, luck, candidates) -> pd.DataFrame:
    """One row: how much was searched, and what luck gave."""
    first = candidates.head(1)
    placebo = candidates.loc[candidates["is_placebo"], "p_adjusted"]  # beside a real trait it borrows that one's lead
    return pd.DataFrame(
        {
            "part": part,
            "n_accounts": len(data.rows),
            "n_opportunities": len(data.units),
            "n_won": int(data.units["has_won"].sum()),
            "n_levels": len(space.levels),
            "n_attributes": len({attribute for attribute, _, _ in space.levels} - set(PLACEBOS)),
            "depth": depth,
            "min_opportunities": MIN_SUPPORT[part],
            "hypotheses": len(luck.t),
            "n_draws": len(luck.max_t),
            "null": "permuted" if len(luck.best_lift) else "multipliers",
            "first_opened_at": data.units["created_at"].min(),
            "last_opened_at": data.units["created_at"].max(),
            "t_found": first["t"].max(),
            "t_critical": np.quantile(luck.max_t, 1 - stats.MAX_P) if len(luck.t) else np.nan,
            "t_offered": np.quantile(luck.max_t, 1 - MOST_P) if len(luck.t) else np.nan,
            "lift_found": first["lift_capped"].max(),
            "p_adjusted": first["p_adjusted"].min(),
            "placebo_p_adjusted": placebo.min(),
        },
        index=[0],
    )


def estimate_stability(space: Space, found: Found) -> np.ndarray:
    """Share of 100 resamples of the families in which an offered segment, or its twin, is offered again.

    Offered are the distinct best of the candidates (made-up traits apart) whose T is one that luck gives in at most one
    search of five, as in the search itself; who adds nothing to a wider group is not sought anew in every resample. A
    twin shares at least 60 % of the accounts of both (Jaccard). Described, never tested.

    Returns
    -------
    array of float, shape (n_offered,)
    """
    data, numbers = found.part, found.offered["number"].to_numpy()
    levels = space.membership[data.rows]
    names = space.accounts["family_id"].iloc[data.rows]
    weights = draws.draw_weights(names, N_RESAMPLES)
    able = found.candidates.loc[~found.candidates["has_placebo"], "number"].to_numpy()
    least = found.about["t_offered"].iloc[0]
    wanted = [levels[:, _used(found.conjunctions[number])].all(axis=1) for number in numbers]
    hits = np.zeros(len(numbers))
    for first in range(0, N_RESAMPLES, N_AT_ONCE):
        weighted = weights[:, first : first + N_AT_ONCE] * data.residual[:, None]
        values = np.hstack([weighted, weighted * data.residual[:, None]])
        got, squares = np.hsplit(search.sum_inside(levels, found.conjunctions, values), 2)
        t = np.divide(got, np.sqrt(squares), out=np.zeros(got.shape), where=squares > 0)
        for column in t.T:
            best = able[np.argsort(-column[able], kind="stable")[:200]]
            best = best[column[best] >= least]
            chosen = pruning.choose_distinct(levels, found.conjunctions, best, most=MOST_OFFERED, shared=MOST_SHARED)
            masks = [levels[:, _used(found.conjunctions[number])].all(axis=1) for number in chosen]
            hits += [
                max(((mask & own).sum() / (mask | own).sum() for mask in masks), default=0) >= TWIN for own in wanted
            ]
    return hits / N_RESAMPLES


def _used(conjunction: np.ndarray) -> np.ndarray:
    return conjunction[conjunction >= 0]


class Checked(NamedTuple):
    """What newer deals say of a fixed list; arrays of shape (n_offered,).

    `joint` is `lift` with its range widened for the length of the list (Bonferroni).
    """

    n_opportunities: np.ndarray
    n_won: np.ndarray
    expected_won: np.ndarray
    lift: list[stats.Estimate]
    joint: list[stats.Estimate]
    p_adjusted: np.ndarray
    p_opposite: np.ndarray


def check_held_out(space: Space, masks: np.ndarray, n_draws: int = N_HELD_OUT) -> Checked:
    """Judge a fixed list of segments on the newer accounts, with p-values adjusted for the list.

    Parameters
    ----------
    space : Space
    masks : array of bool, shape (n_accounts, n_offered)
        Members, rows as in `space.accounts`.
    n_draws : int
        Permutations.
    """
    data = build_part(space, "held_out")
    inside = masks[data.rows]
    sums = dict(zip(SUMS, (inside.T.astype(float) @ data.sums).T, strict=True))
    one = np.arange(inside.shape[1])[:, None]
    better = _shuffle(data, inside, one, n_draws)
    ids = space.accounts["account_id"].to_numpy()
    units = [groups.find_units(data.units, ids[mask]) for mask in masks.T]
    lifts, joint = (
        [groups.estimate_units(data.units, each, 1 - 0.05 / number) for each in units]
        for number in (1, max(1, len(units)))
    )
    worse = [
        _shuffle(data, inside, each[None], n_draws, sign=-1.0).p[0] if lift.value < 1 else 1.0
        for each, lift in zip(one, lifts, strict=True)
    ]
    return Checked(sums["n_opportunities"].astype(int), sums["n_won"].astype(int), sums["e_won"], lifts, joint,
                   better.p, np.array(worse))  # fmt: skip


def estimate_power(space: Space, found: Found) -> pd.DataFrame:
    """Smallest lift that this data would have confirmed with a chance of 80 %, by share of the accounts.

    Returns
    -------
    DataFrame
        account_share_rate, lift, note; sorted by share.
    """
    parts = [found.part, build_part(space, "held_out")]
    rows = np.concatenate([part.rows for part in parts])
    is_found = np.repeat([True, False], [len(part.rows) for part in parts])
    units = pd.concat([part.capped for part in parts])
    account = pd.Index(space.accounts["account_id"].to_numpy()[rows]).get_indexer(units["account_id"])
    residual = np.concatenate([part.residual for part in parts])
    critical = float(found.about["t_critical"].iloc[0])
    lift = power.detectable_lift(residual, is_found, units["m"].to_numpy(), account, critical)
    note = np.where(np.isnan(lift), "Winning more often could not have confirmed a lead of this size", "")
    return pd.DataFrame({"account_share_rate": power.SHARES, "lift": lift, "note": note})
