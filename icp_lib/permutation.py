"""How good would the best of a whole search look by luck: p-values adjusted for the search.

The statistic of a conjunction S is T = sum r / sqrt(sum r^2) over its accounts, r being what an account got less what
its quarter would expect, centred within quarter. The null world keeps every account's traits and gives it the r of
another account of the same quarter; the best T of the whole search in each such world is what an observed T must beat.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from icp_lib.checks import DataError
from icp_lib.search import build_blocks, build_cells, sum_inside

#: Bytes of one block of permuted values.
DRAW_BYTES = 128_000_000
#: The observed order is one of the permutations. Its sums, added in another order, differ in the last of 16 digits; two
#: orders that are not the same differ far earlier.
TIE = 1e-9
#: Edges of the classes of size, as shares of all that is expected.
SIZES = (0.0, 0.05, 0.1, 0.2, 0.4, 1.0)


class Permuted(NamedTuple):
    """What was seen, and the best of the search in each of B worlds without any effect.

    Attributes
    ----------
    t : array of float, shape (M,)
    p : array of float, shape (M,)
        One-sided, adjusted for the search: (1 + number of worlds whose best T is at least t) / (B + 1).
    max_t : array of float, shape (B,)
    best_lift : array of float, shape (n_sizes, B)
        The best lift over the rest among conjunctions of each class of size; NaN where there is none, no rows where the
        expected values were not given.
    n_of_size : array of int, shape (n_sizes,)
        Conjunctions in each class.
    """

    t: np.ndarray
    p: np.ndarray
    max_t: np.ndarray
    best_lift: np.ndarray
    n_of_size: np.ndarray


class Noise(NamedTuple):
    """What noise would have shown in one class of size: the best lift in the middle of the worlds, and in 1 of 20."""

    share_low: float
    share_high: float
    n_conjunctions: int
    lift_50: float
    lift_95: float


def permute_search(
    levels, conjunctions, r, strata, family, *, n_draws: int = 999, seed: int = 0, expected=None, sizes=SIZES
) -> Permuted:
    """Permute r over accounts within strata, families whole, and repeat the whole search each time.

    Families change places with families of the same stratum and as many accounts; a family's stratum is the oldest of
    its accounts'. The accounts of a family take the values of the other's in order of stratum, then of row. A family
    without a like stays. Conjunctions with too little support are left out in every world alike, because support does
    not change; so the search over them is the search as it was done. A list fixed beforehand (held-out) is a search
    over that list.

    Parameters
    ----------
    levels : array of bool, shape (n_accounts, n_levels)
        The order of rows decides which permutations a seed gives.
    conjunctions : array of int, shape (M, depth)
        Padded with -1 (`search.search_conjunctions`). For any other groups: their masks as levels, and
        ``np.arange(M)[:, None]``.
    r : array of float, shape (n_accounts,)
        Centred within stratum.
    strata : array of int, shape (n_accounts,)
        Quarter of the first opportunity, the oldest smallest.
    family : array of int, shape (n_accounts,)
    n_draws, seed : int
    expected : array of float, shape (n_accounts,), optional
        What each account would be expected to get: where given, `best_lift` is filled.
    sizes : sequence of float
        Edges of the classes of size, as shares of what is expected.

    Returns
    -------
    Permuted

    References
    ----------
    Westfall and Young (1993), Resampling-based multiple testing: single-step max-T; (1 + count) / (B + 1): Phipson and
    Smyth (2010).

    Examples
    --------
    >>> levels, r = np.eye(6, dtype=bool)[:, :2], np.array([5.0, -1, -1, -1, -1, -1])
    >>> found = permute_search(levels, [[0], [1]], r, np.zeros(6, int), np.arange(6), n_draws=99)
    >>> found.t.tolist(), len(found.max_t)
    ([1.0, -1.0], 99)
    """
    levels, conjunctions, r = _check(levels, conjunctions, r=r, strata=strata, family=family)
    slots, draws = _build_draws(np.asarray(strata), np.asarray(family), n_draws, seed)
    cells, cell_order, starts = _sort_into_cells(levels[slots])
    values = r[slots]
    size_of, scale, total = _size_classes(levels, conjunctions, expected, sizes)
    best = _Best.empty(n_draws, len(sizes) - 1 if expected is not None else 0)
    for draw, sources in draws:
        permuted = values[sources[:, cell_order]]
        sums, squares = (_add_cells(each, starts) for each in (permuted, permuted**2))
        for which, rows, inside in build_blocks(cells, conjunctions):
            got = inside @ sums[rows]
            best.keep_t(draw, _ratio(got, inside @ squares[rows]))
            best.keep_lift(draw, got, size_of[which], scale[which], total)
    t = _ratio(*sum_inside(levels, conjunctions, np.column_stack([r, r**2])).T)
    n_of_size = np.bincount(size_of[size_of >= 0], minlength=len(best.lift))
    return Permuted(t, adjust_by_best(t, best.t), best.t, best.lift, n_of_size)


def multiplier_search(
    levels, conjunctions, sums, strata, *, family=None, n_draws: int = 999, seed: int = 0
) -> Permuted:
    """Return about what `permute_search` gives, from sums over cells, for very many accounts.

    Instead of another account's r each account keeps its own, times a standard normal number g. Over the accounts of a
    cell, sum g r is normal with variance sum r^2, so one number a cell is enough. A permutation keeps the sum of every
    stratum, so the stratum's sum of g r is taken off its accounts in equal parts: z of a world is
    (sum_S g r - sum over strata of h sum g r) / sqrt(sum_S r^2), h being the share of a stratum's accounts in S.

    Normal multipliers do not know skewness: of values skewed to the right the sum and the spread grow together, so that
    a small group reaches a large T less often than z. Hall's transformation, with the skewness that S would have if its
    accounts were any of their strata, takes z to the scale of T.

    Parameters
    ----------
    levels : array of bool, shape (n_rows, n_levels)
        Rows are accounts or cells: accounts with equal levels of one stratum.
    conjunctions : array of int, shape (M, depth)
    sums : array of float, shape (n_rows, 4)
        Accounts, sum of r, of r^2 and of r^3; r centred within stratum.
    strata : array of int, shape (n_rows,)
    family : array of int, shape (n_rows,), optional
        Rows of one family share their g; -1 for rows whose accounts have none.
    n_draws, seed : int

    Returns
    -------
    Permuted
        Without lifts.

    References
    ----------
    Chernozhukov, Chetverikov and Kato (2013), Annals of Statistics 41: maxima of sums by Gaussian multipliers. Hall
    (1992), Journal of the Royal Statistical Society B 54: the cubic transformation of a skewed t statistic.
    """
    sums = np.asarray(sums, float)
    levels, conjunctions, _ = _check(levels, conjunctions, r=sums[:, 1], strata=strata)
    stratum = np.unique(strata, return_inverse=True)[1]
    pool = np.column_stack([np.bincount(stratum, column) for column in sums.T])[stratum]
    alike = sums[:, :1] * pool[:, 2:] / pool[:, :1]  # r^2 and r^3 if the accounts were any of their stratum
    totals = sum_inside(levels, conjunctions, np.column_stack([sums[:, 1:3], alike])).T
    skewness = _ratio(totals[3], totals[2] ** 3)[:, None]
    cells, cell_order, starts = _sort_into_cells(levels)
    best = _Best.empty(n_draws, 0)
    for draw, moved in _draw_multiples(sums, stratum, sums[:, 0] / pool[:, 0], family, n_draws, seed):
        moved = _add_cells(moved[:, cell_order], starts)
        for which, rows, inside in build_blocks(cells, conjunctions):
            z = _ratio(inside @ moved[rows], totals[1, which, None])
            best.keep_t(draw, _skew(z, skewness[which]))
    t = _ratio(totals[0], totals[1])
    return Permuted(t, adjust_by_best(t, best.t), best.t, best.lift, np.zeros(0, int))


def _draw_multiples(sums, stratum, share, family, n_draws: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of draws x rows: each row's normal multiple of its r, less its share of the stratum's."""
    rng = np.random.default_rng(seed)
    family = np.full(len(sums), -1) if family is None else np.asarray(family)
    size = np.where(family < 0, np.sqrt(sums[:, 2]), sums[:, 1])
    alone = family.max(initial=-1) + 1 + np.arange(len(family))
    multiplier = np.unique(np.where(family < 0, alone, family), return_inverse=True)[1]
    is_stratum = (stratum[:, None] == np.arange(stratum.max(initial=-1) + 1)).astype(float)
    for draw in _draw_blocks(n_draws, len(sums)):
        moved = rng.standard_normal((draw.stop - draw.start, multiplier.max(initial=-1) + 1))[:, multiplier] * size
        yield draw, moved - (moved @ is_stratum)[:, stratum] * share


