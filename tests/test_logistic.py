"""The regression, its margins and the ranking: against statsmodels and scikit-learn, over draws, and by laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from icp_lib import logistic
from icp_lib.checks import DataError

REFERENCE = Path(__file__).parent / "reference"
LEVELS = ["a", "b", "c"]
#: Both sides solve the same convex problem; what differs is where they stop.
SOLVER = 1e-6


@pytest.fixture(scope="module")
def rows():
    return pd.read_csv(REFERENCE / "traits_rows.csv")


@pytest.fixture(scope="module")
def design(rows):
    return np.column_stack([np.ones(len(rows)), rows[LEVELS]])


@pytest.mark.parametrize("case", ["even", "weighted"])
def test_the_penalty_is_that_of_scikit_learn_with_c_of_two(rows, design, case):
    frozen = pd.read_csv(REFERENCE / "traits_ridge.csv").query("case == @case")
    weights = rows["weight"] if case == "weighted" else None
    found = logistic.fit_logistic(design, rows["is_best"], [0, *[logistic.PENALTY] * 3], weights)
    # the intercept has the floor of 1e-6 in place of none
    np.testing.assert_allclose(found.coefficients, frozen["coefficient"], rtol=1e-5, atol=1e-6)


def test_marginal_effects_are_those_of_statsmodels(rows, design):
    frozen = pd.read_csv(REFERENCE / "traits_margins.csv")
    found = logistic.estimate_effects(design, rows["is_best"], [[1], [2], [3]], np.arange(len(rows)))
    np.testing.assert_allclose(found.effect, frozen["effect"], atol=SOLVER)
    np.testing.assert_allclose(found.rate_with - found.rate_without, found.effect, atol=1e-12)


def test_the_likelihood_ratio_is_that_of_statsmodels(rows, design):
    for row in pd.read_csv(REFERENCE / "traits_ratio.csv").itertuples():
        inside = np.isin(LEVELS, list(row.added))
        base = np.column_stack([design[:, :1], design[:, 1:][:, ~inside]])
        found = logistic.compare_fits(base, design[:, 1:][:, inside], rows["is_best"])
        assert found[1] == inside.sum()
        np.testing.assert_allclose((found[0], found[2]), (row.statistic, row.p_value), rtol=1e-5)


@pytest.mark.parametrize("case", ["even", "weighted"])
def test_the_ranking_is_that_of_scikit_learn(rows, case):
    frozen = pd.read_csv(REFERENCE / "traits_auc.csv").set_index("case").loc[case, "auc"]
    weights = rows["weight"] if case == "weighted" else np.ones(len(rows))
    found = logistic.estimate_auc(rows["score"], rows["is_best"], np.asarray(weights)[:, None])
    np.testing.assert_allclose(found, [frozen], atol=1e-12)


def test_the_sandwich_is_that_of_stacked_estimating_equations(rows, design):
    """Coefficients and effect as one vector of moments, its derivative taken by differences: the other route."""
    outcome, family, n = rows["is_best"].to_numpy(float), rows["family"].to_numpy(), len(rows)
    penalty = np.array([logistic.FLOOR, *[logistic.PENALTY] * 3])
    found = logistic.estimate_effects(design, outcome, [[1, 2], [3]], family, penalty)
    beta = logistic.fit_logistic(design, outcome, penalty).coefficients

    def moments(theta):
        up, down = design.copy(), design.copy()
        up[:, [1, 2]], down[:, [1, 2]] = [1, 0], 0
        score = design * (outcome - expit(design @ theta[:4]))[:, None]
        return np.column_stack([score, expit(up @ theta[:4]) - expit(down @ theta[:4]) - theta[4]])

    def total(theta):
        return moments(theta).sum(axis=0) - np.r_[2 * penalty * theta[:4], 0]

    theta, step = np.r_[beta, found.effect[0]], 1e-5
    slope = np.column_stack([(total(theta + e) - total(theta - e)) / (2 * step) for e in step * np.eye(5)])
    sums = pd.DataFrame(moments(theta)).groupby(family).sum().to_numpy()
    groups = len(sums)
    inverse = np.linalg.inv(slope)
    variance = inverse @ (sums.T @ sums) @ inverse.T * groups / (groups - 1)
    freedom = min(len(set(family[(outcome > 0) & (rows["a"] == side)])) for side in (0, 1)) - 1
    from scipy.stats import t

    half = t.ppf(0.975, freedom) * np.sqrt(variance[4, 4])
    assert n > groups
    np.testing.assert_allclose(found.high[0] - found.effect[0], half, rtol=1e-5)  # the derivative is by differences


def test_a_family_written_twice_is_no_more_evidence(rows, design):
    twice = np.vstack([design, design])
    outcome, family = np.tile(rows["is_best"], 2), np.tile(rows["family"], 2)
    one = logistic.estimate_effects(design, rows["is_best"], [[1], [2]], rows["family"])
    two = logistic.estimate_effects(twice, outcome, [[1], [2]], family)
    for name in ("effect", "low", "high", "p_value"):
        np.testing.assert_allclose(
            getattr(one, name), getattr(two, name), atol=1e-5
        )  # the floor halves against twice n
    half = np.full(len(outcome), 0.5)
    single = logistic.compare_fits(design[:, :1], design[:, 1:], rows["is_best"])
    np.testing.assert_allclose(logistic.compare_fits(twice[:, :1], twice[:, 1:], outcome, half), single, rtol=1e-9)


def test_weights_are_counts(rows, design):
    counts = rows["weight"].to_numpy()
    copied = np.repeat(np.arange(len(rows)), counts)
    weighted = logistic.fit_logistic(design, rows["is_best"], 0.25, counts)
    repeated = logistic.fit_logistic(design[copied], rows["is_best"].to_numpy()[copied], 0.25)
    np.testing.assert_allclose(weighted.coefficients, repeated.coefficients, atol=1e-8)
    np.testing.assert_allclose(weighted.log_likelihood, repeated.log_likelihood, rtol=1e-12)


def test_the_order_of_rows_and_a_column_that_says_nothing_change_nothing(rows, design):
    order = np.random.default_rng(1).permutation(len(rows))
    one = logistic.estimate_effects(design, rows["is_best"], [[1], [2]], rows["family"], 0.25)
    shuffled = (design[order], rows["is_best"].to_numpy()[order])
    two = logistic.estimate_effects(*shuffled, [[1], [2]], rows["family"].to_numpy()[order], 0.25)
    np.testing.assert_allclose(one, two, atol=1e-9)
    copy = np.column_stack([design[:, 1], 1 - design[:, 1], np.zeros(len(rows)), np.ones(len(rows))])
    assert logistic.compare_fits(design, copy, rows["is_best"]) == (0.0, 0, 1.0)
    assert logistic.count_rank(np.zeros((5, 0))) == 0


def test_levels_with_all_or_none_of_the_events_stay_finite():
    outcome = np.repeat([1, 0, 0], [10, 50, 40])
    design = np.column_stack([np.ones(100), np.repeat([1, 0, 0], [10, 50, 40]), np.repeat([0, 0, 1], [10, 50, 40])])
    plain = logistic.fit_logistic(design, outcome)
    assert np.isfinite(plain.coefficients).all()
    assert abs(plain.log_likelihood) < 1e-3  # everything is foretold
    statistic, freedom, p = logistic.compare_fits(design[:, :1], design[:, 1:], outcome)
    expected = -2 * (10 * np.log(0.1) + 90 * np.log(0.9))
    np.testing.assert_allclose(statistic, expected, atol=2e-3)
    assert freedom == 2
    assert p < 1e-12
    found = logistic.estimate_effects(design, outcome, [[1], [2]], np.arange(100), [0, 0.25, 0.25])
    assert np.isfinite(found.low).all()
    assert found.effect[0] > 0.6


def test_one_cluster_has_no_interval():
    design = np.column_stack([np.ones(8), np.repeat([0, 1], 4)])
    found = logistic.estimate_effects(design, [1, 0, 0, 0, 1, 1, 0, 0], [[1]], np.zeros(8, int), 0.25)
    assert np.isfinite(found.effect[0])
    assert np.isnan(found.low[0])


def test_a_value_that_is_not_finite_is_told_with_its_place():
    with pytest.raises(DataError, match=r"1 values of the design are not finite \(first: row 1, column 0\)"):
        logistic.fit_logistic(np.array([[1.0], [np.inf]]), [1, 0])


def test_no_ranking_without_both_kinds():
    weights = np.array([[1, 0, 2], [1, 1, 0]])
    assert np.isnan(logistic.estimate_auc([0.1, 0.9], [0, 1], weights)[1:]).all()


def test_intervals_of_marginal_effects_hold_the_truth():
    """150 draws of 1,200 accounts, 6 % events, eight levels that go together, families alike: the truth is known."""
    rng, n, effects = np.random.default_rng(3), 1200, np.array([0.9, 0.5, 0, 0, 0, -0.6, 0.3, 0])
    big = _draw_levels(rng, 100_000)
    big_pull = 0.5 * rng.normal(size=len(big))
    truth = []
    for j in range(8):
        up, down = big.copy(), big.copy()
        up[:, j], down[:, j] = 1, 0
        truth.append((expit(up @ effects - 3.2 + big_pull) - expit(down @ effects - 3.2 + big_pull)).mean())
    covered = []
    for _ in range(150):
        levels, family = _draw_levels(rng, n), rng.integers(0, 900, n)
        chance = expit(levels @ effects - 3.2 + 0.5 * rng.normal(size=900)[family])
        design = np.column_stack([np.ones(n), levels])
        found = logistic.estimate_effects(
            design, rng.random(n) < chance, [[j] for j in range(1, 9)], family, [0, *[logistic.PENALTY] * 8]
        )
        covered.append((found.low <= truth) & (truth <= found.high))
    # 1,200 intervals; if those of one draw go together as half as many would: 0.95 +- 3 sqrt(0.95 x 0.05 / 600)
    assert 0.923 <= np.mean(covered) <= 0.977


def _draw_levels(rng, n: int) -> np.ndarray:
    common = rng.normal(size=n)
    return (
        np.column_stack([(0.6 * common + rng.normal(size=n) > cut) for cut in (0, 0.8, 1.2, 0, 0.5, 1.0, -0.3, 1.4)])
        * 1.0
    )
