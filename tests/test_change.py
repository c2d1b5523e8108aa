"""This quarter against the last: what did not change cancels, what did is seen."""

from __future__ import annotations

import companies
import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from icp_lib import change, discovery, draws, groups, value
from icp_lib.rules import Segment

N = 3000
QUARTER = pd.Timestamp("2026-07-01")  # the cutoff of the quarter before
LEADER = Segment.of({"attribute": "industry", "op": "is", "value": "Freight"})
SHOP = Segment.of({"attribute": "shop", "op": "is", "value": "yes"})


def build_company(rate_now: float | None = None, seed: int = 1) -> companies.Frames:
    """Freight wins .45, the rest .2; deals that close in the last quarter at another rate where one is given."""
    rng = np.random.default_rng(seed)
    traits = {"industry": rng.choice(["Freight", "Retail"], N, p=[0.3, 0.7]), "shop": rng.choice(["yes", "no"], N)}
    rate, days_ago = np.where(traits["industry"] == "Freight", 0.45, 0.2), rng.uniform(1, 500, N)
    if rate_now is not None:
        rate = np.where((traits["industry"] == "Freight") & (days_ago < 110), rate_now, rate)
    return companies.simulate(traits, rate, seed=seed, days_ago=days_ago)


def compare(frames, *segments, then=None) -> pd.DataFrame:
    now = companies.build_space(frames, ["industry", "shop"])
    before = companies.build_space(then or companies.cut(frames, QUARTER), ["industry", "shop"], cutoff=QUARTER)
    return change.compare_quarters(now, before, name_segments(*segments))


def name_segments(*segments) -> pd.DataFrame:
    columns = ["segment_id", "segment", "conditions", "verdict"]
    return pd.DataFrame([each.describe() | {"verdict": "confirmed"} for each in segments], columns=columns)


def take_newer(here, frames) -> pd.DataFrame:
    """Units of the accounts that are the newer ones today, with what their quarters would expect."""
    today = companies.build_space(companies.cut(frames, companies.CUTOFF), ["industry"]).accounts
    units = here.frames.units
    units = units[units["account_id"].isin(today.loc[today["part"] == "held_out", "account_id"])]
    return units.assign(e=value.expected(units)).reset_index(drop=True)


def width(row) -> float:
    return np.log(row["lift_change_high"] / row["lift_change_low"])


def test_the_same_quarter_has_not_changed_at_all():
    here = companies.build_space(build_company(), ["industry", "shop"])
    table = change.compare_quarters(here, here, name_segments(LEADER))
    row = table.iloc[0]
    assert table.columns.tolist() == change.COLUMNS
    assert row["lift_change"] == row["lift_change_low"] == row["lift_change_high"] == 1
    assert (row["reading"], row["verdict"], row["segment"]) == ("Within noise", "confirmed", "Freight companies")


def test_without_a_change_the_ratio_is_1_within_noise():
    table = compare(build_company(), LEADER, SHOP)
    assert (table["lift_change_low"] < 1).all() and (table["lift_change_high"] > 1).all()
    assert (table["reading"] == "Within noise").all()
    assert table["lift"].iloc[0] > 1.5 and table["lift_before"].iloc[0] > 1.5


@pytest.mark.parametrize(("rate", "reading"), [(0.95, "Beyond noise: better"), (0.0, "Beyond noise: worse")])
def test_a_planted_change_is_beyond_noise(rate, reading):
    company = build_company(rate)
    alone, both = compare(company, LEADER), compare(company, LEADER, SHOP)
    assert alone["reading"].tolist() == [reading] and compare(company, SHOP)["reading"].tolist() == ["Within noise"]
    assert both["lift_change_low"].iloc[0] < alone["lift_change_low"].iloc[0], "of two, one moves by luck more often"
    assert both["lift_change_high"].iloc[0] > alone["lift_change_high"].iloc[0]
    row = alone.iloc[0]
    assert row["lift_change"] == row["lift"] / row["lift_before"]
    assert (row["lift_change"] > 1) == (rate > 0.45)


def test_both_lifts_are_those_of_the_two_quarters():
    frames = build_company()
    row = compare(frames, LEADER).iloc[0]
    for name, cutoff in (("lift_before", QUARTER), ("lift", companies.CUTOFF)):
        here = companies.build_space(companies.cut(frames, cutoff), ["industry"], cutoff=cutoff)
        units = take_newer(here, frames)
        members = here.accounts.loc[here.accounts["industry"] == "Freight", "account_id"]
        expected = groups.estimate_units(units, groups.find_units(units, members)).value
        assert row[name] == pytest.approx(expected, rel=1e-9)


def test_the_range_is_that_of_the_draws_written_out():
    """Families of two; every draw weighs the deals of both quarters by the same number of the family."""
    accounts, opportunities = build_company()
    frames = accounts.assign(family_id=[f"f{number // 2}" for number in range(N)]), opportunities
    spaces = [
        companies.build_space(companies.cut(frames, end), ["industry"], cutoff=end)
        for end in (QUARTER, companies.CUTOFF)
    ]
    row = change.compare_quarters(spaces[1], spaces[0], name_segments(LEADER)).iloc[0]
    lifts = []
    for here in spaces:
        units = take_newer(here, frames).merge(here.accounts[["account_id", "industry"]], on="account_id")
        weights = draws.draw_weights(units["family_id"], change.N_DRAWS).astype(float)
        m, e = (weights * units[[name]].to_numpy() for name in ("m", "e"))
        inside = (units["industry"] == "Freight").to_numpy()
        lifts.append(m[inside].sum(0) / e[inside].sum(0) / (m[~inside].sum(0) / e[~inside].sum(0)))
    expected = np.quantile(lifts[1] / lifts[0], [0.025, 0.975])
    assert [row["lift_change_low"], row["lift_change_high"]] == pytest.approx(expected, rel=1e-9)


