"""Attributes as columns of a regression: small levels put together, accounts of like creation quarters compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib.checks import check_columns
from icp_lib.rules import Segment
from icp_lib.space import PLACEBOS
from icp_lib.value import MIN_WON_PER_QUARTER

#: A level needs so many best customers as it would have if it meant nothing, and so do the companies outside it.
MIN_EXPECTED = 5
#: With fewer best customers, or others, nothing is modelled.
MIN_BEST = 10


class Attribute(NamedTuple):
    """One attribute: its levels, and which accounts have them, shape (n_accounts, n_levels).

    Each item of a list is an attribute of its own, with one level.
    """

    name: str
    levels: tuple[str, ...]
    segments: tuple[Segment, ...]
    members: np.ndarray

    @property
    def is_placebo(self) -> bool:
        """Whether it is made of nothing but the account's id."""
        return self.name in PLACEBOS

    def keep(self, columns: Sequence[int]) -> Attribute:
        """Return the attribute with some of its levels only."""
        columns = list(columns)
        levels, segments = (tuple(each[i] for i in columns) for each in (self.levels, self.segments))
        return self._replace(levels=levels, segments=segments, members=self.members[:, columns])


class Modelled(NamedTuple):
    """The accounts that a regression is about, arrays of shape (n,), and their attributes.

    `outcome` says who is best, `family` is a code, `stratum` the block of creation quarters.
    """

    accounts: pd.DataFrame
    outcome: np.ndarray
    family: np.ndarray
    stratum: np.ndarray
    attributes: tuple[Attribute, ...]

    @property
    def n_scarce(self) -> int:
        """Best customers or others, whichever are fewer: how much a regression can learn from."""
        n_best = int(self.outcome.sum())
        return min(n_best, len(self.outcome) - n_best)

    @property
    def least(self) -> float:
        """Accounts that a level needs: known from how many best customers there are, not from who they are."""
        return MIN_EXPECTED * len(self.outcome) / self.n_scarce if self.n_scarce else np.inf

    @property
    def few(self) -> str:
        """What there is too little of, in words; empty where there is enough."""
        n_best = int(self.outcome.sum())
        if self.n_scarce >= MIN_BEST:
            return ""
        if n_best == self.n_scarce:
            return f"{n_best:,} best customers of the {MIN_BEST} needed"
        return f"{self.n_scarce:,} other accounts of the {MIN_BEST} needed to compare with"


def build_modelled(
    labelled: pd.DataFrame, levels: Sequence[tuple[str, str, Segment]], part: str | None = None
) -> Modelled:
    """Return what is modelled: accounts with a closed opportunity that can be judged, sorted by id.

    Parameters
    ----------
    labelled : DataFrame
        The account table with `is_best` and `is_modelled` (`traits.label_accounts`).
    levels : sequence of (attribute, level, segment)
        Every level of every trait (`traits.build_trait_levels`).
    part : {'found', 'held_out'}, optional
        One part alone; by default both.

    Raises
    ------
    DataError
        A column is missing.
    """
    needed = ["account_id", "family_id", "first_opportunity_at", "part", "is_best", "is_modelled"]
    chosen = check_columns(labelled, needed, "labelled")["is_modelled"].to_numpy(bool)
    if part is not None:
        chosen = chosen & (labelled["part"] == part).to_numpy()
    accounts = labelled[chosen].sort_values("account_id", ignore_index=True)
    outcome = accounts["is_best"].to_numpy(bool)
    family = pd.factorize(accounts["family_id"])[0]
    stratum = build_strata(accounts["first_opportunity_at"], min(outcome.sum(), (~outcome).sum()))
    return Modelled(accounts, outcome, family, stratum, build_attributes(accounts, levels))


def build_attributes(accounts: pd.DataFrame, levels: Sequence[tuple[str, str, Segment]]) -> tuple[Attribute, ...]:
    """Return the levels by attribute, in the order given; an item of a list is named 'technologies: ERP'."""
    groups: dict[str, list] = {}
    lists = {attribute for attribute, _, segment in levels if segment.is_list}
    for attribute, level, segment in levels:
        name = f"{attribute}: {level}" if attribute in lists else attribute
        groups.setdefault(name, []).append((level, segment))
    return tuple(
        Attribute(
            name,
            tuple(level for level, _ in members),
            tuple(segment for _, segment in members),
            np.column_stack([segment.mask(accounts) for _, segment in members]),
        )
        for name, members in groups.items()
    )


def build_strata(opened_at: pd.Series, n_best: float) -> np.ndarray:
    """Blocks of accounts whose first opportunities were opened about the same time, whole quarters, as codes from 0.

    Blocks are of about equal numbers of accounts, each with 20 best customers if they came evenly; so the blocks do not
    depend on who is best.

    Examples
    --------
    >>> opened = pd.Series(pd.to_datetime(["2025-01-05", "2025-02-01", "2025-05-01", "2025-08-01"]))
    >>> build_strata(opened, 40).tolist()
    [0, 0, 1, 1]
    """
    quarter = pd.factorize(opened_at.dt.to_period("Q").astype(str), sort=True)[0]
    counts = np.bincount(quarter, minlength=1)
    n_blocks = max(1, int(n_best // MIN_WON_PER_QUARTER))
    middle = np.cumsum(counts) - counts / 2
    block = np.minimum((middle / max(1, counts.sum()) * n_blocks).astype(int), n_blocks - 1)
    return np.unique(block[quarter], return_inverse=True)[1]


def dummies(codes: np.ndarray) -> np.ndarray:
    """Return one column of zeros and ones for each code."""
    return (codes[:, None] == np.arange(codes.max(initial=0) + 1)).astype(float)


def collapse(attribute: Attribute, least: float) -> Attribute:
    """Keep the levels that enough accounts have; the others, together, are the reference, and need as many.

    Never looks at the outcome: a level, and the reference, need `least` accounts. Where the reference has fewer, the
    smallest level joins it. Without any level left there is nothing to compare.
    """
    counts = attribute.members.sum(axis=0)
    kept = [i for i in range(len(counts)) if counts[i] >= least]
    kept.sort(key=lambda i: (-counts[i], i))
    n = len(attribute.members)
    while kept and n - attribute.members[:, kept].any(axis=1).sum() < least:
        kept.pop()
    return attribute.keep(sorted(kept))
