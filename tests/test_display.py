"""Formats, marks, tables and sentences: what a reader sees of one result table."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from icp_lib import display, formats, marks
from icp_lib.checks import DataError

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"


class Tags(HTMLParser):
    """Collect the start tags of a piece of HTML with their attributes."""

    def __init__(self, html: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def find(self, tag: str, **wanted) -> list[dict]:
        return [attrs for name, attrs in self.tags if name == tag and wanted.items() <= attrs.items()]


@pytest.fixture
def segments() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "segment_id": ["s1", "s2", "s3"],
            "segment": ["Carriers, 5-20", "Large retailers", "Carriers, 101-250"],
            "n_opportunities": [431, 79, 29],
            "margin_per_day": [44.72, 10.0, np.nan],
            "margin_per_day_low": [38.2, 5.1, np.nan],
            "margin_per_day_high": [51.3, 15.2, np.nan],
            "cycle_median_days": [31.0, 210.0, np.nan],
            "rest": 17.0,
            "verdict": ["confirmed", "contradicted", "not enough data"],
            "note": [None, None, "8 of 15 won"],
        }
    )


@pytest.mark.parametrize(
    ("value", "low", "high", "column", "expected"),
    [
        (44.72, 38.2, 51.3, "margin_per_day", "€45 (38 to 51)"),
        (0.342, 0.30, 0.39, "win_rate", "34% (30 to 39)"),
        (31, 28, 34, "cycle_median_days", "31 days (28 to 34)"),
        (2.71, 2.2, 3.21, "lift", "2.7× (2.2 to 3.2)"),
        (2.5, 0.8, 6.6, "holdout_lift", "2.5× (0.8 to 6.6)"),
        (1.04, 0.98, 1.11, "lift", "1.04× (0.98 to 1.11)"),
        (64210, 52100, 80400, "cac", "€64,000 (52,000 to 80,000)"),
        (8.83, 7.51, 10.52, "payback_months", "8.8 months (7.5 to 10.5)"),
        (48, 34, float("inf"), "payback_months", "48 months (34 to not reached)"),
        (48, 34, float("nan"), "payback_months", "48 months (34 to not reached)"),
        (-12, -30, 5, "margin_per_day", "−€12 (−30 to 5)"),
        (46, 35, 59, "reachable_accounts", "46 (35 to 59)"),
        (0.021, -0.012, 0.053, "gap_rate", "2 pt (−1 to 5)"),
        (0.0, 0.0, 0.0, "win_rate", "0% (0 to 0)"),
        (0.084, 0.004, 0.165, "gap_rate", "8.4 pt (0.4 to 16.5)"),
        (0.084, 0.0, 0.165, "gap_rate", "8 pt (0 to 16)"),
        (263, -33, 559, "gain", "€260 (−30 to 560)"),
        (0.98, 0.94, 1.02, "win_rate", "98% (94 to 102)"),
        (45.0, None, None, "margin_per_day", "€45"),
        (float("nan"), 1, 2, "lift", "not measured"),
    ],
)
def test_interval(value, low, high, column, expected):
    assert formats.format_interval(value, low, high, column) == expected


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        (3480, "cac", "€3,480"),
        (12345.6, "amount", "€12,300"),
        (4.5, "price", "€4.50"),
        (0.0456, "win_rate", "4.6%"),
        (0.999, "coverage_rate", "99.9%"),
        (1.0, "coverage_rate", "100%"),
        (0.0001, "stale_rate", "under 0.1%"),
        (1, "cycle_median_days", "1 day"),
        (6.25, "cycle_median_days", "6.2 days"),
        (12345, "n_won", "12,345"),
        (0.85, "lift", "0.85×"),
        (0.0004, "p_adjusted", "under 0.001"),
        (0.0123, "p_adjusted", "0.012"),
        (0.3456, "p_value", "0.35"),
        (1.0, "p_adjusted", "1"),
        (True, "is_emerging", "yes"),
        (np.bool_(False), "is_new", "no"),
        (pd.Timestamp("2026-09-30"), "created_at", "30 Sep 2026"),
        (pd.NaT, "created_at", "not measured"),
        (None, "segment", "not measured"),
        (pd.NA, "n", "not measured"),
        (np.int64(7), "n", "7"),
        (0.0, "margin", "€0"),
        (float("inf"), "payback_months", "not reached"),
        ("Owner", "buyer_role", "Owner"),
        (-0.2, "margin", "−€0.20"),
    ],
)
def test_value(value, column, expected):
    assert formats.format_value(value, column) == expected


def test_ranges_in_a_sentence_carry_their_unit():
    assert formats.format_range(38.2, 51.3, "margin_per_day", unit=True) == "€38 to €51"
    assert formats.format_range(28, 34, "cycle_median_days", unit=True) == "28 to 34 days"
    assert formats.format_range(34, None, "payback_months", unit=True) == "34 months to not reached"
    assert formats.format_range(None, None, "lift") == ""


def test_metric_of_the_row_decides_the_format_of_an_estimate():
    assert formats.format_interval(0.342, 0.3, 0.39, "estimate", "win_rate") == "34% (30 to 39)"
    assert formats.format_interval(2.7, 2.2, 3.2, "estimate", "lift") == "2.7× (2.2 to 3.2)"


def test_currency_is_set_once():
    display.set_currency("USD")
    try:
        assert formats.format_value(45, "margin") == "$45"
    finally:
        display.set_currency("EUR")


def test_table_merges_ranges_and_hides_what_is_shown_elsewhere(segments):
    shown = display.show(segments, "Segments", bar="margin_per_day", name="segments")
    assert "€45 (38 to 51)" in shown.html and "€45 (38 to 51)" in shown.text
    for hidden in ("margin_per_day_low", "segment_id", ">s1<", "Verdict", ">Rest<"):
        assert hidden not in shown.html
    assert "NaN" not in shown.html + shown.text and "nan" not in shown.html + shown.text
    tags = Tags(shown.html)
    assert tags.find("div", **{"class": "icp-table", "data-name": "segments"})
    assert tags.find("span", **{"data-metric": "margin_per_day"})
    assert [attrs.get("data-sort") for attrs in tags.find("td", **{"class": "num"})][:3] == ["431", "44.72", "31"]
    assert len(tags.find("th", scope="row")) == 3


def test_range_bar_says_its_numbers(segments):
    bars = Tags(display.show(segments, bar="margin_per_day").html).find("span", **{"class": "icp-bar"})
    assert bars[0]["role"] == "img"
    assert bars[0]["aria-label"] == "€45, likely €38 to €51; the rest €17"
    assert bars[2]["aria-label"] == "not measured; the rest €17"
    shown = display.show(segments.assign(compared_with="all customers"), bar="margin_per_day")
    bars = Tags(shown.html).find("span", **{"class": "icp-bar"})
    assert bars[0]["aria-label"] == "€45, likely €38 to €51; all customers €17"
    assert "Compared with" not in shown.html + shown.text


def test_verdict_stands_in_words_with_the_note(segments):
    html = display.show(segments).html
    assert "Confirmed" in html and "Not enough data. 8 of 15 won" in html
    assert 'aria-label="contradicted"' in html


def test_missing_number_without_note_gives_a_reason(segments):
    html = display.show(segments.assign(note=None)).html
    assert '–<span class="why">not measured</span>' in html


def test_rows_are_folded_but_present():
    frame = pd.DataFrame({"segment": [f"segment {i:03d}" for i in range(30)], "n_won": range(30)})
    shown = display.show(frame, rows=12)
    assert shown.html.count('<tr class="more">') == 18
    assert all(f"segment {i:03d}" in shown.html for i in range(30))
    assert shown.text.endswith("... 18 more rows")


def test_everything_from_data_is_escaped():
    frame = pd.DataFrame({"segment": [EVIL], EVIL: [EVIL], "n_won": [3], "verdict": [EVIL], "note": [EVIL]})
    row = {"segment": EVIL, "verdict": EVIL, "claim": EVIL, "note": EVIL, "metric": EVIL, "n": 3}
    for html in (
        display.aside(row, EVIL, "{segment}").html,
        display.facts(row, {EVIL: "{segment}"}).html,
        display.say(frame.assign(segment=EVIL), "{segment}").html,
        display.show(frame, caption=EVIL, name=EVIL).html,
        display.say(row, "{segment}" + "**<b>**").html,
        display.how_sure(row).html,
    ):
        tags = Tags(html)
        assert not {tag for tag, _ in tags.tags} & {"script", "img"}
        assert not [name for _, attrs in tags.tags for name in attrs if name.startswith("on")]


def test_long_table_formats_each_row_by_its_metric():
    frame = pd.DataFrame(
        {
            "metric": ["win_rate", "lift"],
            "estimate": [0.342, 2.7],
            "conf_low": [0.3, 2.2],
            "conf_high": [0.39, 3.2],
            "conf_level": 0.95,
            "n": [431, 431],
        }
    )
    shown = display.show(frame)
    assert "34% (30 to 39)" in shown.text and "2.7× (2.2 to 3.2)" in shown.text
    assert "Won within a year" in shown.text and "0.95" not in shown.text


@pytest.mark.parametrize(
    ("needs", "words"),
    [
        (None, "Nothing to show: no row passed."),
        ("spend", "Not measured: needs spend. Add spend.csv with month, category and amount, then run again."),
        (
            "opportunities.amount",
            "Not measured: needs opportunities.amount. Add the column amount to opportunities.csv, then run again.",
        ),
        (
            ("assignments", "experiments.yml"),
            "Not measured: needs assignments and experiments.yml. Add assignments.csv with "
            "experiment_id, account_id, arm and assigned_at; and experiments.yml, then run again.",
        ),
    ],
)
def test_empty_says_what_is_missing(segments, needs, words):
    for shown in (
        display.show(segments.iloc[:0], needs=needs),
        display.say(segments.iloc[:0], "{segment}", needs=needs),
    ):
        assert str(shown) == words
        assert 'class="icp-missing"' in shown.html


def test_sentence_is_filled_by_column_name(segments):
    row = segments.iloc[0]
    text = "{segment} earn **{margin_per_day}** ({interval:margin_per_day}), the rest {rest:margin_per_day}, "
    text += "n = {n_opportunities}."
    shown = display.say(row, text)
    assert str(shown) == "Carriers, 5-20 earn €45 (38 to 51), the rest €17, n = 431. (confirmed)"
    assert "<b>€45</b> (38&nbsp;to&nbsp;51)" in shown.html and shown.html.startswith('<p class="icp-say has-mark"><svg')
    assert display.fill(row, "{margin_per_day_low} to {margin_per_day_high}") == "38 to 51"
    assert display.fill(segments.iloc[2], "{margin_per_day}") == "not measured"


def test_unknown_field_names_the_closest(segments):
    with pytest.raises(DataError, match=r"no 'segmnt'. Did you mean 'segment'"):
        display.say(segments.iloc[0], "{segmnt}")
    with pytest.raises(DataError, match=r"bar='margin_per_dy' is not a column. Did you mean 'margin_per_day'"):
        display.show(segments, bar="margin_per_dy")
    with pytest.raises(DataError, match=r"fill: one row is needed, the frame has 3. Take one"):
        display.fill(segments, "{segment}")


def test_several_rows_become_a_list_each_with_its_mark_and_its_verdict_s_sentence(segments):
    shown = display.say(segments, {"confirmed": "{segment} lead.", "not enough data": "{note}.", "": "Not {segment}."})
    assert str(shown).splitlines() == [
        "- Carriers, 5-20 lead. (confirmed)",
        "- Not Large retailers. (contradicted)",
        "- 8 of 15 won. (not enough data)",
    ]
    tags = Tags(shown.html)
    assert len(tags.find("ul", **{"class": "icp-says"})) == 1
    assert len(tags.find("li", **{"class": "icp-say has-mark"})) == 3
    assert [mark["aria-label"] for mark in tags.find("svg", role="img")] == list(segments["verdict"])
    assert display.say(segments.head(1), "{segment}.").html == display.say(segments.iloc[0], "{segment}.").html
    with pytest.raises(DataError, match=r"no sentence for the verdict 'contradicted'. Add one under that word, or"):
        display.say(segments, {"confirmed": "{segment} lead."})


def test_a_group_below_the_minimum_shows_how_far_it_is_and_no_figure(segments):
    segments.loc[2, "note"] = "8 won of the 15 needed"
    html = display.show(segments, bar="margin_per_day").html
    bars = [attrs["aria-label"] for attrs in Tags(html).find("span", role="img")]
    assert bars[-1] == "8 of 15 won" and "8 won of the 15 needed" in html
    assert marks.read_progress("1,038 deals of the 1,050 needed") == (1038, 1050, "deals")
    assert marks.read_progress("Known only for won deals") is None


def test_every_verdict_has_its_own_shape():
    bodies = {key: marks.verdict_mark(key).split(">", 1)[1] for key in marks.VERDICTS}
    assert len(set(bodies.values())) == len(marks.VERDICTS)


def test_scale_leaves_a_far_end_out_and_draws_an_arrow():
    frame = pd.DataFrame(
        {
            "segment": ["a", "b"],
            "margin_per_day": [40.0, 43.0],
            "margin_per_day_low": [30.0, 20.0],
            "margin_per_day_high": [50.0, 900.0],
        }
    )
    html = display.show(frame, bar="margin_per_day").html
    assert html.count("M-5-5 1 0-5 5z") == 1
    assert marks.nice_scale([0.3, 2.7], "ratio")[:2] == (0.25, 4.0)


def test_amounts_of_two_metrics_do_not_share_a_scale_and_a_value_beside_nothing_is_not_drawn():
    rows = {"metric": ["margin_per_day", "cac", "reachable_accounts"], "estimate": [34.0, 2300.0, 995.0],
            "conf_low": [22.0, 2000.0, np.nan], "conf_high": [54.0, 2600.0, np.nan]}  # fmt: skip
    frame = pd.DataFrame(rows).assign(rest=[14.0, 5470.0, np.nan])
    together, alone = (Tags(display.show(part, bar="estimate").html) for part in (frame, frame[:1]))
    dots = [[dot["x"] for dot in tags.find("svg", **{"class": "dot"})] for tags in (together, alone)]
    assert len(dots[0]) == 2 and dots[0][:1] == dots[1]


def test_a_note_of_all_rows_is_said_once_in_the_caption(segments):
    shown = display.show(segments.assign(note="One trait at a time."), "Segments")
    assert (
        shown.html.count("One trait at a time.") == 1
        and "<caption>Segments. One trait at a time.</caption>" in shown.html
    )


def test_a_table_of_one_metric_names_it_in_the_head():
    frame = pd.DataFrame(
        {"claim": ["a", "b"], "metric": "lift", "estimate": [2.7, 0.6], "conf_low": [2.2, 0.4], "conf_high": [3.2, 0.8]}
    )
    shown = display.show(frame, bar="estimate")
    assert "Metric" not in shown.text and "Times the rest" in shown.text.splitlines()[0]
    assert shown.html.count('class="rest"') == 2 and ">same<" in shown.html


def test_missing_text_is_a_dash_without_a_reason():
    html = display.show(pd.DataFrame({"step": ["read", "left out"], "reason": [None, "test account"]})).html
    assert '<span aria-label="none">–</span>' in html and "not measured" not in html
