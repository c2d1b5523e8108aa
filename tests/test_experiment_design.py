"""What a test can show before it starts, and how often made-up tests of its size are wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from experiments_of import CUTOFFS, DAY, build_accounts, build_deals, build_list, build_tests, meet, write_protocol
from scipy import stats as distributions

from icp_lib import designs
from icp_lib.experiment_design import (
    build_curves,
    build_design,
    compare_counts,
    find_running,
    simulate_designs,
)

END = CUTOFFS[-1]


def design_of(protocol, listed, accounts, touches=None, deals=None):
    tests, accounts, sources = build_tests(protocol, listed, touches, accounts, deals=deals)
    return build_design(tests, accounts, sources, END), tests


def test_a_planned_test_is_judged_on_the_accounts_planned_as_far_as_they_are_free():
    protocol = write_protocol(expected_rate=0.2, assignment={"n_per_arm": 150})
    table, _ = design_of(protocol, build_list(0), build_accounts(500))
    row = table.iloc[0]
    assert (row["n_available"], row["n_per_group"], row["rate_from"]) == (500, 150, "protocol")
    assert row["detectable"] == pytest.approx(designs.detectable_effect(150, 150, rate=0.2))
    assert not row["is_able"] and not row["detectable"] <= protocol.mde
    needed = designs.required_accounts(0.12, rate=0.2)
    assert row["note"].startswith(f"Not as planned: {needed} in each group are needed, 150 planned, 500 free.")
    table, _ = design_of(write_protocol(expected_rate=0.2), build_list(0), build_accounts(500))
    assert table["is_able"][0] and table["n_per_group"][0] == 250
    enough = write_protocol(expected_rate=0.2, assignment={"n_per_arm": needed})
    assert design_of(enough, build_list(0), build_accounts(500))[0]["is_able"][0]
    few, _ = design_of(enough, build_list(0), build_accounts(300))
    assert not few["is_able"][0] and few["n_per_group"][0] == 150


def test_a_test_that_cannot_answer_says_what_is_missing():
    table, _ = design_of(write_protocol(expected_rate=0.2), build_list(0), build_accounts(100))
    assert not table["is_able"][0] and "can have their outcome by the deadline" in table["note"][0]


def test_a_started_test_is_judged_on_its_own_control():
    touches = meet([f"A{2 * i + 1:05d}" for i in range(50)])
    table, _ = design_of(write_protocol(expected_rate=0.4), build_list(400), build_accounts(500), touches)
    columns = ["n_available", "n_per_group", "control_rate", "rate_from"]
    assert table[columns].values.tolist() == [[400, 200, 0.25, "control"]]


def test_without_a_plan_the_share_is_that_of_such_accounts():
    ids = [f"A{i:05d}" for i in range(30)]
    touches = meet(ids, (END - DAY).days - 20.0)
    table, _ = design_of(write_protocol(), build_list(0), build_accounts(100), touches)
    assert (table["control_rate"][0], table["rate_from"][0]) == (0.3, "such accounts")


def test_more_of_the_current_effort_than_agreed_is_said():
    deals = build_deals([(f"A{i:05d}", 0, 9, "lost", np.nan) for i in range(0, 100, 2)])
    table, _ = design_of(write_protocol(expected_rate=0.3), build_list(0), build_accounts(100), deals=deals)
    assert table["share_of_new"][0] == pytest.approx(0.5) and not table["is_within_cap"][0]
    assert "takes more of the current effort than the 20% agreed" in table["note"][0]


def test_nobody_with_the_outcome_gives_no_figure_and_a_reason():
    table, tests = design_of(write_protocol(), build_list(0), build_accounts(100), meet([], kind="Call"))
    assert table["note"][0].startswith("nobody had the outcome") and not table["is_able"][0]
    assert build_curves(table, tests).empty and simulate_designs(tests, table).empty


def test_accounts_of_an_open_window_are_running():
    tests, _, _ = build_tests(write_protocol(), build_list(10))
    assert len(find_running(tests, DAY + pd.Timedelta(days=44))) == 10
    assert find_running(tests, DAY + pd.Timedelta(days=46)) == set()


def test_the_curve_falls_and_meets_the_design():
    table, tests = design_of(write_protocol(expected_rate=0.2), build_list(0), build_accounts(400))
    curve = build_curves(table, tests).set_index("n_per_group")["effect"].dropna()
    assert (np.diff(curve) < 0).all() and curve[200] == pytest.approx(table["detectable"][0])


def test_arms_and_candidates_share_the_error_and_a_sample_is_as_large_as_the_smallest_candidate():
    candidates = [{"id": "all"}, {"id": "large", "conditions": [{"attribute": "employees", "op": "between",
                                                                 "value": [41.0, None]}]}]  # fmt: skip
    given = {"candidate": None, "candidates": candidates, "expected_rate": 0.2, "assignment": {"n_per_arm": 150}}
    table, tests = design_of(write_protocol(**given), build_list(0), build_accounts(1000))
    shared = [designs.detectable_effect(n, n, rate=0.2, n_comparisons=2) for n in table["n_per_group"]]
    assert table["n_per_group"][0] == 150 and table["detectable"].tolist() == pytest.approx(shared)
    curve = build_curves(table, tests)
    assert curve.loc[curve["n_per_group"] == 150, "effect"].tolist() == pytest.approx([shared[0]] * 2)
    assert simulate_designs(tests, table, n_runs=2)["expected_rate"].tolist() == [0.0125, 0.8]
    given.pop("assignment")  # nothing planned: judged on all that are there
    sample = write_protocol(**given | {"design": "sample", "control": "all", "arms": ["letter"], "mde": 0.1})
    table, _ = design_of(sample, build_list(0), build_accounts(2000))
    assert table["n_available"].tolist() == [2000, 400] and table["is_able"].all()  # 2 x 400 of 588
    table, _ = design_of(sample, build_list(0), build_accounts(1000))
    assert not table["is_able"].any()  # 2 x 200


def test_counts_are_compared_as_every_test_is():
    row = compare_counts({"letter": (60, 200), "as_usual": (40, 200)}, "as_usual")[0]
    pooled = 100 / 400
    z = 0.1 / np.sqrt(pooled * (1 - pooled) * 2 / 200)
    assert row["p_value"] == pytest.approx(2 * distributions.norm.sf(z), rel=1e-9)


@pytest.mark.parametrize("looks", [[1.0], [0.5, 1.0]])
def test_made_up_tests_are_wrong_as_often_as_they_may_be(looks):
    protocol = write_protocol(expected_rate=0.2, assignment={"n_per_arm": 240}, looks=looks, mde=0.12)
    table, tests = design_of(protocol, build_list(0), build_accounts(500))
    found = simulate_designs(tests, table, n_runs=400, seed=3)
    null, real = found["ship_rate"] * 400
    assert null <= distributions.binom.ppf(0.9995, 400, 0.028)  # 2.5 %, and what pooled z adds at this size
    power = distributions.norm.sf(1.96 - 0.12 / np.sqrt((0.32 * 0.68 + 0.2 * 0.8) / 240))
    low, high = distributions.binom.ppf([0.0005, 0.9995], 400, power)
    assert low - 4 <= real <= high + 4  # two looks cost up to one point of power
    assert found["expected_rate"].tolist() == [0.025, 0.8]
