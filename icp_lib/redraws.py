"""The shared draws of the headline figures of segments: two that are compared keep their covariance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import draws, groups, value
from icp_lib.rules import Segment, is_among
from icp_lib.space import Space

N_DRAWS = 1000


def draw_headline(space: Space, segments: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the draws of what the front page says of every offered segment.

    Parameters
    ----------
    space : Space
    segments : DataFrame
        `segments`: segment_id, conditions, margin_per_day_rest, and the figures; one that has no value has no draws.

    Returns
    -------
    dict of str to DataFrame, shape (1000, n_segments + 1)
        margin_per_day (of newer deals: the lift times the rest's margin per day), win_rate, cycle_median_days,
        share_of_margin; a column a segment_id and "all" for the company. In draw b a family has the weight that it has
        in draw b of every other figure. A figure without a value has no column; a measure without money no
        margin_per_day.
    """
    accounts, deals = space.accounts, space.frames.per_deal
    masks = [Segment.from_json(rules).mask(accounts) for rules in segments["conditions"]]
    members = [*(accounts.loc[mask, "account_id"] for mask in masks), accounts["account_id"]]
    mature = deals[deals["is_mature"]]
    won = mature[mature["is_won"]]
    (n_won, n), _ = _sum(mature.assign(one=1.0), members, ("is_won", "one"))
    tables = {
        "win_rate": _divide(n_won, n),
        "cycle_median_days": np.array([_draw_median(won[groups.find_units(won, each)]) for each in members]),
    }
    if space.frames.measure.startswith("margin"):
        (mine,), (whole,) = _sum(space.frames.units, members, ("m",))
        tables["share_of_margin"] = mine / whole
    if space.frames.measure == "margin_per_day":
        units = space.frames.units
        _, (got, days) = _sum(units[units["is_mature"]], [], ("m", "d"))
        newer = accounts.loc[accounts["part"] == "held_out", "account_id"]
        units = units[is_among(units["account_id"], newer)]
        (m_in, e_in), (m, e) = _sum(units.assign(e=value.expected(units)), members[:-1], ("m", "e"))
        lift = _divide(_divide(m_in, e_in), _divide(m - m_in, e - e_in))
        paid = lift * segments["margin_per_day_rest"].to_numpy(float)[:, None]
        tables["margin_per_day"] = np.vstack([paid, _divide(got, days)[None]])
    names, frames = [*segments["segment_id"], "all"], {}
    for name, rows in tables.items():
        unknown = segments.loc[segments[name].isna(), "segment_id"] if name in segments else []
        frames[name] = pd.DataFrame(rows.T, columns=names).drop(columns=list(unknown)).dropna(axis=1, how="all")
    return frames


def _sum(units: pd.DataFrame, members: list, columns: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of columns in every draw: over the units of each group, (n_columns, n_groups, n_draws), and over all."""
    insides = [groups.find_units(units, each) for each in members]
    code, families = pd.factorize(units["family_id"])
    amounts = [np.bincount(code, units[name] * side, len(families)) for name in columns for side in (*insides, True)]
    sums = draws.sum_families(np.column_stack(amounts), families, N_DRAWS)[:, 1:]
    sums = sums.reshape(len(columns), len(members) + 1, N_DRAWS)
    return sums[:, :-1], sums[:, -1]


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _draw_median(won: pd.DataFrame) -> np.ndarray:
    """The middle of the days to the win in every draw: the first day that half of the weight has reached."""
    won = won.dropna(subset="days").sort_values("days", kind="stable")
    if won.empty:
        return np.full(N_DRAWS, np.nan)
    reached = draws.draw_weights(won["family_id"], N_DRAWS).cumsum(axis=0, dtype=np.int64)
    middle = (2 * reached >= reached[-1]).argmax(axis=0)
    return np.where(reached[-1] > 0, won["days"].to_numpy(float)[middle], np.nan)
