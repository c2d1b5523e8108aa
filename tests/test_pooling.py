"""Pooling over strata against other implementations and planted confounding; shrinkage against Paule-Mandel."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t

from icp_lib import pooling, stats
from icp_lib.checks import DataError

REFERENCE = Path(__file__).parent / "reference"


def simulate(seed: int, *, lift=1.0, n=2000, strata=8, effect=0.0, drawn=0.0, share=0.1):
    """Units of which a share is inside. `effect`: how much strata differ; `drawn`: how far the inside seeks the good
    ones. Win probabilities stay below 1, so that the lift is the same in every stratum."""
    rng = np.random.default_rng(seed)
    stratum, place = rng.integers(0, strata, n), np.linspace(-1.5, 1.5, strata)
    inside = rng.random(n) < share * np.exp(drawn * place[stratum])
    e = rng.gamma(2, 0.5, n)
    won = rng.random(n) < 0.2 * np.where(inside, lift, 1) * np.exp(effect * place[stratum])
    return np.where(won, rng.lognormal(0, 0.8, n) * e, 0.0), e, inside, stratum, rng.integers(0, int(0.9 * n), n)


@pytest.mark.parametrize("case", ["bcg", "drawn"])
def test_ratio_is_the_one_of_the_frozen_case(case):
    """`reference/make_stats.py`: statsmodels' StratifiedTable, persons for exposure."""
    table = pd.read_csv(REFERENCE / "pooling_ratio.csv").query("case == @case")
    m, e = np.r_[table["events_in"], table["events_out"]], np.r_[table["n_in"], table["n_out"]]
    inside = np.arange(2 * len(table)) < len(table)
    found = pooling.estimate_pooled_ratio(m, e, inside, np.tile(table["stratum"], 2), np.arange(len(m)))
    assert found.value == pytest.approx(table["ratio"].iloc[0], rel=1e-12)  # the same two sums in another order
    assert (found.n_strata, found.comparable_rate) == (len(table), 1.0)


def test_one_stratum_is_the_lift():
    m, e, inside, _, cluster = simulate(1, n=300)
    one = pooling.estimate_pooled_ratio(m, e, inside, np.zeros(300, int), cluster)
    np.testing.assert_allclose(one[:4], stats.estimate_lift(m, e, inside, cluster), rtol=1e-9)  # sums in another order
    assert one.crude == one.value and one.p_shift == 1.0


def test_error_is_the_derivative_of_the_ratio_by_the_weight_of_each_cluster():
    """The infinitesimal jackknife by numerical differentiation; clusters lie on both sides and in several strata."""
    m, e, inside, stratum, cluster = simulate(2, n=240, lift=1.6, effect=0.4, drawn=0.4, share=0.3)
    cluster = cluster % 60
    assert pd.DataFrame({"c": cluster, "i": inside, "s": stratum}).groupby("c").nunique().median().min() >= 2

    def log_ratio(weight):
        ratio = pooling.estimate_pooled_ratio(m * weight, e * weight, inside, stratum, cluster)
        return np.log([ratio.value, ratio.value / ratio.crude])

    step = 1e-4
    each = [log_ratio(1 + step * (cluster == c)) - log_ratio(1 - step * (cluster == c)) for c in range(60)]
    error, shift_error = np.sqrt(np.square(np.array(each) / (2 * step)).sum(axis=0))
    found = pooling.estimate_pooled_ratio(m, e, inside, stratum, cluster)
    degrees = min(len(set(cluster[side & (m > 0)])) for side in (inside, ~inside)) - 1
    half = (np.log(found.high) - np.log(found.low)) / 2
    assert half == pytest.approx(t.ppf(0.975, degrees) * error, rel=1e-6)  # the difference quotient is of second order
    shift = np.log(found.value / found.crude)
    assert found.p_shift == pytest.approx(2 * t.sf(abs(shift) / shift_error, degrees), rel=1e-5)


def test_interval_covers_a_planted_lift_that_the_crude_ratio_misses():
    """95 % of 50 is 47.5; 42 or fewer come in less than 1 of 1,000 series."""
    found = []
    for seed in range(50):
        m, e, inside, stratum, cluster = simulate(seed, lift=1.5, effect=0.5, drawn=0.6)
        found.append(pooling.estimate_pooled_ratio(m, e, inside, stratum, cluster))
    assert sum(each.low <= 1.5 <= each.high for each in found) > 42
    assert np.median([each.crude for each in found]) > 1.8
    assert np.median([each.value for each in found]) == pytest.approx(1.5, abs=0.1)  # 3 errors of a median of 50


