"""Comparison of arms: against other implementations, on the Hillstrom test, by laws, and on simulated experiments."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import ibis
import numpy as np
import pandas as pd
import pytest
import trials as bench  # bench/trials.py
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, multivariate_normal, norm
from tea_tasting.metrics import RatioOfMeans

from icp_lib import designs, heterogeneity, looks, randomisation, stats, trials
from icp_lib.checks import DataError
from icp_lib.differences import Measure

REFERENCE = Path(__file__).parent / "reference"
ACCOUNTS = pd.read_csv(REFERENCE / "trials_accounts.csv")
EFFECTS = pd.read_csv(REFERENCE / "trials_effects.csv")
MET, MONEY, CYCLE = Measure("met", "met"), Measure("money", "money"), Measure("cycle", "days", "deals")
CUPED = Measure("cuped", "money", covariate="money_before")
N_RUNS = 400
#: Most and fewest of so many true nulls that are rejected at 5 %, and fewest intervals that hold the truth at 95 %, but
#: for bad luck of 1 in 10,000 (there are about ten such tests). A test that rejects too rarely is broken as well.
MOST, FEWEST = int(binom.isf(1e-4, N_RUNS, 0.05)), int(binom.ppf(1e-4, N_RUNS, 0.05))
LEAST_HELD, MOST_HELD = N_RUNS - MOST, N_RUNS - FEWEST


def compare(measures=(MET, MONEY, CYCLE, CUPED), frame=ACCOUNTS, **options) -> pd.DataFrame:
    return trials.compare_arms(frame, measures, control="usual", **options)


def find_row(found: pd.DataFrame, metric: str, arm: str) -> pd.Series:
    return found[(found["metric"] == metric) & (found["arm"] == arm)].iloc[0]


# --- other implementations


@pytest.mark.parametrize("arm", ["letter", "story"])
@pytest.mark.parametrize("case", ["met", "money", "cycle", "cuped"])
def test_effects_equal_those_of_growthbook(case, arm):
    expected, row = find_row(EFFECTS.rename(columns={"case": "metric"}), case, arm), find_row(compare(), case, arm)
    ours = row[["effect", "effect_low", "effect_high"]].astype(float)
    np.testing.assert_allclose(ours, expected[["effect", "low", "high"]].astype(float), rtol=1e-9)  # the same formula
    if case != "met":  # of proportions the p-value is the pooled z test's, below
        assert row["p_value"] == pytest.approx(expected["p_value"], rel=1e-7)  # theirs is 1 - cdf


@pytest.mark.parametrize("arm", ["letter", "story"])
def test_regression_families_and_z_equal_statsmodels(arm):
    expected = EFFECTS[EFFECTS["arm"] == arm].set_index("case")
    table = compare([MET, MONEY], covariates=["size", "age"])
    for case in ("met", "money"):
        row, theirs = find_row(table, case, arm), expected.loc[f"lin_{case}"]
        half = (theirs["high"] - theirs["low"]) / 2 / norm.ppf(0.975)
        assert (row["effect"], row["se"]) == pytest.approx((theirs["effect"], half), rel=1e-9)
        assert row["method"] == "Lin, HC3"
    row, theirs = find_row(compare([MONEY], family="family_id"), "money", arm), expected.loc["families"]
    half = (theirs["high"] - theirs["low"]) / 2 / norm.ppf(0.975)
    assert (row["effect"], row["se"]) == pytest.approx((theirs["effect"], half), rel=1e-9)
    families = ACCOUNTS[ACCOUNTS["arm"] == arm]["family_id"].nunique()
    assert row["n_clusters_arm"] == families < row["n_arm"] == (ACCOUNTS["arm"] == arm).sum()
    assert find_row(compare(), "met", arm)["p_value"] == pytest.approx(expected.loc["z", "p_value"], rel=1e-9)


def test_intervals_equal_those_of_tea_tasting():
    """Ours are rebuilt from se and df, so that they can be had at any level; the absolute ones must be the same, of the
    relative ones only the degrees of freedom differ (some 400 in place of some 390)."""
    for measure in (MONEY, CYCLE, CUPED):
        metric = RatioOfMeans(*measure[1:5], confidence_level=0.9, use_t=True, equal_var=False)
        for arm in ("letter", "story"):
            moments = trials._read_moments(ACCOUNTS, measure, "arm")
            theirs = metric.analyze_aggregates(moments["usual"], moments[arm])
            row = find_row(compare([measure], conf_level=0.9), measure.metric, arm)
            assert row["effect_low"] == pytest.approx(theirs.effect_size_ci_lower, rel=1e-9)
            assert row["effect_high"] == pytest.approx(theirs.effect_size_ci_upper, rel=1e-9)
            assert row["effect_relative"] == pytest.approx(theirs.rel_effect_size, rel=1e-9)
            ends = (theirs.rel_effect_size_ci_lower, theirs.rel_effect_size_ci_upper)
            assert (row["effect_relative_low"], row["effect_relative_high"]) == pytest.approx(ends, abs=1e-3)


def test_always_valid_equals_growthbooks_sequential_interval():
    for theirs in EFFECTS[EFFECTS["case"] == "sequential"].itertuples():
        found = looks.always_valid(compare([MONEY]), theirs.mde)
        row = find_row(found, "money", theirs.arm)
        assert (row["effect_low"], row["effect_high"]) == pytest.approx((theirs.low, theirs.high), rel=1e-9)
        assert row["p_value"] == pytest.approx(theirs.p_value, rel=1e-9)
        assert row["adjustment"].startswith("always valid")


def test_few_events_take_newcombes_interval_and_fishers_p():
    for case in pd.read_csv(REFERENCE / "trials_newcombe.csv").itertuples():
        met = [1] * case.events_arm + [0] * (case.n_arm - case.events_arm)
        met += [1] * case.events_control + [0] * (case.n_control - case.events_control)
        arm = ["letter"] * case.n_arm + ["usual"] * case.n_control
        row = compare([MET], pd.DataFrame({"account_id": range(len(arm)), "arm": arm, "met": met})).iloc[0]
        assert (row["effect_low"], row["effect_high"]) == pytest.approx((case.low, case.high), rel=1e-9)
        assert row["p_value"] == pytest.approx(case.p_value, rel=1e-9)


def test_sample_ratios_equal_growthbook_and_scipy():
    for case in pd.read_csv(REFERENCE / "trials_srm.csv").itertuples():
        counts, shares = (
            {f"a{i}": float(n) for i, n in enumerate(text.split())} for text in (case.counts, case.shares)
        )
        found = designs.check_ratio({name: int(n) for name, n in counts.items()}, shares).iloc[0]
        assert found["p_value"] == pytest.approx(case.p_value, rel=1e-9)
        assert found["passes"] == (case.p_value >= 0.01)


def test_power_equals_statsmodels():
    """Of shares theirs counts rejections on one side only; on the other a test with 80 % power has 1 in a million."""
    for case in pd.read_csv(REFERENCE / "trials_power.csv").itertuples():
        n_comparisons = round(0.05 / case.alpha)
        spread = {"rate": case.level} if case.kind == "rate" else {"sd": case.level}
        options = spread | {"n_comparisons": n_comparisons}
        needed = designs.required_accounts(case.effect, ratio=case.ratio, **options)
        assert needed == pytest.approx(case.n_arm, rel=1e-4, abs=1)
        seen = designs.detectable_effect(round(case.n_arm), round(case.n_arm * case.ratio), **options)
        assert seen == pytest.approx(case.effect, rel=0.005)  # whole accounts


def test_boundaries_equal_published_ones():
    """O'Brien-Fleming spending, 5 % two-sided, equal steps: Reboussin, DeMets, Kim and Lan (2000), and other tables."""
    published = {
        2: [2.963, 1.969], 3: [3.710, 2.511, 1.993], 4: [4.333, 2.963, 2.359, 2.014],
        5: [4.877, 3.357, 2.680, 2.290, 2.031],
    }  # fmt: skip
    for n, expected in published.items():
        np.testing.assert_allclose(looks.find_boundaries(np.arange(1, n + 1) / n), expected, atol=6e-4)


