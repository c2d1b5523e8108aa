"""The segment explorer: its data, the ranking without script, and the script in a browser."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from selenium.webdriver import Keys
from test_display import EVIL, Tags
from test_front import NOISE, SEGMENTS, opened, render_all  # noqa: F401

from icp_lib.explorer import WEIGHTS, build_explorer, to_script_json

FILTERED = "#only.industry=Makers&verdict=confirmed"


def data_of(html: str) -> dict:
    found = re.findall(r'<script type="application/json" id="icp-segments">(.*?)</script>', html, re.DOTALL)
    assert len(found) == 1
    return json.loads(found[0])


def explore(**changes) -> dict:
    arguments = {"segments": SEGMENTS.head(2), "segments_all": SEGMENTS, "segment_noise": NOISE} | changes
    return build_explorer(**arguments)


def test_hostile_names_come_back_whole_from_json_that_no_tag_can_end():
    name = EVIL + "\u2028\u2029&<!--]]>"
    text = to_script_json({"name": name})
    assert json.loads(text)["name"] == name
    assert not set("<>&\u2028\u2029") & set(text)


def test_json_refuses_what_a_browser_cannot_read():
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_script_json([math.nan])


def test_no_segment_no_explorer():
    assert build_explorer() is None and build_explorer(pd.DataFrame(), SEGMENTS.iloc[:0]) is None


def test_every_segment_is_ranked_in_the_table_that_works_without_script():
    html = render_all()
    rows = Tags(html).find("tr")
    assert {row["data-id"] for row in rows if "data-id" in row} == set(SEGMENTS["segment_id"])
    order = re.findall(r'<tr data-id="(\w+)"', html)
    assert order[0] == "s1" and order[-1] == "s5"  # the best first; too few to rank last
    assert "€45 (38 to 52)" in html


def test_the_score_is_the_weighted_mean_of_the_scaled_measures():
    by_id = {each["id"]: each for each in json.loads(explore()["data"])["segments"]}
    able = SEGMENTS[SEGMENTS["verdict"] != "not enough data"].set_index("segment_id")
    measures = {
        "margin_per_day": able["margin_per_day"], "win_rate": able["win_rate"],
        "cycle_median_days": -able["cycle_median_days"], "n_opportunities": np.log(able["n_opportunities"]),
    }  # fmt: skip
    scaled = pd.DataFrame({name: (v - v.min()) / (v.max() - v.min()) for name, v in measures.items()})
    weights = pd.Series({name: weight for name, _, weight, _ in WEIGHTS})
    expected = (scaled * weights).sum(axis=1) / weights.sum()
    for segment_id, score in expected.items():
        assert by_id[segment_id]["score"] == f"{score:.2f}"
    assert by_id["s5"]["score"] is None


def test_a_missing_measure_takes_its_weight_with_it():
    one = SEGMENTS.assign(cycle_median_days=SEGMENTS["cycle_median_days"].where(SEGMENTS["segment_id"] != "s1"))
    data = json.loads(explore(segments=None, segments_all=one)["data"])
    first = next(each for each in data["segments"] if each["id"] == "s1")
    assert first["parts"][2] is None and first["score"] == "1.00"  # the best in all that is known


def test_below_the_minimum_there_is_no_number_anywhere():
    data = json.loads(explore()["data"])
    few = next(each for each in data["segments"] if each["id"] == "s5")
    assert few["at"] is None and few["bars"] == [] and few["value"] == "8 of 15 won" and few["notes"] == ["8 of 15 won"]
    assert "€99" not in json.dumps(data, ensure_ascii=False)


def test_the_funnel_is_luck_in_the_unit_of_the_chart():
    chart = json.loads(explore(rest=20)["data"])["chart"]
    top = next(tick for tick in reversed(chart["yticks"]))
    assert top[1] == "€60"
    at_100 = next(point for point in chart["noise"] if point[0] == pytest.approx(math.log(100), abs=1e-3))
    assert at_100[1:] == pytest.approx([100 * 30 / 60, 100 * 40 / 60], abs=0.01)  # lifts of 1.5 and 2 times €20
    assert chart["rest"][1] == "the rest €20"
    assert [point[0] for point in chart["noise"]] == sorted(point[0] for point in chart["noise"])


def test_no_funnel_without_its_table():
    for noise in (None, NOISE.iloc[:0], NOISE.drop(columns="noise_95"), NOISE.head(1)):
        assert json.loads(explore(segment_noise=noise)["data"])["chart"]["noise"] == []
    assert "Inside the shaded area" in render_all()


def test_without_margin_the_chart_shows_times_the_rest():
    bare = SEGMENTS.drop(columns=["margin_per_day", "margin_per_day_rest"])
    found = explore(segments=None, segments_all=bare)
    chart = json.loads(found["data"])["chart"]
    assert found["value_name"] == "Times the rest, newer deals" and chart["rest"][1] == "the rest"
    assert "same" in [name for _, name in chart["yticks"]] and len(chart["noise"]) == 3
    assert found["rows"][0]["value"] == "2.7× (2.2 to 3.2)"


FOUND_ONLY = SEGMENTS[
    ["segment_id", "segment", "conditions", "n_accounts", "n_opportunities", "n_won", "lift_found"]
].assign(segment_id=[f"f{i}" for i in range(5)], is_offered=False, reason="Shares too many accounts with: Carriers")


def test_what_is_not_offered_is_drawn_as_found_and_not_ranked():
    found = explore(segments_all=FOUND_ONLY, rest=20)
    by_id = {each["id"]: each for each in found["rows"]}
    assert by_id["f0"]["verdict"] == "Not offered" and by_id["f0"]["value"] == "€58 as found"  # 2.9 times €20
    assert by_id["f0"]["score"] is None and by_id["f0"]["at"][:3] == [None, None, None] and by_id["f0"]["bars"] == []
    assert by_id["f0"]["notes"][0] == "Shares too many accounts with: Carriers."
    assert [each["id"] for each in found["rows"]][:2] == ["s1", "s2"]
    assert found["title"] == "2 segments: 1 confirmed, 1 promising" and "grey dots" in found["subtitle"]


def test_nothing_offered_is_said():
    found = explore(segments=SEGMENTS.iloc[:0], segments_all=FOUND_ONLY)
    assert found["title"] == "No segment stands out enough to be offered"
    assert json.loads(found["data"])["weights"] == []


def test_the_axis_counts_the_deals_where_a_segment_was_found():
    older = SEGMENTS.assign(found_n_opportunities=SEGMENTS["n_opportunities"] // 2)
    data = json.loads(explore(segments=older, segments_all=None)["data"])
    assert data["chart"]["xname"] == "deals where it was found →"
    first = next(each for each in data["segments"] if each["id"] == "s1")
    assert (first["n"], first["deals"]) == (215, "215") and first["counts"].startswith("431 deals in all, ")


def test_the_page_says_how_many_groups_were_looked_at():
    assert "3,914 groups were looked at." in render_all()


def test_two_levels_of_one_attribute_are_both_a_filter():
    uses = [{"attribute": "technologies", "op": "is", "value": value} for value in ("ERP", "Telematics")]
    one = SEGMENTS.head(1).assign(conditions=json.dumps(uses))
    data = json.loads(explore(segments=one, segments_all=None)["data"])
    assert data["segments"][0]["levels"] == {"technologies": ["ERP", "Telematics"]}


def test_filters_are_the_levels_of_the_conditions():
    facets = json.loads(explore()["data"])["facets"]
    assert [each["name"] for each in facets] == ["Industry", "Employees"]
    assert facets[1]["levels"] == ["5 to 20", "21 to 50", "101 or more"]  # by size, not by the alphabet


def test_chance_of_being_first_is_shown_only_where_it_is_given():
    assert not explore()["has_first"]
    known = explore(segments=SEGMENTS.head(2).assign(p_first=[0.94, 0.004]))
    first = {each["id"]: each["first"] for each in known["rows"]}
    assert known["has_first"] and first["s1"] == "94%" and first["s2"] == "under 1%" and first["s4"] == ""


def test_many_segments_are_cut_and_the_page_says_so():
    many = pd.concat([SEGMENTS.assign(segment_id=[f"{i}{x}" for x in SEGMENTS["segment_id"]]) for i in range(40)])
    found = explore(segments=None, segments_all=many)
    assert len(found["rows"]) == 120 and found["cut"] == "The 120 with the most evidence of 200 kept."
    assert not {row["key"] for row in found["rows"]} & {"not enough data"}


def ids(driver) -> list[str]:
    """Segments that the ranking shows, in its order."""
    return driver.execute_script("""const rows = [...document.querySelectorAll('.ranking tbody tr')];
        return rows.filter((row) => row.checkVisibility()).map((row) => row.dataset.id)""")


def chosen(driver) -> str:
    return driver.execute_script("return document.querySelector('#icp-detail h3').textContent")


def press(driver, text: str) -> None:
    """Press the chip or button with this text."""
    script = """const buttons = [...document.querySelectorAll('#explorer button')];
        buttons.find((each) => each.textContent === arguments[0]).click()"""
    driver.execute_script(script, text)


def slide(driver, number: int, value: int) -> None:
    script = """const input = document.querySelectorAll('.slider input')[arguments[0]];
        input.value = arguments[1]; input.dispatchEvent(new Event('input'))"""
    driver.execute_script(script, number, value)


def test_a_hostile_name_is_only_text_in_the_browser(opened):  # noqa: F811
    driver = opened()
    assert EVIL in driver.execute_script("return document.querySelector('[data-id=s3] .pick').textContent")
    driver.execute_script("document.querySelector('.ranking [data-id=s3] button').click()")
    assert chosen(driver) == EVIL
    assert driver.execute_script("return document.querySelectorAll('img').length") == 0
    assert [entry["message"] for entry in driver.get_log("browser")] == []


def test_the_script_ranks_as_the_table_did(opened):  # noqa: F811
    driver = opened()
    html = render_all()
    assert ids(driver) == re.findall(r'<tr data-id="(\w+)"', html)
    words = "return [...document.querySelectorAll('.score-words')].map((each) => each.textContent)"
    assert driver.execute_script(words) == re.findall(r'class="score-words">([^<]+)<', html)


def test_weights_change_the_ranking_and_no_verdict(opened):  # noqa: F811
    driver = opened()
    verdicts = """const rows = [...document.querySelectorAll('.ranking [data-id]')];
        return rows.map((row) => [row.dataset.id, row.querySelector('.under').textContent]).sort().join()"""
    before, said = ids(driver), driver.execute_script(verdicts)
    for number, value in enumerate((0, 0, 0, 100)):
        slide(driver, number, value)
    assert ids(driver)[:4] == ["s1", "s4", "s2", "s3"] != before[:4]  # by deals alone
    assert driver.execute_script(verdicts) == said
    press(driver, "Reset")
    assert ids(driver) == before and driver.execute_script("return location.hash") == ""


def test_chips_filter_chart_and_ranking(opened):  # noqa: F811
    driver = opened()
    press(driver, "Carriers")
    points = "return [...document.querySelectorAll('#icp-chart .point')].map((each) => each.dataset.id).sort()"
    assert ids(driver) == ["s1", "s2", "s5"] and driver.execute_script(points) == ["s1", "s2"]
    press(driver, "Promising")
    assert ids(driver) == ["s2"] and chosen(driver) == "Carriers, 21 to 50"


def test_the_address_holds_the_state_and_restores_it(opened):  # noqa: F811
    driver = opened()
    press(driver, "Carriers")
    slide(driver, 0, 10)
    driver.execute_script("document.querySelector('.ranking [data-id=s2] button').click()")
    address = driver.execute_script("return location.hash")
    assert address == "#segment=s2&weights=10%2C25%2C15%2C20&only.industry=Carriers"
    again = opened(address=address)
    assert ids(again) == ["s1", "s2", "s5"] and chosen(again) == "Carriers, 21 to 50"
    assert again.execute_script("return document.querySelector('.slider input').value") == "10"


NOTHING = ["#segment=none&weights=a,b&verdict=x&only.industry=y", "#known", "#weights=1,2,3,400"]


@pytest.mark.parametrize("address", NOTHING)
def test_an_address_that_says_nothing_leaves_the_start(opened, address):  # noqa: F811
    driver = opened(address=address)
    assert chosen(driver) == "Carriers, 5 to 20" and len(ids(driver)) == 5
    assert [entry["message"] for entry in driver.get_log("browser")] == []


def test_a_filter_that_leaves_nothing_is_named_and_has_a_way_back(opened):  # noqa: F811
    driver = opened(address=FILTERED)
    words = driver.find_element("id", "icp-nothing").text
    assert words.startswith("No segment matches industry Makers, verdict confirmed.") and ids(driver) == []
    assert not driver.find_element("id", "icp-detail").is_displayed()
    press(driver, "Show all 5 segments")
    assert len(ids(driver)) == 5 and not driver.find_element("id", "icp-nothing").is_displayed()


def test_the_chart_is_one_stop_of_the_keyboard_and_arrows_go_on(opened):  # noqa: F811
    driver = opened()
    point = driver.find_elements("css selector", '#icp-chart [tabindex="0"]')
    assert len(point) == 1 and point[0].get_attribute("data-id") == "s1"
    driver.execute_script("arguments[0].focus()", point[0])
    driver.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    now = driver.switch_to.active_element
    assert now.get_attribute("data-id") == "s4" and chosen(driver) == "Makers"  # the next with fewer deals
    assert now.get_attribute("aria-pressed") == "true" and "€18 (11 to 25)" in now.get_attribute("aria-label")


def test_on_a_phone_filters_are_behind_a_button_and_the_chart_fits(opened):  # noqa: F811
    driver = opened(390)
    button = driver.find_element("css selector", ".tool-open")
    assert button.is_displayed() and not driver.find_element("css selector", ".chip").is_displayed()
    driver.execute_script("arguments[0].click()", button)
    assert driver.find_element("css selector", ".chip").is_displayed()
    assert button.get_attribute("aria-expanded") == "true"
    width = "return document.querySelector('#icp-chart svg').getBoundingClientRect().width"
    assert driver.execute_script(width) <= 358