@given(st.integers(0, 10_000), st.floats(0.01, 1000))
@settings(max_examples=25, deadline=None)
def test_ratio_does_not_change_with_unit_order_or_names_of_strata(seed, scale):
    m, e, inside, stratum, cluster = simulate(seed, n=80, share=0.4)
    order = np.random.default_rng(seed).permutation(80)
    one = pooling.estimate_pooled_ratio(m, e, inside, stratum, cluster)
    two = pooling.estimate_pooled_ratio(*(x[order] for x in (m * scale, e * scale, inside, 20 - stratum, cluster)))
    np.testing.assert_allclose(one, two, rtol=1e-7, equal_nan=True)  # p_shift divides by a difference
    other = pooling.estimate_pooled_ratio(m, e, ~inside, stratum, cluster)
    np.testing.assert_allclose([one.value, one.low, one.high], 1 / np.array([other.value, other.high, other.low]))


def test_strata_with_one_side_and_unknown_strata_contribute_nothing():
    m, e, inside, stratum, cluster = simulate(3, n=400)
    alone = pooling.estimate_pooled_ratio(m, e, inside, stratum, cluster)
    more = {"m": np.full(30, 5.0), "e": np.full(30, 2.0), "inside": np.arange(30) < 10, "cluster": np.arange(30)}
    strata = np.where(more["inside"], 90, np.where(np.arange(30) < 20, 91, -1))
    found = pooling.estimate_pooled_ratio(
        np.r_[m, more["m"]], np.r_[e, more["e"]], np.r_[inside, more["inside"]], np.r_[stratum, strata],
        np.r_[cluster, more["cluster"]],
    )  # fmt: skip
    np.testing.assert_allclose(found[:7], alone[:7], rtol=1e-12)
    expected_inside = e[inside].sum()
    assert found.comparable_rate == pytest.approx(expected_inside / (expected_inside + 20))


def test_ratio_undefined_is_nan_never_zero():
    ones, inside = np.ones(6), np.arange(6) < 3
    apart = pooling.estimate_pooled_ratio(ones, ones, inside, np.where(inside, 0, 1), np.arange(6))
    assert np.isnan(apart.value) and (apart.n_strata, apart.comparable_rate) == (0, 0.0)
    rest_got_nothing = pooling.estimate_pooled_ratio(ones * inside, ones, inside, np.zeros(6, int), np.arange(6))
    assert np.isnan(rest_got_nothing.value)
    one_family = pooling.estimate_pooled_ratio(ones, ones, inside, np.zeros(6, int), np.where(inside, 0, np.arange(6)))
    assert one_family.value == 1 and np.isnan(one_family.low)
    nothing = pooling.estimate_pooled_ratio([], [], np.array([], bool), np.array([], int), np.array([], int))
    assert np.isnan(nothing.value) and np.isnan(nothing.comparable_rate)
    with pytest.raises(DataError, match="conf_level: 95 must be between"):
        pooling.estimate_pooled_ratio(ones, ones, inside, np.zeros(6, int), np.arange(6), conf_level=95)


THERE, WORSE, SMALL = stats.Estimate(2.0, 1.6, 2.5), stats.Estimate(0.5, 0.4, 0.62), stats.Estimate(1.1, 0.9, 1.3)


@pytest.mark.parametrize(("word", "crude", "value", "low", "high", "more"), [
    ("", THERE, 1.9, 1.5, 2.4, {}),
    ("", THERE, 1.42, 1.1, 1.8, {}),  # log(1.42) is a little more than half of log(2)
    ("explained", THERE, 1.41, 1.1, 1.8, {}),
    ("explained", THERE, 0.9, 0.7, 1.1, {}),
    ("contradicted", THERE, 0.8, 0.7, 0.95, {}),
    ("explained", WORSE, 0.9, 0.7, 1.2, {"crude": 0.5}),
    ("contradicted", WORSE, 1.3, 1.1, 1.5, {"crude": 0.5}),
    ("", SMALL, 1.0, 0.8, 1.2, {"crude": 1.1}),  # nothing is there that could be explained
    ("contradicted", SMALL, 0.8, 0.7, 0.9, {"crude": 1.1}),
    ("", THERE, 1.1, 0.9, 1.3, {"p_shift": 0.2}),  # the drop is within noise
    ("", THERE, 1.1, 0.9, 1.3, {"crude": 1.12}),  # it was not pooling that took the lift away
    ("not comparable", THERE, 0.8, 0.7, 0.95, {"comparable_rate": 0.49}),
    ("not comparable", THERE, np.nan, np.nan, np.nan, {"comparable_rate": np.nan}),
    ("not comparable", THERE, np.nan, np.nan, np.nan, {"crude": np.nan}),
    ("", THERE, 1.1, np.nan, np.nan, {"p_shift": np.nan}),
])  # fmt: skip
def test_judgement(word, crude, value, low, high, more):
    given_ = {"p_value": 0.5, "crude": 2.0, "p_shift": 0.001, "n_strata": 8, "comparable_rate": 0.9} | more
    assert pooling.judge_pooled(crude, pooling.Pooled(value, low, high, **given_)) == word