def test_shared_draws_are_narrower_than_independent_ones(monkeypatch):
    """Weighed alike, what the deals bring that are in both quarters cancels: with a share f of them in both, the range
    is sqrt((1 - f) / (1 + f)) times as wide; draws of skewed sums keep to that within a fifth."""
    shared = compare(build_company(), LEADER).iloc[0]
    seeds = iter([1, 2])
    real = draws.draw_weights
    monkeypatch.setattr(change.draws, "draw_weights", lambda ids, n: real(ids, n, next(seeds)))
    independent = compare(build_company(), LEADER).iloc[0]
    assert shared["lift_change"] == independent["lift_change"] and next(seeds, None) is None
    here = companies.build_space(build_company(), ["industry"])
    in_both = (take_newer(here, build_company())["created_at"] < QUARTER).mean()
    assert width(shared) / width(independent) == pytest.approx(np.sqrt((1 - in_both) / (1 + in_both)), rel=0.2)


def test_a_segment_picked_for_its_older_deals_does_not_seem_to_fall_back():
    """The best of 96 groups without any effect: counted on all deals, its lift falls by 3 % in the mean."""
    readings, falls = [], []
    for seed in range(50):
        rng = np.random.default_rng(seed)
        traits = {name: rng.choice([*"abcd"], 5000) for name in ("one", "two", "three", "four")}
        frames = companies.simulate(traits, 0.25, seed=seed)
        now, before = (
            companies.build_space(companies.cut(frames, end), list(traits), cutoff=end)
            for end in (companies.CUTOFF, QUARTER)
        )
        found = discovery.search_part(now, depth=2, n_draws=1)
        best = now.segment(found.conjunctions[found.candidates.loc[~found.candidates["has_placebo"], "number"].iloc[0]])
        row = change.compare_quarters(now, before, name_segments(best)).iloc[0]
        readings.append(row["reading"])
        falls.append(np.log(row["lift"] / row["lift_before"]))
    # 3.5 errors of a mean of 50: luck in less than one choice of a thousand; on all deals it is 5.6 errors away
    assert abs(np.mean(falls)) < 3.5 * np.std(falls, ddof=1) / np.sqrt(50)
    assert sum(each.startswith("Beyond noise") for each in readings) <= binom.isf(1e-3, 50, 0.05)
    assert sum(each == "Within noise" for each in readings) > 25


def test_a_segment_picked_by_its_newest_deals_has_no_change_yet():
    frames = build_company(0.95)
    spaces = [companies.build_space(companies.cut(frames, end), ["industry"], cutoff=end)
              for end in (companies.CUTOFF, QUARTER)]  # fmt: skip
    row = change.compare_quarters(*spaces, name_segments(LEADER).assign(is_emerging=True)).iloc[0]
    assert row["reading"] == change.NEW and np.isnan(row["lift_change"]) and row["lift"] > row["lift_before"]


def test_a_change_of_few_newer_wins_is_not_given():
    frames = build_company()
    few = Segment.of(*LEADER.rules, {"attribute": "few", "op": "is", "value": "yes"})
    frames[0]["few"] = np.where(np.arange(N) % 25 == 0, "yes", "no")
    row = compare(frames, few).iloc[0]
    assert row["reading"] == "Too few newer deals won a quarter ago: 15 needed"
    assert np.isnan([row["lift_change"], row["lift_change_low"], row["lift_change_high"]]).all() and row["lift"] > 0


def test_a_rest_of_few_wins_is_no_measure_of_a_change():
    frames = build_company()
    retail = frames[1]["account_id"].isin(frames[0].loc[frames[0]["industry"] == "Retail", "account_id"])
    lost = frames[1].assign(status=frames[1]["status"].mask(retail & (frames[1]["status"] == "won"), "lost"))
    row = compare((companies.count_deals(frames[0], lost), lost), LEADER).iloc[0]
    assert not row["reading"].startswith("Beyond") and np.isnan(row["lift_change"])


def test_a_segment_that_was_not_there_has_nothing_to_be_compared_with():
    frames = build_company()
    is_old = frames[1]["created_at"] < QUARTER
    freight = frames[1]["account_id"].isin(frames[0].loc[frames[0]["industry"] == "Freight", "account_id"])
    without = frames[1][~(is_old & freight)]
    row = compare((companies.count_deals(frames[0], without), without), LEADER).iloc[0]
    assert row["reading"] == "Nothing to compare with" and row["lift"] > 1
    assert np.isnan([row["lift_before"], row["lift_change"], row["lift_change_low"], row["lift_change_high"]]).all()


def test_no_segment_and_no_quarter_before_give_words_not_errors():
    frames = build_company()
    assert compare(frames).columns.tolist() == change.COLUMNS and compare(frames).empty
    nothing = companies.count_deals(frames[0], frames[1].iloc[:0]), frames[1].iloc[:0]
    assert compare(frames, LEADER, then=nothing)["reading"].tolist() == ["Nothing to compare with"]
