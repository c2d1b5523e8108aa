"""Which of the conjunctions found are worth offering: those that say more than their parts, few and distinct."""

from __future__ import annotations

import numpy as np

from icp_lib.search import Conjunctions

MAX_OFFERED, MAX_SHARED = 6, 1 / 3


def prune_conjunctions(found: Conjunctions, t, m, e, missing=None) -> np.ndarray:
    """Return which conjunctions say more than each of their parents, shape (M,).

    A child needs a larger T than each parent, and the parent without the child must be worth less than the child: else
    the added condition picked a part of a good group at random. Twins of a parent and what is defined by a missing
    value are out.

    Parameters
    ----------
    found : Conjunctions
    t : array of float, shape (M,)
        The test statistic.
    m, e : array of float, shape (M,)
        What was got and what was expected; both additive.
    missing : array of bool, shape (n_levels,), optional
        Levels that stand for a value that is not there.
    """
    t, m, e = (np.asarray(values, float) for values in (t, m, e))
    keep = found.twin_of < 0
    if missing is not None:
        keep &= ~(np.r_[np.asarray(missing, bool), False][found.levels]).any(axis=1)
    for parent in found.parents.T:
        left_m, left_e = m[parent] - m, e[parent] - e
        better = (t > t[parent]) & (left_m * e < m * left_e)  # m / e compared without dividing by nothing
        keep &= (parent < 0) | better
    return keep


def choose_distinct(
    levels, conjunctions, order, *, n=None, most: int = MAX_OFFERED, shared: float = MAX_SHARED
) -> np.ndarray:
    """Return the first of the ordered conjunctions of which no two share too many accounts.

    Parameters
    ----------
    levels : array of bool, shape (n_rows, n_levels)
    conjunctions : array of int, shape (M, depth)
    order : array of int
        Row numbers of `conjunctions`, the best first.
    n : array of float, shape (n_rows,), optional
        Accounts a row, where rows are cells.
    most : int
        At most so many.
    shared : float
        The largest share of the smaller one's accounts that two may have in common.

    Returns
    -------
    array of int
        The chosen row numbers, in order.
    """
    levels = np.asarray(levels, bool)
    n = np.ones(len(levels)) if n is None else np.asarray(n, float)
    chosen, masks = [], []
    for number in order:
        mask = levels[:, [level for level in conjunctions[number] if level >= 0]].all(axis=1)
        size = n[mask].sum()
        if all(n[mask & other].sum() <= shared * min(size, n[other].sum()) for other in masks):
            chosen.append(int(number))
            masks.append(mask)
        if len(chosen) == most:
            break
    return np.array(chosen, int)
