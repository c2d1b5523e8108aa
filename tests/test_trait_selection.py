"""Attributes that matter: fifty planted and fifty empty worlds, the curve that decides nothing, and laws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import trait_worlds
from scipy.stats import binom
from traits import select_world  # bench/traits.py

from icp_lib import draws, logistic, rules, trait_levels, trait_selection
from icp_lib.space import PLACEBOS

WORLDS, LUCK = 50, 0.999
REAL = {"industry", "size", "staff"}
IDLE = {"shop", "source", "technologies: ERP", *PLACEBOS}


@pytest.fixture(scope="module")
def labelled():
    return trait_worlds.build_labelled(6, n=4000, strength=1.2)


@pytest.fixture(scope="module")
def levels(labelled):
    return trait_worlds.build_levels(labelled)


@pytest.fixture(scope="module")
def selection(labelled, levels):
    return trait_selection.select_attributes(labelled, levels)


@pytest.fixture(scope="module")
def curve(labelled, levels, selection):
    return trait_selection.estimate_curve(labelled, levels, selection, n_draws=200)


def test_planted_attributes_are_selected_and_no_others():
    worlds = [select_world(seed, 1.0) for seed in range(WORLDS)]
    assert sum("industry" in each for each in worlds) >= 0.9 * WORLDS
    assert sum(bool(each & {"size", "staff"}) for each in worlds) >= 0.9 * WORLDS
    assert sum(bool(each & {"shop", "source"}) for each in worlds) <= binom.ppf(LUCK, WORLDS, 0.02)
    assert sum(bool(each & IDLE) for each in worlds) <= binom.ppf(LUCK, WORLDS, 0.05)


def test_without_truth_nothing_is_selected():
    worlds = [select_world(seed, 0.0) for seed in range(100, 100 + WORLDS)]
    assert sum(bool(each) for each in worlds) <= binom.ppf(LUCK, WORLDS, 0.05)


def test_the_table_says_what_entered_and_what_says_the_same(selection):
    selected = selection[selection["verdict"] == "selected"]
    assert selected["step"].tolist() == list(range(1, len(selected) + 1))
    assert (selected["p_adjusted"] <= 0.05).all()
    assert set(selected["attribute"]) <= REAL
    np.testing.assert_allclose(
        selection["p_adjusted"], np.minimum(1, selection["p_value"] * selection["attributes_left"])
    )
    same = selection[selection["verdict"] == "says the same"].set_index("attribute")
    assert same.loc["staff", "says_same_as"] == "size"
    assert (same["p_alone_adjusted"] <= 0.05).all()
    assert selection["attribute"].is_unique
    assert {"technologies: ERP", "technologies: Telematics"} <= set(selection["attribute"])
    cities = selection.set_index("attribute").loc["city", "n_levels"]
    assert cities < 12  # most of the sixty stand together


def test_the_newer_accounts_are_not_read(labelled, levels, selection):
    newer = (labelled["part"] == "held_out").to_numpy()
    changed = labelled.assign(is_best=np.where(newer, labelled["shop"] == "yes", labelled["is_best"]))
    pd.testing.assert_frame_equal(trait_selection.select_attributes(changed, levels), selection)


def test_the_order_of_rows_and_of_traits_changes_nothing(labelled, levels, selection):
    shuffled = labelled.sample(frac=1, random_state=5, ignore_index=True)
    found = trait_selection.select_attributes(shuffled, levels[::-1])
    pd.testing.assert_frame_equal(found, selection, rtol=1e-7)


def test_a_family_written_many_times_selects_nothing_by_its_size():
    """One best family of forty sisters in one town: as forty accounts it would be proof, it counts once."""
    labelled = trait_worlds.build_labelled(8, n=1500, strength=0.0, rate=0.1)
    head = labelled[labelled["part"] == "found"].head(40).index
    odd = labelled.assign(town="elsewhere")
    odd.loc[odd.index[::9], "town"] = "Kiel"
    odd.loc[head, ["family_id", "is_best", "town"]] = ["family", True, "Kiel"]
    levels = rules.build_levels(odd, {"town": {}, "shop": {}})
    assert trait_selection.select_attributes(odd, levels).set_index("attribute").loc["town", "step"] != 1
    apart = odd.assign(family_id=odd["account_id"])
    assert trait_selection.select_attributes(apart, levels).set_index("attribute").loc["town", "step"] == 1


def test_at_most_ten_and_at_most_as_many_as_asked(labelled, levels):
    one = trait_selection.select_attributes(labelled, levels, most=1)
    assert (one["verdict"] == "selected").sum() == 1
    about = trait_selection.describe_selection(one).iloc[0]
    assert about["n_selected"] == 1
    assert about["note"].startswith("1 of at most 10")


def test_a_placebo_that_is_selected_is_named(labelled, levels):
    best = labelled["is_best"].mask(labelled["placebo_a"] == "A", np.arange(len(labelled)) % 3 == 0)
    table = trait_selection.select_attributes(labelled.assign(is_best=best), levels).set_index("attribute")
    assert table.loc["placebo_a", "verdict"] == "selected"
    assert "luck selected it" in table.loc["placebo_a", "note"]
    assert trait_selection.describe_selection(table.reset_index())["n_placebos"].iloc[0] == 1


def test_with_few_best_customers_or_nobody_nothing_is_said(labelled, levels):
    few = labelled.assign(is_best=labelled["is_best"] & (labelled.groupby("part").cumcount() < 60))
    table = trait_selection.select_attributes(few, levels)
    assert table["verdict"].eq("not enough data").all()
    assert table["note"].str.contains("best customers of the 10 needed").all()
    assert trait_selection.describe_selection(table)["n_selected"].iloc[0] == 0
    assert trait_selection.estimate_curve(few, levels, table).empty
    none = trait_selection.select_attributes(labelled.assign(is_modelled=False), levels)
    assert none["verdict"].eq("not enough data").all()
    empty = trait_selection.select_attributes(labelled.head(0), [])
    assert empty.columns.tolist() == trait_selection.COLUMNS
    assert trait_selection.describe_selection(empty)["note"].tolist() == ["Nothing was tried"]
    assert trait_selection.estimate_curve(labelled.head(0), [], empty).columns.tolist() == trait_selection.CURVE_COLUMNS


def test_the_curve_starts_at_nothing_and_marks_what_was_not_taken(curve, selection):
    n_selected = int((selection["verdict"] == "selected").sum())
    start = curve[curve["step"] == 0].set_index("metric")
    assert start.loc["auc", ["estimate", "conf_low", "conf_high"]].tolist() == [0.5, 0.5, 0.5]
    assert start.loc["log_score_gain", "estimate"] == 0
    auc = curve[curve["metric"] == "auc"].set_index("step")
    assert auc["is_selected"].tolist() == [step <= n_selected for step in auc.index]
    assert auc.loc[n_selected, "conf_low"] > 0.5
    assert not auc["attribute"].isin(PLACEBOS).any()
    assert (curve["conf_low"] <= curve["estimate"]).all()
    assert (curve["estimate"] <= curve["conf_high"]).all()


def test_the_curve_is_what_a_fit_to_older_accounts_foretells(labelled, levels, selection, curve):
    """The first step by hand: dummies of the first attribute, penalised, scored on the newer accounts."""
    first = selection["attribute"].iloc[0]
    older, newer = (trait_levels.build_modelled(labelled, levels, part) for part in ("found", "held_out"))
    place = [each.name for each in older.attributes].index(first)
    kept = trait_levels.collapse(older.attributes[place], older.least)
    columns = [older.attributes[place].levels.index(level) for level in kept.levels]
    designs = [
        np.column_stack([np.ones(len(each.outcome)), each.attributes[place].members[:, columns]])
        for each in (older, newer)
    ]
    fitted = logistic.fit_logistic(designs[0], older.outcome, [0, *[0.25] * len(columns)])
    chance = 1 / (1 + np.exp(-(designs[1] @ fitted.coefficients)))
    rate = older.outcome.mean()
    gain = np.where(newer.outcome, np.log(chance / rate), np.log((1 - chance) / (1 - rate))).mean()
    row = curve[(curve["step"] == 1) & (curve["metric"] == "log_score_gain")].iloc[0]
    assert row["estimate"] == pytest.approx(gain, abs=1e-6)


def test_draws_at_once_are_draws_one_by_one():
    rng = np.random.default_rng(1)
    scores, outcome = rng.normal(size=120).round(1), rng.random(120) < 0.2
    weights = draws.draw_weights([f"F{i // 2}" for i in range(120)], 20)
    found = logistic.estimate_auc(scores, outcome, weights)
    for column, value in zip(weights.T, found, strict=True):
        rows = np.repeat(np.arange(120), column)
        rank = pd.Series(scores[rows]).rank().to_numpy()
        events, others = outcome[rows].sum(), (~outcome[rows]).sum()
        assert value == pytest.approx((rank[outcome[rows]].sum() - events * (events + 1) / 2) / (events * others))


def test_without_best_customers_among_the_newer_there_is_no_curve(labelled, levels, selection):
    none = labelled.assign(is_best=labelled["is_best"] & (labelled["part"] == "found"))
    curve = trait_selection.estimate_curve(none, levels, selection, n_draws=20)
    assert curve["estimate"].isna().all()
    assert curve["note"].str.startswith("0 best customers among").all()
