"""Exact search over every conjunction of up to a few levels, by matrix products on additive sums.

Rows are accounts, or cells of accounts with equal levels. For the rows X of level i (0 or 1 a level) and a column y of
sums, ``X' diag(y) X`` holds at [j, k] the sum of y over the rows that have i and j and k, and at [j, j] that of i and
j: one product gives every conjunction inside i. Nothing is sampled and no branch is cut but those whose support is too
small, and support only shrinks as conditions are added.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from icp_lib.checks import DataError, check_range

MAX_CONJUNCTIONS = 5_000_000
MAX_BYTES = 2_000_000_000
MAX_DEPTH = 6
#: Bytes of one block of rows: small enough for the processor's cache.
BLOCK_BYTES = 1_000_000
#: Bytes of one block of conjunctions times rows.
MEMBER_BYTES = 32_000_000


class Plan(NamedTuple):
    """The size of a search before it starts: hypotheses, bytes at most, multiplications about."""

    n_conjunctions: int
    n_bytes: int
    n_operations: float


class Conjunctions(NamedTuple):
    """Conjunctions in order of the number of conditions, then of their levels.

    Attributes
    ----------
    levels : array of int, shape (M, depth)
        Column numbers of the levels in rising order, padded with -1.
    sums : array of float, shape (M, k)
    parents : array of int, shape (M, depth)
        At [s, c] the row number of conjunction s without its condition c; -1 where there is none.
    twin_of : array of int, shape (M,)
        The row number of the first parent with the same members, else -1: the added condition changes nothing.
    """

    levels: np.ndarray
    sums: np.ndarray
    parents: np.ndarray
    twin_of: np.ndarray


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


def plan_search(n_rows: int, attribute, n_columns: int, depth: int = 3, n_draws: int = 0) -> Plan:
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
    n_draws : int
        Permutations that follow (`permutation.permute_search`).

    Returns
    -------
    Plan
        `n_bytes` holds if every conjunction has members; `n_operations` takes the levels of an attribute to be of equal
        size (`estimate_seconds` turns it into time).

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
    n_bytes = 3 * n * row_bytes + n_rows * (2 * len(attribute) + n_columns * 16)
    share = 1 / max(1.0, counts.mean() if len(counts) else 1)
    each = 4 * (n_columns * share ** max(0, depth - 2) + n_draws * share)
    plan = Plan(n, n_bytes, float(n) * n_rows * each)
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


def estimate_seconds(n_operations: float) -> float:
    """Return about how long so many multiplications take here, from a small product that is timed.

    For the terminal, never for a page: two runs differ.
    """
    block = np.ones((1024, 256))
    block.T @ block  # the first call starts the threads
    started = time.perf_counter()
    block.T @ block
    rate = 2 * block.size * block.shape[1] / max(1e-9, time.perf_counter() - started)
    return n_operations / rate


def build_cells(levels, sums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows with equal levels as one: their levels, their sums, and the cell of each row.

    Parameters
    ----------
    levels : array of bool, shape (n_rows, n_levels)
    sums : array of float, shape (n_rows, k)

    Returns
    -------
    levels : array of bool, shape (n_cells, n_levels)
    sums : array of float, shape (n_cells, k)
    cell : array of int, shape (n_rows,)

    Examples
    --------
    >>> build_cells([[1, 0], [0, 1], [1, 0]], [[1.0], [2.0], [4.0]])[1:]
    (array([[2.],
           [5.]]), array([1, 0, 1]))
    """
    levels, sums = np.asarray(levels, bool), np.asarray(sums, float)
    if not len(levels):
        return levels, sums, np.zeros(0, int)
    bits = np.packbits(levels, axis=1)
    words = np.zeros((len(levels), -(-max(1, bits.shape[1]) // 8) * 8), np.uint8)
    words[:, : bits.shape[1]] = bits
    words = words.view(np.uint64)
    order = np.lexsort(words.T)
    is_new = np.r_[True, (words[order[1:]] != words[order[:-1]]).any(axis=1)]
    cell = np.empty(len(levels), int)
    cell[order] = np.cumsum(is_new) - 1
    return levels[order[is_new]], np.add.reduceat(sums[order], np.flatnonzero(is_new), axis=0), cell


def search_conjunctions(
    levels, attribute, sums, *, depth: int = 3, minimum: Mapping[int, float] | None = None
) -> Conjunctions:
    """Return every conjunction with enough support, and its sums.

    Parameters
    ----------
    levels : array of bool, shape (n_rows, n_levels)
        Whether a row has a level. Rows are accounts or cells (`build_cells`).
    attribute : array, shape (n_levels,)
        The attribute of each level: a conjunction holds at most one level of each. A list (technologies), whose items a
        company can have together, is given one attribute an item.
    sums : array of float, shape (n_rows, k)
        Anything additive; column 0 is the number of accounts.
    depth : int
        The largest number of conditions.
    minimum : dict
        Column of `sums` -> the least sum, by default one account. These columns must not be negative, and must not
        look at the outcome where p-values follow: a permutation leaves the number of deals as it is, not that of wins.

    Returns
    -------
    Conjunctions

    Raises
    ------
    DataError
        Where the search is too large (`plan_search`), shapes do not fit, sums are missing, or a column of
        `minimum` has negative values.

    Examples
    --------
    >>> levels = np.array([[1, 0, 1], [1, 0, 0], [0, 1, 1]], bool)
    >>> found = search_conjunctions(levels, ["size", "size", "country"], np.ones((3, 1)), depth=2)
    >>> found.levels.tolist(), found.sums[:, 0].tolist()
    ([[0, -1], [1, -1], [2, -1], [0, 2], [1, 2]], [2.0, 1.0, 2.0, 1.0, 1.0])
    """
    levels, sums = np.asarray(levels, bool), np.asarray(sums, float)
    plan_search(len(levels), attribute, sums.shape[1], depth)
    least = _check_sums(levels, attribute, sums, minimum or {0: 1})
    rare_first = np.argsort(levels.sum(axis=0), kind="stable")  # the rows inside the first are read
    codes = np.unique(attribute, return_inverse=True)[1][rare_first]
    blocks = list(_search_inside((), levels[:, rare_first], sums, np.arange(len(codes)), codes, depth, least))
    conjunctions = np.concatenate([np.zeros((0, depth), int), *(_pad(rare_first[found], depth) for found, _ in blocks)])
    totals = np.concatenate([sums[:0], *(totals for _, totals in blocks)])
    order = np.lexsort((*conjunctions.T[::-1], (conjunctions >= 0).sum(axis=1)))
    conjunctions, totals = conjunctions[order], totals[order]
    parents = _find_parents(conjunctions, levels.shape[1])
    return Conjunctions(conjunctions, totals, parents, _find_twins(parents, totals[:, 0]))


def _check_sums(levels, attribute, sums, minimum) -> np.ndarray:
    """The least sum of each column, once all fit together."""
    if levels.shape != (len(sums), len(attribute)):
        raise DataError(
            f"search: levels has {levels.shape[0]:,} rows and {levels.shape[1]:,} columns, but there are {len(sums):,} "
            f"rows of sums and {len(attribute):,} attributes."
        )
    least = np.full(sums.shape[1], -np.inf)
    least[list(minimum)] = list(minimum.values())
    for column in range(sums.shape[1]):
        if not np.isfinite(sums[:, column]).all():
            raise DataError(f"search: column {column} of the sums has missing values; give 0 where nothing is to add.")
        if column in minimum and (sums[:, column] < 0).any():
            raise DataError(f"search: column {column} of the sums is a minimum but has negative values: use a count.")
    return least


def _search_inside(prefix, levels, sums, candidates, codes, left, least) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Conjunctions that start with `prefix`, whose rows these are, and add one to `left` of the candidates."""
    if left == 2:
        yield from _search_pairs(prefix, levels, sums, candidates, codes, least)
        return
    totals = _level_sums(levels, sums)
    enough = (totals >= least).all(axis=1)
    yield _join(prefix, candidates[enough, None]), totals[enough]
    for place in np.flatnonzero(enough) if left > 2 else ():
        later = enough & (np.arange(len(candidates)) > place) & (codes != codes[place])
        rows = np.flatnonzero(levels[:, place])
        inside = levels[rows][:, later], sums[rows], candidates[later], codes[later]
        yield from _search_inside((*prefix, candidates[place]), *inside, left - 1, least)


def _search_pairs(prefix, levels, sums, candidates, codes, least) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every candidate, and every pair of candidates of different attributes, with enough support among these rows."""
    first, second = np.triu_indices(len(candidates))
    possible = (first == second) | (codes[first] != codes[second])
    first, second = first[possible], second[possible]
    totals = _pair_sums(levels, sums)[:, first, second].T
    enough = (totals >= least).all(axis=1)
    single, pair = enough & (first == second), enough & (first != second)
    yield _join(prefix, candidates[first[single], None]), totals[single]
    yield _join(prefix, candidates[np.column_stack([first[pair], second[pair]])]), totals[pair]


def _pad(conjunctions: np.ndarray, depth: int) -> np.ndarray:
    """Levels in rising order, then -1 up to `depth` columns."""
    ordered = np.sort(conjunctions, axis=1)
    return np.pad(ordered, ((0, 0), (0, depth - ordered.shape[1])), constant_values=-1)


def _join(prefix: tuple, added: np.ndarray) -> np.ndarray:
    return np.column_stack([np.tile(np.array(prefix, int), (len(added), 1)), added])


def _level_sums(levels, sums) -> np.ndarray:
    """Sums over the rows of each level, shape (n_levels, k)."""
    totals = np.zeros((levels.shape[1], sums.shape[1]))
    for rows in _row_blocks(len(levels), levels.shape[1]):
        totals += levels[rows].astype(float).T @ sums[rows]
    return totals


def _pair_sums(levels, sums) -> np.ndarray:
    """X' diag(y) X for every column y: sums over the rows of each two levels, shape (k, n_levels, n_levels)."""
    totals = np.zeros((sums.shape[1], levels.shape[1], levels.shape[1]))
    for rows in _row_blocks(len(levels), 2 * levels.shape[1]):
        x = levels[rows].astype(float)
        for total, y in zip(totals, sums[rows].T, strict=True):
            total += x.T @ (x * y[:, None])
    return totals


def _row_blocks(n_rows: int, width: int) -> Iterator[slice]:
    step = max(1024, BLOCK_BYTES // (8 * max(1, width)))
    return (slice(start, start + step) for start in range(0, n_rows, step))


def _find_parents(conjunctions: np.ndarray, n_levels: int) -> np.ndarray:
    """Row numbers of each conjunction without one of its conditions: all are there, since they have more support."""
    depth = conjunctions.shape[1]
    parents = np.full(conjunctions.shape, -1)
    keys = _keys(conjunctions, n_levels)
    order = np.argsort(keys)
    for c in range(depth if depth > 1 else 0):
        has_parent = (conjunctions[:, c] >= 0) & (conjunctions[:, 1] >= 0)
        without = _keys(np.delete(conjunctions[has_parent], c, axis=1), n_levels)
        parents[has_parent, c] = order[np.searchsorted(keys, without, sorter=order)]
    return parents


def _keys(conjunctions: np.ndarray, n_levels: int) -> np.ndarray:
    """One whole number a conjunction."""
    return (conjunctions + 1) @ (n_levels + 1) ** np.arange(conjunctions.shape[1], dtype=np.int64)


def _find_twins(parents: np.ndarray, n_accounts: np.ndarray) -> np.ndarray:
    """A child lies inside its parent, so that as many accounts are the same accounts."""
    same = (parents >= 0) & (n_accounts[parents] == n_accounts[:, None])
    first = same.argmax(axis=1)
    return np.where(same.any(axis=1), parents[np.arange(len(parents)), first], -1)


def sum_inside(levels, conjunctions, sums) -> np.ndarray:
    """Return the sums over the rows of given conjunctions, shape (M, k).

    Parameters
    ----------
    levels : array of bool, shape (n_rows, n_levels)
    conjunctions : array of int, shape (M, depth)
        Padded with -1.
    sums : array of float, shape (n_rows, k)

    Examples
    --------
    >>> sum_inside([[1, 1], [1, 0]], [[0, -1], [0, 1]], [[2.0], [3.0]])
    array([[5.],
           [2.]])
    """
    sums = np.asarray(sums, float)
    totals = np.zeros((len(conjunctions), sums.shape[1]))
    for which, rows, inside in build_blocks(levels, conjunctions):
        totals[which] = inside @ sums[rows]
    return totals


def build_blocks(levels, conjunctions) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield blocks of conjunctions that share a level: (their numbers, the rows of that level, membership in it).

    A conjunction lies inside the rarest of its levels, so that no other row needs to be read.

    Parameters
    ----------
    levels : array of bool, shape (n_rows, n_levels)
    conjunctions : array of int, shape (M, depth)
        Padded with -1.

    Yields
    ------
    which : array of int, shape (m,)
    rows : array of int, shape (n_inside,)
    inside : array of float, shape (m, n_inside)
        1 for the members.
    """
    levels, conjunctions = np.asarray(levels, bool), np.asarray(conjunctions, int)
    if not len(conjunctions):
        return
    n_rows = np.where(conjunctions >= 0, levels.sum(axis=0)[conjunctions], len(levels) + 1)
    rarest = np.take_along_axis(conjunctions, n_rows.argmin(axis=1)[:, None], axis=1)[:, 0]
    for level in np.unique(rarest):
        rows, members = np.flatnonzero(levels[:, level]), np.flatnonzero(rarest == level)
        has = np.vstack([levels[rows].T, np.ones(len(rows), bool)])  # -1 takes the last: no condition
        step = max(16, MEMBER_BYTES // (8 * max(1, len(rows))))
        for start in range(0, len(members), step):
            which = members[start : start + step]
            yield which, rows, has[conjunctions[which]].all(axis=1).astype(float)