def test_boundaries_spend_what_they_should_by_scipys_multivariate_normal():
    shares = np.array([0.3, 0.55, 1.0])
    z = looks.find_boundaries(shares, 0.1)
    for k in (1, 2, 3):
        part = shares[:k]
        correlation = np.sqrt(np.minimum.outer(part, part) / np.maximum.outer(part, part))
        inside = multivariate_normal(cov=correlation).cdf(z[:k], lower_limit=-z[:k])
        assert 1 - inside == pytest.approx(looks.spend_alpha(shares, 0.1)[k - 1], abs=2e-4)  # theirs is drawn
    assert looks.find_power(shares, z, 0.0) == pytest.approx(0.1, abs=1e-8)


# --- Hillstrom


@pytest.fixture(scope="module")
def hillstrom(shared_data) -> pd.DataFrame:
    frame = pd.read_csv(shared_data / "hillstrom" / "hillstrom.csv").rename_axis("account_id").reset_index()
    names = {"Mens E-Mail": "mens", "Womens E-Mail": "womens", "No E-Mail": "none"}
    return frame.assign(arm=frame["segment"].map(names))


@pytest.fixture(scope="module")
def emails(hillstrom) -> pd.DataFrame:
    measures = [Measure(name, name) for name in ("visit", "conversion", "spend")]
    return trials.adjust_arms(trials.compare_arms(hillstrom, measures, control="none"))


def test_hillstrom_has_the_published_figures(emails):
    """Visit and conversion in %, as published; differences and intervals in points; spend per head."""
    published = {
        ("visit", "mens"): (18.28, 10.62, 7.659, 6.995, 8.323),
        ("visit", "womens"): (15.14, 10.62, 4.523, 3.889, 5.157),
        ("conversion", "mens"): (1.25, 0.57, 0.681, 0.500, 0.861),
        ("conversion", "womens"): (0.88, 0.57, 0.311, 0.150, 0.472),
    }  # fmt: skip
    for (metric, arm), (value, usual, *effect) in published.items():
        row = find_row(emails, metric, arm)
        assert [round(100 * row[name], 2) for name in ("value_arm", "value_control")] == [value, usual]
        assert [round(100 * row[name], 3) for name in ("effect", "effect_low", "effect_high")] == effect
    sizes = emails[["arm", "n_arm", "n_control"]].drop_duplicates().values.tolist()
    assert sizes == [["mens", 21307, 21306], ["womens", 21387, 21306]]
    spend = [find_row(emails, "spend", arm) for arm in ("mens", "womens")]
    assert [round(row["value_arm"], 2) for row in spend] == [1.42, 1.08]
    assert [round(row["effect"], 3) for row in spend] == [0.770, 0.424] and round(spend[0]["value_control"], 2) == 0.65
    womens = find_row(emails, "conversion", "womens")
    assert f"{womens['p_value']:.6f}" == "0.000157" and f"{womens['p_value']:.5f}" == "0.00016"


