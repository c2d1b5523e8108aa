"""The figures of page 02: drawn wide and narrow, titled by the finding, and in words where there is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icp_lib import trait_answers, trait_figures
from icp_lib.checks import DataError

ROW = {"segment": "Road freight companies", "base": "prospects", "best_rate": 0.54, "base_rate": 0.33,
       "base_lift": 1.64, "base_lift_low": 1.27, "base_lift_high": 2.0,
       "holdout_base_lift": 1.5, "holdout_base_lift_low": 1.1,
       "holdout_base_lift_high": 2.1, "p_adjusted": 0.01, "verdict": "confirmed", "n_best": 68}  # fmt: skip
LIFTS = pd.DataFrame([
    ROW,
    ROW | {"segment": "Retail <b>companies</b>", "best_rate": 0.0, "base_rate": 0.08, "base_lift": 0.0,
           "base_lift_low": 0.0, "base_lift_high": 0.65, "holdout_base_lift": np.nan, "holdout_base_lift_low": np.nan,
           "holdout_base_lift_high": np.nan, "p_adjusted": 0.2, "verdict": "not supported"},
])  # fmt: skip
HEAT = pd.DataFrame({"segment": ["Mills", "Yards"], "best_rate": [0.5, 0.1], "market_rate": [0.2, np.nan],
                     "other_rate": [np.nan, np.nan]})  # fmt: skip
CURVE = pd.DataFrame({"step": [0, 1, 2], "attribute": ["", "industry", "region"], "is_selected": [True, True, False],
                      "metric": "auc", "estimate": [0.5, 0.62, 0.6], "conf_low": [0.5, 0.55, 0.5],
                      "conf_high": [0.5, 0.69, 0.68]})  # fmt: skip


def test_the_lifts_are_titled_by_the_finding_and_drawn_twice():
    chart = trait_figures.plot_lifts(LIFTS, caption="n = {n_best}")
    assert (
        chart.title == "Road freight companies: 54% of the best customers, 33% of prospects, when found"
        and chart.caption == "n = 68"
    )
    assert chart.svg.startswith("<svg") and chart.narrow.startswith("<svg") and chart.svg != chart.narrow
    assert "no newer ones" in chart.svg and "<b>" not in chart.svg
    assert chart.svg == trait_figures.plot_lifts(LIFTS, caption="n = {n_best}").svg


def test_where_nothing_stands_out_the_title_says_so():
    chart = trait_figures.plot_lifts(LIFTS.assign(verdict="not supported"))
    assert chart.title == (
        "No trait stands out beyond luck; nearest: Road freight companies, 1.6× as common when found, "
        "1.5× in newer ones"
    )


def test_both_shares_of_a_title_have_the_same_digits():
    ends = {"best_rate_low": 0.42, "best_rate_high": 0.65, "base_rate_low": 0.314, "base_rate_high": 0.351}
    chart = trait_figures.plot_lifts(LIFTS.assign(**ends, base_rate=0.332))
    assert chart.title == "Road freight companies: 54% of the best customers, 33% of prospects, when found"


def test_the_map_prints_every_number_and_leaves_out_a_group_without_any():
    chart = trait_figures.plot_heat(HEAT, trait_answers.MAP)
    assert chart.title == "Mills: 50% of best customers, 20% of the market"
    for words in ("50%", "10%", "20%", "–", "market"):
        assert f">{words}<" in chart.svg
    assert "Other" not in chart.svg
    other = trait_figures.plot_heat(HEAT.assign(other_rate=[0.4, 0.3]), trait_answers.MAP)
    assert other.title == "Yards: 10% of best customers, 30% of other customers"  # the market has the first figure
    luck = trait_figures.plot_heat(HEAT.assign(other_rate=[0.4, 0.3], other_p_adjusted=[0.2, 0.3]), trait_answers.MAP)
    assert luck.title == (
        "No difference between the groups is beyond luck; largest: Yards: 10% of best customers, "
        "30% of other customers"
    )
    told = trait_figures.plot_heat(HEAT.assign(other_rate=[0.4, 0.3], other_p_adjusted=[0.02, 0.3]), trait_answers.MAP)
    assert told.title == "Mills: 50% of best customers, 40% of other customers"


def test_the_curve_says_how_many_are_taken():
    chart = trait_figures.plot_curve(CURVE)
    assert chart.title == (
        "1 attribute ranks a newer best customer above another company 0.62 (0.55 to 0.69) of the time; "
        "guessing has 0.5"
    )
    assert "0.62 (0.55 to 0.69)" in chart.svg and "+ Industry" in chart.svg and "taken" in chart.svg
    none = trait_figures.plot_curve(CURVE.assign(is_selected=[True, False, False]))
    assert none.title.startswith("No attribute is taken")


@pytest.mark.parametrize("plot", [trait_figures.plot_lifts, trait_figures.plot_curve])
def test_of_nothing_there_are_words(plot):
    chart = plot(LIFTS.head(0), nothing=trait_answers.NOTHING)
    assert not chart.svg and chart.title == trait_answers.NOTHING


def test_a_share_without_its_base_is_refused():
    with pytest.raises(DataError, match="base_rate"):
        trait_figures.plot_lifts(LIFTS.drop(columns=["base_rate"]))
