"""Estimators against other implementations, a planted truth, and the table of verdicts."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, t
from statsmodels.genmod.families import Poisson
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from icp_lib import stats
from icp_lib.checks import DataError


def simulate(seed: int, n: int = 400):
    rng = np.random.default_rng(seed)
    inside, cluster = rng.random(n) < 0.3, rng.integers(0, n // 2, n)
    e = rng.gamma(2, 1, n)
    m = np.where(rng.random(n) < 0.3, rng.lognormal(0, 0.8, n), 0.0) * e
    return m, e, inside, cluster


def degrees_of_freedom(m, inside, cluster) -> int:
    """Clusters that got something on the side that has fewer of them, less one: counted with plain sets."""
    got = [
        {c for c, value, side in zip(cluster, m, inside, strict=True) if value and side == which} for which in (0, 1)
    ]
    return min(map(len, got)) - 1


def test_lift_and_its_error_equal_a_poisson_regression_with_clustered_sandwich():
    """A Poisson model of m with offset log(e) and one dummy is saturated: its coefficient is the log lift, and its
    sandwich (no small-sample factor) the sum of squared cluster influences."""
    for seed in range(5):
        m, e, inside, cluster = simulate(seed)
        design = np.column_stack([np.ones(len(m)), inside])
        fitted = GLM(m, design, family=Poisson(), offset=np.log(e)).fit(
            cov_type="cluster", cov_kwds={"groups": cluster, "use_correction": False}
        )
        found = stats.estimate_lift(m, e, inside, cluster)
        assert np.log(found.value) == pytest.approx(fitted.params[1], abs=1e-8)  # both solve the same score equation
        half = (np.log(found.high) - np.log(found.low)) / 2
        expected = t.ppf(0.975, degrees_of_freedom(m, inside, cluster)) * fitted.bse[1]
        assert half == pytest.approx(expected, rel=1e-9)


def test_one_family_inside_gives_no_interval():
    m, e, inside, cluster = simulate(2)
    found = stats.estimate_lift(m, e, inside, np.where(inside, 0, cluster + 1))
    assert np.isfinite(found.value) and np.isnan(found.low) and np.isnan(found.p_value)


def test_few_families_inside_are_not_taken_for_many():
    """No effect, 80 units inside in three families without any family effect: 5 % are below .05; at most 22 of 200 by
    luck (1 in 1,000). With as many degrees of freedom as wins it would be 14 %."""
    below = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        cluster = np.concatenate([rng.integers(0, 3, 80), np.arange(3, 403)])
        m = np.where(rng.random(480) < 0.3, rng.lognormal(0, 0.8, 480), 0.0)
        below += stats.estimate_lift(m, np.ones(480), np.arange(480) < 80, cluster).p_value < 0.05
    assert below <= 22


@given(st.integers(0, 10_000), st.floats(0.01, 1000))
@settings(max_examples=30, deadline=None)
def test_lift_does_not_change_with_the_unit_or_the_order(seed, scale):
    m, e, inside, cluster = simulate(seed, 60)
    order = np.random.default_rng(seed).permutation(60)
    one = stats.estimate_lift(m, e, inside, cluster)
    two = stats.estimate_lift(m[order] * scale, e[order] * scale, inside[order], cluster[order])
    np.testing.assert_allclose(one, two, rtol=1e-9, equal_nan=True)  # sums in another order differ in the last digits


def test_lift_undefined_is_nan_never_zero():
    ones, inside = np.ones(4), np.array([True, True, False, False])
    assert np.isnan(stats.estimate_lift(ones * ~inside, ones, inside, np.arange(4)).low)
    assert np.isnan(stats.estimate_lift(ones * inside, ones, inside, np.arange(4)).value)  # the rest brought nothing
    with pytest.raises(DataError, match="conf_level: 95 must be between"):
        stats.estimate_lift(ones, ones, inside, np.arange(4), conf_level=95)


@pytest.mark.parametrize(("events", "n"), [(0, 10), (3, 10), (147, 431), (10, 10), (1, 1)])
def test_wilson_equals_statsmodels(events, n):
    found = stats.estimate_proportion(np.arange(n) < events, np.arange(n))
    np.testing.assert_allclose(found[1:3], proportion_confint(events, n, method="wilson"), atol=1e-12)


def test_proportion_of_duplicated_clusters_is_as_wide_as_of_the_clusters():
    """Every unit twice in its cluster is no new information: the effective size is the number of clusters."""
    event = np.arange(60) < 20
    once = stats.estimate_proportion(event, np.arange(60))
    twice = stats.estimate_proportion(np.repeat(event, 2), np.repeat(np.arange(60), 2))
    np.testing.assert_allclose(once[:3], twice[:3], atol=1e-12)


@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (9, 10, 3, 10), (6, 7, 2, 7), (0, 10, 0, 20), (10, 10, 0, 20)])
def test_newcombe_equals_statsmodels(counts):
    found = stats.estimate_difference(*counts)
    expected = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    np.testing.assert_allclose(found[1:3], expected, atol=1e-12)


@pytest.mark.parametrize("n", [6, 11, 12, 50, 501])
def test_median_interval_has_the_coverage_that_the_binomial_gives(n):
    found = stats.estimate_median(np.arange(1, n + 1))
    below = int(found.low) - 1  # order statistics are their own ranks here
    assert found.low + found.high == n + 1
    assert binomtest(below, n, 0.5, alternative="less").pvalue <= 0.025
    assert binomtest(below + 1, n, 0.5, alternative="less").pvalue > 0.025


def test_median_without_enough_values_has_no_interval():
    assert np.isnan(stats.estimate_median([1, 2, 3]).low)
    assert np.isnan(stats.estimate_median([]).value)


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_holm_equals_statsmodels(p_values):
    with patch("gc.collect"):  # statsmodels collects at every call, which takes a second where many modules are loaded
        theirs = multipletests(p_values, method="holm")[1]
    np.testing.assert_allclose(stats.adjust_holm(p_values), theirs, atol=1e-12)


def test_holm_does_not_count_what_is_missing():
    np.testing.assert_allclose(stats.adjust_holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])


HELD = {"holdout_lift": 1.5, "holdout_p_adjusted": 0.01, "holdout_p_opposite": 0.99, "holdout_expected_won": 40}
TURNED = {"holdout_lift": 0.6, "holdout_p_adjusted": 1.0, "holdout_p_opposite": 0.05}
WEAK = {"holdout_p_adjusted": 0.051}


@pytest.mark.parametrize(("word", "arguments", "more"), [
    ("not enough data", (49, 20, 3.0, 0.001), HELD),
    ("not enough data", (500, 14, 3.0, 0.001), HELD),
    ("not enough data", (500, 90, np.nan, np.nan), {}),
    ("contradicted", (500, 90, 3.0, 0.001), HELD | TURNED),
    ("contradicted", (500, 90, 3.0, 0.2), HELD | TURNED),  # offered up to 0.20: it need not have been found surely
    ("contradicted", (500, 90, 3.0, 0.001), HELD | TURNED | {"holdout_lift": 0.0}),
    ("contradicted", (500, 90, 3.0, 0.001), HELD | {"is_contradicted_pooled": True}),
    ("contradicted", (500, 90, 3.0, 0.001), {"is_contradicted_pooled": True}),
    ("contradicted", (500, 90, 0.5, 0.001), HELD | {"holdout_p_adjusted": 1.0, "holdout_p_opposite": 0.02}),
    ("confirmed", (500, 90, 0.5, 0.001), HELD | {"holdout_lift": 0.5, "holdout_p_opposite": 0.001}),
    ("not supported", (500, 90, 3.0, 0.001), HELD | TURNED | {"holdout_p_opposite": 0.051}),
    ("explained by the rep", (500, 90, 3.0, 0.001), HELD | {"explained_by": "the rep"}),
    ("explained by industry", (500, 90, 3.0, 0.001), {"explained_by": "industry"}),
    ("untested", (500, 90, 3.0, 0.001), HELD | {"holdout_expected_won": 14.9}),
    ("untested", (500, 90, 3.0, 0.05), {}),
    ("untested", (500, 90, 0.5, 0.05), {}),
    ("untested", (500, 90, 3.0, 0.001), {"capped_at_promising": True}),
    ("confirmed", (50, 15, 3.0, 0.05), HELD | {"holdout_p_adjusted": 0.05, "holdout_expected_won": 15}),
    ("promising", (500, 90, 3.0, 0.001), HELD | {"capped_at_promising": True}),
    ("promising", (500, 90, 3.0, 0.001), HELD | WEAK),
    ("promising", (500, 90, 3.0, 0.2), HELD),
    ("promising", (500, 90, 3.0, 0.2), HELD | {"holdout_expected_won": 10}),
    ("not supported", (500, 90, 3.0, 0.001), HELD | WEAK | {"holdout_lift": 0.9, "holdout_p_opposite": 0.3}),
    ("not supported", (500, 90, 3.0, 0.051), HELD | WEAK),
    ("not supported", (500, 90, 3.0, 0.2), {}),
    ("not supported", (500, 90, 3.0), {}),
])  # fmt: skip
def test_verdict_is_the_first_rule_that_applies(word, arguments, more):
    assert stats.verdict(*arguments, **more) == word


def test_verdicts_come_in_the_order_of_the_table():
    """One case that meets every rule at once; taking the reason of each verdict away leaves the next one."""
    case = HELD | TURNED | {"explained_by": "industry", "holdout_expected_won": 10, "capped_at_promising": True}
    enough = (500, 90, 3.0, 0.001)
    steps = [
        ("not enough data", (49, 90, 3.0, 0.001), {}),
        ("contradicted", enough, {}),
        ("explained by industry", enough, HELD | {"holdout_expected_won": 10}),
        ("untested", enough, {"explained_by": ""}),
        ("promising", enough, {"holdout_expected_won": 15}),
        ("confirmed", enough, {"capped_at_promising": False}),
        ("promising", enough, WEAK),
        ("not supported", (500, 90, 3.0, 0.2), {}),
    ]
    for word, arguments, change in steps:
        case |= change
        assert stats.verdict(*arguments, **case) == word


REFERENCE = Path(__file__).parent / "reference"


@pytest.mark.parametrize("row", list(pd.read_csv(REFERENCE / "stats_wilson.csv").itertuples(index=False)))
def test_wilson_is_the_one_of_the_frozen_cases(row):
    """`reference/make_stats.py`: scipy."""
    found = stats.estimate_proportion(np.arange(row.n) < row.events, np.arange(row.n), row.conf_level)
    np.testing.assert_allclose(found[1:3], (row.low, row.high), atol=1e-12)  # the same closed form


def test_holm_is_the_one_of_the_frozen_cases():
    """`reference/make_stats.py`: statsmodels."""
    table = pd.read_csv(REFERENCE / "stats_holm.csv")
    for _, case in table.groupby("case"):
        np.testing.assert_allclose(stats.adjust_holm(case["p_value"]), case["p_adjusted"], atol=1e-15)


def test_lift_interval_is_the_one_of_the_frozen_cases():
    """`reference/make_stats.py`: a Poisson regression with a clustered sandwich, fitted until its steps are 1e-14."""
    expected = pd.read_csv(REFERENCE / "stats_lift.csv", index_col="case")[["value", "low", "high", "p_value"]]
    for case, part in pd.read_csv(REFERENCE / "stats_lift_units.csv").groupby("case"):
        found = stats.estimate_lift(part["m"], part["e"], part["inside"], part["cluster"])
        np.testing.assert_allclose(found, expected.loc[case], rtol=1e-9)
