"""All figures of one group against the rest, on deals that can be counted, and the order of the verdicts."""

from __future__ import annotations

import companies
import numpy as np
import pandas as pd
import pytest

from icp_lib import groups, stats, value

N = 1200


@pytest.fixture(scope="module")
def frames():
    traits = {"kind": np.where(np.arange(N) % 4 == 0, "good", "usual")}
    return companies.simulate(traits, np.where(traits["kind"] == "good", 0.5, 0.2))


def build(frames, measure="margin_per_day") -> groups.Frames:
    return groups.build_frames(*frames, cutoff=companies.CUTOFF, measure=measure)


def members(frames) -> np.ndarray:
    return frames[0].loc[frames[0]["kind"] == "good", "account_id"].to_numpy()


def test_each_figure_is_that_of_its_own_deals(frames):
    here, ids = build(frames), members(frames)
    found = groups.estimate_group(ids, here)
    deals = frames[1].assign(
        days=(frames[1]["closed_at"] - frames[1]["created_at"]).dt.total_seconds() / 86400,
        is_in=frames[1]["account_id"].isin(ids), won=frames[1]["status"] == "won",
        is_mature=frames[1]["created_at"] <= companies.CUTOFF - pd.Timedelta(days=365),
    )  # fmt: skip
    inside, old, rest = deals[deals["is_in"]], deals[deals["is_in"] & deals["is_mature"]], deals[~deals["is_in"]]
    old_rest = rest[rest["is_mature"]]
    assert (found["n_accounts"], found["n_opportunities"], found["n_won"]) == (len(ids), len(ids), inside["won"].sum())
    assert found["n_won_rest"] == rest["won"].sum() and found["close_rate"] == inside["won"].mean()
    assert (found["n_mature"], found["n_mature_won"]) == (len(old), old["won"].sum())
    assert found["win_rate"] == pytest.approx(old["won"].mean())
    assert found["win_rate_rest"] == pytest.approx(old_rest["won"].mean())
    assert found["cycle_median_days"] == pytest.approx(old.loc[old["won"], "days"].median())
    assert found["cycle_median_days_rest"] == pytest.approx(old_rest.loc[old_rest["won"], "days"].median())
    money = old_rest["amount"].where(old_rest["won"], 0).sum()
    assert found["margin_per_day_rest"] == pytest.approx(money / old_rest["days"].sum())
    assert found["margin_per_opportunity_rest"] == pytest.approx(money / len(old_rest))
    for name, lift in (("margin_per_day", "lift"), ("margin_per_opportunity", "lift_per_opportunity")):
        for end in ("", "_low", "_high"):
            assert found[name + end] == pytest.approx(found[lift + end] * found[f"{name}_rest"])
    assert 1 < found["lift_low"] < found["lift"] < found["lift_high"]


def test_another_measure_has_no_money(frames):
    found = groups.estimate_group(members(frames), build(frames, "win_rate"))
    assert found["lift"] == pytest.approx(found["lift_per_opportunity"]) and found["win_rate"] > 0.4
    money = ["margin_per_day", "margin_per_opportunity", "margin_per_day_rest", "margin_per_opportunity_rest"]
    assert np.isnan([found[name] for name in money]).all()


def test_the_p_value_is_that_of_capped_values(frames):
    here = build(frames)
    inside = groups.find_units(here.units, members(frames))
    found = groups.estimate_group(members(frames), here)
    pd.testing.assert_frame_equal(here.capped, value.cap(here.units))
    assert found["p_value"] == groups.estimate_units(here.capped, inside).p_value
    assert found["p_value"] != groups.estimate_units(here.units, inside).p_value


def test_too_few_deals_have_no_rate_and_too_few_wins_no_cycle(frames):
    few = groups.estimate_group(members(frames)[:60], build(frames))
    assert few["n_mature"] < stats.MIN_OPPORTUNITIES and np.isnan(few["win_rate"])
    assert (few["n_mature_won"] < stats.MIN_WON) == np.isnan(few["cycle_median_days"])
    fewer = groups.estimate_group(members(frames)[:20], build(frames))
    assert fewer["n_mature_won"] < stats.MIN_WON and np.isnan(fewer["cycle_median_days"])


def test_the_largest_account_and_the_lift_without_it(frames):
    accounts, opportunities = frames
    ids = members(frames)
    is_won = (opportunities["status"] == "won") & opportunities["account_id"].isin(ids)
    whale = opportunities.loc[is_won, "account_id"].iloc[3]
    amount = opportunities["amount"].mask(opportunities["account_id"] == whale, 1e7)
    found = groups.estimate_group(ids, build((accounts, opportunities.assign(amount=amount))))
    assert found["share_largest"] == pytest.approx(1e7 / amount[is_won].sum()) and found["share_largest"] > 0.9
    without = build((accounts, opportunities[opportunities["account_id"] != whale]))
    assert found["lift_without_largest"] == pytest.approx(groups.estimate_group(ids, without)["lift"], rel=1e-9)
    assert found["lift"] > 10 * found["lift_without_largest"]


def test_a_group_without_a_win_and_the_group_of_all_have_no_lift(frames):
    here = build(frames)
    lost = frames[1].loc[frames[1]["status"] == "lost", "account_id"].to_numpy()[:100]
    found = groups.estimate_group(lost, here)
    assert found["lift"] == 0 and np.isnan([found["lift_low"], found["share_largest"]]).all()
    every = groups.estimate_group(frames[0]["account_id"].to_numpy(), here)
    assert np.isnan([every["lift"], every["margin_per_day_rest"], every["win_rate_rest"]]).all()


def test_rows_stand_by_verdict_then_by_value_then_by_name():
    rows = [
        ("h", "not enough data", 9.0), ("g", "not supported", 8.0), ("f", "explained by region", 1.5),
        ("e", "explained by the rep", 1.7), ("d", "untested", np.nan), ("c", "contradicted", 0.5),
        ("b", "promising", np.nan), ("i", "promising", 1.1), ("k", "confirmed", 1.2), ("j", "confirmed", 1.2),
        ("a", "confirmed", 1.9),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["segment_id", "verdict", "low"])
    for seed in range(5):
        shuffled = table.sample(frac=1, random_state=seed)
        found = groups.sort_by_verdict(shuffled, "low", ["segment_id"])
        assert "".join(found["segment_id"]) == "ajkibcdefgh"
        assert found.columns.tolist() == table.columns.tolist() and found.index.tolist() == list(range(len(rows)))
    assert groups.sort_by_verdict(table.iloc[:0], "low", []).empty
