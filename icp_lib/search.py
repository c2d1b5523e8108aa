"""Exact search over every conjunction of up to a few levels, by small cubes of additive sums.

Rows are accounts, or cells of accounts with equal levels. What a row has of a few traits is one of few patterns: four
sizes and five countries make twenty. A few traits are a bundle. A conjunction of three conditions lies in three bundles
or fewer, and whether a row is in it depends on the row's patterns in these alone. So for every three bundles the rows
are added up once by their patterns, a GROUP BY, and each conjunction is a sum over cells of that cube, which is far
smaller than the rows. Every row is in one cell, nothing is sampled, and no conjunction is left out but those with too
little support.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from icp_lib.checks import DataError
from icp_lib.sizing import pack_bundles, plan_search

#: Bytes of one block of conjunctions times rows.
MEMBER_BYTES = 32_000_000
#: No condition, while searching: it sorts after every level.
NONE = np.iinfo(np.int64).max


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
        Column of `sums` -> the least sum, by default one account. These columns are counts, as column 0 is: whole
        numbers, whose sums are exact in any order of addition, so that support and twins are too. They must not look at
        the outcome where p-values follow: a permutation leaves the number of deals as it is, not that of wins.

    Returns
    -------
    Conjunctions

    Raises
    ------
    DataError
        Where the search is too large (`plan_search`), shapes do not fit, sums are missing, a column of `minimum` has
        negative values, or a count is not a whole number.

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
    code = np.unique(attribute, return_inverse=True)[1]
    columns = np.ascontiguousarray(sums.T)
    traits = _build_traits(levels, code, columns, least)
    packed = pack_bundles([trait.n_patterns for trait in traits], depth, len(levels))[1]
    bundles = [_build_bundle([traits[number] for number in numbers], depth) for numbers in packed]
    blocks = list(_search_sets(bundles, columns, depth, least))
    conjunctions = np.concatenate([np.zeros((0, depth), int), *(found for found, _ in blocks)])
    totals = np.concatenate([sums[:0], *(totals for _, totals in blocks)])
    order = np.lexsort((*conjunctions.T[::-1], (conjunctions < NONE).sum(axis=1)))
    order = order[_is_distinct(conjunctions[order], code)]
    conjunctions, totals = np.where(conjunctions < NONE, conjunctions, -1)[order], totals[order]
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
        is_count = column == 0 or column in minimum
        if not np.isfinite(sums[:, column]).all():
            raise DataError(f"search: column {column} of the sums has missing values; give 0 where nothing is to add.")
        if column in minimum and (sums[:, column] < 0).any():
            raise DataError(f"search: column {column} of the sums is a minimum but has negative values: use a count.")
        if is_count and (sums[:, column] != np.rint(sums[:, column])).any():
            raise DataError(f"search: column {column} of the sums is a count but has values that are no whole numbers.")
    return least


class _Trait(NamedTuple):
    """Levels of which no row has two. The pattern of a row is the place of its level; the last place is none."""

    levels: np.ndarray
    code: np.ndarray
    n_patterns: int


class _Bundle(NamedTuple):
    """A few traits taken together.

    Attributes
    ----------
    code : array of int, shape (n_rows,)
        The pattern of each row.
    n_patterns : int
    conditions : array of int, shape (m, n_traits)
        The conjunctions inside the bundle, the first without any condition: a level of each trait, or NONE.
    holds : array of float, shape (m, n_patterns), or None
        1 where a pattern fulfils a conjunction. None for one trait alone: its patterns are its levels.
    """

    code: np.ndarray
    n_patterns: int
    conditions: np.ndarray
    holds: np.ndarray | None


def _build_traits(levels, attribute, columns, least) -> list[_Trait]:
    """The levels with enough support, by attribute; levels that some row has two of are taken one by one."""
    traits, has_level = [], np.ascontiguousarray(levels.T)
    is_least = least > -np.inf
    for number in range(attribute.max(initial=-1) + 1):
        own = np.flatnonzero(attribute == number)
        is_apart = np.count_nonzero(has_level[own]) == np.count_nonzero(has_level[own].any(axis=0))
        for chosen in [own] if is_apart else own[:, None]:
            trait = _code_levels(has_level, chosen)
            totals = np.array([np.bincount(trait.code, y, len(chosen) + 1)[:-1] for y in columns[is_least]])
            enough = (totals >= least[is_least, None]).all(axis=0)
            if enough.any():
                traits.append(trait if enough.all() else _code_levels(has_level, chosen[enough]))
    return traits


def _code_levels(has_level, chosen) -> _Trait:
    code = np.full(has_level.shape[1], len(chosen), np.int32)
    for place, level in enumerate(chosen):
        code -= np.int32(len(chosen) - place) * has_level[level]
    return _Trait(chosen, code, len(chosen) + int((code == len(chosen)).any()))


def _join_codes(parts, n_rows: int) -> np.ndarray:
    """One whole number a row for its patterns in several traits or bundles."""
    return functools.reduce(lambda code, part: code * part.n_patterns + part.code, parts, np.zeros(n_rows, np.int32))


def _build_bundle(traits: list[_Trait], depth: int) -> _Bundle:
    conditions = np.array(list(itertools.product(*([NONE, *trait.levels.tolist()] for trait in traits))))
    few = (conditions < NONE).sum(axis=1) <= depth
    holds = None
    if len(traits) > 1:  # a pattern fulfils what each of its traits fulfils
        one = (np.vstack([np.ones(t.n_patterns), np.eye(len(t.levels), t.n_patterns)]) for t in traits)
        holds = functools.reduce(np.kron, one)[few]
    n_patterns = math.prod(trait.n_patterns for trait in traits)
    return _Bundle(_join_codes(traits, len(traits[0].code)), n_patterns, conditions[few], holds)


def _search_sets(bundles: list[_Bundle], columns, depth: int, least) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For every `depth` bundles the conjunctions with enough support that lie in them.

    One that lies in fewer bundles is taken with the first others: so the bundle at a place may be without a condition
    only where it and those before it are the first of all, that is where its number is its place.
    """
    for chosen in itertools.combinations(range(len(bundles)), min(depth, len(bundles))) if bundles else ():
        needed = [int(number != place) for place, number in enumerate(chosen)]
        most = [depth - sum(needed) + each for each in needed]
        cube = [_take_conditions(bundles[number], *each) for number, *each in zip(chosen, needed, most, strict=True)]
        n_conditions = functools.reduce(np.add.outer, [(part.conditions < NONE).sum(axis=1) for part in cube])
        code = _join_codes(cube, columns.shape[1]).astype(np.intp)
        n_cells = math.prod(part.n_patterns for part in cube)
        totals = np.array([_add_cells(np.bincount(code, y, n_cells), cube).ravel() for y in columns])
        enough = (totals >= least[:, None]).all(axis=0)
        enough &= (n_conditions.ravel() > 0) & (n_conditions.ravel() <= depth)
        at = np.nonzero(enough.reshape(n_conditions.shape))
        none = np.full((len(at[0]), depth), NONE)
        found = np.hstack([none, *(part.conditions[here] for part, here in zip(cube, at, strict=True))])
        yield np.sort(found, axis=1)[:, :depth], totals[:, enough].T


