"""What moved since last quarter: the same function, the same segments, at an earlier quarter's end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import draws, groups, stats, value
from icp_lib.rules import Segment, is_among
from icp_lib.space import Space

N_DRAWS = 1000
NEW = "New: picked by these very deals"
NOTHING, FEW = "Nothing to compare with", f"Too few newer deals won a quarter ago: {stats.MIN_WON} needed"
COLUMNS = ["segment_id", "segment", "lift_before", "lift", "lift_change", "lift_change_low", "lift_change_high",
           "reading", "verdict"]  # fmt: skip


def compare_quarters(space: Space, before: Space, segments: pd.DataFrame) -> pd.DataFrame:
    """Compare the lift of each offered segment with what it was a quarter ago, on the newer accounts at either end.

    The segments were picked by what the older accounts did, so among these they look better than they are, and each
    quarter takes some of that away; newer accounts had no say. The ratio of the two has the interval of 1,000 shared
    draws of families (Poisson bootstrap): most deals are in both quarters, and a draw weighs them alike, so that what
    did not change cancels. The range is widened for the number of segments (Bonferroni): of many, one moves by luck.

    Parameters
    ----------
    space, before : Space
        Of this quarter and of the one before, from today's extract.
    segments : DataFrame
        `segments`: segment_id, segment, conditions, verdict; one that is_emerging was picked by its newest deals, so no
        change of it is given.

    Returns
    -------
    DataFrame
        segment_id, segment, lift_before, lift, lift_change (now over before) with its range, reading, verdict.
    """
    newer = space.accounts.loc[space.accounts["part"] == "held_out", "account_id"]
    parts = [(when.accounts, _take_newer(when, newer)) for when in (before, space)]
    rows, tail = [], 0.025 / max(1, len(segments))
    for row in segments.itertuples():
        rules = Segment.from_json(row.conditions)
        ends = [_draw_lift(units, accounts.loc[rules.mask(accounts), "account_id"]) for accounts, units in parts]
        (then, n_then), (now, _) = ends
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = now / then
        found = np.full(3, np.nan)
        is_new = bool(getattr(row, "is_emerging", False))
        if n_then >= stats.MIN_WON and np.isfinite(moved[0]) and not is_new:
            found = moved[0], *np.quantile(moved[1:][np.isfinite(moved[1:])], [tail, 1 - tail])
        words = NEW if is_new else FEW if np.isfinite(moved[0]) else NOTHING
        words = _read(*found) if np.isfinite(found[0]) else words
        rows.append([row.segment_id, row.segment, then[0], now[0], *found, words, row.verdict])
    return pd.DataFrame(rows, columns=COLUMNS)


def _take_newer(space: Space, newer: pd.Series) -> pd.DataFrame:
    """Units of the newer accounts at one of the two ends, with what their own quarters would expect."""
    units = space.frames.units
    units = units[is_among(units["account_id"], newer)]
    return units.assign(e=value.expected(units))


def _draw_lift(units: pd.DataFrame, members: pd.Series) -> tuple[np.ndarray, int]:
    """The lift as it is, then in every draw, shape (1 + n_draws,); and how many deals were won, in or out."""
    inside = groups.find_units(units, members)
    code, families = pd.factorize(units["family_id"])
    sums = [
        np.bincount(code, weights=units[name].to_numpy(float) * side, minlength=len(families))
        for side in (inside, ~inside)
        for name in ("m", "e")
    ]
    m_in, e_in, m_out, e_out = draws.sum_families(np.column_stack(sums), families, N_DRAWS)
    with np.errstate(divide="ignore", invalid="ignore"):
        lift = (m_in / e_in) / (m_out / e_out)
    won = units["has_won"].to_numpy(bool)
    return lift, int(min(won[inside].sum(), won[~inside].sum()))


def _read(change: float, low: float, high: float) -> str:
    if low <= 1 <= high:
        return "Within noise"
    return f"Beyond noise: {'better' if change > 1 else 'worse'}"