def _skew(z: np.ndarray, skewness: np.ndarray) -> np.ndarray:
    """The T whose probability is that of z: the inverse of z = T + a T^2 / 3 + a^2 T^3 / 27 + a / 6."""
    root = np.cbrt(1 + skewness * (z - skewness / 6))
    return 3 * (z - skewness / 6) / (root**2 + root + 1)  # 3 / a (root - 1), also where a is 0


def adjust_by_best(t, max_t) -> np.ndarray:
    """Return (1 + number of worlds whose best T is at least t) / (B + 1), shape of `t`.

    Examples
    --------
    >>> adjust_by_best([3.0, 2.0], [1.0, 2.0, 2.5])
    array([0.25, 0.75])
    """
    t, max_t = np.asarray(t, float), np.sort(max_t)
    below = np.searchsorted(max_t, t - TIE * (1 + np.abs(t)))
    return (1 + len(max_t) - below) / (len(max_t) + 1)


def search_noise(permuted: Permuted, sizes=SIZES) -> list[Noise]:
    """Return what noise would have shown: the best lift of the search in worlds without effect, by class of size.

    Parameters
    ----------
    permuted : Permuted
        Made with `expected`.
    sizes : sequence of float
        The edges given to `permute_search`.

    Returns
    -------
    list of Noise
        One a class that holds conjunctions, the smallest first.
    """
    rows = zip(sizes[:-1], sizes[1:], permuted.n_of_size.tolist(), permuted.best_lift, strict=True)
    return [Noise(low, high, n, *np.quantile(lifts, [0.5, 0.95]).tolist()) for low, high, n, lifts in rows if n]


