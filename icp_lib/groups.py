"""All figures of one group of accounts against the rest."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import stats, value
from icp_lib.rules import is_among

VERDICT_ORDER = (
    "confirmed",
    "promising",
    "contradicted",
    "untested",
    "explained by",
    "not supported",
    "not enough data",
)


class Frames(NamedTuple):
    """The units of the value measure, the same with capped values, and those of the measure shown beside it."""

    units: pd.DataFrame
    capped: pd.DataFrame
    per_deal: pd.DataFrame
    measure: str


def build_frames(
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    *,
    cutoff: datetime,
    measure: str = "margin_per_day",
    gross_margin_rate: float = 1.0,
    revenue: pd.DataFrame | None = None,
) -> Frames:
    """Return the units that groups are compared on; parameters as for `value.build_units`."""
    keywords = {"cutoff": cutoff, "gross_margin_rate": gross_margin_rate}
    units = value.build_units(opportunities, accounts, measure=measure, revenue=revenue, **keywords)
    beside = "margin_per_opportunity" if measure.startswith("margin") else "win_rate"
    per_deal = value.build_units(opportunities, accounts, measure=beside, **keywords)
    return Frames(units, value.cap(units), per_deal, measure)


def find_units(units: pd.DataFrame, members) -> np.ndarray:
    """Return which units belong to the accounts whose ids are `members`, shape (n_units,)."""
    return is_among(units["account_id"], members)


def estimate_group(members, frames: Frames) -> dict:
    """Return all figures of one group, on all data up to as-of; its p-value is that of the capped values.

    Parameters
    ----------
    members : array of str
        The ids of its accounts.
    frames : Frames

    Returns
    -------
    dict
        lift, margin_per_day, win_rate, cycle_median_days, lift_per_opportunity, margin_per_opportunity, each with its
        `_low` and `_high` (NaN where there are too few deals); the rest's values; counts; the largest account's share.
    """
    units, capped, per_deal, measure = frames
    inside, deal_inside = find_units(units, members), find_units(per_deal, members)
    deals = per_deal[deal_inside]
    lift = estimate_units(units, inside)
    lift_per_deal = estimate_units(per_deal, deal_inside)
    day_rest = rest_value(units, inside) if measure == "margin_per_day" else np.nan
    deal_rest = rest_value(per_deal, deal_inside) if measure.startswith("margin") else np.nan
    mature = deals[deals["is_mature"]]
    rest = per_deal[~deal_inside & per_deal["is_mature"]]
    row = {
        "n_accounts": len(members),
        "n_opportunities": int(inside.sum()),
        "n_won": int(units.loc[inside, "has_won"].sum()),
        "n_won_rest": int(units.loc[~inside, "has_won"].sum()),
        "close_rate": units.loc[inside, "has_won"].mean(),
    }
    estimates = {
        "lift": lift,
        "margin_per_day": _times(lift, day_rest),
        "win_rate": _win_rate(mature),
        "cycle_median_days": _cycle(mature),
        "lift_per_opportunity": lift_per_deal,
        "margin_per_opportunity": _times(lift_per_deal, deal_rest),
    }
    for name, found in estimates.items():
        row |= {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    open_deals = deals[deals["is_open"]]
    row |= {
        "margin_per_day_rest": day_rest,
        "margin_per_opportunity_rest": deal_rest,
        "win_rate_rest": _win_rate(rest).value,
        "cycle_median_days_rest": _cycle(rest).value,
        "n_mature": len(mature),
        "n_mature_won": int(mature["is_won"].sum()),
    }
    return row | {
        "stale_rate": open_deals["is_mature"].mean() if len(open_deals) else np.nan,
        **_largest(units, inside),
        "p_value": estimate_units(capped, inside).p_value,
    }


def _win_rate(mature: pd.DataFrame) -> stats.Estimate:
    """Won within a year among deals old enough; below the minimum of deals no figure."""
    if len(mature) < stats.MIN_OPPORTUNITIES:
        return stats.Estimate(np.nan, np.nan, np.nan)
    return stats.estimate_proportion(mature["is_won"].to_numpy(), pd.factorize(mature["family_id"])[0])


def _cycle(mature: pd.DataFrame) -> stats.Estimate:
    """Median days to a win within a year; below the minimum of wins no figure."""
    days = mature["days"].dropna().to_numpy()
    return stats.estimate_median(days) if len(days) >= stats.MIN_WON else stats.Estimate(np.nan, np.nan, np.nan)


def estimate_units(units: pd.DataFrame, inside: np.ndarray, conf_level: float = 0.95) -> stats.Estimate:
    """Return the lift of the units inside, families as clusters (`stats.estimate_lift`)."""
    cluster = pd.factorize(units["family_id"])[0]
    return stats.estimate_lift(units["m"], units["e"], inside, cluster, conf_level)


def rest_value(units: pd.DataFrame, inside: np.ndarray) -> float:
    """The rest's m per d among opportunities old enough to have had their 365 days; NaN where there is none."""
    rest = units[~inside & units["is_mature"].to_numpy()]
    return rest["m"].sum() / rest["d"].sum() if rest["d"].sum() > 0 else np.nan


def _times(lift: stats.Estimate, base: float) -> stats.Estimate:
    return stats.Estimate(lift.value * base, lift.low * base, lift.high * base)


def _largest(units: pd.DataFrame, inside: np.ndarray) -> dict:
    """How much of the value one account holds, and the lift without it."""
    by_account = units[inside].groupby("account_id")["m"].sum()
    if by_account.sum() <= 0:
        return {"share_largest": np.nan, "lift_without_largest": np.nan}
    kept = (units["account_id"] != by_account.idxmax()).to_numpy()
    others = units[kept].assign(e=value.expected(units[kept]))
    return {
        "share_largest": by_account.max() / by_account.sum(),
        "lift_without_largest": estimate_units(others, inside[kept]).value,
    }


def sort_by_verdict(table: pd.DataFrame, by: str, then: list[str]) -> pd.DataFrame:
    """Return a table by verdict, then by value, then by name: the order has a meaning and is always the same."""
    place = {word: number for number, word in enumerate(VERDICT_ORDER)}
    rank = table["verdict"].map(lambda word: place.get(word, place["explained by"]))
    order = table.assign(_rank=rank, _by=-table[by]).sort_values(
        ["_rank", "_by", *then], kind="stable", na_position="last"
    )
    return order.drop(columns=["_rank", "_by"]).reset_index(drop=True)