def _take_conditions(bundle: _Bundle, fewest: int, most: int) -> _Bundle:
    """The bundle with its conjunctions of so many conditions."""
    n_conditions = (bundle.conditions < NONE).sum(axis=1)
    wanted = (n_conditions >= fewest) & (n_conditions <= most)
    holds = None if bundle.holds is None else bundle.holds[wanted]
    return bundle._replace(conditions=bundle.conditions[wanted], holds=holds)


def _add_cells(cube: np.ndarray, bundles: list[_Bundle]) -> np.ndarray:
    """Turn a cube of patterns into one of conjunctions: along each bundle the sum of the patterns that fulfil it."""
    for bundle in reversed(bundles):
        patterns = cube.reshape(-1, bundle.n_patterns).T  # the last bundle comes first
        if bundle.holds is not None:
            cube = bundle.holds @ patterns
        elif bundle.conditions[0, 0] < NONE:  # a level a pattern; the last may be none
            cube = patterns[: len(bundle.conditions)]
        else:
            cube = np.vstack([patterns.sum(axis=0), patterns[: len(bundle.conditions) - 1]])
    return cube


def _is_distinct(conjunctions: np.ndarray, attribute: np.ndarray) -> np.ndarray:
    """Whether no two levels are of one attribute."""
    n_levels, depth = len(attribute), conjunctions.shape[1]
    known = np.append(attribute, 0)[np.minimum(conjunctions, n_levels)]
    ordered = np.sort(np.where(conjunctions < NONE, known, n_levels + np.arange(depth)), axis=1)
    return (np.diff(ordered, axis=1) != 0).all(axis=1)


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
