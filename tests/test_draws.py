"""Shared draws: Poisson(1), independent, the same for a cluster wherever it stands; placebos that mean nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, poisson

from icp_lib import draws, stats
from icp_lib.checks import DataError

FAMILIES = [f"F-{number}" for number in range(2000)]
#: Draws of F-1, F-2 and Ä, seed 1.
FROZEN = [
    [1, 2, 1, 0, 1, 3, 3, 1, 1, 2, 0, 0],
    [2, 2, 1, 4, 1, 3, 0, 0, 0, 2, 0, 1],
    [2, 1, 1, 0, 0, 2, 1, 0, 2, 1, 3, 0],
]


def test_weights_are_poisson_with_mean_one():
    weights = draws.draw_weights(FAMILIES)
    assert weights.shape == (2000, 1000) and weights.dtype == np.uint8
    n = weights.size
    assert weights.mean() == pytest.approx(1, abs=4 / np.sqrt(n))  # four errors of the mean; the draws are frozen
    assert weights.var() == pytest.approx(1, abs=4 * np.sqrt(3 / n))  # fourth central moment 4: (4 - 1) / n
    counts = np.bincount(np.minimum(weights.ravel(), 8), minlength=9)
    expected = n * np.append(poisson.pmf(range(8), 1), poisson.sf(7, 1))
    assert chisquare(counts, expected).pvalue > 0.001


def test_steps_are_the_distribution_function_in_whole_numbers():
    """Far from a half, so that no machine's rounding can move a step."""
    exact = poisson.cdf(range(13), 1) * 2**32
    np.testing.assert_array_equal(draws.POISSON, np.floor(exact).astype(np.uint32))
    assert np.all(np.abs(exact - np.round(exact)) > 1e-3)


@pytest.mark.parametrize("transposed", [False, True])
def test_neither_clusters_nor_draws_know_of_each_other(transposed):
    """400 columns over 2,000 rows and the reverse: correlations scatter as those of independent columns, and the
    largest of 79,800 is no outlier (beyond 5.5 errors: 1 in 300)."""
    weights = draws.draw_weights(FAMILIES, 400) if not transposed else draws.draw_weights(FAMILIES[:400], 2000).T
    correlation = np.corrcoef(weights, rowvar=False)[np.triu_indices(400, 1)]
    assert np.sqrt(2000) * correlation.std() == pytest.approx(1, abs=0.02)  # error of a deviation of 79,800: 0.0025
    assert np.sqrt(2000) * abs(correlation).max() < 5.5


def test_neighbouring_ids_seeds_and_draws_are_as_far_apart_as_any():
    a = draws.draw_weights(FAMILIES, 500).astype(float)
    b = draws.draw_weights(FAMILIES, 500, seed=draws.SEED + 1).astype(float)
    for one, other in ((a, b), (a[:, 1:], a[:, :-1]), (a[1:], a[:-1]), (a[1:, 1:], a[:-1, :-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / np.sqrt(one.size)


@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=30), st.randoms())
@settings(max_examples=30, deadline=None)
def test_a_cluster_keeps_its_draws_in_any_company_and_order(ids, random):
    whole = dict(zip(ids, draws.draw_weights(ids, 20).tolist(), strict=True))
    some = random.sample(ids, random.randint(1, len(ids)))
    for cluster, weights in zip(some, draws.draw_weights(some, 12).tolist(), strict=True):
        assert weights == whole[cluster][:12]


def test_block_borders_do_not_matter():
    weights = draws.draw_weights(FAMILIES, 7)
    middle = draws.BLOCK - 3
    np.testing.assert_array_equal(weights[middle : middle + 6], draws.draw_weights(FAMILIES[middle : middle + 6], 7))


def test_frozen_values():
    """Printed figures of past quarters rest on these: whoever moves them says so in the change log."""
    weights = draws.draw_weights(["F-1", "F-2", "Ä"], 12)
    assert weights.tolist() == FROZEN
    assert draws.draw_weights(["F-1"], 12, seed=2).tolist() != FROZEN[:1]
    assert draws.placebo_levels(["A-1", "A-2", "A-3", "A-4"], 8).tolist() == ["D", "E", "A", "E"]
    assert draws.placebo_levels(["A-1", "A-2", "A-3", "A-4"], 3).tolist() == ["A", "C", "B", "C"]


def test_numbers_are_taken_as_they_print():
    np.testing.assert_array_equal(draws.draw_weights(np.array([1, 2]), 9), draws.draw_weights(["1", "2"], 9))


def test_the_spread_over_draws_is_the_error_of_the_lift():
    """The bootstrap of a ratio of ratios against its linearisation: 1,000 draws know a deviation to 2 %; the rest is
    the second order, small with 300 wins."""
    rng = np.random.default_rng(1)
    n = 4000
    inside, m = rng.random(n) < 0.3, np.where(rng.random(n) < 0.3, rng.lognormal(0, 0.5, n), 0.0)
    cluster = rng.integers(0, 3000, n)
    weights = draws.draw_weights([f"F-{c}" for c in range(3000)])[cluster].astype(float)
    got_in, got_out = (weights[side].T @ m[side] / weights[side].sum(axis=0) for side in (inside, ~inside))
    found = stats.estimate_lift(m, np.ones(n), inside, cluster)
    half = (np.log(found.high) - np.log(found.low)) / 2
    assert 1.96 * np.log(got_in / got_out).std() == pytest.approx(half, rel=0.08)


def test_a_missing_id_is_an_error():
    message = r"draws: 2 of 3 ids are missing \(first: position 1\)\. Every account or family needs an id"
    with pytest.raises(DataError, match=message):
        draws.draw_weights(["F-1", None, np.nan])
    with pytest.raises(DataError, match="placebo 3: 1 of 1 ids are missing"):
        draws.placebo_levels([None], 3)
    with pytest.raises(DataError, match="n_levels: 1 must be between 2 and 26"):
        draws.placebo_levels(["A-1"], 1)
    with pytest.raises(DataError, match="n_draws: 0 must be between"):
        draws.draw_weights(["F-1"], 0)
    assert draws.draw_weights([], 5).shape == (0, 5)


def test_placebo_levels_are_even_independent_and_stay():
    ids = [f"A-{number}" for number in range(24_000)]
    three, eight = draws.placebo_levels(ids, 3), draws.placebo_levels(ids, 8)
    assert three[::7].tolist() == draws.placebo_levels(ids[::7], 3).tolist()
    table = np.array([[((three == a) & (eight == b)).sum() for b in "ABCDEFGH"] for a in "ABC"])
    assert table.sum() == 24_000
    assert chisquare(table.ravel()).pvalue > 0.001  # all 24 cells as likely: even, and independent of each other
    weights = draws.draw_weights(ids, 1)[:, 0]
    assert abs(weights[three == "A"].mean() - 1) < 4 / np.sqrt(8000)  # nor do they know the draws
