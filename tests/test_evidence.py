"""Weight of evidence, information value and false discovery: against optbinning and statsmodels, and by laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from icp_lib import evidence, stats
from icp_lib.checks import DataError

REFERENCE = Path(__file__).parent / "reference"


def test_weight_of_evidence_is_that_of_optbinning():
    for _, case in pd.read_csv(REFERENCE / "traits_woe.csv").groupby("case"):
        found = evidence.estimate_woe(case["events"], case["others"], pseudo=0)
        np.testing.assert_allclose(found.woe, case["woe"], atol=1e-12)
        np.testing.assert_allclose(found.iv, case["iv"], atol=1e-12)
        np.testing.assert_allclose(found.information_value, case["iv"].sum(), atol=1e-12)


def test_false_discovery_is_that_of_statsmodels():
    for _, case in pd.read_csv(REFERENCE / "traits_bh.csv").groupby("case"):
        np.testing.assert_allclose(evidence.adjust_bh(case["p_value"]), case["p_adjusted"], atol=1e-15)


def test_the_difference_of_two_shares_is_that_of_statsmodels():
    for row in pd.read_csv(REFERENCE / "traits_newcombe.csv").itertuples():
        found = stats.estimate_difference(row.events_1, row.n_1, row.events_0, row.n_0)
        np.testing.assert_allclose((found.low, found.high), (row.low, row.high), atol=1e-12)


def test_what_was_not_tested_is_not_counted():
    found = evidence.adjust_bh([0.01, np.nan, 0.04, 0.03])
    np.testing.assert_allclose(found[[0, 2, 3]], evidence.adjust_bh([0.01, 0.04, 0.03]))
    assert np.isnan(found[1])
    assert len(evidence.adjust_bh([])) == 0


def test_luck_gives_an_attribute_the_information_value_that_stands_beside_it():
    """2,000 draws of six levels that mean nothing: the mean of the information value is the bias told."""
    rng = np.random.default_rng(1)
    events, others = rng.multinomial(400, np.full(6, 1 / 6), 2000), rng.multinomial(900, np.full(6, 1 / 6), 2000)
    found = [evidence.estimate_woe(*each, pseudo=0) for each in zip(events, others, strict=True)]
    values = np.array([each.information_value for each in found])
    assert found[0].bias == pytest.approx(5 * (1 / 400 + 1 / 900))
    # 4 standard errors of the mean, and 3 % for terms of the next order in 1 / n
    assert abs(values.mean() - found[0].bias) <= 4 * values.std() / np.sqrt(2000) + 0.03 * found[0].bias


def test_an_empty_cell_is_strong_evidence_and_not_infinite():
    found = evidence.estimate_woe([20, 0], [10, 40])
    assert np.isfinite(found.woe).all()
    assert found.woe[1] < -3
    bare = evidence.estimate_woe([20, 0], [10, 40], pseudo=0)
    assert np.isnan(bare.woe[1])
    assert bare.information_value == pytest.approx(bare.iv[0])


def test_the_sides_turned_round_turn_the_sign():
    one, two = evidence.estimate_woe([5, 9, 2], [30, 20, 10]), evidence.estimate_woe([30, 20, 10], [5, 9, 2])
    np.testing.assert_allclose(one.woe, -two.woe)
    assert one.information_value == pytest.approx(two.information_value)


def test_nobody_on_one_side_is_not_measured():
    found = evidence.estimate_woe([0, 0], [3, 4])
    assert np.isnan([found.information_value, found.bias, *found.woe]).all()


def test_counts_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="2 counts of events, 3 of others"):
        evidence.estimate_woe([1, 2], [1, 2, 3])
