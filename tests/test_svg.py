"""A figure's drawing on a page: the page's colours and font, ids of its own, one drawing for each width."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from test_display import EVIL, Tags

from icp_lib import figures, marks, svg
from icp_lib.charts import NARROW

FRAME = pd.DataFrame(
    {
        "segment": ["Carriers", EVIL],
        "margin_per_day": [44.7, 20.0],
        "margin_per_day_low": [38.2, 15.0],
        "margin_per_day_high": [51.3, 26.0],
        "rest": 17.0,
        "verdict": ["confirmed", "contradicted"],
    }
)


@pytest.fixture(scope="module")
def figure() -> str:
    chart = figures.plot_ranges(FRAME, title="{segment} earn {margin_per_day}", caption="n = 9", name="segments")
    data = {"image/svg+xml": chart.svg.splitlines(keepends=True), NARROW: chart.narrow, "text/plain": chart.alt}
    words = {"title": chart.title, "subtitle": chart.subtitle, "caption": chart.caption, "alt": chart.alt}
    return svg.render_figure(data, {"name": chart.name, **words}, ["segments.csv"])


def test_colours_and_font_are_the_page_s(figure):
    assert not re.search(r"#[0-9a-fA-F]{6}\b", figure), "a colour that would not follow the theme"
    assert "var(--blue)" in figure and "var(--verm)" in figure
    assert set(re.findall(r"font-family: ([^;\"]+)", figure)) <= {"var(--sans)"}
    assert re.search(r"font: [^;\"]*'?DejaVu", figure) is None


def test_a_likely_range_follows_the_theme_s_faintness(figure):
    assert "opacity: 0.3" not in figure
    assert figure.count("opacity: var(--faint)") == 4, "two rows, drawn twice"
    assert marks.FAINT[1] > marks.FAINT[0], "a dark page swallows more"


def test_ids_are_the_only_ones_of_their_name(figure):
    ids = [attrs["id"] for _, attrs in Tags(figure).tags if "id" in attrs]
    assert ids and len(ids) == len(set(ids))
    inside = [name for name in ids if name != "figure-segments"]
    assert all(name.startswith("segments-") for name in inside)
    used = {name[1:] for name in re.findall(r'href="(#[^"]*)"', figure)} | set(re.findall(r"url\(#([^)]*)\)", figure))
    assert used <= set(ids)


def test_each_width_has_its_drawing_with_words_for_a_screen_reader(figure):
    tags = Tags(figure)
    assert [attrs["class"] for attrs in tags.find("div", role="group")] == ["drawing wide", "drawing narrow"]
    alts = [attrs["aria-label"] for attrs in tags.find("svg", role="img")]
    assert len(alts) == 2 and alts[0] == alts[1] and alts[0].startswith("Range chart:")
    assert 'href="tables/segments.csv"' in figure and "<style" not in figure and "<metadata" not in figure


def test_a_figure_without_a_narrow_drawing_keeps_the_wide_one():
    html = svg.render_figure({"image/svg+xml": "<svg viewBox='0 0 1 1'></svg>"}, {"name": "x"}, [])
    assert [attrs["class"] for attrs in Tags(html).find("div", role="group")] == ["drawing only"]


def test_what_data_says_stays_text(figure):
    assert not {tag for tag, _ in Tags(figure).tags} & {"script", "img"}


def test_a_picture_of_others_is_inert():
    html = svg.render_picture({"image/svg+xml": "<svg onload='alert(1)'/>", "text/plain": EVIL}, {})
    attrs = Tags(html).find("img")[0]
    assert attrs["src"].startswith("data:image/svg+xml;base64,") and attrs["alt"] == EVIL


@pytest.mark.parametrize(("name", "table"), [
    ("segments", "segments.csv"), ("segments_map", "segments.csv"), ("segments_all_map", "segments_all.csv"),
    ("segm", ""),
])  # fmt: skip
def test_a_figure_links_to_the_table_it_is_named_after(name, table):
    drawing = {"image/svg+xml": '<svg viewBox="0 0 1 1"></svg>'}
    html = svg.render_figure(drawing, {"name": name, "alt": "a"}, ["segments.csv", "segments_all.csv"])
    assert (f'href="tables/{table}"' in html) == bool(table) and ("Table (CSV)" in html) == bool(table)
