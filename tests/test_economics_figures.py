"""Figures of unit economics: their findings come from the rows, and both drawings name what they show."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icp_lib import economics_figures as figures
from icp_lib.economics import CURVE_COLUMNS
from icp_lib.months import COLUMNS
from icp_lib.retention import PERIODS


def curves(names=("", "s1"), rate: float = 100.0) -> pd.DataFrame:
    """Costs of 600 and `rate` a month, the second group half as much again."""
    rows = []
    for place, key in enumerate(names):
        reached = 600 / rate / (1 + place / 2)
        paid_back = [each if each <= 12 else np.inf for each in (reached, reached - 1, reached + 1)]
        for month in range(13):
            net = rate * month * (1 + place / 2) - 600
            name = f"Kind {key}" if key else "All customers"
            rows.append([key, name, month, net, net - 100, net + 100, 40, 12.0, *paid_back])
    return pd.DataFrame(rows, columns=CURVE_COLUMNS)


def quarters(nrr=(0.98, 0.94), low=(0.95, 0.9), high=(1.02, 0.97)) -> pd.DataFrame:
    rows = []
    for period, value, least, most in zip(("Apr–Jun 2026", "Jul–Sep 2026"), nrr, low, high, strict=True):
        rows += [[period, "nrr", value, least, most, 120, 4, ""], [period, "grr", 0.9, 0.86, 0.93, 120, 4, ""]]
    return pd.DataFrame(rows, columns=PERIODS)


def worth(values, low, n=50) -> pd.DataFrame:
    rows = [
        [f"s{i}", f"Kind {i}", "ltv_alike", "LTV(12)", value, least, value + 50, 0.95, n, 1, "", "",
         "" if np.isfinite(value) else "12 customers of the 30 needed"]
        for i, (value, least) in enumerate(zip(values, low, strict=True))
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(comparison=400.0, verdict=np.where(frame["estimate"].isna(), "not enough data", ""))


def test_payback_is_told_with_its_range():
    chart = figures.plot_payback(curves())
    assert chart.title == "A customer's cost is paid back after 6.0 months (5.0 to 7.0)"
    for words in ("All customers", "Kind s1", "cost covered", "target: 12 months", ">40<"):
        assert words in chart.svg
    assert "1 · Kind s1" in chart.narrow
    title = figures.plot_payback(curves(), "s1").title
    assert title.startswith("Kind s1: the cost of one is paid back after 4.0 months")


def test_payback_that_is_not_reached_is_said():
    assert figures.plot_payback(curves(rate=10.0)).title == (
        "A customer's cost is not paid back within the 12 months that can be followed"
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.9, 0.97, "shrank to 94"), (1.01, 1.2, "grew to"), (0.9, 1.1, "stayed at")],
)
def test_retention_is_told_by_its_range(low, high, words):
    middle = (low + high) / 2 if low > 1 else 0.94
    chart = figures.plot_retention(quarters((0.98, middle), (0.95, low), (1.02, high)))
    assert f"In Jul–Sep 2026 the customers of the quarter before {words}" in chart.title
    assert "customers when it began" in chart.svg
    assert "NRR" in chart.narrow


def test_worth_is_claimed_only_beyond_the_average():
    clear = figures.plot_worth(worth([700.0, 450.0], [600.0, 380.0]))
    assert clear.title.startswith("Kind 0 bring more than others within the same months: €700")
    vague = figures.plot_worth(worth([450.0, 390.0], [350.0, 300.0]))
    assert vague.title == "Once won, no group is clearly worth more than all customers, €400, within the same months"
    few = figures.plot_worth(worth([450.0, np.nan], [350.0, np.nan]))
    assert "12 of 30 customers" in few.svg
    assert few.title == "Kind 0 bring €450 (350 to 500) each"


def test_without_rows_a_figure_says_what_is_missing():
    empty = pd.DataFrame(columns=CURVE_COLUMNS)
    for plot in (figures.plot_payback, figures.plot_worth, figures.plot_retention):
        chart = plot(empty, needs="revenue")
        assert (chart.svg, chart.title[:29]) == ("", "Not measured: needs revenue. ")
        assert plot(empty).title
    unknown = quarters().assign(estimate=np.nan)
    assert figures.plot_retention(unknown).title == "No quarter began with enough customers yet."
    assert figures.plot_worth(worth([np.nan], [np.nan])).svg == ""


def test_the_same_rows_draw_the_same_bytes():
    assert figures.plot_payback(curves()).svg == figures.plot_payback(curves()).svg
    assert figures.plot_retention(quarters()).svg == figures.plot_retention(quarters()).svg
