"""How large a search is, before it starts, and which traits it takes together."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from icp_lib.checks import DataError, check_range

MAX_CONJUNCTIONS = 5_000_000
MAX_BYTES = 2_000_000_000
MAX_DEPTH = 6
#: The most patterns of a bundle of several traits, each of which is tried, and the most cells of a cube of such.
BUNDLE_SIZES, MAX_CELLS = (2, 8, 32, 128, 512), 4_000_000
#: What one set of bundles costs beside its rows, and a cell of its cube, in rows added up (measured).
SET_ROWS, CELL_ROWS = 20_000, 3


class Plan(NamedTuple):
    """The size of a search before it starts: hypotheses, and bytes at most."""

    n_conjunctions: int
    n_bytes: int


def count_conjunctions(attribute, depth: int = 3) -> int:
    """Return how many conjunctions of one to `depth` levels there are, at most one level an attribute.

    Parameters
    ----------
    attribute : array, shape (n_levels,)
        The attribute of each level.
    depth : int

    Examples
    --------
    >>> count_conjunctions(["size", "size", "country", "country", "country"], depth=2)
    11
    """
    ways = [1] + [0] * depth  # ways[c]: conjunctions with c conditions over the attributes seen so far
    for n_levels in np.unique(attribute, return_counts=True)[1].tolist():
        for c in range(depth, 0, -1):
            ways[c] += ways[c - 1] * n_levels
    return sum(ways[1:])


def plan_search(n_rows: int, attribute, n_columns: int, depth: int = 3) -> Plan:
    """Return the size of a search; refuse one that is too large.

    Parameters
    ----------
    n_rows : int
        Accounts or cells.
    attribute : array, shape (n_levels,)
        The attribute of each level, its name or a code.
    n_columns : int
        Columns of sums.
    depth : int
        The largest number of conditions.

    Returns
    -------
    Plan
        `n_bytes` holds if every conjunction has members.

    Raises
    ------
    DataError
        More than `MAX_CONJUNCTIONS` conjunctions, or `MAX_BYTES` bytes.

    Examples
    --------
    >>> plan_search(4000, np.repeat(np.arange(12), 4), n_columns=8).n_conjunctions
    15184
    """
    check_range(depth, 1, MAX_DEPTH, "depth")
    names, counts = np.unique(attribute, return_counts=True)
    n = count_conjunctions(attribute, depth)
    row_bytes = n_columns * 8 + depth * 16
    n_bytes = 3 * n * row_bytes + n_rows * (2 * len(attribute) + n_columns * 16 + len(names) * 8 + 16)
    plan = Plan(n, n_bytes)
    if n > MAX_CONJUNCTIONS or n_bytes > MAX_BYTES:
        smaller = count_conjunctions(attribute, depth - 1) if depth > 1 else 0
        largest = f"{names[counts.argmax()]} has most, {counts.max():,}"
        raise DataError(
            f"search: {len(attribute):,} levels of {len(names):,} traits make {n:,} groups of up to {depth} "
            f"conditions and need {n_bytes / 1e9:,.1f} GB; the most is {MAX_CONJUNCTIONS:,} and "
            f"{MAX_BYTES / 1e9:,.1f} GB. Use fewer traits, fewer levels of a trait ({largest})"
            + (f", or depth {depth - 1} ({smaller:,} groups)." if depth > 1 else ".")
        )
    return plan


def pack_bundles(n_patterns, depth: int, n_rows: int) -> tuple[float, list[list[int]]]:
    """Return which traits a search takes together, and what its cubes then cost.

    The larger the bundles of traits, the fewer sets of `depth` bundles there are, but the more cells a cube has.

    Parameters
    ----------
    n_patterns : list of int, shape (n_traits,)
        Levels of each trait, and one more where a row has none.
    depth, n_rows : int

    Returns
    -------
    n_added : float
        Rows to add up for one column of sums, cells and the work of a set counted as rows.
    bundles : list of list of int
        Numbers of the traits.

    Examples
    --------
    >>> pack_bundles([5, 5, 5, 5, 2, 2], depth=2, n_rows=100)[1]
    [[0, 1, 2], [3, 4, 5]]
    """
    ways = []
    for most in BUNDLE_SIZES:
        bundles, sizes = [], []
        for number in sorted(range(len(n_patterns)), key=lambda number: -n_patterns[number]):
            if bundles and sizes[-1] * n_patterns[number] <= most:
                bundles[-1].append(number)
                sizes[-1] *= n_patterns[number]
            else:
                bundles.append([number])
                sizes.append(n_patterns[number])
        n_cells = math.prod(sorted(sizes)[-depth:])
        if not ways or n_cells <= MAX_CELLS:  # alone, traits make no more cells than there are conjunctions
            n_sets = math.comb(len(bundles), min(depth, len(bundles)))
            ways.append((float(n_sets) * (n_rows + SET_ROWS + CELL_ROWS * n_cells), bundles))
    return min(ways)
