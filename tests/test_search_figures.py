"""Figures of the search: their findings are made from the data, and what cannot be drawn is said."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from icp_lib import marks, search_figures
from icp_lib.checks import DataError

NAMES = ["Carriers, 5–20 employees", "Food wholesalers", "Retailers", "Cold chain", "Couriers <1> & $2 to $3"]


@pytest.fixture
def segments() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "segment_id": list("abcde"),
            "segment": NAMES,
            "lift_found": [2.9, 1.8, 1.5, 2.7, 3.4],
            "holdout_lift": [2.7, 1.3, 0.6, 2.5, np.nan],
            "holdout_lift_low": [2.2, 0.8, 0.3, 0.8, np.nan],
            "holdout_lift_high": [3.2, 1.9, 0.9, np.inf, np.nan],
            "is_emerging": [False, False, False, False, True],
            "verdict": ["confirmed", "promising", "contradicted", "untested", "not enough data"],
            "note": [None, None, None, None, "8 of 15 won"],
        }
    )


@pytest.fixture
def draws() -> pd.DataFrame:
    lift = np.exp(np.random.default_rng(0).gamma(9, 0.035, 99))
    lift[7] = 1.934
    return pd.DataFrame({"draw": range(99), "lift": np.minimum(lift, 1.934)})


POWER = pd.DataFrame({"account_share_rate": [0.05, 0.1, 0.2], "lift": [2.42, 1.9, 1.53]})


def charts(draws, segments):
    return (
        search_figures.plot_noise(draws, segments),
        search_figures.plot_holdout(segments),
        search_figures.plot_power(POWER),
    )


def test_the_same_bytes_on_every_run(draws, segments):
    assert charts(draws, segments) == charts(draws, segments)


def test_only_token_colours_and_real_text_in_both_drawings(draws, segments):
    allowed = {light.lower() for light, _ in marks.TOKENS.values()}
    for chart in charts(draws, segments):
        for svg in (chart.svg, chart.narrow):
            assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= allowed and "<text" in svg


def test_noise_is_told_against_what_was_found(draws, segments):
    chart = search_figures.plot_noise(draws, segments)
    assert chart.title == "Noise came to 1.9× at best in 99 tries; we found 2.9×"
    assert "what we found: 2.9×" in chart.svg and "reached: 1.9×" in chart.svg and "99 shuffled searches" in chart.svg
    assert chart.alt.startswith("Histogram: the best lift of 99 shuffled searches against what we found. Noise came")


def test_the_leader_is_the_first_that_is_not_emerging_and_has_enough_data(draws, segments):
    chart = search_figures.plot_noise(draws, segments.iloc[[4, 1, 0]], title="{segment}: {found}")
    assert chart.title == "Food wholesalers: 1.8×"
    is_new = segments.assign(verdict="untested").iloc[[4, 3]]
    assert search_figures.plot_noise(draws, is_new, title="{segment}").title == "Cold chain"


def test_noise_that_reached_as_much_is_counted(draws, segments):
    found = float(np.sort(draws["lift"])[-13])
    chart = search_figures.plot_noise(draws, segments.assign(lift_found=found))
    assert chart.title == "13 of 99 shuffled searches reached the " + f"{found:.1f}× that we found"


def test_equal_draws_are_one_bar_that_can_be_seen(draws, segments):
    svg = search_figures.plot_noise(draws.assign(lift=1.3), segments).svg
    grey = marks.TOKENS["control"][0].lower()
    bars = re.findall(rf'd="M ([\d.]+) [\d.]+\s+L ([\d.]+)[^"]*"[^>]*style="fill: {grey}', svg)
    assert len(bars) == 1 and abs(float(bars[0][1]) - float(bars[0][0])) > 3  # points


def test_without_a_segment_the_noise_still_speaks(draws, segments):
    for none in (segments.iloc[:0], pd.DataFrame(), segments.iloc[[4]]):
        chart = search_figures.plot_noise(draws, none)
        assert chart.title == "Noise alone comes to 1.9× at best in 99 tries; no segment stood out"
        assert "what we found" not in chart.svg + chart.alt


def test_held_out_names_the_lead_that_fell_and_what_is_not_drawn(segments):
    chart = search_figures.plot_holdout(segments, caption="to 30 Sep 2026")
    assert chart.title == "Every lead shrank on newer deals; Retailers fell to 0.6× the rest"
    assert chart.caption == "to 30 Sep 2026 · not drawn: Couriers <1> & $2 to $3 (8 of 15 won)"
    assert chart.alt.endswith("Lowest: Retailers, 1.5× when found, 0.6× (0.3 to 0.9) in newer deals.")
    assert "four segments" in chart.alt and "Couriers" not in chart.svg
    assert "held in full" in chart.svg and "no better than the rest" in chart.svg


@pytest.mark.parametrize(
    ("newer", "finding"),
    [
        ([2.7, 1.3, 1.2, 2.5], "Every lead shrank on newer deals; the lowest is 1.2× the rest"),
        ([2.7, 0.9, 0.8, 2.5], "Every lead shrank on newer deals; 2 of 4 fell below the rest"),
        ([3.0, 1.3, 1.6, 2.5], "2 of 4 leads shrank on newer deals; the lowest is 1.3× the rest"),
        ([3.0, 1.9, 1.6, 2.8], "No lead shrank on newer deals; the lowest is 1.6× the rest"),
        ([2.7], "The lead shrank on newer deals: it is 2.7× the rest"),
        ([3.1], "The lead did not shrink on newer deals: it is 3.1× the rest"),
        ([0.5], "The lead shrank on newer deals; Carriers, 5–20 employees fell to 0.50× the rest"),
    ],
)
def test_findings_of_held_out_deals(segments, newer, finding):
    rows = segments.head(len(newer)).assign(holdout_lift=newer, holdout_lift_low=np.nan, holdout_lift_high=np.nan)
    assert search_figures.plot_holdout(rows).title == finding


def test_the_finding_gives_the_range_of_the_lowest(segments):
    rows = segments.head(2).assign(holdout_lift=[2.7, 1.4], holdout_lift_low=[2.2, 0.4], holdout_lift_high=[3.2, 4.6])
    assert search_figures.plot_holdout(rows).title.endswith("; the lowest is 1.4× the rest (0.4 to 4.6)")


def test_a_lift_of_nothing_stands_at_the_foot_with_its_number(segments):
    rows = segments.head(2).assign(holdout_lift=[2.7, 0.0], holdout_lift_low=[2.2, 0.0], holdout_lift_high=[3.2, 0.4])
    chart = search_figures.plot_holdout(rows)
    assert chart.title.endswith("Food wholesalers fell to 0.0× the rest") and "0.00×</text>" in chart.svg


def test_phones_get_numbers_and_a_list_of_full_names(segments):
    narrow = search_figures.plot_holdout(segments).narrow
    assert all(f">{name}</text>" in narrow for name in NAMES[:4])
    assert [number for number in "1234" if narrow.count(f">{number}</text>") != 2] == []


def test_names_with_money_and_markup_are_text(segments):
    chart = search_figures.plot_holdout(segments.assign(segment=NAMES[4]))
    assert "Couriers &lt;1&gt; &amp; $2 to $3" in chart.svg and "<1>" not in chart.svg


def test_power_says_the_smallest_lead(segments):
    chart = search_figures.plot_power(POWER)
    assert chart.title == "A lead on 5% of accounts has to reach 2.4× the rest to be confirmed; on 20%, 1.5×"
    assert chart.alt.endswith("5%: 2.4×; 10%: 1.9×; 20%: 1.5×.")


@pytest.mark.parametrize("none", [np.nan, np.inf])
def test_power_says_where_no_lead_would_do(none):
    chart = search_figures.plot_power(POWER.assign(lift=[none, 1.9, 1.53]))
    assert chart.title == "No lead on 5% of accounts would have been confirmed; on 20% it takes 1.5× the rest"
    assert "no lead would do" in chart.svg
    chart = search_figures.plot_power(POWER.assign(lift=none))
    assert chart.title == "No lead on 5% to 20% of accounts would have been confirmed"


def test_nothing_to_draw_is_said(draws, segments):
    nothing = segments.iloc[:0]
    assert search_figures.plot_noise(draws.iloc[:0], segments).title.startswith("No search was shuffled")
    assert search_figures.plot_holdout(nothing).title.startswith("No segment was found, so there is nothing to check")
    chart = search_figures.plot_holdout(segments.assign(holdout_lift=np.nan))
    assert chart.title == "Too few newer deals to check yet: five segments to wait for." and chart.svg == ""
    assert search_figures.plot_power(POWER.iloc[:0]).title.startswith("No segment was searched")
    chart = search_figures.plot_noise(draws.iloc[:0], nothing, needs="spend")
    assert chart.title.startswith("Not measured: needs spend.")


def test_wrong_columns_are_named(draws, segments):
    with pytest.raises(DataError, match="plot_noise: needs the columns lift"):
        search_figures.plot_noise(draws.rename(columns={"lift": "best"}), segments)
    with pytest.raises(DataError, match="plot_holdout: needs the columns holdout_lift"):
        search_figures.plot_holdout(segments.drop(columns="holdout_lift"))
    with pytest.raises(DataError, match="plot_power: needs the columns account_share_rate"):
        search_figures.plot_power(POWER[["lift"]])
