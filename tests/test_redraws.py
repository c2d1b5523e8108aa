"""The saved draws of headline figures: draw 0 would be the figure itself, and a family weighs alike in all of them."""

from __future__ import annotations

import companies
import numpy as np
import pandas as pd
import pytest

from icp_lib import draws, redraws
from icp_lib.rules import Segment, is_among

LEADER = Segment.of({"attribute": "industry", "op": "is", "value": "Freight"})


@pytest.fixture(scope="module")
def made():
    rng = np.random.default_rng(30)
    industry = rng.choice(["Freight", "Retail"], 2000, p=[0.3, 0.7])
    rate, days_ago = np.where(industry == "Freight", 0.45, 0.2), rng.uniform(1, 900, 2000)
    frames = companies.simulate({"industry": industry}, rate, seed=3, days_ago=days_ago)
    here = companies.build_space(frames, ["industry"])
    segments = pd.DataFrame([LEADER.describe() | {"margin_per_day_rest": 20.0}])
    return here, redraws.draw_headline(here, segments)


def test_every_figure_has_a_thousand_draws_of_the_segment_and_the_company(made):
    _, tables = made
    assert set(tables) == {"margin_per_day", "win_rate", "cycle_median_days", "share_of_margin"}
    for table in tables.values():
        assert table.shape == (1000, 2) and list(table) == [LEADER.segment_id, "all"] and table.notna().all(axis=None)


def test_a_draw_is_the_figure_with_every_family_weighed(made):
    """Draws 1 and 1,000 by repeating each deal as often as its family is drawn."""
    here, tables = made
    ids = here.accounts.loc[here.accounts["industry"] == "Freight", "account_id"]
    deals, units = here.frames.per_deal, here.frames.units
    for number in (0, 999):
        weight = {name: frame["family_id"].map(dict(zip(frame["family_id"].unique(),
                  draws.draw_weights(frame["family_id"].unique(), 1000)[:, number], strict=True)))
                  for name, frame in (("deals", deals), ("units", units))}  # fmt: skip
        again, whole = deals.loc[deals.index.repeat(weight["deals"])], units.loc[units.index.repeat(weight["units"])]
        mature = again[again["is_mature"] & is_among(again["account_id"], ids)]
        row = {name: table.loc[number, LEADER.segment_id] for name, table in tables.items()}
        assert row["win_rate"] == pytest.approx(mature["is_won"].mean())
        days = np.sort(mature.loc[mature["is_won"], "days"].dropna())
        assert row["cycle_median_days"] == days[(len(days) - 1) // 2]
        share = whole.loc[is_among(whole["account_id"], ids), "m"].sum() / whole["m"].sum()
        assert row["share_of_margin"] == pytest.approx(share)
        old = whole[whole["is_mature"]]
        assert tables["margin_per_day"].loc[number, "all"] == pytest.approx(old["m"].sum() / old["d"].sum())


def test_the_draws_spread_about_the_figure_as_its_range_says(made):
    here, tables = made
    ids = here.accounts.loc[here.accounts["industry"] == "Freight", "account_id"]
    deals = here.frames.per_deal
    mature = deals[deals["is_mature"] & is_among(deals["account_id"], ids)]
    drawn = tables["win_rate"][LEADER.segment_id]
    rate = mature["is_won"].mean()
    # a thousand draws know a mean to a thirtieth of its spread, and the spread to a fiftieth
    assert drawn.mean() == pytest.approx(rate, abs=0.15 * drawn.std())
    assert drawn.std() == pytest.approx(np.sqrt(rate * (1 - rate) / len(mature)), rel=0.15)
    assert tables["share_of_margin"]["all"].tolist() == pytest.approx([1.0] * 1000)


def test_a_figure_without_a_value_has_no_draws(made):
    here, _ = made
    row = LEADER.describe() | {"margin_per_day_rest": 20.0, "margin_per_day": np.nan, "win_rate": 0.4}
    tables = redraws.draw_headline(here, pd.DataFrame([row]))
    assert list(tables["margin_per_day"]) == ["all"] and list(tables["win_rate"]) == [LEADER.segment_id, "all"]


def test_without_segments_or_money_only_what_is_known_is_drawn():
    frames = companies.simulate({"industry": np.resize(["A", "B"], 600)}, 0.3)
    none = pd.DataFrame(columns=["segment_id", "conditions", "margin_per_day_rest"])
    here = companies.build_space(frames, ["industry"], measure="win_rate")
    tables = redraws.draw_headline(here, none)
    assert set(tables) == {"win_rate", "cycle_median_days"} and list(tables["win_rate"]) == ["all"]
