"""What assigned accounts did: counted by hand, within the window, matured only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from experiments_of import CUTOFFS, DAY, build_deals, build_list, build_sources, meet

from icp_lib.outcomes import build_events, estimate_success, find_absent, measure_accounts
from icp_lib.protocols import Measure

MEETING = Measure(metric="touch_rate", touch_type="meeting ", window_days=45)
DEALS = build_deals([
    ("A00000", 5, 30, "won", 1200.0), ("A00000", 6, 20, "lost", np.nan), ("A00001", 40, 80, "won", 600.0),
    ("A00002", -10, 20, "won", 500.0), ("A00003", 10, None, "open", np.nan), ("A00001", 41, 50, "won", 300.0),
])  # fmt: skip


def measure(what: Measure, n: int = 4, cutoff=CUTOFFS[-1], **sources) -> pd.DataFrame:
    tables = build_sources(**sources)
    return measure_accounts(build_list(n), what, build_events(what, tables), cutoff)


def test_a_share_counts_an_account_once_and_only_inside_the_window():
    touches = pd.concat([meet(["A00000", "A00000"], [0.5, 45.0]), meet(["A00001"], 45.01), meet(["A00002"], 0.0),
                         meet(["A00003"], 3.0, "Call")])  # fmt: skip
    found = measure(MEETING, touches=touches)
    # in an export without times what happens on the day of the assignment has its moment: it is no trait from before
    assert found["numerator"].tolist() == [1, 0, 1, 0] and found["before"].sum() == 0
    last = measure(MEETING, touches=meet(["A00003"], 45.0))  # of a window of 45 days the 46th is outside
    assert last["numerator"].sum() == 0
    day_before = measure(MEETING, touches=meet(["A00002", "A00003"], [-0.01, -45.01]))
    assert day_before["before"].tolist() == [0, 0, 1, 0] and day_before["numerator"].sum() == 0


def test_an_account_whose_window_is_open_has_no_outcome():
    found = measure(MEETING, touches=meet(["A00000"]), cutoff=DAY + pd.Timedelta(days=44))
    assert found["numerator"].isna().all() and not found["is_mature"].any()
    assert measure(MEETING, touches=meet(["A00000"]), cutoff=DAY + pd.Timedelta(days=45))["numerator"].sum() == 1


@pytest.mark.parametrize(
    ("metric", "numerator", "denominator"),
    [
        ("opportunity_rate", [1, 1, 0, 1], [1, 1, 1, 1]),
        ("win_rate", [1, 0, 1, 0], [1, 1, 1, 1]),
        ("margin_per_account", [1200, 0, 500, 0], [1, 1, 1, 1]),
        ("margin_per_opportunity", [1200, 0, 0, 0], [2, 2, 0, 1]),
        ("cycle_days", [25, 0, 30, 0], [1, 0, 1, 0]),
    ],
)
def test_every_metric_by_hand(metric, numerator, denominator):
    found = measure(Measure(metric=metric, window_days=45), deals=DEALS)
    assert found["numerator"].tolist() == pytest.approx(numerator)
    assert found["denominator"].tolist() == denominator


def test_a_capped_margin_is_capped_where_the_protocol_says_whatever_the_arm():
    what = Measure(metric="margin_per_account", window_days=45, winsorise=0.5)
    found = measure(what, deals=DEALS)
    assert found["numerator"].tolist() == [500, 0, 500, 0]  # of 1,200 and 500 the lower; nobody else has a margin
    assert what.id == "margin_per_account_45d_w50" and "capped where 50% have more" in what.words
    with pytest.raises(ValueError, match="winsorise belongs to metric: margin_per_account"):
        Measure(metric="win_rate", window_days=45, winsorise=0.9)


def test_a_stage_is_reached_by_whoever_reaches_a_later_one_but_not_by_a_loss():
    stages = pd.DataFrame({"stage": ["Open", "Demo", "Offer", "Won", "Lost"], "stage_order": range(5),
                           "is_closed": [0, 0, 0, 1, 1], "is_won": [0, 0, 0, 1, 0]})  # fmt: skip
    entered = [("O0", "Open", 6), ("O0", "Won", 30), ("O2", "demo", 42), ("O4", "Lost", 12)]
    history = pd.DataFrame(entered, columns=["opportunity_id", "stage", "day"])
    history["entered_at"] = DAY + pd.to_timedelta(history["day"], unit="D")
    demo = Measure(metric="stage_rate", stage="Demo", window_days=45)
    found = measure(demo, deals=DEALS, history=history, stages=stages)
    assert found["numerator"].tolist() == [1, 1, 0, 0]


def test_later_rows_and_shuffled_rows_change_nothing():
    touches = meet([f"A{i:05d}" for i in range(4)], [1.0, 20.0, 44.0, 46.0])
    later = pd.concat([touches, meet(["A00003"], 300.0)]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(measure(MEETING, touches=touches), measure(MEETING, touches=later))


def test_nobody_can_have_a_metric_of_a_missing_table_or_word():
    sources = build_sources(meet(["A00000"], kind="Call"))
    assert "the commonest are Call" in find_absent(MEETING, build_events(MEETING, sources), sources)
    empty = build_sources()
    assert "needs touches" in find_absent(MEETING, build_events(MEETING, empty), empty)
    calls = build_sources(meet(["A00000"]))
    assert find_absent(MEETING, build_events(MEETING, calls), calls) == ""


def test_the_worth_of_a_success_is_the_margin_of_the_year_after_it():
    ids = [f"A{i:05d}" for i in range(20)]
    touches = meet(ids, -500.0)
    deals = build_deals([(ids[0], -490, -400, "won", 2000.0), (ids[1], -490, -130, "won", 700.0),
                         (ids[2], -600, -510, "won", 900.0)])  # fmt: skip
    sources = build_sources(touches, deals)
    found = estimate_success(build_events(MEETING, sources), ids, sources, CUTOFFS[-1])
    assert found["n_successes"] == 20 and found["worth"] == pytest.approx(2000 / 20)
    unknown = build_deals([(ids[0], -490, -400, "won", 2000.0), (ids[1], -490, -400, "won", np.nan)])
    sources = build_sources(touches, unknown)
    mean = estimate_success(build_events(MEETING, sources), ids, sources, CUTOFFS[-1])["worth"]
    assert mean == pytest.approx(2 * 2000 / 20)  # a deal without an amount takes the mean of the others
    few = estimate_success(build_events(MEETING, sources), ids[:14], sources, CUTOFFS[-1])
    assert np.isnan(few["worth"]) and few["n_successes"] == 14
