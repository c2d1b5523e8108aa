"""Who is in the room early, and how often such deals are won (notebook 02): what goes with a win, not its cause."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import draws, stats

LANDMARK_DAYS, HORIZON_DAYS = 30, 180
#: A one-sided chance of luck in newer deals above this is no sign of the same direction.
MOST_HOLDOUT_P = 0.4
#: Of the deals where either of two personas was there, the share with both from which they are the same people.
SAME_RATE = 0.8
PERSONA_COLUMNS = [
    "kind", "persona", "n", "n_with", "n_without", "n_won_with", "n_won_without", "present_rate", "won_with_rate",
    "won_with_rate_low", "won_with_rate_high", "won_without_rate", "won_without_rate_low", "won_without_rate_high",
    "gap_won_rate", "gap_won_rate_low", "gap_won_rate_high", "gap_won_rate_found", "p_adjusted", "holdout_gap_won_rate",
    "holdout_gap_won_rate_low", "holdout_gap_won_rate_high", "holdout_n_with", "holdout_n_without",
    "holdout_won_with_rate", "holdout_won_without_rate", "holdout_p_value", "holdout_p_adjusted", "hypotheses",
    "seniority", "seniority_rate", "also_present", "also_present_rate", "same_as", "same_as_rate", "verdict", "note",
]  # fmt: skip


class Landmark(NamedTuple):
    """Deals that were open on day 30: one row a deal, and who had been there by then.

    `deals` has opportunity_id, account_id, family_id, part, day (days from the landmark to its end, at most 180) and
    outcome (1 won, 2 lost, 0 still open); `present` has a flag a deal for each persona, named (kind, persona).
    """

    deals: pd.DataFrame
    present: pd.DataFrame
    by_touch: bool


def build_landmark(
    accounts: pd.DataFrame, opportunities: pd.DataFrame, contacts: pd.DataFrame, touches: pd.DataFrame, cutoff: datetime
) -> Landmark:
    """Find which buyer roles and seniorities were there by day 30 of each deal that was then still open.

    A role is there if a contact of that role on the account has a touch by then; without touches that name a contact,
    if the contact was recorded by then. What happens later says nothing of what was known early, and a deal closed
    before day 30 had no day 30.

    Parameters
    ----------
    accounts : DataFrame
        The account table: `family_id`, `part`.
    opportunities, contacts, touches : DataFrame
        Cut at the quarter's end.
    cutoff : datetime
        The first moment after as-of, naive UTC.
    """
    table = opportunities[opportunities["is_relevant"]].merge(
        accounts[["account_id", "family_id", "part"]], on="account_id"
    )
    start = table["created_at"] + pd.Timedelta(days=LANDMARK_DAYS)
    end = table["closed_at"].where(table["status"] != "open", pd.Timestamp(cutoff))
    is_open = (end > start) & (start < pd.Timestamp(cutoff))
    table, start, end = table[is_open], start[is_open], end[is_open]
    days = (end - start).dt.total_seconds() / 86400
    outcome = table["status"].map({"won": 1, "lost": 2, "open": 0}).where(days < HORIZON_DAYS, 0)
    deals = table[["opportunity_id", "account_id", "family_id", "part"]].assign(
        day=days.clip(upper=HORIZON_DAYS), outcome=outcome.astype(int)
    )
    by_touch = len(touches) > 0 and touches["contact_id"].notna().any()
    seen_at = contacts["created_at"]
    if by_touch:
        seen_at = contacts["contact_id"].map(touches.groupby("contact_id")["occurred_at"].min())
    people = contacts.assign(seen_at=seen_at).dropna(subset=["seen_at", "account_id"])
    present = {}
    for kind in ("buyer_role", "seniority"):
        first = people.dropna(subset=[kind]).groupby(["account_id", kind])["seen_at"].min().unstack()
        for name in first.columns:
            present[(kind, str(name))] = (deals["account_id"].map(first[name]) <= start).to_numpy()
    roles = [flags for (kind, _), flags in present.items() if kind == "buyer_role"]
    if roles:
        count = np.sum(roles, axis=0)
        present[("room", "Two or more roles")] = count >= 2
        present[("room", "Nobody yet")] = count == 0
    return Landmark(deals.reset_index(drop=True), pd.DataFrame(present), bool(by_touch))


def estimate_incidence(day, outcome, weights) -> np.ndarray:
    """Share won within 180 days by the Aalen-Johansen estimator: lost competes, still open is censored.

    Parameters
    ----------
    day : array of float, shape (n,)
        Days from the landmark to the end of follow-up, counted in whole days.
    outcome : array of int, shape (n,)
        1 won, 2 lost, 0 censored; on one day events come before censoring.
    weights : array of float, shape (n, n_draws)

    Returns
    -------
    array of float, shape (n_draws,)
        NaN where nobody is at risk at the start.

    References
    ----------
    Aalen and Johansen (1978), Scandinavian Journal of Statistics 5.

    Examples
    --------
    >>> estimate_incidence([1.0, 2.0, 3.0], [1, 2, 0], np.ones((3, 1))).round(3).tolist()
    [0.333]
    """
    return _curve(_count(np.asarray(day, float), np.asarray(outcome), np.asarray(weights, float)))


def _count(day: np.ndarray, outcome: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights that end, are won, and are won or lost on each day, shape (3, 181, n_draws): they add up over groups."""
    n_days = HORIZON_DAYS + 1
    key = np.minimum(day, HORIZON_DAYS).astype(int) + n_days * outcome
    order = np.argsort(key, kind="stable")
    keys, starts = np.unique(key[order], return_index=True)
    sums = np.zeros((3 * n_days, weights.shape[1]), weights.dtype)
    if len(keys):
        sums[keys] = np.add.reduceat(weights[order], starts, axis=0)
    still, won, lost = sums.reshape(3, n_days, -1)
    return np.stack([still + won + lost, won, won + lost])


