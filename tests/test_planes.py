"""Figures with two axes: scales that hold what is drawn, and rows that cannot be drawn."""

from __future__ import annotations

import math

import matplotlib
import numpy as np
import pandas as pd
import pytest

from icp_lib import planes
from icp_lib.charts import RC


@pytest.mark.parametrize("values", [[1.1], [2.8, 1.3, 0.6], [0.02, 1.4], [3, 40], [500.0], [], [np.nan, 0, np.inf]])
def test_a_scale_of_lifts_holds_the_lifts_and_the_rest(values):
    low, high, ticks, is_log = planes.lift_scale(values)
    assert is_log and low < 1 < high and 1 in ticks and len(ticks) <= 6
    assert all(low < value < high for value in values if 0 < value < math.inf)


def test_a_range_that_ends_far_away_does_not_stretch_the_scale():
    row = {"holdout_lift": 2.0, "holdout_lift_low": 0.001, "holdout_lift_high": 90.0}
    low, high, _, _ = planes.range_scale([row])
    assert low > 0.5 and high < 3
    low, high, _, _ = planes.range_scale([row | {"holdout_lift_low": 0.4, "holdout_lift_high": 3.5}])
    assert low < 0.4 and high > 3.5


def test_rows_below_the_minimum_and_without_a_value_are_left_out():
    frame = pd.DataFrame(
        {
            "segment": list("abcdef"),
            "lift": [2.0, 0.0, np.nan, 3.0, np.inf, 2.0],
            "n": [5, 5, 5, 5, 5, 0],
            "verdict": ["confirmed", "contradicted", "untested", "not enough data", "promising", "promising"],
        }
    )
    drawn, left_out = planes.split_rows(frame, "lift", "n")
    assert [row["segment"] for row in drawn] == ["a", "b"]
    assert planes.fill_caption(drawn[0], "", left_out) == "Not drawn: c; d; e; f"
    long = planes.fill_caption({"n": 5}, "n = {n}", [{"segment": "c", "note": "too few " * 20}])
    assert long.startswith("n = 5 · not drawn: c (too few") and len(long) < 80


@pytest.mark.parametrize(("low", "high", "n_arrows"), [(0.6, 1.8, 0), (0.1, 1.8, 1), (0.1, 9, 2), (np.nan, np.nan, 0)])
def test_arrows_stand_where_a_range_leaves_the_scale(low, high, n_arrows):
    with matplotlib.rc_context(RC):
        _, axes = planes.build_plane(4.1, [], is_narrow=False)
        scale = (0.5, 2, [1], True)
        planes.set_upright(axes, scale)
        points = planes.draw_upright(axes, 1, low, high, "promising", scale)
    assert sum(line.get_marker() in ("v", "^") for line in axes.lines) == n_arrows
    assert all(0.5 - 1e-9 <= y <= 2 + 1e-9 for _, y, _ in points) and bool(points) == bool(low == low)


def test_counts_lie_inside_their_axis():
    with matplotlib.rc_context(RC):
        _, axes = planes.build_plane(4.1, [], is_narrow=False)
        low, high = planes.set_counts(axes, [3, 2_000_000])
    assert low < 3 and high > 2_000_000 and 2 <= len(axes.get_xticks()) <= 8
    assert "1,000" in [text.get_text() for text in axes.get_xticklabels()]


def test_a_narrow_figure_has_room_below_for_every_name():
    few, many = (planes.build_plane(4.1, ["Carriers"] * n, is_narrow=True)[0].get_figheight() for n in (1, 8))
    assert many - few == pytest.approx(7 * 11 / 72)  # seven lines of 11 points
