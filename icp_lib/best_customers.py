"""What the best customers pay and what they say it is worth to them (notebook 02)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from icp_lib import draws, stats
from icp_lib.rules import Segment, is_named
from icp_lib.space import PLACEBOS

#: How many times what it pays a customer should get: a rule of thumb, tested nowhere in the report.
TARGET_RATIO = 2.0
N_ATTRIBUTES = 4
#: Months of payments that are scaled to a year, at least.
MIN_MONTHS = 3
BEST_COLUMNS = ["rank", "account_id", "segment", "won_at", "value_12", "paid", "value_received", "received_ratio",
                "is_below_target", "has_churned", "note"]  # fmt: skip
MEASURED_COLUMNS = ["group", "n", "n_measured", "measured_rate", "measured_rate_low", "measured_rate_high",
                    "received_ratio", "received_ratio_low", "received_ratio_high", "below_target_rate",
                    "below_target_rate_low", "below_target_rate_high", "comparison", "note"]  # fmt: skip


def estimate_received(labelled: pd.DataFrame, revenue: pd.DataFrame, surveys: pd.DataFrame) -> pd.DataFrame:
    """What each customer pays a year, and what it says a year of it is worth.

    Paid is the revenue of the twelve months that end with the month of the customer's last answer: value and price of
    the same time. Where its first payment is younger, the months since then are scaled to a year, if they are three or
    more and each was paid: who pays once a year or a quarter cannot be scaled. Without an answer the twelve months end
    with its last payment, and it is followed to the end of `revenue`.

    Returns
    -------
    DataFrame
        account_id, paid, value_received (of the last answer that gives one), received_ratio; one row a customer. NaN
        where it is not known.
    """
    customers = labelled.loc[labelled["is_customer"], ["account_id"]]
    told = surveys.dropna(subset=["value_received"]).sort_values(["answered_at", "value_received"], kind="stable")
    told = told.drop_duplicates("account_id", keep="last").set_index("account_id")
    ids = customers["account_id"].to_numpy()
    table = customers.assign(value_received=told["value_received"].reindex(ids).to_numpy(float))
    paid = revenue[(revenue["revenue"] > 0) & revenue["account_id"].isin(ids)]
    months = paid.groupby("account_id")["month"]
    answered = told["answered_at"].reindex(ids)
    last = answered.fillna(months.max().reindex(ids))
    ago = _months_between(paid["month"], last.reindex(paid["account_id"]).set_axis(paid.index))
    year = paid[ago.between(0, 11)].groupby("account_id")
    since = 1 + _months_between(months.min().reindex(ids), answered.fillna(revenue["month"].max()))
    is_told = (since >= 12) | ((since >= MIN_MONTHS) & (year["month"].nunique().reindex(ids) >= since))
    table["paid"] = (year["revenue"].sum().reindex(ids) * 12 / since.clip(upper=12)).where(is_told).to_numpy(float)
    table["received_ratio"] = table["value_received"] / table["paid"].where(table["paid"] > 0)
    return table.reset_index(drop=True)


def _months_between(start: pd.Series, end: pd.Series) -> pd.Series:
    return (end.dt.year - start.dt.year) * 12 + end.dt.month - start.dt.month


def rank_best(
    labelled: pd.DataFrame, received: pd.DataFrame, levels: Sequence[tuple[str, str, Segment]], most: int = 10
) -> pd.DataFrame:
    """Return the ten best customers with what they pay and what they get: `best_customers`.

    Parameters
    ----------
    labelled : DataFrame
        `traits.label_accounts`.
    received : DataFrame
        `estimate_received`.
    levels : sequence of (attribute, level, Segment)
        The first four attributes that are no lists describe a customer in words.

    Returns
    -------
    DataFrame
        Columns BEST_COLUMNS, the highest first-year value first.
    """
    best = labelled[labelled["is_best"]].merge(received, on="account_id", how="left")
    best = best.sort_values(["value_12", "account_id"], ascending=[False, True], na_position="last", kind="stable")
    best = best.head(most).reset_index(drop=True)
    ratio = best["received_ratio"]
    asked = np.where(best["value_received"].isna(), "Not asked, or no answer", "What it pays is not known")
    note = np.where(ratio.isna(), asked, np.where(ratio < TARGET_RATIO, "Below the target for its price", ""))
    table = best.assign(
        rank=np.arange(1, len(best) + 1),
        segment=_describe(best, levels),
        won_at=best["first_won_at"],
        is_below_target=(ratio < TARGET_RATIO).where(ratio.notna()).astype(object),
        note=note,
    )
    return table.reindex(columns=BEST_COLUMNS)


def _describe(best: pd.DataFrame, levels: Sequence[tuple[str, str, Segment]]) -> list[str]:
    """Say in words what each customer is, missing values left out."""
    names = [name for name, _, each in levels if name not in PLACEBOS and not each.is_list]
    wanted = list(dict.fromkeys(names))[:N_ATTRIBUTES]
    used = [each for name, level, each in levels if name in wanted and is_named(level)]
    masks = np.array([each.mask(best) for each in used], bool).reshape(len(used), len(best))
    rules = [[each.rules[0] for each, has in zip(used, column, strict=True) if has] for column in masks.T]
    return [Segment.of(*each).name if each else "Nothing is known of it" for each in rules]


def estimate_measured(labelled: pd.DataFrame, received: pd.DataFrame) -> pd.DataFrame:
    """How many customers have a measured value, and what they get for what they pay: `value_received`.

    The ratio is value received over paid, summed over the customers who answered; its range comes from 1,000 shared
    draws of families. Who answers is not chosen at random: of those who did not, nothing is known.

    Returns
    -------
    DataFrame
        Rows for the best customers, the others, and all; columns MEASURED_COLUMNS. Below 15 answers no figure.
    """
    table = labelled[labelled["is_customer"]].merge(received, on="account_id", how="left")
    if table.empty or not table["received_ratio"].notna().any():
        return pd.DataFrame(columns=MEASURED_COLUMNS)
    best = table["is_best"].to_numpy()
    parts = {"Best customers": best, "Other customers": ~best, "All customers": np.ones(len(table), bool)}
    rows = [_measure(table[inside], name) for name, inside in parts.items() if inside.any()]
    return pd.DataFrame(rows, columns=MEASURED_COLUMNS)


def _measure(table: pd.DataFrame, name: str) -> dict:
    known = table["received_ratio"].notna().to_numpy()
    measured = stats.estimate_proportion(known, pd.factorize(table["family_id"])[0])
    row = {"group": name, "n": len(table), "n_measured": int(known.sum()), "comparison": TARGET_RATIO, "note": ""}
    row |= {"measured_rate": measured.value, "measured_rate_low": measured.low, "measured_rate_high": measured.high}
    told = table[known]
    if len(told) < stats.MIN_WON:
        return row | {"note": f"{len(told)} answers of the {stats.MIN_WON} needed"}
    weights = np.column_stack([np.ones(len(told)), draws.draw_weights(told["family_id"])]).astype(float)
    got, paid = (told[column].to_numpy() @ weights for column in ("value_received", "paid"))
    ratio = got / np.where(paid > 0, paid, np.nan)
    low, high = np.nanquantile(ratio[1:], [0.025, 0.975])
    below = stats.estimate_proportion(
        (told["received_ratio"] < TARGET_RATIO).to_numpy(), pd.factorize(told["family_id"])[0]
    )
    row |= {"received_ratio": ratio[0], "received_ratio_low": low, "received_ratio_high": high}
    return row | {
        "below_target_rate": below.value,
        "below_target_rate_low": below.low,
        "below_target_rate_high": below.high,
    }


def pick_best(best: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the ten best customers that a reader compares; an unknown first-year value is left out."""
    columns = ["account", "description", "paid", "value_received", "received_ratio", "value_12", "has_churned", "note"]
    named = best.rename(columns={"account_id": "account", "segment": "description"})
    return named[columns].dropna(axis=1, how="all") if len(best) else best