def test_hillstrom_is_adjusted_for_two_arms(emails):
    """Holm over two: the smaller p doubles, the larger stays, but not below the smaller's."""
    for _, pair in emails.groupby("metric"):
        small, large = pair.sort_values("p_value").to_dict("records")
        assert small["p_adjusted"] == pytest.approx(2 * small["p_value"])
        assert large["p_adjusted"] == pytest.approx(max(large["p_value"], small["p_adjusted"]))
        assert set(pair["adjustment"]) == {"Holm over 2 comparisons"}
    counts = {"mens": 21307, "womens": 21387, "none": 21306}
    assert designs.check_ratio(counts, dict.fromkeys(counts, 1.0)).iloc[0]["p_value"] == pytest.approx(0.904, abs=1e-3)


def test_hillstrom_segment_claims_on_conversions_are_refused(hillstrom):
    traits = ("history_segment", "mens", "womens", "zip_code", "newbie", "channel")
    segments = pd.DataFrame({f"{each} {value}": hillstrom[each] == value
                             for each in traits for value in sorted(hillstrom[each].unique())})  # fmt: skip
    bought = heterogeneity.search_effects(hillstrom, Measure("conversion", "conversion"), segments, control="none",
                                          n_draws=39)  # fmt: skip
    assert len(bought) == 2 * segments.shape[1] and bought["is_refused"].all()
    assert bought["p_adjusted"].isna().all() and bought["note"].str.startswith("underpowered").all()
    visited = heterogeneity.search_effects(hillstrom, Measure("visit", "visit"), segments, control="none", n_draws=99)
    claimed = visited[visited["p_adjusted"] <= 0.05]
    assert set(claimed["arm"]) == {"womens"} and {"womens 1", "mens 0"} <= set(claimed["segment"])
    assert find_row(visited.rename(columns={"segment": "metric"}), "womens 1", "womens")["difference"] > 0


