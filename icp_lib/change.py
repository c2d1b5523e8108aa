"""What moved since last quarter: the same function, the same segments, at an earlier quarter's end."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import draws, groups
from icp_lib.rules import Segment
from icp_lib.space import Space

N_DRAWS = 1000
COLUMNS = ["segment_id", "segment", "lift_before", "lift", "lift_change", "lift_change_low", "lift_change_high",
           "reading", "verdict"]  # fmt: skip


def compare_quarters(space: Space, before: Space, segments: pd.DataFrame) -> pd.DataFrame:
    """Compare the lift of each offered segment with what it was a quarter ago, on all deals up to either end.

    The ratio of the two has the interval of 1,000 shared draws of families (Poisson bootstrap): most deals are in both
    quarters, and a draw weighs them alike, so that what did not change cancels. The range is widened for the number of
    segments (Bonferroni): of many, one moves by luck.

    Parameters
    ----------
    space, before : Space
        Of this quarter and of the one before, from today's extract.
    segments : DataFrame
        `segments`: segment_id, segment, conditions, verdict.

    Returns
    -------
    DataFrame
        segment_id, segment, lift_before, lift, lift_change (now over before) with its range, reading, verdict.
    """
    weights = {}
    for when in (before, space):
        families = pd.unique(when.frames.units["family_id"])
        weights[id(when)] = families, draws.draw_weights(families, N_DRAWS).astype(float)
    rows, tail = [], 0.025 / max(1, len(segments))
    for row in segments.itertuples():
        rules = Segment.from_json(row.conditions)
        then, now = (_draw_lift(when, rules, *weights[id(when)]) for when in (before, space))
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = now / then
        low, high = np.nanquantile(moved[1:], [tail, 1 - tail]) if np.isfinite(moved[0]) else (np.nan, np.nan)
        words = _read(moved[0], low, high)
        rows.append([row.segment_id, row.segment, then[0], now[0], moved[0], low, high, words, row.verdict])
    return pd.DataFrame(rows, columns=COLUMNS)


def _draw_lift(space: Space, segment: Segment, families, weights: np.ndarray) -> np.ndarray:
    """The lift as it is, then in every draw; shape (1 + n_draws,)."""
    units = space.frames.units
    inside = groups.find_units(units, space.accounts.loc[segment.mask(space.accounts), "account_id"])
    code = pd.Index(families).get_indexer(units["family_id"])
    sums = [
        np.bincount(code, weights=units[name].to_numpy(float) * side, minlength=len(families))
        for side in (inside, ~inside)
        for name in ("m", "e")
    ]
    m_in, e_in, m_out, e_out = np.stack(sums) @ np.column_stack([np.ones(len(families)), weights])
    with np.errstate(divide="ignore", invalid="ignore"):
        return (m_in / e_in) / (m_out / e_out)


def _read(change: float, low: float, high: float) -> str:
    if np.isnan(change):
        return "Nothing to compare with"
    if low <= 1 <= high:
        return "Within noise"
    return f"Beyond noise: {'better' if change > 1 else 'worse'}"
