"""Figures of credit and reach: titles are the finding, small and empty tables are said, nothing typed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icp_lib.attribution_figures import MOST_CHANNELS, NO_RATE, NOT_ENOUGH, plot_attribution, plot_reach

RULES = ("First touch", "Last touch", "Equal split")


def build_credit(shares: dict[str, tuple]) -> pd.DataFrame:
    rows = [
        {"rule": rule, "channel": channel, "share_rate": share, "share_rate_low": share / 2,
         "share_rate_high": share * 1.5, "n": 120}
        for channel, by_rule in shares.items()
        for rule, share in zip(RULES, by_rule, strict=True)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def build_reach(expected: list, target: float = 40.0, names=("", "s1", "s2")) -> pd.DataFrame:
    expected = np.array(expected, float)
    return pd.DataFrame({
        "segment_id": names[: len(expected)], "segment": ["All customers", "Retail", "Energy"][: len(expected)],
        "n_contactable": 300, "expected_customers": expected, "expected_customers_low": 0.7 * expected,
        "expected_customers_high": 1.4 * expected, "target": target,
        "target_met_rate": np.where(np.isnan(expected), np.nan, (expected > target).astype(float)),
    })  # fmt: skip


def test_the_title_says_whether_the_rule_decides():
    agreed = plot_attribution(build_credit({"Mail": (0.6, 0.5, 0.7), "Fair": (0.4, 0.5 - 1e-9, 0.3)}))
    assert agreed.title == "Mail gets more credit than any other channel under each of 3 rules, 50% to 70%"
    apart = plot_attribution(build_credit({"Mail": (0.6, 0.3, 0.7), "Fair": (0.4, 0.7, 0.3)}))
    assert apart.title == "Mail gets more credit than any other channel under 2 of 3 rules, 30% to 70%"
    assert apart.caption == "n = 120 customers · credit, not cause" and "Fair" in apart.alt
    assert "Equal split" in apart.svg and apart.narrow and "nan" not in apart.svg + apart.narrow


def test_many_channels_are_counted_and_hostile_names_are_text():
    many = {f"<script>{number}": (0.05, 0.05, 0.05) for number in range(MOST_CHANNELS + 3)}
    chart = plot_attribution(build_credit(many))
    assert "3 more channels in the table" in chart.caption and "<script>" not in chart.svg + chart.narrow


def test_the_title_of_reach_compares_with_the_target():
    assert plot_reach(build_reach([190, 55, 11])).title == "Retail alone would likely bring the 40 customers wanted"
    assert plot_reach(build_reach([190, 19, 11])).title.startswith("No segment alone brings the 40 customers wanted")
    assert plot_reach(build_reach([19])).title.startswith("Contacting everybody would bring 19")
    open_end = plot_reach(build_reach([190, 19, 11], target=np.nan))
    assert open_end.title == "Retail: contacting all of them would bring 19 customers"
    assert "all companies: 190" in open_end.caption and "nan" not in open_end.svg + open_end.narrow


@pytest.mark.parametrize(
    ("chart", "words"),
    [
        (plot_attribution(build_credit({})), NOT_ENOUGH),
        (plot_attribution(build_credit({"Mail": (1, 1, 1)}).assign(channel=None)), NOT_ENOUGH),
        (plot_reach(build_reach([np.nan, np.nan])), NO_RATE),
        (plot_reach(build_reach([]), needs="contacts"), "Not measured: needs contacts. "),
    ],
)
def test_nothing_to_draw_is_said(chart, words):
    assert chart.svg == "" and chart.title.startswith(words)
