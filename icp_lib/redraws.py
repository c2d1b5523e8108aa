"""The shared draws of the headline figures of segments: what page 07, and whoever compares two of them, reads."""

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
        `segments`: segment_id, conditions, margin_per_day_rest.

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
    members = [accounts.loc[mask, "account_id"] for mask in masks]
    names, everybody = [*segments["segment_id"], "all"], accounts["account_id"]
    mature = deals[deals["is_mature"]]
    won = mature[mature["is_won"]]
    tables = {
        "win_rate": [_draw_ratio(mature, each, "is_won") for each in (*members, everybody)],
        "cycle_median_days": [_draw_median(won[groups.find_units(won, each)]) for each in (*members, everybody)],
    }
    if space.frames.measure.startswith("margin"):
        units = space.frames.units
        whole = _sum(units, everybody, ("m",))[0]
        shares = [_sum(units, each, ("m",))[0] / whole for each in members]
        tables["share_of_margin"] = [*shares, np.ones(N_DRAWS)]
    if space.frames.measure == "margin_per_day":
        newer = space.frames.units
        newer = newer[is_among(newer["account_id"], accounts.loc[accounts["part"] == "held_out", "account_id"])]
        newer = newer.assign(e=value.expected(newer))
        rests = segments["margin_per_day_rest"].astype(float)
        paid = [_draw_lift(newer, each) * rest for each, rest in zip(members, rests, strict=True)]
        tables["margin_per_day"] = [*paid, _draw_ratio(mature, everybody, "m", "d")]
    return {
        name: pd.DataFrame(dict(zip(names, rows, strict=True))).dropna(axis=1, how="all")
        for name, rows in tables.items()
    }


def _sum(units: pd.DataFrame, members, columns: tuple[str, ...], outside: bool = False) -> np.ndarray:
    """Sums over the units of members in every draw, shape (n_columns, n_draws)."""
    inside = groups.find_units(units, members) != outside
    code, families = pd.factorize(units["family_id"])
    amounts = [np.bincount(code, units[name] * inside, len(families)) for name in columns]
    return draws.sum_families(np.column_stack(amounts), families, N_DRAWS)[:, 1:]


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(N_DRAWS, np.nan), where=below > 0)


def _draw_ratio(units: pd.DataFrame, members, above: str, below: str | None = None) -> np.ndarray:
    """One sum over another (over the number of units) in every draw."""
    return _divide(*_sum(units.assign(one=1.0), members, (above, below or "one")))


def _draw_lift(units: pd.DataFrame, members) -> np.ndarray:
    """What members got over what was expected, over the same of the rest."""
    mine, rest = (_divide(*_sum(units, members, ("m", "e"), outside)) for outside in (False, True))
    return _divide(mine, rest)


def _draw_median(won: pd.DataFrame) -> np.ndarray:
    """The middle of the days to the win in every draw: the first day that half of the weight has reached."""
    won = won.dropna(subset="days").sort_values("days", kind="stable")
    if won.empty:
        return np.full(N_DRAWS, np.nan)
    reached = draws.draw_weights(won["family_id"], N_DRAWS).cumsum(axis=0, dtype=np.int64)
    middle = (2 * reached >= reached[-1]).argmax(axis=0)
    return np.where(reached[-1] > 0, won["days"].to_numpy(float)[middle], np.nan)
