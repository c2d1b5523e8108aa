"""Whether the six success inputs tell which customers stay (notebook 02)."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib import accounts as account_table
from icp_lib import stats, value

INPUTS = ("fit_technical", "fit_functional", "fit_resource", "fit_competence", "fit_experience", "fit_cultural")
SUCCESS_COLUMNS = [
    "attribute", "gap_point_rate", "gap_point_rate_low", "gap_point_rate_high", "kept_low_rate", "kept_high_rate", "n",
    "n_kept", "n_left", "gap_point_rate_found", "p_adjusted", "holdout_gap_point_rate", "holdout_p_adjusted",
    "hypotheses", "verdict", "note",
]  # fmt: skip
#: Scores from 0 to 5: up to here is low, from there is high.
LOW, HIGH = 2.0, 4.0


def estimate_success(
    accounts: pd.DataFrame, opportunities: pd.DataFrame, revenue: pd.DataFrame, cutoff: datetime
) -> pd.DataFrame:
    """How retention at month 12 goes with each success input: `success_inputs`.

    Retention is that of `value.build_units`: customers followed for 15 months, kept if not churned at month 12.
    `gap_point_rate` is the slope of a linear probability model, one input at a time: the change of retention for one
    point more, robust to unequal variances and clustered by family. The verdict compares the older 60 % of these
    customers (two-sided, Holm over the inputs) with the newer ones (one-sided); whether there are enough to tell is
    counted in the older part.

    Returns
    -------
    DataFrame
        One row an input that has scores, columns SUCCESS_COLUMNS; `kept_low_rate` and `kept_high_rate` are the
        retention of customers scored at most 2 and at least 4. No rows without revenue or scores.

    References
    ----------
    Liang and Zeger (1986), Biometrika 73, for the clustered variance; degrees of freedom are clusters less two.
    """
    inputs = [name for name in INPUTS if name in accounts and accounts[name].notna().any()]
    if revenue.empty or not inputs:
        return pd.DataFrame(columns=SUCCESS_COLUMNS)
    units = value.build_units(opportunities, accounts, cutoff=cutoff, measure="retention", revenue=revenue)
    table = units[["account_id", "family_id", "m"]].merge(
        accounts[["account_id", "first_opportunity_at", *inputs]], on="account_id"
    )
    if table.empty:
        return pd.DataFrame(columns=SUCCESS_COLUMNS)
    table["part"] = account_table.build_part(table["family_id"], table["first_opportunity_at"])
    rows = pd.DataFrame([_row(table, name) for name in inputs])
    enough = (rows["found_n"] >= stats.MIN_OPPORTUNITIES) & (rows["found_scarce"] >= stats.MIN_WON)
    rows["p_adjusted"] = stats.adjust_holm(rows["p_found"].where(enough))
    rows["hypotheses"] = int(rows["p_adjusted"].notna().sum())
    listed = (rows["p_adjusted"] <= stats.MAX_P).to_numpy()
    held = rows["holdout_p"].to_numpy()
    rows["holdout_p_adjusted"] = np.where(
        listed, stats.adjust_holm(np.where(listed, held, np.nan)), stats.adjust_holm(held)
    )
    rows["verdict"] = [_judge(row) for row in rows.to_dict("records")]
    thin = rows["verdict"] == "not enough data"
    figures = [name for name in SUCCESS_COLUMNS if name.startswith(("gap_", "kept_", "holdout_gap"))]
    rows[figures] = rows[figures].mask(thin)
    rows["note"] = [_note(row) if few else "" for row, few in zip(rows.to_dict("records"), thin, strict=True)]
    rows = rows.assign(_p=rows["p_found"]).sort_values(["_p", "attribute"], kind="stable")
    return rows.reindex(columns=SUCCESS_COLUMNS).reset_index(drop=True)


def _row(table: pd.DataFrame, name: str) -> dict:
    """All figures of one input."""
    known = table[table[name].notna()]
    score, kept = known[name].to_numpy(float), known["m"].to_numpy(float)
    whole = estimate_slope(score, kept, known["family_id"])
    row = {"attribute": name, "gap_point_rate": whole.value, "gap_point_rate_low": whole.low,
           "gap_point_rate_high": whole.high, "n": len(known), "n_kept": int(kept.sum()),
           "n_left": int((1 - kept).sum())}  # fmt: skip
    for label, side in (("low", score <= LOW), ("high", score >= HIGH)):
        row[f"kept_{label}_rate"] = kept[side].mean() if side.sum() >= stats.MIN_WON else np.nan
    old = (known["part"] == "found").to_numpy()
    found, held = (estimate_slope(score[part], kept[part], known["family_id"][part]) for part in (old, ~old))
    is_same = np.sign(found.value) == np.sign(held.value)
    row |= {"found_n": int(old.sum()), "found_scarce": int(min(kept[old].sum(), (1 - kept[old]).sum()))}
    row |= {"gap_point_rate_found": found.value, "p_found": found.p_value, "holdout_gap_point_rate": held.value}
    row["holdout_p"] = held.p_value / 2 if is_same else 1 - held.p_value / 2
    row["holdout_left"] = (1 - kept[old]).mean() * (~old).sum() if old.any() else 0.0
    return row


def estimate_slope(x, y, cluster) -> stats.Estimate:
    """Slope of y on x by least squares, its interval and two-sided p-value clustered.

    Parameters
    ----------
    x, y : array of float, shape (n,)
    cluster : array, shape (n,)

    Returns
    -------
    Estimate
        NaN with fewer than three clusters or where x does not vary.

    Examples
    --------
    >>> round(float(estimate_slope([0, 1, 2, 3], [0, 1, 1, 2], [1, 2, 3, 4]).value), 2)
    0.6
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    codes, clusters = pd.factorize(np.asarray(cluster))
    spread = np.square(x - x.mean()).sum() if len(x) else 0.0
    if len(clusters) < 3 or spread <= 0:
        return stats.Estimate(np.nan, np.nan, np.nan)
    slope = ((x - x.mean()) * y).sum() / spread
    residual = y - y.mean() - slope * (x - x.mean())
    score = np.bincount(codes, weights=(x - x.mean()) * residual)
    n, g = len(x), len(clusters)
    error = np.sqrt(np.square(score).sum() * g / (g - 1) * (n - 1) / (n - 2)) / spread
    half = distributions.t.ppf(0.975, g - 2) * error
    p_value = 2 * distributions.t.sf(abs(slope) / error, g - 2) if error > 0 else np.nan
    return stats.Estimate(slope, slope - half, slope + half, p_value)


def _judge(row: dict) -> str:
    held = row["holdout_gap_point_rate"]
    return stats.verdict(
        row["found_n"],
        row["found_scarce"],
        1 + row["gap_point_rate_found"],
        row["p_adjusted"],
        holdout_lift=1 + held,
        holdout_p_adjusted=row["holdout_p_adjusted"],
        holdout_p_opposite=1 - row["holdout_p"] if row["p_adjusted"] <= stats.MAX_P else 1.0,
        holdout_expected_won=row["holdout_left"],
    )


def _note(row: dict) -> str:
    if row["found_n"] < stats.MIN_OPPORTUNITIES:
        return f"{row['found_n']} older customers of the {stats.MIN_OPPORTUNITIES} needed"
    return f"{row['found_scarce']} older ones stayed or left, whichever is fewer; {stats.MIN_WON} needed"


def pick_success(success: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the success inputs that a reader compares."""
    columns = ["attribute", "gap_point_rate", "gap_point_rate_low", "gap_point_rate_high", "kept_low_rate",
               "kept_high_rate", "n", "n_left", "p_adjusted", "verdict", "note"]  # fmt: skip
    return success[columns]
