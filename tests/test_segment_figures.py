"""Figures of the segments: the prize and the overlap, their findings made from the data."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from icp_lib import marks, segment_figures
from icp_lib.checks import DataError

NOISE = pd.DataFrame({"n_opportunities": [60, 250, 900], "noise_50": [2.1, 1.4, 1.1], "noise_95": [2.8, 1.65, 1.2]})


@pytest.fixture
def segments() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "segment_id": list("abcd"),
            "segment": ["Carriers", "Food wholesalers", "Retailers", "Cold chain"],
            "n_opportunities": [431, 188, 79, 30],
            "lift_found": [2.9, 1.8, 1.5, 3.0],
            "holdout_lift": [2.7, 1.3, 0.6, np.nan],
            "holdout_lift_low": [2.2, 0.8, 0.3, np.nan],
            "holdout_lift_high": [3.2, 1.9, 0.9, np.nan],
            "reachable_accounts": [1200, 2600, 400, 90],
            "verdict": ["confirmed", "promising", "contradicted", "untested"],
            "note": None,
            "margin_share_rate": [0.25, 0.14, 0.09, 0.02],
        }
    )


def build_overlap(segments, **shares) -> pd.DataFrame:
    ids = list(segments["segment_id"])
    rows = [(a, b, 1.0 if a == b else shares.get(min(a, b) + max(a, b), 0.0)) for a in ids for b in ids]
    return pd.DataFrame(rows, columns=["segment_id", "other_id", "share_rate"])


def charts(segments):
    return (
        segment_figures.plot_map(segments),
        segment_figures.plot_map(segments, NOISE, "n_opportunities"),
        segment_figures.plot_overlap(segments, build_overlap(segments, ab=0.14, cd=0.4)),
    )


def test_the_same_bytes_on_every_run(segments):
    assert charts(segments) == charts(segments)


def test_only_token_colours_and_real_text_in_both_drawings(segments):
    allowed = {light.lower() for light, _ in marks.TOKENS.values()}
    for chart in charts(segments):
        for svg in (chart.svg, chart.narrow):
            assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= allowed and "<text" in svg


def test_the_prize_is_lift_times_accounts(segments):
    chart = segment_figures.plot_map(segments)
    assert chart.title == "The largest prize is Food wholesalers, 1.3× the rest with 2,600 companies still to win"
    assert chart.alt.endswith("Lowest: Retailers, 0.60× with 400.")
    more = segments.assign(lift_found=1.1, reachable_accounts=[2600, 1200, 400, 90])
    assert segment_figures.plot_map(more).title.startswith("The highest lead is also the largest prize: Carriers, 2.7×")
    none = segments.assign(lift_found=0.9, holdout_lift=0.8)
    assert segment_figures.plot_map(none).title == "None of four segments is ahead of the rest"


def test_a_found_lift_stands_in_as_a_ring_until_it_is_held_out(segments):
    paper = marks.TOKENS["paper"][0].lower()
    rows = segments.assign(verdict="confirmed")
    assert f"fill: {paper}; stroke" in segment_figures.plot_map(rows).svg
    assert f"fill: {paper}; stroke" not in segment_figures.plot_map(rows.head(3)).svg


def test_the_funnel_judges_what_was_found_at_its_size(segments):
    # found 2.9 with 431 deals, 1.8 with 188, 1.5 with 79, 3.0 with 30; luck reaches about 1.4, 1.8, 2.5 and 2.8 there
    chart = segment_figures.plot_map(segments, NOISE, "n_opportunities")
    assert chart.title == "2 of 4 segments lie above what luck alone reaches at their size"
    assert "when found" in chart.subtitle and "luck alone, 1 in 20" in chart.svg
    by_found = segment_figures.plot_map(segments.assign(holdout_lift=0.1), NOISE, "n_opportunities")
    assert by_found.title == chart.title
    older = segments.assign(found_n_opportunities=[60, 60, 60, 60])
    assert segment_figures.plot_map(older, NOISE, "n_opportunities").title.startswith("2 of 4")  # above 2.8: 2.9, 3.0
    older = older.assign(found_n_opportunities=[30, 188, 79, 250], lift_found=[2.7, 1.8, 1.5, 1.6])
    assert segment_figures.plot_map(older, NOISE, "n_opportunities").title.startswith("None of four segments")
    assert "luck alone" not in segment_figures.plot_map(segments, x="n_opportunities").svg
    assert segment_figures.plot_map(segments.head(1), NOISE, "n_opportunities").title.startswith("All of one segment")


def test_what_the_map_cannot_place_is_named(segments):
    rows = segments.assign(reachable_accounts=[1200, np.nan, 0, 90], note=["", "not counted", None, ""])
    chart = segment_figures.plot_map(rows)
    assert chart.caption == "Not drawn: Food wholesalers (not counted); Retailers"
    assert "Food" not in chart.svg


def test_overlap_in_words_and_cells(segments):
    chart = segment_figures.plot_overlap(segments, build_overlap(segments, ab=0.14, cd=0.4))
    assert chart.title == "The four segments share up to 40% of their accounts and hold at least 50% of new margin"
    assert chart.alt.endswith("Most shared: Retailers and Cold chain, 40%.")
    assert ">14%</text>" in chart.svg and ">40%</text>" in chart.svg and chart.svg.count(">0</text>") == 4
    few = segment_figures.plot_overlap(segments, build_overlap(segments, ab=0.004))
    assert few.title == "The four segments barely overlap and hold at least 50% of new margin"
    assert "&lt;1%" in few.svg
    none = segment_figures.plot_overlap(segments, build_overlap(segments))
    assert none.title == "The four segments do not overlap and hold 50% of new margin"
    one = segment_figures.plot_overlap(segments.head(1), pd.DataFrame())
    assert one.title == "The one segment holds 25% of new margin"


def test_margin_that_is_not_known_is_said(segments):
    rows = segments.assign(margin_share_rate=[0.25, np.nan, 0.1, 0.1])
    chart = segment_figures.plot_overlap(rows, build_overlap(rows, ab=0.1))
    assert chart.title == "The four segments barely overlap: 10% at most"
    assert "not measured" in chart.svg and "not measured" in chart.narrow


def luminance(colour) -> float:
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.15, 1 / 3, 0.34, 0.9])
def test_numbers_in_cells_can_be_read_in_both_themes(share, theme):
    rgb = {name: [int(pair[theme][i : i + 2], 16) / 255 for i in (1, 3, 5)] for name, pair in marks.TOKENS.items()}
    token, alpha, ink = segment_figures._cell_look(share)
    cell = [alpha * a + (1 - alpha) * b for a, b in zip(rgb[token], rgb["paper"], strict=True)]
    high, low = sorted([luminance(cell), luminance(rgb[ink])], reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5  # WCAG 2 AA for small text


def test_nothing_to_draw_is_said(segments):
    nothing = segments.iloc[:0]
    assert segment_figures.plot_map(nothing).title == "No segment was found, so there is nothing to compare."
    assert segment_figures.plot_overlap(nothing, nothing).title == "No segment was found, so none can overlap."
    chart = segment_figures.plot_map(segments.assign(reachable_accounts=np.nan))
    assert chart.title == "No segment has both a lift and a count of companies still to win." and chart.svg == ""


def test_errors_say_what_to_do(segments):
    with pytest.raises(DataError, match=r"5 pairs of segments have no share_rate \(first: b and a\)"):
        segment_figures.plot_overlap(segments, build_overlap(segments).query("segment_id > 'c' and other_id == 'c'"))
    with pytest.raises(DataError, match=r'the noise is by deals\. Pass x="n_opportunities"'):
        segment_figures.plot_map(segments, NOISE)
    with pytest.raises(DataError, match="plot_map: needs the columns noise_95"):
        segment_figures.plot_map(segments, NOISE.drop(columns="noise_95"), "n_opportunities")
