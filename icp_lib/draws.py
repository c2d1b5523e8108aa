"""Chance that depends on who it is: the same draws and placebo levels of an account in every notebook and quarter."""

from __future__ import annotations

from hashlib import blake2b
from math import exp, factorial

import numpy as np
import pandas as pd

from icp_lib.checks import DataError, check_range

SEED = 1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 512
#: P(Poisson(1) <= k) in units of 2**-32, k = 0 ... 12; what is beyond is below the resolution.
POISSON = np.array([int(2**32 * exp(-1) * sum(1 / factorial(j) for j in range(k + 1))) for k in range(13)], np.uint32)


def hash_ids(ids, seed: int, use: str) -> np.ndarray:
    """Return 64 even bits for every id: the same wherever and in whatever company of others it stands.

    Parameters
    ----------
    ids : sequence of str, shape (n,)
        Anything else is taken as it prints.
    seed : int
        From 0.
    use : str
        What for, at most 16 characters: the bits of two uses have nothing to do with each other.

    Returns
    -------
    array of uint64, shape (n,)

    Raises
    ------
    DataError
        An id is missing.
    """
    ids = np.asarray(ids, object)
    missing = np.flatnonzero(pd.isna(ids))
    if len(missing):
        raise DataError(
            f"{use}: {len(missing):,} of {len(ids):,} ids are missing (first: position {missing[0]}). "
            "Every account or family needs an id: drop these rows or give them one."
        )
    salt, person = int(seed).to_bytes(16, "little"), use.encode()
    text = b"".join(blake2b(str(each).encode(), digest_size=8, salt=salt, person=person).digest() for each in ids)
    return np.frombuffer(text, "<u8").astype(np.uint64)


def draw_weights(clusters, n_draws: int = 1000, seed: int = SEED) -> np.ndarray:
    """Poisson(1) weights of clusters for the bootstrap, from a hash of seed, draw and cluster id.

    A cluster's weights do not depend on which others there are, nor on their order: so differences between segments,
    notebooks and quarters keep their covariance. Draw b of a cluster is the inverse distribution function of Poisson(1)
    at the b-th number of the SplitMix64 sequence that starts at the hash of the cluster's id.

    Parameters
    ----------
    clusters : sequence of str, shape (n,)
        Ids of the clusters (families); equal ids get equal weights.
    n_draws : int
    seed : int

    Returns
    -------
    array of uint8, shape (n, n_draws)
        Mean 1, variance 1. The first columns do not depend on `n_draws`.

    References
    ----------
    Poisson bootstrap: Chamandy et al. (2012), Estimating uncertainty for massive data streams; SplitMix64: Steele, Lea
    and Flood (2014), Fast splittable pseudorandom number generators; hash: BLAKE2b, RFC 7693.

    Examples
    --------
    >>> draw_weights(["F-1", "F-2"], 6).tolist() == draw_weights(["F-2", "F-1"], 9)[::-1, :6].tolist()
    True
    """
    check_range(n_draws, 1, 1_000_000, "n_draws")
    start = hash_ids(clusters, seed, "draws")
    steps = np.arange(1, n_draws + 1, dtype=np.uint64) * GOLDEN
    weights = np.empty((len(start), n_draws), np.uint8)
    for first in range(0, len(start), BLOCK):
        weights[first : first + BLOCK] = _poisson(_mix(start[first : first + BLOCK, None] + steps))
    return weights


def _mix(bits: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64: every bit that goes in moves half of the bits that come out. Works in place."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits ^= bits >> np.uint64(shift)
        bits *= np.uint64(factor)
    bits ^= bits >> np.uint64(31)
    return bits


def _poisson(bits: np.ndarray) -> np.ndarray:
    """How many steps of the distribution function lie at or below the upper 32 bits: whole numbers, no rounding."""
    upper = (bits >> np.uint64(32)).astype(np.uint32)
    count = np.zeros(upper.shape, np.uint8)
    for step in POISSON:
        count += upper >= step
    return count


def placebo_levels(account_ids, n_levels: int, seed: int = SEED) -> np.ndarray:
    """Levels of an attribute that means nothing, from a hash of the account's id: 'A', 'B', ...

    They go through the same search as real attributes: if one is ever selected, luck alone was.

    Parameters
    ----------
    account_ids : sequence of str, shape (n,)
    n_levels : int
        2 to 26, equally likely; placebos with different numbers of levels are independent.
    seed : int

    Returns
    -------
    array of str, shape (n,)

    Examples
    --------
    >>> sorted(set(placebo_levels([f"A-{i}" for i in range(50)], 3)))
    ['A', 'B', 'C']
    """
    check_range(n_levels, 2, 26, "n_levels")
    upper = hash_ids(account_ids, seed, f"placebo {n_levels}") >> np.uint64(32)
    letters = np.array([chr(ord("A") + level) for level in range(n_levels)], object)
    return letters[(upper * np.uint64(n_levels)) >> np.uint64(32)]


def sum_draws(row, cluster, amount, n_rows: int, weights: np.ndarray) -> np.ndarray:
    """Totals of amounts by row: as they are, then in every draw.

    Parameters
    ----------
    row : array of int, shape (n,)
        Where each amount is added, 0 to n_rows - 1.
    cluster : array of int, shape (n,)
        The amount's cluster, a row of `weights`.
    amount : array of float, shape (n,)
    n_rows : int
    weights : array of uint8, shape (n_clusters, n_draws)
        From `draw_weights`.

    Returns
    -------
    array of float, shape (n_rows, 1 + n_draws)

    Examples
    --------
    >>> sum_draws([0, 0, 1], [0, 1, 1], [5.0, 1.0, 2.0], 2, np.array([[0, 1], [2, 1]], np.uint8)).tolist()
    [[6.0, 2.0, 6.0], [2.0, 4.0, 2.0]]
    """
    from scipy import sparse

    shape = (n_rows, len(weights))
    matrix = sparse.csc_array((np.asarray(amount, float), (np.asarray(row), np.asarray(cluster))), shape=shape)
    totals = np.zeros((n_rows, 1 + weights.shape[1]))
    totals[:, 0] = matrix.sum(axis=1)
    for first in range(0, len(weights), 8 * BLOCK):
        some = slice(first, first + 8 * BLOCK)
        totals[:, 1:] += matrix[:, some].tocsr() @ weights[some].astype(float)
    return totals


def sum_families(amounts, families, n_draws: int = 1000) -> np.ndarray:
    """Totals of amounts over families: as they are, then in every draw. The weights are never in memory as a whole.

    Parameters
    ----------
    amounts : array of float, shape (n_families, n_columns)
    families : sequence of str, shape (n_families,)
        Each once.
    n_draws : int

    Returns
    -------
    array of float, shape (n_columns, 1 + n_draws)

    Examples
    --------
    >>> sum_families([[2.0], [4.0]], ["F-1", "F-2"], 3).tolist() == [
    ...     [6.0, *(2.0 * draw_weights(["F-1"], 3) + 4.0 * draw_weights(["F-2"], 3))[0]]]
    True
    """
    amounts, families = np.asarray(amounts, float), np.asarray(families, object)
    totals = np.zeros((amounts.shape[1], 1 + n_draws))
    totals[:, 0] = amounts.sum(axis=0)
    for first in range(0, len(families), 8 * BLOCK):
        some = slice(first, first + 8 * BLOCK)
        totals[:, 1:] += amounts[some].T @ draw_weights(families[some], n_draws).astype(float)
    return totals
