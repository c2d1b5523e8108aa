"""The contrast against hand counts, other implementations, chance, and the law that a share has its base rate."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats as peers

from icp_lib import contrast, display, personas, stats, trait_answers, traits
from icp_lib.checks import DataError
from icp_lib.rules import build_levels


def company(n: int = 1200, seed: int = 1, odds: float = 1.0, families: bool = False) -> pd.DataFrame:
    """Judged accounts, 12 % best; a trait doubles the chance by `odds`; the newer two fifths are held out."""
    rng = np.random.default_rng(seed)
    kind, other = (
        rng.choice(["A", "B", "C"], n, p=[0.3, 0.5, 0.2]),
        rng.choice(["u", "v", None], n, p=[0.45, 0.45, 0.1]),
    )
    best = rng.random(n) < 0.12 * np.where(kind == "A", odds, 1.0)
    group = np.where(best, "best", rng.choice(["other", "churned", "lost", "lost_timing"], n, p=[0.3, 0.1, 0.5, 0.1]))
    ids = np.array([f"a{i:05d}" for i in range(n)], object)
    opened = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n), unit="h")
    return pd.DataFrame({
        "account_id": ids, "family_id": ids[np.arange(n) // 2] if families else ids, "kind": kind, "size": other,
        "group": group, "is_best": best, "is_modelled": True,
        "part": np.where(np.arange(n) < 0.6 * n, "found", "held_out"),
        "first_opportunity_at": opened, "n_won": best.astype(int), "n_opportunities": 1,
        "placebo_a": rng.choice(list("AB"), n), "placebo_b": rng.choice(list("ABCD"), n),
    })  # fmt: skip


def estimate(frame: pd.DataFrame, **options) -> pd.DataFrame:
    names = [name for name in ("kind", "size", "placebo_a", "placebo_b") if name in frame]
    return contrast.estimate_contrast(frame, build_levels(frame, {name: {} for name in names}), **options)


def test_the_p_values_are_fishers_and_the_differences_newcombes():
    rng = np.random.default_rng(2)
    n_1, n_0 = rng.integers(5, 60, 80), rng.integers(5, 200, 80)
    with_1, with_0 = rng.binomial(n_1, 0.3), rng.binomial(n_0, 0.2)
    found = contrast.compare_rates(with_1, n_1, 1.0, with_0, n_0, 1.0)
    for i, row in found.iterrows():
        cells = [[with_1[i], n_1[i] - with_1[i]], [with_0[i], n_0[i] - with_0[i]]]
        for side, name in (("greater", "p_above"), ("less", "p_below")):
            assert row[name] == pytest.approx(peers.fisher_exact(cells, alternative=side)[1], rel=1e-9)
        gap = stats.estimate_difference(with_1[i], n_1[i], with_0[i], n_0[i])
        assert row[["gap_base_rate", "gap_base_rate_low", "gap_base_rate_high"]].tolist() == pytest.approx(gap[:3])
        assert row["p_value"] == pytest.approx(min(1, 2 * min(row["p_above"], row["p_below"])))


def test_the_range_of_the_ratio_covers_and_leaves_the_same_on_the_side_of_the_difference():
    rng, n_1, n_0 = np.random.default_rng(3), 70, 900
    for p_1, p_0 in ((0.3, 0.2), (0.1, 0.1), (0.5, 0.35)):
        size = 20_000
        x_1, x_0 = rng.binomial(n_1, p_1, size), rng.binomial(n_0, p_0, size)
        found = contrast.compare_rates(x_1, np.full(size, n_1), 1.0, x_0, np.full(size, n_0), 1.0)
        covers = (found["base_lift_low"] <= p_1 / p_0) & (p_1 / p_0 <= found["base_lift_high"])
        assert 0.93 < covers.mean() < 0.975  # MOVER on Wilson limits; seen .945 to .962
        above = found["gap_base_rate_low"] > 0
        assert ((found["base_lift_low"] > 1) == above).all()  # both come from the same limits


def test_a_hand_count():
    frame = company(n=10)
    frame["kind"] = list("AABBBAABBB")
    frame["is_best"] = [True, False] * 5
    frame["group"] = np.where(frame["is_best"], "best", "lost")
    frame["part"] = "found"
    table = estimate(frame).set_index(["attribute", "level", "against"])
    row = table.loc[("kind", "A", "lost")]
    assert row[["n_best_with", "n_best", "n_base_with", "n_base"]].tolist() == [2, 5, 2, 5]
    assert row[["best_rate", "base_rate", "base_lift"]].tolist() == [0.4, 0.4, 1.0]
    nobody = table.loc[("kind", "A", "churned")]
    assert np.isnan(nobody["best_rate"]) and nobody["note"] == "Nobody to compare with among customers who left"


def test_a_planted_trait_is_confirmed_and_the_noise_is_not():
    frame = company(n=4000, odds=3.0, seed=5)
    table = estimate(frame).set_index(["attribute", "level", "against"])
    assert table.loc[("kind", "A", "market"), "verdict"] == "confirmed"
    assert table.loc[("kind", "A", "lost"), "verdict"] == "confirmed"
    noise = table[(table.index.get_level_values(0) != "kind") & (table.index.get_level_values(2) == "market")]
    assert not noise["verdict"].isin(["confirmed", "contradicted"]).any()
    assert table.loc[("kind", "B", "market"), "base_lift"] < 1
    claims = trait_answers.build_claims(table.reset_index(), pd.DataFrame(columns=personas.PERSONA_COLUMNS))
    assert claims["claim"].iloc[0].endswith("are more common among the best customers than in the market.")
    assert (claims["estimate_found"] > 0).all() and claims["claim_id"].str.startswith("02-").all()


def test_in_worlds_without_truth_hardly_anything_is_found():
    """Found in 5 % of worlds at most (Benjamini-Hochberg): 6 of 24 would come by luck about once in 1,000."""
    found = 0
    for seed in range(24):
        table = estimate(company(n=900, seed=100 + seed))
        market = table[table["against"] == "market"]
        found += bool((market["p_adjusted"] <= 0.05).any())
        assert not (market["verdict"] == "confirmed").any()
    assert found <= 5


def test_families_count_once():
    """Every account twice, in one family: the counts double, the ranges and the chance of luck stay as they were."""
    single = company(n=600, odds=2.5)
    twice = pd.concat([single, single.assign(account_id=single["account_id"] + "x")], ignore_index=True)
    one, two = estimate(single), estimate(twice)
    for name in ("best_rate_low", "gap_base_rate_high", "base_lift_low"):
        np.testing.assert_allclose(two[name], one[name], rtol=1e-6)
    near = one["p_value"].notna()
    assert (two.loc[near, "p_value"] - one.loc[near, "p_value"]).abs().max() < 0.05  # counts are rounded down


def test_the_order_of_rows_changes_nothing_and_missing_is_a_level():
    frame = company(n=800)
    pd.testing.assert_frame_equal(estimate(frame), estimate(frame.sample(frac=1, random_state=3)))
    assert ("size", "Missing") in set(zip(*estimate(frame)[["attribute", "level"]].to_numpy().T, strict=True))


def test_prospects_are_the_market_where_they_have_the_attribute():
    frame = company(n=800)
    prospects = pd.DataFrame({"prospect_id": range(300), "kind": ["A"] * 100 + ["B"] * 200})
    market = estimate(frame, prospects=prospects).query("against == 'market'").set_index(["attribute", "level"])
    assert market.loc[("kind", "A"), ["n_base", "n_base_with", "base"]].tolist() == [300, 100, "prospects"]
    assert market.loc[("size", "u"), "base"] == "companies with a deal that are not best"


def test_a_list_of_prospects_with_gaps_makes_no_trait_common_among_the_best():
    """The same mix on both sides, but of 40 % of the prospects the trait is not known."""
    frame, rng = company(n=2500, seed=3), np.random.default_rng(3)
    kind = rng.choice(["A", "B", "C"], 2500, p=[0.3, 0.5, 0.2]).astype(object)
    kind[rng.random(2500) < 0.4] = None
    market = estimate(frame, prospects=pd.DataFrame({"prospect_id": range(2500), "kind": kind}))
    market = market.query("against == 'market' and attribute == 'kind'").set_index("level")
    assert market.loc["A", "n_base"] == (kind != None).sum()  # noqa: E711
    assert market["base_lift"].between(0.8, 1.25).all() and not (market["verdict"] == "confirmed").any()


def test_a_trait_filled_in_after_the_sale_is_held_at_promising():
    frame = company(n=4000, odds=3.0, seed=5)
    coverage = pd.DataFrame({"attribute": ["kind"], "note": ["Filled in more often for won deals: after the sale?"]})
    held = estimate(frame, coverage=coverage).query("attribute == 'kind' and against == 'market' and level == 'A'")
    assert held["verdict"].tolist() == ["promising"]


def test_no_share_without_its_base_rate():
    table = estimate(company(n=1500, odds=2.0))
    assert contrast.has_base(table)
    picks = (trait_answers.pick_lifts, trait_answers.pick_traits, trait_answers.pick_nearest)
    for shown in (table, *(pick(table) for pick in picks)):
        newer = "" if "best_rate" in shown else "holdout_"
        assert {f"{newer}best_rate", f"{newer}base_rate"} <= set(shown.columns)
        assert shown.loc[shown[f"{newer}best_rate"].notna(), f"{newer}base_rate"].notna().all()
    newer = trait_answers.pick_traits(table)  # the shares of the companies whose ratio stands beside them
    ratio = newer["holdout_best_rate"] / newer["holdout_base_rate"]
    assert newer["holdout_base_lift"].notna().any() and np.allclose(ratio, newer["holdout_base_lift"], equal_nan=True)
    with pytest.raises(DataError, match="'best_rate' without 'base_rate' says nothing"):
        display.show(table[["segment", "best_rate"]])
    with pytest.raises(DataError, match="'best_rate' without 'base_rate' says nothing"):
        display.say(table.iloc[0], "{segment}: {best_rate} of the best")


def test_of_nobody_there_is_a_table_without_rows():
    frame = company(n=50).assign(is_best=False)
    empty = estimate(frame)
    assert empty.empty and list(empty) == contrast.TRAIT_COLUMNS
    assert trait_answers.estimate_seen(empty).empty and trait_answers.pick_map(empty).empty
    assert trait_answers.pick_lifts(empty).empty and trait_answers.pick_nearest(empty).empty
    labels = pd.DataFrame({"note": [""]})
    assert trait_answers.pick_answers(empty, labels)["note"].tolist() == [trait_answers.NOTHING]
    assert trait_answers.build_claims(empty, pd.DataFrame(columns=personas.PERSONA_COLUMNS)).empty


def test_what_could_have_been_seen_is_seen_in_four_of_five_worlds():
    """A trait of the size and ratio that `estimate_seen` names, in 400 worlds through the same two tests."""
    table = estimate(company(n=3000, seed=9))
    seen = trait_answers.estimate_seen(table).set_index("base_rate").loc[0.2]
    rng, hypotheses = np.random.default_rng(4), int(seen["hypotheses"])
    hits = np.ones(400, bool)
    for n_best, alpha, two in ((int(seen["n_best"]), 0.05 / hypotheses, 2), (int(seen["holdout_n_best"]), 0.05, 1)):
        n_base = int(seen["n_base"])
        found = contrast.compare_rates(rng.binomial(n_best, 0.2 * seen["base_lift"], 400), np.full(400, n_best), 1.0,
                                       rng.binomial(n_base, 0.2, 400), np.full(400, n_base), 1.0)  # fmt: skip
        hits &= (two * found["p_above"] <= alpha).to_numpy()
    assert 0.7 < hits.mean() < 0.9


def test_what_a_trait_needs_is_a_number_that_is_confirmed_where_it_is_true():
    """The ratio that `list_limits` names, more and less common, in 400 worlds through the same two tests."""
    rng, sizes = np.random.default_rng(6), [(300, 2000, 0.025 / 20), (200, 900, 0.05)]
    for is_less, side in ((False, "p_above"), (True, "p_below")):
        lift = trait_answers._smallest_lift(0.3, sizes, is_less)
        assert lift < 1 if is_less else lift > 1
        hits = np.ones(400, bool)
        for n_best, n_base, alpha in sizes:
            found = contrast.compare_rates(rng.binomial(n_best, 0.3 * lift, 400), np.full(400, n_best), 1.0,
                                           rng.binomial(n_base, 0.3, 400), np.full(400, n_base), 1.0)  # fmt: skip
            hits &= (found[side] <= alpha).to_numpy()
        assert 0.7 < hits.mean() < 0.9
    limits = trait_answers.list_limits(estimate(company(n=1500)))["would_change"]
    assert limits.nunique() > 1 and limits.str.contains("best customers").all()


def test_traits_that_reversed_or_halved_are_named():
    lifts = pd.DataFrame({"segment": ["Up", "Down", "Half", "Same"], "base_lift": [1.5, 0.5, 2.0, 2.0],
                          "holdout_base_lift": [0.7, 1.2, 1.3, 1.9]})  # fmt: skip
    words = trait_answers.say_newer(lifts)["newer_words"].iloc[0]
    assert words == ("Of the 4 that some of the best have in both parts, 2 reversed in newer companies (Up; Down) and "
                     "1 lost half or more of it (Half).")  # fmt: skip
    assert trait_answers.say_newer(lifts.head(0))["newer_words"].iloc[0].startswith("No trait")


@pytest.mark.parametrize(
    ("newer", "words"),
    [
        ((0.5, 0.2, 0.99), "0.5× (0.2 to 1.0) as common in newer ones: the other way round"),
        ((0.9, 0.5, 1.6), "0.9× (0.5 to 1.6) as common in newer ones. Luck could give that"),
        ((np.nan, np.nan, np.nan), "no newer ones. Luck could give that"),
    ],
)
def test_a_trait_turned_round_only_where_its_whole_range_did(newer, words):
    ends = dict(zip(("", "_low", "_high"), newer, strict=True))
    row = {"base_lift": 1.6} | {f"holdout_base_lift{end}": value for end, value in ends.items()}
    assert trait_answers._say_unsupported(row) == words


def test_a_trait_that_none_of_the_best_has_is_said_so_and_only_the_market_has_verdicts():
    frame = company(n=800).assign(n_opportunities=1)
    frame["kind"] = frame["kind"].mask(frame["is_best"] & (frame["kind"] == "C"), "B")
    levels = build_levels(frame, {"kind": {}})
    moved = contrast.compare_quarters(frame, frame, levels, [each.segment_id for _, _, each in levels], n_draws=50)
    assert set(moved["note"]) == {"", "None among the best a quarter ago and now"}
    table = estimate(frame)
    assert "verdict" not in trait_answers.pick_nearest(table)
    assert trait_answers.pick_map(table)["n_words"].str.contains("best customers, .* not best$").all()
    table["best_rate"] = table["best_rate"].where(table["against"] != "market", 0.9)  # of those known alone
    assert (trait_answers.pick_map(table)["best_rate"] < 0.9).all()
    selection = pd.DataFrame({"attribute": ["kind"], "verdict": "selected", "says_same_as": "", "n_levels": 3,
                              "p_alone_adjusted": 0.1, "p_adjusted": 0.1, "note": ""})  # fmt: skip
    value = table.query("attribute == 'kind' and against == 'market'")["information_value"].iloc[0]
    shown = trait_answers.pick_attributes(selection, table)
    assert shown["information_value"].iloc[0] == pytest.approx(value, abs=0.001)


def test_the_levels_are_those_of_the_page():
    frame = company(n=300)
    levels = traits.build_trait_levels(frame, {"kind": {}})
    assert {"kind", "placebo_a", "placebo_b"} == {attribute for attribute, _, _ in levels}
