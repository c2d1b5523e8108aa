"""Figures: same bytes on every run, token colours only, words that stand alone."""

from __future__ import annotations

import itertools
import re
import sys

import numpy as np
import pandas as pd
import pytest

from icp_lib import figures, marks
from icp_lib.charts import NARROW
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
        assert set(re.findall(r"#[0-9a-f]{6}\b", chart.svg + chart.narrow)) <= allowed
        assert "<text" in chart.svg and "<dc:date>" not in chart.svg and "DejaVu Sans" in chart.svg


def test_finding_is_filled_from_the_data(ranges):
    chart, coverage, population = charts(ranges)
    assert chart.title == "Carriers, 5-20 employees, owner buys earn €45 a selling day"
    assert chart.alt.startswith("Range chart: margin per selling day of 4 rows, against the rest.")
    assert "Large retailers: €10 (5 to 15)." in chart.alt
    assert coverage.title == "Region is filled in for 71%"
    assert population.title == "4,949 of 5,000 are analysed"
    assert "the rest €17" in chart.svg


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
    assert seen[1][0][NARROW] == chart.narrow and seen[1][0]["image/svg+xml"] == chart.svg


def size_of(svg: str) -> tuple[float, float]:
    return tuple(float(number) for number in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())


def test_every_figure_is_drawn_again_for_a_phone(ranges):
    for chart in charts(ranges):
        wide, narrow = size_of(chart.svg), size_of(chart.narrow)
        assert wide[0] == pytest.approx(7.2 * 72) and narrow[0] == pytest.approx(3.73 * 72, abs=0.01)
        assert narrow[0] * 96 / 72 <= 390 - 2 * 16 + 0.1, "a phone of 390 px less its margins"
        words = [set(re.findall(r"<text[^>]*>([^<]*)</text>", svg)) for svg in (chart.svg, chart.narrow)]
        assert words[0] == words[1], "both say the same"


def test_rows_of_a_narrow_figure_do_not_overlap(ranges):
    heights = sorted({round(float(y)) for y in re.findall(r'<text [^>]*? y="([\d.]+)"', charts(ranges)[0].narrow)})
    gaps = [below - above for above, below in itertools.pairwise(heights)]
    assert len(gaps) > 4 and min(gaps) >= 10, "two lines of 8 to 9 points"


def test_below_the_minimum_counts_stand_in_the_place_of_a_figure(ranges):
    ranges.loc[3, "note"] = "8 won of the 15 needed"
    assert "8 of 15 won" in figures.plot_ranges(ranges, title="x").svg
    ranges.loc[3, "note"] = "Known only for won deals"
    svg = figures.plot_ranges(ranges, title="x").svg
    assert "8 of 15 won" not in svg and ">not enough data<" in svg