def test_segments_by_hand_and_families_dealt_whole():
    """Half of the accounts inside; of the first 100 inside the letter meets 30 of 50, else 10 of 50 do."""
    n = 200
    frame = pd.DataFrame(
        {"account_id": range(n), "arm": ["letter", "usual"] * (n // 2), "family_id": np.arange(n) // 4}
    )
    inside, met = np.arange(n) < 100, np.arange(n) // 2 % 5 == 0
    met |= inside & (frame["arm"] == "letter") & (np.arange(n) // 2 % 5 < 3)
    frame["met"] = met.astype(float)
    found = heterogeneity.search_effects(frame, MET, pd.DataFrame({"inside": inside}), control="usual", mde=0.6)
    row = found.iloc[0]
    assert (row["effect_inside"], row["effect_outside"]) == pytest.approx((0.4, 0.0))
    error = np.sqrt((0.6 * 0.4 + 3 * 0.2 * 0.8) / 49)  # four groups of 50
    assert (row["difference_high"] - row["difference"]) / error == pytest.approx(1.96, rel=0.1)  # of 999 draws
    assert row["p_value"] == row["p_adjusted"] <= 0.01 and not row["is_refused"] and row["n_arm"] == 50
    assert heterogeneity.search_effects(frame, MET, pd.DataFrame({"inside": inside}), control="usual",
                                        mde=0.3).iloc[0]["is_refused"]  # fmt: skip
    whole = frame.assign(arm=np.where(frame["family_id"] % 2, "letter", "usual"))
    codes = (whole["arm"] == "letter").to_numpy().astype(int)
    for block in heterogeneity._deal(codes, np.zeros(n, int), whole["family_id"].to_numpy(), 19, 0):
        assert (block.reshape(19, -1, 4) == block.reshape(19, -1, 4)[:, :, :1]).all() and (
            block.sum(axis=1) == 100
        ).all()
    with pytest.raises(DataError, match="segments has 3 rows"):
        heterogeneity.search_effects(frame, MET, pd.DataFrame({"inside": [True] * 3}), control="usual")
    assert heterogeneity.search_effects(frame.head(0), MET, pd.DataFrame({"inside": []}), control="usual").empty


# --- laws, and what goes wrong


@given(st.integers(0, 1000), st.floats(0.01, 1000))
@settings(max_examples=5, deadline=None)
def test_the_order_of_rows_does_not_matter_and_money_scales(seed, scale):
    part = ACCOUNTS[ACCOUNTS["arm"] != "story"]
    usual = compare([MONEY], part, covariates=["size"], family="family_id").iloc[0]
    other = part.sample(frac=1, random_state=seed).assign(money=part["money"] * scale)
    found = compare([MONEY], other, covariates=["size"], family="family_id").iloc[0]
    names = ["effect", "effect_low", "effect_high"]
    np.testing.assert_allclose(found[names].astype(float), usual[names].astype(float) * scale, rtol=1e-7)
    assert found["effect_relative"] == pytest.approx(usual["effect_relative"], rel=1e-7)
    assert found["p_value"] == pytest.approx(usual["p_value"], rel=1e-6)


def test_the_engine_gives_what_the_frame_gives():
    table = ibis.memtable(ACCOUNTS.assign(met=ACCOUNTS["met"].where(ACCOUNTS["account_id"] % 7 > 0)))
    known = ACCOUNTS[ACCOUNTS["account_id"] % 7 > 0]
    found, expected = compare([MET, CYCLE], table), pd.concat([compare([MET], known), compare([CYCLE])])
    names = ["n_arm", "n_control", "effect", "effect_low", "effect_high", "effect_relative_high", "p_value", "se"]
    np.testing.assert_allclose(found[names].astype(float), expected[names].astype(float), rtol=1e-9)
    with pytest.raises(DataError, match="need the accounts themselves"):
        compare([MET], table, family="family_id")


def test_accounts_that_have_not_matured_are_left_out_and_told():
    frame = ACCOUNTS.assign(met=ACCOUNTS["met"].where(ACCOUNTS["account_id"] >= 60))
    row = find_row(compare([MET, MONEY], frame), "met", "letter")
    n = (frame["arm"].eq("letter") & frame["met"].notna()).sum()
    assert row["n_arm"] == n and row["value_arm"] == pytest.approx(frame.loc[frame["arm"] == "letter", "met"].mean())
    assert row["note"] == "60 of 600 accounts are left out: not old enough, or not known."
    assert find_row(compare([MET, MONEY], frame), "money", "letter")["note"] == ""


def test_leads_in_place_of_accounts_are_refused():
    leads = pd.concat([ACCOUNTS, ACCOUNTS.head(100)])
    with pytest.raises(DataError, match=r"700 rows of 600 accounts.*not independent.*one row an account"):
        compare([MET], leads)
    with pytest.raises(DataError, match="700 rows of 600 accounts"):
        compare([MET], ibis.memtable(leads))
    torn = pd.concat([ACCOUNTS, ACCOUNTS[ACCOUNTS["arm"] == "letter"].head(3).assign(arm="usual")])
    with pytest.raises(DataError, match="3 accounts are in more than one arm"):
        compare([MET], torn)


@pytest.mark.parametrize(
    "top,bottom,note",
    [
        (0.0, None, ""),  # nobody: 0 of n is a value, with its interval
        (2.5, None, "Every account has the same value: no interval."),
        (0.0, 0.0, "Nothing to divide by in one of the arms: no bottom."),
        (np.nan, None, "No account of one of the arms has this metric yet. 600 of 600 accounts are left out"),
    ],
)
def test_a_metric_that_nobody_has_is_named_not_invented(top, bottom, note):
    frame = ACCOUNTS.assign(top=top, bottom=bottom)
    for options in ({}, {"family": "family_id"}, {"covariates": ["size"]}):
        found = compare([Measure("metric", "top", None if bottom is None else "bottom")], frame, **options)
        assert found["arm"].tolist() == ["letter", "story"] and found["note"].str.startswith(note).all()
        if top == 0 and bottom is None and not options:
            assert (
                (found["effect"] == 0).all() and (found["effect_high"] > 0.01).all() and (found["p_value"] == 1).all()
            )
        if note:
            assert found[["effect_low", "p_value", "effect_relative"]].isna().all(axis=None) or top == 2.5
            assert found["p_value"].isna().all()


def test_arms_of_one_account_and_no_rows_give_no_interval():
    one = pd.DataFrame({"account_id": [1, 2, 3], "arm": ["letter", "usual", "usual"], "money": [1.0, 2, 3]})
    row = compare([MONEY], one).iloc[0]
    assert row["effect"] == -1.5 and np.isnan(row["effect_low"]) and "no interval" in row["note"]
    assert compare([MONEY], one.head(0)).empty
    alone = compare([MONEY], one[one["arm"] == "letter"]).iloc[0]
    assert np.isnan(alone["effect"]) and alone["n_control"] == 0 and "No account" in alone["note"]


def test_a_missing_column_and_two_spreads_are_named():
    with pytest.raises(DataError, match="compare_arms: needs the columns won"):
        compare([Measure("win_rate", "won")])
    with pytest.raises(DataError, match="one of the two"):
        designs.detectable_effect(100, 100, rate=0.1, sd=1.0)
    with pytest.raises(DataError, match="must rise"):
        looks.find_boundaries([0.5, 0.5, 1.0])
    with pytest.raises(DataError, match="arms story are in the counts or in the shares"):
        designs.check_ratio({"letter": 1, "usual": 1, "story": 1}, {"letter": 1, "usual": 1})


# --- several arms, guardrails, design, health


def test_holm_is_over_all_arms_and_candidates_of_a_metric_and_says_so():
    table = pd.concat([compare([MET, MONEY]).assign(candidate=name) for name in ("small", "large")], ignore_index=True)
    table["p_value"] = [0.01, 0.04, 0.5, np.nan, 0.03, 0.005, 0.2, 0.6]
    found = trials.adjust_arms(looks.adjust_look(table, [1.0], 1))
    met = found[found["metric"] == "met"]
    assert met["p_adjusted"].round(4).tolist() == [0.03, 0.06, 0.06, 0.02]
    assert set(met["adjustment"]) == {"fixed horizon; Holm over 4 comparisons"}
    assert found.loc[found["metric"] == "money", "p_adjusted"].round(4).tolist()[2:] == [0.6, 1.0]


def test_guardrails_by_hand():
    """60 of 300 against 66 of 300 meet us: a loss of 2 points; se = sqrt(.2 .8 / 299 + .22 .78 / 299)."""
    arm = ["letter"] * 300 + ["usual"] * 300
    met = [1] * 60 + [0] * 240 + [1] * 66 + [0] * 234
    frame = pd.DataFrame({"account_id": range(600), "arm": arm, "met": met, "days": np.arange(600) % 7})
    results = compare([MET, Measure("days", "days")], frame)
    error = np.sqrt(0.2 * 0.8 / 299 + 0.22 * 0.78 / 299)
    bound = -0.02 - 1.964 * error  # t with 598 degrees of freedom
    for margin, passes, worse in ((-0.09, True, False), (-0.08, False, False), (0.2, False, True)):
        row = trials.check_guardrails(results, {"met": margin}).iloc[0]
        assert row["bound"] == pytest.approx(bound, abs=1e-4)
        assert (bool(row["passes"]), bool(row["is_worse"])) == (passes, worse)
        assert row["p_value"] == pytest.approx(norm.sf((-0.02 - margin) / error), abs=2e-3)
        assert (row["p_value"] <= 0.025) == row["passes"]
    slow = trials.check_guardrails(results, {"days": 1.0}, lower_is_better=["days"]).iloc[0]
    assert slow["passes"] and slow["bound"] > slow["effect"]
    unknown = trials.check_guardrails(results.assign(se=np.nan, df=np.nan), {"met": -0.5}).iloc[0]
    assert not unknown["passes"] and "not shown to be safe" in unknown["note"]


def test_ranking_of_one_arm_is_the_closed_form():
    rows = pd.DataFrame({"arm": ["letter"], "control": "usual", "effect": [0.06], "se": [0.04], "se_control": [0.03]})
    found = trials.rank_arms(rows, 0.08, worth=1000.0, cost=20.0)
    weight = 0.08**2 / (0.08**2 + 0.04**2)
    middle, spread = 1000 * weight * 0.06 - 20, 1000 * 0.04 * np.sqrt(weight)
    best = norm.cdf(middle / spread)
    loss = spread * norm.pdf(middle / spread) - middle * norm.sf(middle / spread)  # E max(-U, 0)
    assert found["p_best"].tolist() == pytest.approx([best, 1 - best], abs=0.005)  # 100,000 draws: sd 0.0015
    assert found["expected_regret"].tolist() == pytest.approx([loss, loss + middle], abs=0.5)
    assert found["utility"].tolist() == pytest.approx([middle, 0])
    silent = trials.rank_arms(rows.assign(se=np.nan), 0.08).iloc[0]
    assert silent["effect_shrunk"] == 0 and "only the prior" in silent["note"]


def test_candidates_have_controls_of_their_own():
    """Two arms of one candidate share the control's error, so that their difference is known better than if not."""
    rows = pd.DataFrame(
        {"arm": ["a", "b"], "control": "usual", "effect": [0.10, 0.05], "se": 0.05, "se_control": 0.045}
    )
    shared = trials.rank_arms(rows.assign(candidate="small"), 0.2)
    apart = trials.rank_arms(rows.assign(candidate=["small", "large"]), 0.2)
    assert shared["p_best"][0] > apart["p_best"][0] + 0.05
    assert list(shared.columns[:2]) == ["candidate", "arm"]


def test_ratio_of_few_and_many_arms_and_what_it_would_have_seen():
    few = designs.check_ratio({"a": 9, "b": 0, "c": 1}, {"a": 1, "b": 1, "c": 1}).iloc[0]
    # by hand: tables of ten as far from 10/3 each: (9,1,0) and (10,0,0) in any order: (6 x 10 + 3) / 3^10
    assert few["method"] == "exact" and few["p_value"] == pytest.approx(63 / 3**10, abs=3e-4)
    shift = designs.check_ratio({"a": 500, "b": 500}, {"a": 1, "b": 1}).iloc[0]["detectable_share"]
    rng = np.random.default_rng(1)
    p = [designs.check_ratio({"a": x, "b": 1000 - x}, {"a": 1, "b": 1}).iloc[0]["p_value"]
         for x in rng.binomial(1000, 0.5 + shift, 100)]  # fmt: skip
    assert abs(np.mean(np.array(p) < 0.01) - 0.8) < 3.3 * np.sqrt(0.8 * 0.2 / 100)  # 1 in 1,000 by luck


def test_loss_and_balance_name_the_arm():
    found = designs.check_loss({"a": 100, "b": 100, "usual": 100}, {"a": 70, "b": 97, "usual": 98}, control="usual")
    assert found.set_index("arm")["passes"].to_dict() == {"a": False, "b": True}
    balanced = designs.check_balance(ACCOUNTS, ["size", "age"], control="usual")
    assert len(balanced) == 4 and balanced["passes"].all()
    tilted = ACCOUNTS.assign(size=ACCOUNTS["size"] + (ACCOUNTS["arm"] == "letter"))
    found = designs.check_balance(tilted, ["size", "age"], control="usual").set_index(["covariate", "arm"])
    assert found["passes"].to_dict() == {("size", "letter"): False, ("size", "story"): True, ("age", "letter"): True,
                                         ("age", "story"): True}  # fmt: skip


def test_a_test_that_can_never_answer_is_named():
    never = designs.can_answer(n_available=60, mde=0.1, rate=0.2, window_days=45).iloc[0]
    assert not never["answers"] and np.isnan(never["weeks_needed"]) and "588 accounts" in never["note"]
    soon = designs.can_answer(n_available=500, mde=0.1, rate=0.2, accounts_per_week=20, window_days=70).iloc[0]
    assert soon["answers"] and soon["weeks_needed"] == pytest.approx(88 / 20 + 10) and soon["detectable"] < 0.1
    three = designs.can_answer(n_available=500, mde=0.1, rate=0.2, n_arms=3, look_shares=(0.5, 1.0)).iloc[0]
    assert three["n_needed"] > 1.5 * 588
    assert np.isnan(designs.detectable_effect(3, 3, rate=0.5))


# --- looks


def test_an_interval_at_a_look_excludes_zero_exactly_where_its_p_is_below_5_percent():
    rng = np.random.default_rng(5)
    z = np.append(rng.uniform(0, 4.5, 8), [2.9625, 2.9627])
    table = pd.DataFrame(
        {"effect": z, "se": 1.0, "df": np.nan, "effect_relative": 0.1, "se_relative": 0.1, "method": ""}
    )
    table["p_value"], table["note"] = 2 * norm.sf(z), ""
    table[["effect_low", "effect_high", "effect_relative_low", "effect_relative_high"]] = 0.0
    first = looks.adjust_look(table, [0.5, 1.0], 1)
    assert first["adjustment"].iloc[0] == "look 1 of 2, O'Brien-Fleming spending"
    for found, critical in ((first, 2.9626), (looks.adjust_look(table, [0.5, 1.0], 2), 1.9686)):
        assert (found["p_value"] <= 0.05).tolist() == (found["effect_low"] > 0).tolist() == (z > critical).tolist()
        assert (found["p_value"] >= table["p_value"] - 1e-12).all()
    again = looks.adjust_look(table, [1.0], 1)
    assert set(again["adjustment"]) == {"fixed horizon"}
    pd.testing.assert_frame_equal(again.drop(columns="adjustment"), table)
    with pytest.raises(DataError, match="look 3 of 2"):
        looks.adjust_look(table, [0.5, 1.0], 3)


def test_a_proportion_of_few_events_keeps_newcombes_interval_at_a_look():
    frame = pd.DataFrame({"account_id": range(100), "arm": ["letter", "usual"] * 50, "met": [1, 0, 0, 0, 0] * 20})
    frame["met"] = frame["met"].where(frame["account_id"] < 40, 0)
    found = looks.adjust_look(compare([MET], frame), [0.5, 1.0], 1).iloc[0]
    assert found["effect_low"] < compare([MET], frame).iloc[0]["effect_low"] < 0 < found["effect_high"] < 1
    nobody = looks.always_valid(compare([MET], frame.assign(met=0)), 0.1).iloc[0]
    assert np.isnan(nobody["effect_low"]) and nobody["note"] == "No two accounts differ yet: no interval."


# --- the lot


def test_drawn_arms_keep_strata_families_and_balance():
    rng = np.random.default_rng(2)
    strata, sizes = np.repeat([0, 1, 2], [40, 31, 20]), rng.normal(size=(91, 2))
    shares = {"usual": 2.0, "letter": 1.0, "story": 1.0}
    threshold, all_draws = randomisation.find_threshold(strata, shares, sizes)
    drawn = randomisation.draw_arms(strata, shares, sizes, threshold=threshold, n_draws=300, seed=3)
    assert drawn.shape == (300, 91) and (randomisation.balance(drawn, sizes, 3) <= threshold).all()
    assert 0.09 < (all_draws <= threshold).mean() < 0.11
    counts = np.stack([(drawn[:, :40] == code).sum(axis=1) for code in range(3)], axis=1)
    assert (counts == [10, 10, 20]).all()  # letter, story, usual
    odd = np.stack([(drawn[:, 40:71] == code).sum(axis=1) for code in range(3)], axis=1)  # 7.75, 7.75, 15.5
    assert set(odd[:, 0]) == set(odd[:, 1]) == {7, 8} and set(odd[:, 2]) == {15, 16}
    family = np.arange(91) // 2
    together = randomisation.draw_arms(strata, shares, family=family, n_draws=50)
    assert (together[:, :90:2] == together[:, 1:91:2]).all()
    again = randomisation.draw_arms(strata, shares, sizes, threshold=threshold, n_draws=300, seed=3)
    np.testing.assert_array_equal(drawn, again)
    with pytest.raises(DataError, match="draws balance to"):
        randomisation.draw_arms(strata, shares, sizes, threshold=1e-9)


def test_balance_by_hand():
    """Two arms of two, one covariate: n_a (mean_a - mean)^2 / variance, both arms."""
    sizes = np.array([1.0, 2, 3, 4])[:, None]
    found = randomisation.balance(np.array([[0, 0, 1, 1], [0, 1, 1, 0]]), sizes, 2)
    np.testing.assert_allclose(found, [2 * 2 * 1.0 / (5 / 3), 0.0], atol=1e-12)


def test_the_test_over_all_draws_is_exact():
    """3 of 6 accounts: all 20 draws, each with its Welch t; p is the share at least as large, with the one seen in."""
    values = np.array([3.1, 4.0, 5.2, 1.0, 2.2, 0.7])
    seen = np.array([0, 0, 0, 1, 1, 1])
    draws = np.array([[0 if i in chosen else 1 for i in range(6)] for chosen in combinations(range(6), 3)])
    others = draws[(draws != seen).any(axis=1)]
    found = randomisation.randomise_test(np.column_stack([values, np.ones(6)]), seen, others, 0, 1)

    def welch(assigned):
        a, b = values[assigned == 0], values[assigned == 1]
        return abs(a.mean() - b.mean()) / np.sqrt(a.var(ddof=1) / 3 + b.var(ddof=1) / 3)

    expected = np.mean([welch(each) >= welch(seen) - 1e-9 for each in draws])
    assert found["p_value"] == pytest.approx(expected) and expected == pytest.approx(0.1)
    assert found["effect"] == pytest.approx(values[:3].mean() - values[3:].mean())


def test_few_accounts_are_compared_by_drawing_again():
    frame = ACCOUNTS[ACCOUNTS["arm"] != "story"].groupby("arm").head(40).reset_index(drop=True)
    draws = randomisation.draw_arms(np.zeros(80, int), {"letter": 1, "usual": 1}, n_draws=999)
    for options in ({}, {"covariates": ["size"]}, {"family": "family_id"}):
        row = compare([MONEY], frame, draws=draws, **options).iloc[0]
        note = trials.ADJUSTED if "covariates" in options else ""
        assert row["method"] == "randomisation" and row["note"] == note
        assert (row["p_value"] <= 0.05) == (row["effect_low"] > 0 or row["effect_high"] < 0)
    with_size = compare([MONEY], frame, draws=draws, covariates=["size"]).iloc[0]
    residual = frame["money"] - np.polyval(np.polyfit(frame["size"], frame["money"], 1), frame["size"])
    by_arm = residual.groupby(frame["arm"]).mean()
    assert with_size["effect"] == pytest.approx(by_arm["letter"] - by_arm["usual"])
    many = compare([MONEY], draws=np.zeros((9, 600), int), covariates=["size"])
    assert set(many["method"]) == {"Lin, HC3"}
    assert "rough" in compare([MONEY], frame).iloc[0]["note"]
    with pytest.raises(DataError, match="draws has 80 accounts, the table 600"):
        compare([MONEY], draws=draws)


def few_met(arm: int, usual: int, n: int = 60, **columns) -> pd.DataFrame:
    """So many of n accounts of each arm met."""
    met = np.r_[np.arange(n) < arm, np.arange(n) < usual].astype(float)
    frame = pd.DataFrame({"account_id": range(2 * n), "arm": ["letter"] * n + ["usual"] * n, "met": met})
    return frame.assign(**columns)


def test_a_share_of_one_event_is_never_narrower_than_newcombes():
    """Drawn again one event has the same |t| everywhere: by itself 0 and 1 of 60 would range from -0.033 to 0.000."""
    draws = randomisation.draw_arms(np.zeros(120, int), {"letter": 1, "usual": 1}, n_draws=999)
    low, high = stats.estimate_difference(0, 60, 1, 60)[1:3]
    pairs = few_met(0, 1, family_id=np.arange(120) // 2, size=np.arange(120) % 7)
    for options in ({}, {"family": "family_id"}, {"covariates": ["size"], "draws": draws}, {"draws": draws}):
        row = compare([MET], pairs, **options).iloc[0]
        assert row["effect_low"] <= low + 1e-12 and row["effect_high"] >= high - 1e-12
        valid = looks.always_valid(compare([MET], pairs, **options), 0.1).iloc[0]
        assert valid["effect_low"] < low and valid["effect_high"] > high
        judged = trials.check_guardrails(compare([MET], pairs, **options), {"met": -0.05}).iloc[0]
        assert not judged["passes"] and judged["bound"] == pytest.approx(row["effect_low"])
    nobody = compare([MET], few_met(0, 0, family_id=np.arange(120) // 2), family="family_id").iloc[0]
    assert nobody["effect_low"] < -0.05 and nobody["note"] == ""


def test_guardrails_of_few_events_pass_harm_as_large_as_the_margin_in_1_of_40():
    """0 % against 5 %, the margin: drawn again alone would pass one in seven."""
    rng, n_runs = np.random.default_rng(3), 300
    draws = randomisation.draw_arms(np.zeros(120, int), {"letter": 1, "usual": 1}, n_draws=199)
    counts = rng.binomial(60, 0.05, n_runs)
    rows = {usual: compare([MET], few_met(0, usual), draws=draws) for usual in set(counts)}
    passes = {usual: trials.check_guardrails(row, {"met": -0.05})["passes"][0] for usual, row in rows.items()}
    assert sum(passes[usual] for usual in counts) <= binom.isf(1e-4, n_runs, 0.025)


def test_a_look_has_the_draws_point_at_its_own_level():
    rng = np.random.default_rng(8)
    values, seen = np.column_stack([rng.exponential(size=30) ** 3, np.ones(30)]), np.arange(30) % 2
    draws = randomisation.draw_arms(np.zeros(30, int), {"a": 1, "b": 1}, n_draws=9999)
    level = looks.find_level([0.5, 1.0], 1)
    found = randomisation.randomise_test(values, seen, draws, 0, 1, level)
    drawn = np.abs(randomisation._studentise(values, draws, 0, 1)[0])
    error = np.hypot(found["se_arm"], found["se_control"])
    assert (found["effect_high"] - found["effect"]) / error == pytest.approx(np.quantile(drawn, level), rel=0.01)
    few = randomisation.randomise_test(values, seen, draws[:99], 0, 1, 0.9999)
    assert np.isfinite(few["se"]) and few["effect_high"] > found["effect_high"]


def test_values_are_told_as_they_were_and_only_the_effect_is_adjusted():
    """Nobody of 60 is a share of 0, not of -0.02 %, however the arms differ in size."""
    sizes = np.r_[np.arange(60) + 9.0, np.arange(60)]
    draws = randomisation.draw_arms(np.zeros(120, int), {"letter": 1, "usual": 1}, n_draws=99)
    for arm, options in ((0, {"draws": draws}), (24, {})):
        row = compare([MET], few_met(arm, 12, size=sizes), covariates=["size"], **options).iloc[0]
        assert (row["value_arm"], row["value_control"]) == (arm / 60, 0.2) and trials.ADJUSTED in row["note"]
        assert row["effect"] != pytest.approx(arm / 60 - 0.2, abs=1e-6)


# --- simulated experiments: bench/trials.py runs 4,000 of each


@pytest.mark.parametrize("metric", list(bench.DRAWS))
def test_an_experiment_without_effect_is_rarely_taken_for_one(metric):
    """A/A at a fixed horizon, every type of metric, and the interval holds 0."""
    found = bench.simulate_fixed(metric, N_RUNS, n_arm=150)
    assert FEWEST <= found["rejected"] * N_RUNS <= MOST and LEAST_HELD <= found["covered"] * N_RUNS <= MOST_HELD


@pytest.mark.parametrize("metric", ["touch_rate", "margin_per_opportunity"])
def test_planned_looks_keep_the_level(metric):
    found = bench.simulate_looks(metric, N_RUNS)
    assert FEWEST <= found["rejected"] * N_RUNS <= MOST and LEAST_HELD <= found["covered"] * N_RUNS <= MOST_HELD


@pytest.mark.parametrize("metric", ["touch_rate", "cycle_days"])
def test_a_redrawn_assignment_is_analysed_as_it_was_drawn(metric):
    n_runs = 200
    found = bench.simulate_redrawn(metric, n_runs, n_draws=499)
    most, fewest = int(binom.isf(1e-4, n_runs, 0.05)), int(binom.ppf(1e-4, n_runs, 0.05))
    assert fewest <= found["redrawn"] * n_runs <= most and found["lin"] * n_runs <= most
    assert n_runs - most <= found["covered"] * n_runs <= n_runs - fewest


def test_always_valid_holds_at_any_look():
    for metric in ("touch_rate", "margin_per_account"):
        found = bench.simulate_always(metric, 1000)
        assert found["rejected"] <= 0.05 and found["covered"] >= 0.95


def test_holm_keeps_the_family_and_none_does_not():
    """Four true nulls against one control: 5 % with Holm; without, about 15 %."""
    found = bench.simulate_family(N_RUNS, n_arm=150)
    assert FEWEST <= found["holm"] * N_RUNS <= MOST < found["none"] * N_RUNS + 1


def test_analysis_by_lead_is_wrong_by_account_right():
    """About 32 % against 5 %: the lead-level test is what `check_units` refuses."""
    found = bench.simulate_leads(N_RUNS)
    assert found["leads"] > 0.32 - 3.7 * np.sqrt(0.32 * 0.68 / N_RUNS) and found["leads"] < 0.32 + 3.7 * np.sqrt(
        0.32 * 0.68 / N_RUNS
    )
    assert found["accounts"] <= MOST / N_RUNS


def test_an_effect_as_large_as_planned_is_found_as_often_as_planned():
    for shares in ((1.0,), (0.5, 1.0)):
        assert abs(bench.simulate_power(N_RUNS, shares=shares) - 0.8) < 3.7 * np.sqrt(0.8 * 0.2 / N_RUNS)


def test_guardrails_pass_harm_as_large_as_the_margin_in_1_of_40():
    assert bench.simulate_guardrail(N_RUNS)["at the margin"] * N_RUNS <= binom.isf(1e-4, N_RUNS, 0.025)


def test_segments_are_not_claimed_where_an_arm_works_alike():
    """20 searches of ten segments without, 8 with a difference of 30 points in one."""
    assert bench.simulate_segments(20, n_draws=99) * 20 <= binom.isf(1e-4, 20, 0.05)
    assert bench.simulate_segments(8, rise=0.3, n_draws=99) >= 0.5


def test_the_choice_is_the_best_as_often_as_said():
    found = bench.simulate_ranking(100)
    assert abs(found["said"] - found["was"]) < 3.7 * 0.5 / np.sqrt(100)
    assert found["regret"] == pytest.approx(found["said_regret"], abs=0.012)  # 0.007; of one choice the sd is 0.02


@pytest.mark.parametrize("metric", list(bench.DRAWS))
def test_simulations_analyse_as_the_functions_do(metric):
    """The bench has the formulas written for all experiments at once: here they are, beside the functions."""
    rng, draw = np.random.default_rng(0), bench.DRAWS[metric]
    for n in (60, 30):  # some of the small ones have few events
        arm, usual = draw(rng, (2, n)), draw(rng, (2, n))
        at_once = bench.compare_runs(arm, usual, 0.9)
        for run in range(2):
            row = bench.compare_run(arm, usual, run, 0.9).iloc[0]
            ours = row[at_once.columns].astype(float)
            np.testing.assert_allclose(at_once.iloc[run], ours, rtol=1e-9, atol=1e-12)
    values, table, seen, draws, p_value, half = bench.simulate_redrawn(metric, 2, n_draws=199)["first"]
    found = randomisation.randomise_test(randomisation.take_off(values, table), seen, draws, 0, 1)
    assert found["p_value"] == pytest.approx(p_value) and found["effect_high"] - found["effect"] == pytest.approx(half)