def _curve(counts: np.ndarray) -> np.ndarray:
    """Aalen-Johansen's share won by the last day, shape (n_draws,)."""
    left, won, gone = counts
    at_risk = np.cumsum(left[::-1], axis=0)[::-1]
    safe = np.where(at_risk > 0, at_risk, 1.0)
    stays = np.cumprod(1 - gone / safe, axis=0)
    before = np.vstack([np.ones((1, left.shape[1])), stays[:-1]])
    return np.where(at_risk[0] > 0, (before * won / safe).sum(axis=0), np.nan)


def estimate_personas(landmark: Landmark) -> pd.DataFrame:
    """How often deals are won within 180 days of day 30, with and without each persona: `personas`.

    Ranges come from 1,000 shared draws of families. The figures without a prefix are of all deals; the verdict compares
    the older part (two-sided, Holm over all personas) with the newer one (one-sided). Promising needs newer deals that
    point the same way: a one-sided chance of luck of at most 0.4, not adjusted.

    Parameters
    ----------
    landmark : Landmark
        `build_landmark`.

    Returns
    -------
    DataFrame
        One row a buyer role, seniority or size of the room, columns PERSONA_COLUMNS; `gap_won_rate` is with less
        without. `seniority` and `also_present` are what goes most often with a buyer role, and how often; `same_as`
        is the persona listed before it that is there in the same deals: `same_as_rate` of those with either have both.
    """
    deals, present, _ = landmark
    if present.empty or deals.empty:
        return pd.DataFrame(columns=PERSONA_COLUMNS)
    family, code = np.unique(deals["family_id"].to_numpy(object), return_inverse=True)
    weights = np.column_stack([np.ones(len(family)), draws.draw_weights(family)])[code]
    weights = weights.astype(np.float32)  # whole numbers: their sums are exact
    day, outcome = deals["day"].to_numpy(), deals["outcome"].to_numpy()
    is_old = (deals["part"] == "found").to_numpy()
    every = [_count(day[rows], outcome[rows], weights[rows]) for rows in (is_old, ~is_old)]
    rows = []
    for name in present.columns:
        has = present[name].to_numpy()
        among = [has & is_old, has & ~is_old]
        inside = [_count(day[chosen], outcome[chosen], weights[chosen]) for chosen in among]
        pairs = [(with_it, whole - with_it) for with_it, whole in zip(inside, every, strict=True)]
        rows.append(_row(landmark, name, pairs))
    table = pd.DataFrame(rows)
    table["p_adjusted"] = stats.adjust_holm(table["p_found"])
    table["hypotheses"] = int(table["p_adjusted"].notna().sum())
    listed = (table["p_adjusted"] <= stats.MAX_P).to_numpy()
    held = table["holdout_p_value"].to_numpy()
    table["holdout_p_adjusted"] = np.where(
        listed, stats.adjust_holm(np.where(listed, held, np.nan)), stats.adjust_holm(held)
    )
    table["verdict"] = [_judge(row) for row in table.to_dict("records")]
    thin = table["verdict"] == "not enough data"
    figures = [name for name in PERSONA_COLUMNS if name.startswith(("won_", "gap_", "holdout_gap", "holdout_won"))]
    table[figures] = table[figures].mask(thin)
    order = {"buyer_role": 0, "seniority": 1, "room": 2}
    table["_kind"] = table["kind"].map(order)
    table = table.sort_values(["_kind", "n_with", "persona"], ascending=[True, False, True], kind="stable")
    table[["same_as", "same_as_rate"]] = _find_same(present, list(zip(table["kind"], table["persona"], strict=True)))
    table["note"] = [_note(row) for row in table.to_dict("records")]
    return table.reindex(columns=PERSONA_COLUMNS).reset_index(drop=True)


