"""Headline figures: number, range, comparison, change and the small chart."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from test_display import EVIL, Tags

from icp_lib import cards

ROW = {
    "quarter": "2026-Q3", "metric": "cac", "estimate": 3480, "change": 520, "change_low": 130, "change_high": 920,
    "p_adjusted": 0.01, "since": "2026-Q2", "cause": "", "note": None,
}  # fmt: skip
FIGURE = {"metric": "win_rate", "estimate": 0.34, "conf_low": 0.3, "conf_high": 0.39, "n": 431, "n_events": 147,
          "comparison": 0.2, "note": None}  # fmt: skip


def change(metric="cac", has_earlier=False, **values) -> tuple[str, str, str]:
    """(kind, head, words) of one row of the history."""
    found = cards.describe_change([ROW | {"metric": metric} | values], "2026-Q3", metric, has_earlier)
    return found["kind"], found["head"], found["words"]


def card(**values) -> dict:
    return cards.build_cards(pd.DataFrame([FIGURE | values]), None, "2026-Q3", "confirmed")[0]


@pytest.mark.parametrize(
    ("metric", "values", "expected"),
    [
        ("cac", {}, ("worse", "Beyond noise: worse", "+€500 since Q2 (+100 to +900)")),
        ("cac", {"change": -520, "change_low": -920, "change_high": -130},
         ("better", "Beyond noise: better", "−€500 since Q2 (−900 to −100)")),
        ("win_rate", {"change": 0.06, "change_low": 0.02, "change_high": 0.1},
         ("better", "Beyond noise: better", "+6 pt since Q2 (+2 to +10)")),
        ("win_rate", {"change": -0.06, "change_low": -0.1, "change_high": -0.02},
         ("worse", "Beyond noise: worse", "−6 pt since Q2 (−10 to −2)")),
        ("cycle_median_days", {"change": -3, "change_low": -5, "change_high": -1},
         ("better", "Beyond noise: better", "−3 days since Q2 (−5 to −1)")),
        ("cac", {"p_adjusted": 0.051}, ("noise", "Within noise", "+€500 since Q2 (+100 to +900)")),
        ("cac", {"change": 0.0, "p_adjusted": 0.01}, ("noise", "Within noise", "€0 since Q2 (+100 to +900)")),
        ("cac", {"p_adjusted": np.nan}, ("none", "Not tested against noise", "+€500 since Q2 (+100 to +900)")),
        ("cac", {"note": "Q2 restated from €2,900, 4 late deals", "p_adjusted": 0.5},
         ("noise", "Within noise", "+€500 since Q2 (+100 to +900); Q2 restated from €2,900, 4 late deals")),
        ("cac", {"cause": "definition", "note": "support until live now counts; old rule gives €3,230"},
         ("none", "Definition changed", "support until live now counts; old rule gives €3,230")),
    ],
)  # fmt: skip
def test_a_change_says_how_it_compares_with_noise(metric, values, expected):
    assert change(metric, **values) == expected


def test_the_first_quarter_has_nothing_to_compare_with():
    first = {"change": np.nan}
    assert change(**first) == ("none", "First report", "no earlier one to compare with")
    assert change(has_earlier=True, **first)[:2] == ("none", "Not compared")
    assert cards.describe_change([], "2026-Q3", "cac")["head"] == "First report"
    earlier = [ROW | {"quarter": "2026-Q2"}]  # the row of an earlier quarter is never this quarter's change
    assert cards.describe_change(earlier, "2026-Q3", "cac")["head"] == "Not compared"


def test_a_triangle_points_where_the_number_went_and_only_beyond_noise():
    up = cards.describe_change([ROW], "2026-Q3", "cac")["mark"]
    down = cards.describe_change([ROW | {"change": -520}], "2026-Q3", "cac")["mark"]
    assert "M8 3 14 13H2z" in up and "--verm" in up and "M8 13 2 3h12z" in down and "--blue" in down
    within = cards.describe_change([ROW | {"p_adjusted": 0.2}], "2026-Q3", "cac")["mark"]
    assert "13H2z" not in within and "3h12z" not in within


def test_a_card_carries_number_range_n_and_comparison():
    found = card()
    assert (found["number"], found["unit"], found["likely"], found["n"]) == ("34", "%", "likely 30% to 39%", "n = 431")
    assert found["rest"] == "the rest 20%" and 0 < found["rest_at"] < 100
    for each in (card(), card(compared_with="all customers")):
        assert f"; {each['rest']}\"" in each["bar"]  # the bar names the same comparison in words
    assert card(metric="margin_per_day", estimate=45, conf_low=38, conf_high=51, comparison=17)["unit"] == " a day"


@pytest.mark.parametrize(
    ("values", "rest", "is_placed"),
    [
        ({"comparison": "0.2"}, "the rest 20%", True),  # a column of a file that also holds words
        ({"comparison": "the plan"}, "the plan", False),
        ({"comparison": 0.11, "comparison_words": "11% of selling days"}, "11% of selling days", True),
        ({"comparison": np.nan}, "", False),
        (
            {"metric": "lift", "estimate": 2.0, "conf_low": 1.5, "conf_high": 2.5, "comparison": 1},
            "same as the rest",
            True,
        ),
    ],
)
def test_a_comparison_may_be_a_number_or_words(values, rest, is_placed):
    found = card(**values)
    assert found["rest"] == rest and (found["rest_at"] is not None) == is_placed


def test_below_the_minimum_the_card_counts_and_prints_no_figure():
    found = card(estimate=np.nan, n_events=8, note="Expected by December.")
    assert found["none"] == "8 of 15 won" and found["progress"] == 53 and not found["number"]
    assert found["note"] == "Expected by December."


def test_what_is_not_measured_says_what_it_needs():
    found = card(metric="cac", estimate=np.nan, n_events=np.nan, note="needs spend. Add spend.csv, then run again.")
    assert (found["none"], found["likely"]) == ("Not measured", "needs spend")
    assert found["note"] == "Add spend.csv, then run again." and found["progress"] is None


def quarters(n: int) -> list[dict]:
    names = [f"20{24 + i // 4}-Q{i % 4 + 1}" for i in range(n)]
    return [
        {"quarter": name, "estimate": 100 + i, "conf_low": 80 + i, "conf_high": 120 + i} for i, name in enumerate(names)
    ]


def test_the_small_chart_shows_eight_quarters_with_the_last_in_blue():
    svg = cards.draw_quarters(quarters(11), "2026-Q3", "cac")
    circles = Tags(svg).find("circle")
    assert len(circles) == 8 and ["--blue," in each["style"] for each in circles] == [False] * 7 + [True]
    assert "8 quarters: from €103 in 2024-Q4 to €110 in 2026-Q3" in svg


def test_no_small_chart_without_two_quarters_or_without_this_one():
    assert cards.draw_quarters(quarters(1), "2024-Q1", "cac") == ""
    assert cards.draw_quarters(quarters(3), "2026-Q3", "cac") == ""
    flat = [{"quarter": name, "estimate": 5.0} for name in ("2026-Q2", "2026-Q3")]
    assert cards.draw_quarters(flat, "2026-Q3", "cac").count("<circle") == 2


def test_only_a_defined_name_is_html():
    assert not hasattr(cards.mark_metric(EVIL), "__html__")  # plain text: the template escapes it
    assert 'data-metric="win_rate"' in cards.mark_metric("win_rate")
