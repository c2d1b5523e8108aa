"""Figures: same bytes on every run, token colours only, words that stand alone."""

from __future__ import annotations

import re
import sys

import numpy as np
import pandas as pd
import pytest

from icp_lib import figures, marks
from icp_lib.checks import DataError


@pytest.fixture
def ranges() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "segment": ["Carriers, 5-20 employees, owner buys", "Cold chain", "Large retailers", "<script>&"],
            "n_opportunities": [431, 38, 79, 29],
            "margin_per_day": [44.72, 43.0, 10.0, np.nan],
            "margin_per_day_low": [38.2, 20.0, 5.1, np.nan],
            "margin_per_day_high": [51.3, 900.0, 15.2, np.nan],
            "rest": 17.0,
            "verdict": ["confirmed", "untested", "contradicted", "not enough data"],
            "note": [None, None, None, "8 of 15 won"],
        }
    )


COVERAGE = pd.DataFrame(
    {
        "attribute": ["industry", "region"],
        "coverage_rate": [0.97, 0.71],
        "coverage_won_rate": [0.98, 0.73],
        "coverage_not_won_rate": [0.97, 0.70],
    }
)
POPULATION = pd.DataFrame({"step": ["Read", "Quarantined", "Analysed"], "n": [5000, 51, 4949]})


def charts(ranges):
    return (
        figures.plot_ranges(ranges, title="{segment} earn {margin_per_day} a selling day"),
        figures.plot_coverage(COVERAGE),
        figures.plot_population(POPULATION),
    )


def test_the_same_bytes_on_every_run(ranges):
    assert charts(ranges) == charts(ranges)


def test_only_token_colours_and_real_text(ranges):
    allowed = {light.lower() for light, _ in marks.TOKENS.values()}
    for chart in charts(ranges):
        assert set(re.findall(r"#[0-9a-f]{6}\b", chart.svg)) <= allowed
        assert "<text" in chart.svg and "<dc:date>" not in chart.svg and "DejaVu Sans" in chart.svg


def test_finding_is_filled_from_the_data(ranges):
    chart, coverage, population = charts(ranges)
    assert chart.title == "Carriers, 5-20 employees, owner buys earn €45 a selling day"
    assert chart.alt.startswith("Range chart: margin per selling day of 4 rows, against the rest.")
    assert "Large retailers: €10 (5 to 15)." in chart.alt
    assert coverage.title == "Region is filled in for 71%"
    assert population.title == "4,949 of 5,000 are analysed"
    assert "8 of 15 won" in chart.svg and "the rest €17" in chart.svg


def test_text_from_data_is_escaped(ranges):
    assert "<script>" not in figures.plot_ranges(ranges, title="x").svg


def test_nothing_global_is_left(ranges):
    import matplotlib

    before = dict(matplotlib.rcParams)
    charts(ranges)
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


def test_empty_says_what_is_missing(ranges):
    chart = figures.plot_ranges(ranges.iloc[:0], needs="spend")
    assert chart.svg == "" and chart.title.startswith("Not measured: needs spend.")
    assert figures.plot_coverage(COVERAGE.iloc[:0]).svg == figures.plot_population(POPULATION.iloc[:0]).svg == ""


def test_wrong_columns_are_named(ranges):
    with pytest.raises(DataError, match="plot_ranges: needs the columns lift"):
        figures.plot_ranges(ranges, value="lift")


def test_chart_publishes_words_drawing_words(ranges, monkeypatch):
    import IPython.display

    seen = []
    monkeypatch.setattr(IPython.display, "display", lambda data, raw, metadata=None: seen.append((data, metadata)))
    chart = figures.plot_ranges(ranges, title="A finding", caption="n = 431", name="segments")
    chart._ipython_display_()
    assert [metadata["icp"] for _, metadata in seen] == ["chart-text", "chart", "chart-text"]
    assert seen[1][0]["text/plain"] == chart.alt and seen[1][1]["name"] == "segments"