def _find_same(present: pd.DataFrame, names: list[tuple[str, str]]) -> list[tuple[str, float]]:
    """Of each persona the earlier one that is there in nearly the same deals, and the share of either with both."""
    found, flags = [], [present[name].to_numpy(bool) for name in names]
    for i, inside in enumerate(flags):
        shares = [(inside & other).sum() / max(1, (inside | other).sum()) for other in flags[:i]]
        most = int(np.argmax(shares)) if shares else 0
        is_same = bool(shares) and shares[most] >= SAME_RATE
        found.append((names[most][1], shares[most]) if is_same else ("", np.nan))
    return found


def _row(landmark: Landmark, name: tuple[str, str], pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    """All figures of one persona; `pairs` are the counts with and without it, in the older and in the newer part."""
    deals, inside = landmark.deals, landmark.present[name].to_numpy()
    won = (deals["outcome"] == 1).to_numpy()
    old = (deals["part"] == "found").to_numpy()
    row = {"kind": name[0], "persona": name[1], "n": len(deals), "n_with": int(inside.sum()),
           "n_without": int((~inside).sum()), "n_won_with": int((won & inside).sum()),
           "n_won_without": int((won & ~inside).sum()), "present_rate": inside.mean(),
           "found_n": int((old & inside).sum()), "found_won": int((won & old & inside).sum()),
           "found_won_without": int((won & old & ~inside).sum())}  # fmt: skip
    both = [sum(each) for each in zip(*pairs, strict=True)]
    curves = [[_curve(counts.astype(float)) for counts in pair] for pair in (both, *pairs)]
    for label, values in (("won_with", curves[0][0]), ("won_without", curves[0][1]), ("gap_won", _gap(curves[0]))):
        low, high = _limits(values)
        row |= {f"{label}_rate": values[0], f"{label}_rate_low": low, f"{label}_rate_high": high}
    held_low, held_high = _limits(_gap(curves[2]))
    row |= {"holdout_gap_won_rate_low": held_low, "holdout_gap_won_rate_high": held_high,
            "holdout_n_with": int((~old & inside).sum()), "holdout_n_without": int((~old & ~inside).sum()),
            "holdout_won_with_rate": curves[2][0][0], "holdout_won_without_rate": curves[2][1][0]}  # fmt: skip
    (found, z_found, lift_found), (held, z_held, lift_held) = (_test(pair) for pair in curves[1:])
    return row | {
        "gap_won_rate_found": found,
        "p_found": 2 * distributions.norm.sf(abs(z_found)),
        "lift_found": lift_found,
        "holdout_gap_won_rate": held,
        "holdout_p_value": distributions.norm.sf(z_held if found > 0 else -z_held),
        "holdout_lift": lift_held,
        "holdout_won": curves[2][1][0] * (inside & ~old).sum(),
        **_company(landmark, name, inside),
    }


def _gap(curves: list[np.ndarray]) -> np.ndarray:
    return curves[0] - curves[1]


def _test(curves: list[np.ndarray]) -> tuple[float, float, float]:
    """Return the difference with less without, its z from the draws, and the ratio."""
    gap = _gap(curves)
    drawn = gap[1:][np.isfinite(gap[1:])]
    error = drawn.std() if len(drawn) else 0.0
    ratio = curves[0][0] / curves[1][0] if curves[1][0] > 0 else np.nan
    return gap[0], gap[0] / error if error > 0 else np.nan, ratio


def _limits(values: np.ndarray) -> tuple[float, float]:
    drawn = values[1:]
    return tuple(np.nanquantile(drawn, [0.025, 0.975])) if np.isfinite(drawn).any() else (np.nan, np.nan)


def _company(landmark: Landmark, name: tuple[str, str], inside: np.ndarray) -> dict:
    """What goes most often with a buyer role: its seniority, and who else is there."""
    row = {"seniority": "", "seniority_rate": np.nan, "also_present": "", "also_present_rate": np.nan}
    if name[0] != "buyer_role" or not inside.any():
        return row
    for kind, label in (("seniority", "seniority"), ("buyer_role", "also_present")):
        shares = {other[1]: landmark.present.loc[inside, other].mean() for other in landmark.present
                  if other[0] == kind and other != name}  # fmt: skip
        if shares:
            most = max(shares, key=shares.get)
            row |= {label: most, f"{label}_rate": shares[most]}
    return row


def _judge(row: dict) -> str:
    p = row["holdout_p_value"]
    found = stats.verdict(
        row["found_n"],
        min(row["found_won"], row["found_won_without"]),
        row["lift_found"],
        row["p_adjusted"],
        holdout_lift=row["holdout_lift"],
        holdout_p_adjusted=row["holdout_p_adjusted"],
        holdout_p_opposite=1 - p if row["p_adjusted"] <= stats.MAX_P else 1.0,
        holdout_expected_won=row["holdout_won"] if np.isfinite(row["holdout_won"]) else 0.0,
    )
    return "not supported" if found == "promising" and p > MOST_HOLDOUT_P else found


def _note(row: dict) -> str:
    if row["verdict"] != "not enough data":
        is_lone = row["verdict"] == "not supported" and row["p_adjusted"] <= stats.MAX_P
        if row["verdict"] == "confirmed" and row["holdout_gap_won_rate_low"] <= 0 <= row["holdout_gap_won_rate_high"]:
            return "The range touches zero; the check asks for one side only"
        return "Found in older deals, not seen in newer ones" if is_lone else ""
    if row["found_n"] < stats.MIN_OPPORTUNITIES:
        return f"{row['found_n']:,} deals of the {stats.MIN_OPPORTUNITIES} needed"
    if row["found_won"] < stats.MIN_WON:
        return f"{row['found_won']:,} won of the {stats.MIN_WON} needed"
    return f"{row['found_won_without']:,} won without it, {stats.MIN_WON} needed to compare"


def pick_personas(personas: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the personas that a reader compares: those of newer deals, as the claims have them."""
    columns = ["persona", "holdout_gap_won_rate", "holdout_gap_won_rate_low", "holdout_gap_won_rate_high",
               "holdout_gap_won_rate_found", "holdout_won_with_rate", "holdout_won_without_rate", "holdout_n_with",
               "p_adjusted", "holdout_p_adjusted", "verdict", "note"]  # fmt: skip
    personas = personas.assign(holdout_gap_won_rate_found=personas["gap_won_rate_found"])
    return personas.assign(note=[_people(row) for row in personas.to_dict("records")])[columns]


def _people(row: dict) -> str:
    """Who a buyer role mostly is, and who else is there, after what must be known of the row."""
    notes = [row["note"]] if row["note"] else []
    if row["same_as"]:
        both = f"of deals with either {row['same_as_rate']:.0%} have both"
        notes.append(f"Nearly the same people as {row['same_as']}: {both}")
    if row["seniority"]:
        notes.append(f"Mostly {row['seniority'].lower()} ({row['seniority_rate']:.0%})")
    if row["also_present"]:
        notes.append(f"{row['also_present']} there too in {row['also_present_rate']:.0%}")
    return ". ".join(notes)
