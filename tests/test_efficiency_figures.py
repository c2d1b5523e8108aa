"""Figures of page 03: the title is the finding, nothing is invented where nothing is known, tokens only."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from icp_lib import efficiency_figures as figures
from icp_lib.charts import LIGHT

PARTS = pd.DataFrame({
    "category": ["media", "salaries", "support", "fully loaded"], "cac": [800.0, 2200.0, 0.0, 3000.0],
    "cac_low": [700.0, 2000.0, 0.0, 2700.0], "cac_high": [900.0, 2400.0, 0.0, 3400.0], "n": 90, "note": "",
})  # fmt: skip


def quarters(*rows: tuple) -> pd.DataFrame:
    columns = ["quarter", "metric", "estimate", "conf_low", "conf_high"]
    return pd.DataFrame(rows, columns=columns).assign(n=40, note="")


def ranks(first: list[int]) -> pd.DataFrame:
    ways = [(rule, lag) for rule in ("direct", "opportunities") for lag in ("by category", "none", "all by the lead")]
    house = ("direct", "by category")
    rows = [(name, rule, lag, place if name == "Freight" else 3 - place, (rule, lag) == house, chance)
            for (rule, lag), place in zip(ways, first, strict=True)
            for name, chance in (("Freight", 0.97), ("Food", 0.03))]  # fmt: skip
    return pd.DataFrame(rows, columns=["segment", "rule", "lag", "rank", "is_house", "p_first"])


def test_the_waterfall_names_the_largest_part():
    chart = figures.plot_waterfall(PARTS)
    assert chart.title == "Salaries are 73% of what a new customer costs to win"
    assert "€3,000 (2,700 to 3,400)" in chart.alt and "support €0" in chart.alt
    care = PARTS.assign(category=["media", "onboarding", "support", "fully loaded"])
    assert figures.plot_waterfall(care).title == "Onboarding is 73% of what a new customer costs to win"


def test_a_total_that_is_not_known_is_not_drawn():
    late = PARTS.assign(cac=np.nan, note="Only 40% of the money is in spend")
    chart = figures.plot_waterfall(late)
    assert not chart.svg and chart.title == "Only 40% of the money is in spend."
    assert not figures.plot_waterfall(PARTS.head(0), needs="spend").svg


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(900, 1100, "; its range overlaps those of all 2 quarters before"),
     (1300, 1500, "; its range is apart from that of 2026-Q2, not of the others"),
     (2100, 2600, ", dearer than in any quarter before"),
     (100, 300, ", cheaper than in any quarter before")],
)  # fmt: skip
def test_dearer_is_said_only_beyond_the_ranges(low, high, words):
    frame = quarters(("2026-Q3", "cac", (low + high) / 2, low, high), ("2026-Q3", "cac_zero_lag", 1500.0, 1, 9),
                     ("2026-Q2", "cac", 1000.0, 800.0, 1200.0), ("2026-Q1", "cac", 1500.0, 1000.0, 2000.0),
                     ("2025-Q4", "cac", np.nan, np.nan, np.nan))  # fmt: skip
    chart = figures.plot_quarters(frame)
    assert chart.title.startswith("A customer won in 2026-Q3 costs") and chart.title.endswith(words)
    assert "in 3 quarters" in chart.alt and "Without the lag: €1,500" in chart.alt


def test_without_a_quarter_that_is_known_it_says_why():
    unknown = quarters(("2026-Q3", "cac", np.nan, np.nan, np.nan))
    assert figures.plot_quarters(unknown).title.startswith("Spend does not reach back far enough")
    assert "needs spend" in figures.plot_quarters(unknown.head(0), needs="spend").title


@pytest.mark.parametrize(("first", "words"), [([1] * 6, "every one of 6"), ([1, 1, 2, 1, 1, 1], "5 of 6")])
def test_ranks_say_under_how_many_ways(first, words):
    chart = figures.plot_ranks(ranks(first))
    assert chart.title == f"Freight are cheapest to win under {words} ways of counting"
    assert "the chance of being cheapest by our way is 97%" in chart.alt and "Last by our way: Food" in chart.alt
    assert figures.plot_ranks(ranks(first).head(0), nothing="Too few.").title == "Too few."


def test_figures_use_token_colours_and_are_drawn_twice():
    frame = quarters(("2026-Q3", "cac", 1000.0, 900.0, np.inf), ("2026-Q3", "cac_zero_lag", 990.0, 1, 9))
    for chart in (figures.plot_waterfall(PARTS), figures.plot_quarters(frame), figures.plot_ranks(ranks([1] * 6))):
        assert chart.svg and chart.narrow and chart.svg != chart.narrow
        for drawing in (chart.svg, chart.narrow):
            assert {each.upper() for each in re.findall(r"#[0-9a-fA-F]{6}", drawing)} <= set(LIGHT.values())