class _Best(NamedTuple):
    """The best of each world so far."""

    t: np.ndarray
    lift: np.ndarray

    @classmethod
    def empty(cls, n_draws: int, n_sizes: int) -> _Best:
        return cls(np.full(n_draws, -np.inf), np.full((n_sizes, n_draws), np.nan))

    def keep_t(self, draw: slice, t: np.ndarray) -> None:
        self.t[draw] = np.maximum(self.t[draw], t.max(axis=0))

    def keep_lift(self, draw: slice, got, size_of, scale, total) -> None:
        """Lift over the rest: (got in S / expected in S) / (got in the rest / expected in the rest)."""
        for number, row in enumerate(self.lift):
            here = size_of == number
            if here.any():
                inside = scale[here, None]
                worth = got[here] + inside
                lift = worth / inside * (total - inside) / np.maximum(total - worth, TIE * total)
                row[draw] = np.fmax(row[draw], lift.max(axis=0))


def _check(levels, conjunctions, **columns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    levels, conjunctions = np.asarray(levels, bool), np.asarray(conjunctions, int)
    for name, values in columns.items():
        if len(values) != len(levels):
            raise DataError(f"permutation: {name} has {len(values):,} rows, levels has {len(levels):,}.")
    r = np.asarray(columns["r"], float)
    if not np.isfinite(r).all():
        raise DataError(f"permutation: {(~np.isfinite(r)).sum():,} values of r are missing; leave these accounts out.")
    return levels, conjunctions, r


def _build_draws(strata, family, n_draws: int, seed: int) -> tuple[np.ndarray, Iterator[tuple[slice, np.ndarray]]]:
    """Return the accounts in the order of their families, and blocks of permutations of that order.

    Slots: families sorted by (stratum, accounts, code), inside by stratum, then row. At [b, s] a block holds the slot
    whose value slot s takes in draw b.
    """
    _, code, n_accounts = np.unique(family, return_inverse=True, return_counts=True)
    oldest = np.full(len(n_accounts), np.iinfo(np.int64).max)
    np.minimum.at(oldest, code, strata)
    order = np.lexsort((n_accounts, oldest))
    place = np.empty(len(order), int)
    place[order] = np.arange(len(order))
    slots = np.lexsort((strata, place[code]))
    oldest, n_accounts = oldest[order], n_accounts[order]
    is_new = (np.diff(oldest, prepend=oldest[:1]) != 0) | (np.diff(n_accounts, prepend=n_accounts[:1]) != 0)
    return slots, _draw_sources(np.cumsum(is_new), n_accounts, n_draws, seed)


def _draw_sources(group, n_accounts, n_draws: int, seed: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Shuffle families inside their group: random numbers between the whole numbers of the groups, sorted."""
    rng = np.random.default_rng(seed)
    start = np.cumsum(n_accounts) - n_accounts
    member = np.arange(n_accounts.sum()) - np.repeat(start, n_accounts)
    for draw in _draw_blocks(n_draws, len(member)):
        shuffled = np.argsort(group + rng.random((draw.stop - draw.start, len(group))), axis=1)
        yield draw, np.repeat(start[shuffled], n_accounts, axis=1) + member


def _draw_blocks(n_draws: int, n_rows: int) -> Iterator[slice]:
    step = max(1, DRAW_BYTES // (8 * max(1, n_rows)))
    return (slice(start, min(start + step, n_draws)) for start in range(0, n_draws, step))


def _sort_into_cells(levels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct rows, an order in which equal rows stand together, and where each kind starts."""
    cells, _, cell = build_cells(levels, np.zeros((len(levels), 0)))
    order = np.argsort(cell, kind="stable")
    return cells, order, np.searchsorted(cell[order], np.arange(len(cells)))


def _add_cells(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sums over cells of draws x rows sorted by cell, shape (n_cells, draws)."""
    return np.ascontiguousarray(np.add.reduceat(values, starts, axis=1).T)


def _ratio(total, squares) -> np.ndarray:
    """T; 0 where no account has anything."""
    return np.where(squares > 0, total / np.sqrt(np.where(squares > 0, squares, 1.0)), 0.0)


def _size_classes(levels, conjunctions, expected, sizes) -> tuple[np.ndarray, np.ndarray, float]:
    """Class of size of each conjunction (-1: none), what it is expected to get, and all that is expected."""
    if expected is None:
        return np.full(len(conjunctions), -1), np.ones(len(conjunctions)), 1.0
    scale = sum_inside(levels, conjunctions, np.asarray(expected, float)[:, None])[:, 0]
    total = float(np.sum(expected))
    size_of = np.searchsorted(np.asarray(sizes[1:-1]) * total, scale, side="right")
    return np.where((scale > 0) & (scale < total), size_of, -1), scale, total
