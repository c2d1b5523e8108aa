"""What segment discovery searches: who belongs to which level, and what each account brought beyond expectation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import draws, groups, value
from icp_lib.groups import Frames
from icp_lib.rules import Segment, build_levels, is_among, is_comparable, is_named

#: Attributes made of nothing but the account's id: if one is ever found, something else is wrong.
PLACEBOS = {"placebo_a": 3, "placebo_b": 8}
RECENT_QUARTERS = 3


class Part(NamedTuple):
    """One part of the accounts, with sums for each; arrays of shape (n_accounts,), rows as in `Space.accounts`.

    `residual` is the sum of m - e of the account's units (m capped), less its mean among accounts that came in the
    same quarter. `sums` has a column for each name of SUMS.
    """

    rows: np.ndarray
    residual: np.ndarray
    stratum: np.ndarray
    family: np.ndarray
    sums: np.ndarray
    units: pd.DataFrame
    capped: pd.DataFrame


#: Columns of `Part.sums`: counts, what was got and expected, wins expected at the company's rate, residuals.
SUMS = ("n_accounts", "n_opportunities", "n_won", "m", "e", "e_won", "m_capped", "e_capped", "r", "r2")


@dataclass(frozen=True)
class Space:
    """Accounts that were tried, the levels they are searched by, and the units that they are judged on."""

    accounts: pd.DataFrame
    levels: tuple[tuple[str, str, Segment], ...]
    membership: np.ndarray
    frames: Frames
    untried: pd.DataFrame

    @property
    def attribute(self) -> np.ndarray:
        """Attribute of each level, shape (n_levels,): a segment has at most one level of each, of a list any number."""
        names = [(attribute, level if segment.is_list else "") for attribute, level, segment in self.levels]
        return np.array([": ".join(filter(None, name)) for name in names], dtype=object)

    @property
    def is_placebo(self) -> np.ndarray:
        """Which levels are of an attribute that means nothing, shape (n_levels,)."""
        return np.array([attribute in PLACEBOS for attribute, _, _ in self.levels], bool)

    def segment(self, conjunction) -> Segment:
        """Return the segment of level numbers; negative ones are no condition."""
        return Segment.of(*(self.levels[i][2].rules[0] for i in conjunction if i >= 0))

    def members(self, conjunction) -> np.ndarray:
        """Return which accounts a conjunction of level numbers holds, shape (n_accounts,)."""
        return self.membership[:, [i for i in conjunction if i >= 0]].all(axis=1)


def build_space(
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    traits: dict[str, dict],
    *,
    cutoff: datetime,
    measure: str = "margin_per_day",
    gross_margin_rate: float = 1.0,
    revenue: pd.DataFrame | None = None,
) -> Space:
    """Return the space of segments: every level that says something of a company, and two that say nothing.

    Missing values, words such as "other", and traits known only for winners define no segment.

    Parameters
    ----------
    accounts, opportunities : DataFrame
        The account table; the opportunities cut at the quarter's end.
    traits : dict
        Attribute -> how it is cut into levels (`rules.build_levels`).
    cutoff, measure, gross_margin_rate, revenue
        See `value.build_units`.
    """
    frames = groups.build_frames(
        accounts, opportunities, cutoff=cutoff, measure=measure, gross_margin_rate=gross_margin_rate, revenue=revenue
    )
    tried = accounts[is_among(accounts["account_id"], frames.units["account_id"])]
    tried = tried.sort_values("account_id", ignore_index=True)
    tried = tried.assign(**{name: draws.placebo_levels(tried["account_id"], n) for name, n in PLACEBOS.items()})
    able = {name: how for name, how in traits.items() if name in tried and is_comparable(accounts, name)}
    levels = tuple(
        (attribute, level, segment)
        for attribute, level, segment in build_levels(tried, able | {name: {} for name in PLACEBOS})
        if segment.rules[0]["op"] != "missing" and is_named(level)
    )
    masks = [segment.mask(tried) for _, _, segment in levels]
    untried = accounts[~is_among(accounts["account_id"], tried["account_id"])]
    return Space(tried, levels, np.array(masks, bool).reshape(len(levels), len(tried)).T, frames, untried)


def build_part(space: Space, name: str) -> Part:
    """Return one part of a space, its expectations made anew from its own units.

    Parameters
    ----------
    name : {'found', 'held_out', 'recent'}
        The older accounts, the newer ones, or every account with a unit of the newest three quarters.
    """
    units = space.frames.units
    if name == "recent":
        units = units[units["quarter"] >= -RECENT_QUARTERS]
    else:
        inside = space.accounts.loc[space.accounts["part"] == name, "account_id"]
        units = units[is_among(units["account_id"], inside)]
    units = units.reset_index(drop=True)
    units = units.assign(e=value.expected(units), e_won=_expected_wins(units))
    capped = value.cap(units)
    code = pd.Index(space.accounts["account_id"]).get_indexer(units["account_id"])
    rows, code = np.unique(code, return_inverse=True)
    sums = {"n_accounts": np.ones(len(rows)), "n_opportunities": np.bincount(code, minlength=len(rows))}
    for column, source in (("n_won", "has_won"), ("m", "m"), ("e", "e"), ("e_won", "e_won")):
        sums[column] = np.bincount(code, weights=units[source].to_numpy(float), minlength=len(rows))
    stratum = np.full(len(rows), np.iinfo(np.int64).max)
    np.minimum.at(stratum, code, units["quarter"].to_numpy(np.int64))
    stratum = pd.factorize(stratum, sort=True)[0]
    residual = np.bincount(code, weights=(capped["m"] - capped["e"]).to_numpy(float), minlength=len(rows))
    residual = residual - _mean_by(residual, stratum)[stratum]
    for column in ("m", "e"):
        sums[f"{column}_capped"] = np.bincount(code, weights=capped[column].to_numpy(float), minlength=len(rows))
    sums |= {"r": residual, "r2": residual**2}
    family = pd.factorize(space.accounts["family_id"].iloc[rows])[0]
    return Part(rows, residual, stratum, family, np.column_stack([sums[key] for key in SUMS]), units, capped)


def _expected_wins(units: pd.DataFrame) -> np.ndarray:
    """Wins within a year that the company's rate of each creation quarter would give."""
    return value.expected(units.assign(m=units["is_won"].astype(float), d=1.0))


def _mean_by(values: np.ndarray, code: np.ndarray) -> np.ndarray:
    return np.bincount(code, weights=values) / np.bincount(code) if len(code) else np.zeros(0)