def judge(m, e, inside, stratum, cluster) -> str:
    crude = stats.estimate_lift(m, e, inside, cluster)
    return pooling.judge_pooled(crude, pooling.estimate_pooled_ratio(m, e, inside, stratum, cluster))


def test_an_attribute_that_means_nothing_explains_nothing():
    """Small lifts, large ones, few units, many strata: 200 judgements, none of which may take anything away."""
    words = Counter()
    for seed in range(50):
        for lift, n, strata in ((1.0, 2000, 3), (1.15, 2000, 8), (1.5, 2000, 30), (2.5, 300, 8)):
            words[judge(*simulate(seed, lift=lift, n=n, strata=strata))] += 1
    assert words == {"": 200}


def test_a_lift_that_is_a_confounders_is_explained():
    """No lift in any stratum; the inside seeks the good ones. What is judged at all is hardly ever left standing."""
    words = Counter(judge(*simulate(seed, effect=0.8, drawn=0.8, n=3000)) for seed in range(50))
    assert words["explained"] >= 40 and words["contradicted"] <= 6


def test_simpsons_trap_is_contradicted():
    """Six tenths of the rest in every stratum, better in all."""
    worlds = [simulate(seed, lift=0.6, effect=0.9, drawn=1.3, n=6000, share=0.08) for seed in range(20)]
    assert min(pooling.estimate_pooled_ratio(*world).crude for world in worlds) > 1
    assert Counter(judge(*world) for world in worlds)["contradicted"] >= 19


@pytest.mark.parametrize("case", ["bcg", "drawn", "even"])
def test_shrinkage_is_the_one_of_the_frozen_case(case):
    """`reference/make_stats.py`: Paule-Mandel by statsmodels, which stops at a tolerance of its own."""
    table = pd.read_csv(REFERENCE / "pooling_shrunk.csv").query("case == @case")
    shrunk, tau2 = pooling.shrink_lifts(table["log_lift"], table["se"])
    assert tau2 == pytest.approx(table["tau2"].iloc[0], abs=1e-6)
    np.testing.assert_allclose(shrunk, table["shrunk"], atol=1e-6)


@given(st.integers(0, 10_000), st.integers(2, 40), st.floats(0, 3))
@settings(max_examples=50, deadline=None)
def test_tau2_solves_its_equation_and_shrinking_never_passes_the_mean(seed, n, spread):
    rng = np.random.default_rng(seed)
    se = rng.uniform(0.05, 1, n)
    y = rng.normal(0, np.hypot(spread, se))
    shrunk, tau2 = pooling.shrink_lifts(y, se)
    weight = 1 / (se**2 + tau2)
    mean = np.average(y, weights=weight)
    excess = (weight * (y - mean) ** 2).sum() - (n - 1)
    assert abs(excess) < 1e-6 * n if tau2 > 0 else excess <= 1e-6
    assert np.all(np.abs(shrunk - mean) <= np.abs(y - mean) + 1e-12)
    assert np.all((shrunk - mean) * (y - mean) >= 0)


def test_shrunk_lifts_are_nearer_to_the_truth():
    """Thirty levels with true lifts, errors as large: 20 worlds, nearer in every one but by luck."""
    nearer = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        true, se = rng.normal(0, 0.2, 30), rng.uniform(0.1, 0.5, 30)
        found = rng.normal(true, se)
        shrunk, _ = pooling.shrink_lifts(found, se)
        nearer += np.square(shrunk - true).sum() < np.square(found - true).sum()
    assert nearer >= 19


def test_what_is_not_known_is_not_shrunk_nor_counted():
    some, tau2 = pooling.shrink_lifts([0.0, np.nan, 1.0, -np.inf, 0.4], [0.2, 0.2, 0.3, 0.2, 0.0])
    alone, alone_tau2 = pooling.shrink_lifts([0.0, 1.0], [0.2, 0.3])
    np.testing.assert_allclose(some, [alone[0], np.nan, alone[1], np.nan, np.nan])
    assert tau2 == alone_tau2
    one, none = pooling.shrink_lifts([0.7], [0.1])
    assert one.tolist() == [0.7] and np.isnan(none)
