"""The offered list: verdicts, figures that add up, words for what is left out, and the list that is empty."""

from __future__ import annotations

import json

import companies
import discovery as simulated
import numpy as np
import pandas as pd
import pytest
import worlds

from icp_lib import change, discovery, disguise, groups, offer, stats
from icp_lib.discovery import Checked
from icp_lib.rules import Segment
from icp_lib.schemas import CLAIM_COLUMNS

FEW = 99
KINDS = [f"k{number:02d}" for number in range(16)]


def is_(attribute: str, value) -> Segment:
    return Segment.of({"attribute": attribute, "op": "is", "value": value})


@pytest.fixture(scope="module")
def planted():
    here = simulated.build_space(0)
    older = discovery.search_part(here, n_draws=FEW)
    recent = discovery.search_part(here, "recent", beside=older, n_draws=FEW)
    offered = offer.list_offered(here, older, recent)
    within = disguise.compare_within(here, list(offered["rules"]))
    judged = offer.judge_offered(here, offered, within, n_draws=FEW)
    return here, older, recent, judged, offer.build_segments(here, older, judged)


@pytest.fixture(scope="module")
def growing():
    """One strong kind from the start, and one that is there in the last three quarters only."""
    n = 2000
    days_ago = np.random.default_rng(1).uniform(1, 900, n)
    is_new = (days_ago < 250) & (np.arange(n) % 5 == 0)
    kind = np.where(is_new, "new", np.where(np.arange(n) % 4 == 0, "old", "usual"))
    frames = companies.simulate({"kind": kind}, np.where(kind == "usual", 0.2, 0.6), days_ago=days_ago)
    here = companies.build_space(frames, ["kind"])
    older = discovery.search_part(here, depth=1, n_draws=FEW)
    return here, older, discovery.search_part(here, "recent", beside=older, depth=1, n_draws=FEW)


#: Found: deals, won, lift, p. Checked: lift, p, p of the opposite, wins expected. Then what pooling said, and "late".
ALIKE = [("region", "", 0.9)]
REGION, REP = ("region", "explained", 0.4), ("the rep", "explained", 0.2)
ROUND = ("employees", "contradicted", -0.5)
NEW = None
TABLE = [
    ("confirmed", (200, 60, 2.0, 0.01), (1.8, 0.01, 1.0, 40), ALIKE, ""),
    ("promising", (200, 60, 2.0, 0.01), (1.8, 0.06, 1.0, 40), ALIKE, ""),
    ("promising", (200, 60, 2.0, 0.15), (1.8, 0.01, 1.0, 40), ALIKE, ""),
    ("not supported", (200, 60, 2.0, 0.15), (1.8, 0.20, 1.0, 40), ALIKE, ""),
    ("not supported", (200, 60, 2.0, 0.01), (0.9, 0.70, 0.3, 40), ALIKE, ""),
    ("contradicted", (200, 60, 2.0, 0.01), (0.5, 0.99, 0.02, 40), ALIKE, ""),
    ("contradicted", (200, 60, 2.0, 0.01), (1.8, 0.01, 1.0, 40), [REGION, ROUND], ""),
    ("explained by the rep", (200, 60, 2.0, 0.01), (1.8, 0.01, 1.0, 40), [REGION, REP], ""),
    ("explained by region", (200, 60, 2.0, 0.01), (1.8, 0.01, 1.0, 40), [REGION, ("shop", "", 0.1)], ""),
    ("untested", (200, 60, 2.0, 0.01), (1.8, 0.01, 1.0, 14.9), ALIKE, ""),
    ("untested", (200, 60, 2.0, 0.01), (np.nan, np.nan, 1.0, 0), ALIKE, ""),
    ("untested", (200, 60, 2.0, 0.01), NEW, ALIKE, ""),
    ("not supported", (200, 60, 2.0, 0.15), NEW, ALIKE, ""),
    ("contradicted", (200, 60, 2.0, 0.01), NEW, [ROUND], ""),
    ("not enough data", (40, 20, 2.0, 0.01), NEW, ALIKE, ""),
    ("not enough data", (60, 14, 2.0, 0.01), NEW, [REGION], ""),
    ("promising", (200, 60, 2.0, 0.01), (1.8, 0.01, 1.0, 40), ALIKE, "late"),
]  # fmt: skip


def test_verdicts_of_crafted_rows(monkeypatch):
    """Every way to every verdict at once; the newer part has only what is not new, in the order of the list."""
    n = len(TABLE)
    kinds = [f"k{number:02d}" for number in range(n)]
    here = companies.build_space(companies.simulate({"kind": np.resize(kinds, 400)}, 0.3), ["kind"])
    rules = [is_("kind", kind) for kind in kinds]
    offered = pd.DataFrame([each.describe() for each in rules]).assign(
        conjunction=[np.array([number, -1, -1]) for number in range(n)], rules=rules,
        is_emerging=[checked is NEW for _, _, checked, _, _ in TABLE],
    )  # fmt: skip
    for i, name in enumerate(("found_n_opportunities", "found_n_won", "lift_found", "p_adjusted")):
        offered[name] = [found[i] for _, found, _, _, _ in TABLE]
    rows = [(each.segment_id, *row) for each, row in zip(rules, TABLE, strict=True) for row in row[3]]
    within = pd.DataFrame(rows, columns=["segment_id", "within", "judged", "share_left_rate"])
    lifts = [checked for _, _, checked, _, _ in TABLE if checked is not NEW]
    lift = [stats.Estimate(each[0], each[0] / 2, each[0] * 2) for each in lifts]
    p, opposite, won = (np.array([each[i] for each in lifts]) for i in (1, 2, 3))
    counts = np.full(len(lifts), 100)

    def check(space, masks, n_draws):
        assert n_draws == 7 and masks.T.tolist() == [
            each.mask(here.accounts).tolist() for each, row in zip(rules, TABLE, strict=True) if row[2] is not NEW
        ]
        return Checked(counts, counts // 4, won, lift, lift, p, opposite)

    monkeypatch.setattr(offer, "check_held_out", check)
    judged = offer.judge_offered(here, offered, within, n_draws=7)
    expected = [verdict if late == "" else "confirmed" for verdict, *_, late in TABLE]
    assert judged["verdict"].tolist() == expected
    assert judged.loc[judged["is_emerging"], "holdout_lift"].isna().all()
    held = judged.loc[~judged["is_emerging"], ["holdout_lift", "holdout_joint_low", "holdout_p_adjusted"]].to_numpy()
    np.testing.assert_array_equal(held, np.column_stack([[each.value for each in lift], [e.low for e in lift], p]))
    notes = ["", "Filled in for 60%. Filled in more often for won deals: after the sale?"]
    coverage = pd.DataFrame({"attribute": ["region", "kind"], "note": notes})
    capped = offer.judge_offered(here, offered, within, coverage, n_draws=7)
    assert capped["is_filled_late"].all()
    assert capped["verdict"].tolist() == ["promising" if word == "confirmed" else word for word in expected]
    coverage["note"] = [None, "Filled in for 60%. Filled in less often for won deals"]
    fine = offer.judge_offered(here, offered, within, coverage, n_draws=7)
    assert fine["verdict"].tolist() == expected and not fine["is_filled_late"].any()


def test_what_is_new_is_offered_and_never_confirmed(growing):
    here, older, recent = growing
    offered = offer.list_offered(here, older, recent)
    assert offered["segment"].tolist() == ["Companies with kind: old", "Companies with kind: new"]
    assert offered["is_emerging"].tolist() == [False, True] and (offered["p_adjusted"] <= 0.05).all()
    judged = offer.judge_offered(here, offered, disguise.compare_within(here, list(offered["rules"])), n_draws=FEW)
    table = offer.build_segments(here, older, judged)
    assert dict(zip(table["segment"], table["verdict"], strict=True)) == {
        "Companies with kind: old": "confirmed", "Companies with kind: new": "untested",
    }  # fmt: skip
    new = table.set_index("segment").loc["Companies with kind: new"]
    units = here.frames.units.merge(here.accounts[["account_id", "kind"]], on="account_id")
    counts = [((units["kind"] == "new") & (units["quarter"] == -back)).sum() for back in (3, 2, 1)]
    assert new["note"] == "New: {:,}, {:,}, then {:,} deals in the last 3 quarters".format(*counts)
    assert np.isnan(new["stability_rate"]) and np.isnan(new["holdout_lift"]) and np.isnan(new["margin_per_day"])
    alone = offer.judge_offered(here, offered[1:].reset_index(drop=True), disguise.compare_within(here, []), n_draws=9)
    none_older = older._replace(candidates=older.candidates.assign(is_offered=False))
    assert offer.build_segments(here, none_older, alone)["verdict"].tolist() == ["untested"]


def test_segments_have_their_columns_and_the_order_of_the_verdicts(planted):
    _, _, _, _, table = planted
    assert table.columns.tolist() == offer.SEGMENT_COLUMNS and table["segment_id"].is_unique
    kind = table["verdict"].str.replace(" by .*", " by", regex=True)
    assert kind.map(groups.VERDICT_ORDER.index).is_monotonic_increasing
    first = table.iloc[0]
    assert Segment.from_json(first["conditions"]) == Segment.of(*worlds.STRONG) and first["verdict"] == "confirmed"
    assert first["hypotheses"] > 1000 and first["explained_by"] == "nothing" and first["note"] == ""
    assert json.loads(first["conditions"])[0].keys() == {"attribute", "op", "value"}


def test_the_figures_of_a_segment_are_those_of_its_accounts(planted):
    here, _, _, _, table = planted
    for _, row in table.iterrows():
        members = here.accounts.loc[Segment.from_json(row["conditions"]).mask(here.accounts), "account_id"].to_numpy()
        found = groups.estimate_group(members, here.frames)
        names = ["n_accounts", "n_opportunities", "n_won", "win_rate", "cycle_median_days", "margin_per_opportunity",
                 "margin_per_day_rest", "n_mature", "share_largest", "lift_without_largest"]  # fmt: skip
        np.testing.assert_allclose(row[names].astype(float), [found[name] for name in names])
        for end in ("", "_low", "_high"):
            money = row[f"holdout_lift{end}"] * row["margin_per_day_rest"]
            assert row[f"margin_per_day{end}"] == pytest.approx(money, nan_ok=row["is_emerging"])
    old = table[~table["is_emerging"].astype(bool)]
    assert (old["holdout_joint_low"] <= old["holdout_lift_low"]).all()


def test_reachable_are_no_customers_and_what_is_not_known_is_open():
    """Six accounts with a deal, two without, three prospects; nobody knows the buyer before the first call."""
    ids = [f"a{number}" for number in range(8)]
    deals = pd.DataFrame({
        "account_id": ids[:6], "days_ago": [500.0, 400, 300, 200, 100, 90], "days": 30.0,
        "status": ["won", "lost", "lost", "open", "lost", "lost"], "amount": 1000.0,
    })  # fmt: skip
    industry = ["Freight", "Freight", "Freight", "Retail", None, "Freight", "Freight", "Retail"]
    role = ["Owner", None, "IT lead", "Owner", "Owner", "Owner", None, None]
    frames = companies.build_frames({"account_id": ids, "industry": industry, "buyer_role": role}, deals)
    here = companies.build_space(frames, ["industry", "buyer_role"])
    prospects = pd.DataFrame({"prospect_id": ["p1", "p2", "p3"], "industry": ["Freight", "Freight", None]})
    pair = Segment.of(*is_("industry", "Freight").rules, *is_("buyer_role", "Owner").rules)
    # a5 is Freight, bought by the owner and not won; of a1 and of a6, which has no deal, the buyer is not known; p1, p2
    words = "At most: of {} of them the buyer role is not known"
    assert offer.count_reachable(pair, here, prospects) == (5, words.format(4))
    assert offer.count_reachable(pair, here, None) == offer.count_reachable(pair, here, prospects.iloc[:0])
    assert offer.count_reachable(pair, here, None) == (3, words.format(2))
    assert offer.count_reachable(is_("industry", "Freight"), here, None) == (4, "")
    # a3, a4 and a5; a1, a6 and a7 are open; of the prospects nothing is known that is asked for
    assert offer.count_reachable(is_("buyer_role", "Owner"), here, prospects) == (6, words.format(3))


def test_shares_add_up_on_a_list_that_can_be_added_by_hand():
    """Won: a 100 and b 300 (only in A), c 200 (in both), d 50 (only in B), e 350 (in neither): 1,000."""
    ids = ["a", "b", "c", "d", "e", "f"]
    deals = pd.DataFrame({
        "account_id": [*ids, "c"], "days_ago": 500.0, "days": 30.0, "status": ["won"] * 5 + ["lost"] * 2,
        "amount": [100.0, 300, 200, 50, 350, 999, 999],
    })  # fmt: skip
    here = companies.build_space(companies.build_frames({"account_id": ids, "kind": "x"}, deals), ["kind"])
    members = ({"a", "b", "c"}, {"c", "d"})
    masks = np.column_stack([here.accounts["account_id"].isin(each) for each in members])
    table = offer.estimate_shares(here, masks)
    assert table["share_of_margin"].tolist() == pytest.approx([0.6, 0.25])
    assert table["margin_share_rate"].tolist() == pytest.approx([0.4, 0.05])
    assert table["deal_share_rate"].tolist() == pytest.approx([4 / 7, 3 / 7])
    overlap, rest = 0.2, 0.35
    assert table["margin_share_rate"].sum() + overlap + rest == pytest.approx(1)
    assert table["uncovered_rate"].tolist() == pytest.approx([rest, rest])
    assert (table["share_of_margin_low"] <= table["share_of_margin"]).all()
    assert (table["share_of_margin_high"] >= table["share_of_margin"]).all()


def test_shares_of_the_whole_and_of_nothing(planted):
    here = planted[0]
    n = len(here.accounts)
    table = offer.estimate_shares(here, np.column_stack([np.ones(n, bool), np.zeros(n, bool)]))
    columns = ["share_of_margin", "share_of_margin_low", "share_of_margin_high", "deal_share_rate", "margin_share_rate"]
    np.testing.assert_allclose(table[columns].to_numpy(), [[1] * 5, [0] * 5], atol=1e-12)


def test_overlap_is_counted_alike_from_both_sides(planted):
    here, *_ = planted
    rules = [is_("industry", "Retail"), is_("region", "North"), is_("web_shop", "yes")]
    named = pd.DataFrame([each.describe() for each in rules])
    table = offer.build_overlap(here, named)
    assert len(table) == 9
    counts = table.pivot(index="segment_id", columns="other_id", values="n_shared")
    shares = table.pivot(index="segment_id", columns="other_id", values="share_rate")
    assert (counts.to_numpy() == counts.T.to_numpy()).all() and (shares.to_numpy() == shares.T.to_numpy()).all()
    assert np.diag(shares).tolist() == [1, 1, 1]
    retail, north = (each.mask(here.accounts) for each in rules[:2])
    one = table[(table["segment"] == rules[0].name) & (table["other"] == rules[1].name)].iloc[0]
    assert one["n_shared"] == (retail & north).sum()
    assert one["share_rate"] == (retail & north).sum() / min(retail.sum(), north.sum())


def test_a_claim_quotes_newer_deals_and_says_what_the_verdict_says(planted):
    words = [*groups.VERDICT_ORDER]
    words[words.index("explained by")] = "explained by the rep"
    table = pd.concat([planted[4].head(1)] * len(words), ignore_index=True).assign(verdict=words)
    newer = [name for name in table if name.startswith("holdout_")]
    table.loc[table["verdict"] == "untested", newer] = np.nan
    claims = offer.build_claims(table)
    assert claims.columns.tolist() == CLAIM_COLUMNS
    assert (claims["claim_id"] == "01-" + table["segment_id"]).all() and (claims["metric"] == "lift").all()
    name = table["segment"].iloc[0]
    better = f"{name} are worth more than the rest."
    said = dict(zip(claims["verdict"], claims["claim"], strict=True))
    assert said.pop("not supported") == f"{name} do not stand out from the rest beyond luck."
    assert said.pop("contradicted").startswith(f"{name} do not hold: newer deals,")
    assert set(said.values()) == {better} and len(said) == len(words) - 2
    for row, source in zip(claims.itertuples(), table.itertuples(), strict=True):
        is_new = row.verdict == "untested"
        assert row.estimate == (source.lift_found if is_new else source.holdout_lift)
        assert row.n == (source.found_n_opportunities if is_new else source.holdout_n_opportunities)
        assert np.isnan(row.conf_low) if is_new else row.conf_low == source.holdout_joint_low
        assert (row.estimate_found, row.hypotheses) == (source.lift_found, source.hypotheses)


def test_why_a_group_is_not_offered():
    """Eight good kinds of sixteen, a trait that overlaps with them, one that does nothing, and a small dear one."""
    n = 3200
    kind = np.resize(KINDS, n)
    good = np.arange(n) % 16 < 8
    tier = np.where(good & (np.random.default_rng(3).random(n) < 0.9), "top", "usual")
    traits = {"kind": kind, "tier": tier, "idle": np.resize(["x", "y", "z"], n)}
    here = companies.build_space(companies.simulate(traits, np.where(good, 0.6, 0.15)), ["kind", "idle"])
    found = discovery.search_part(here, depth=1, n_draws=FEW)
    table = offer.list_candidates(here, found)
    assert table.columns.tolist() == [
        "segment_id", "segment", "conditions", "n_accounts", "n_opportunities", "n_won", "lift_found", "p_adjusted",
        "is_offered", "reason",
    ]  # fmt: skip
    assert (table.loc[table["is_offered"], "reason"] == "").all() and table["is_offered"].sum() == 6
    likely = table[(table["p_adjusted"] <= 0.2) & ~table["is_offered"]]
    assert len(likely) == 2 and (likely["reason"] == "6 are offered already").all()
    unlikely = table.loc[table["p_adjusted"] > 0.2, "reason"]
    assert len(unlikely) and (unlikely == "Luck alone gives as much in more than one search of five").all()
    few = found._replace(candidates=found.candidates.assign(n_won=12, is_offered=False))
    assert offer.list_candidates(here, few)["reason"].iloc[0] == "12 won of the 15 needed"
    assert len(offer.list_candidates(here, found, most=3)) == 3
    wide = companies.build_space(companies.simulate(traits, np.where(good, 0.6, 0.15)), ["kind", "tier"])
    found = discovery.search_part(wide, depth=1, n_draws=FEW)
    table = offer.list_candidates(wide, found).set_index("segment")
    assert table.index[0] == "Companies with tier: top" and table["is_offered"].tolist()[0]
    inside = table.loc["Companies with kind: k00", "reason"]
    assert inside == "Shares too many accounts with: Companies with tier: top"


def test_placebos_are_in_no_list_of_candidates(planted):
    here, older, *_ = planted
    table = offer.list_candidates(here, older)
    assert older.candidates["has_placebo"].any() and len(table) == min(200, (~older.candidates["has_placebo"]).sum())
    assert not table["conditions"].str.contains("placebo").any()


def test_one_row_a_search_with_what_was_kept_aside(planted):
    here, older, recent, _, _ = planted
    table = offer.describe_search(here, older, recent)
    assert table["part"].tolist() == ["found", "recent"]
    assert table["n_offered"].tolist() == [len(older.offered), len(recent.offered)]
    assert (table["measure"] != "margin_per_day").all() and not table["is_placebo_found"].any()
    newer = here.accounts["part"] == "held_out"
    assert (table["holdout_n_accounts"] == newer.sum()).all()
    deals = here.frames.units["account_id"].isin(here.accounts.loc[newer, "account_id"]).sum()
    assert (table["holdout_n_opportunities"] == deals).all()
    assert (table["found_until"] < here.accounts.loc[newer, "first_opportunity_at"].max()).all()
    assert table["lift_noise"].tolist() == [older.draws["lift"].max(), recent.draws["lift"].max()]
    found = older._replace(about=older.about.assign(placebo_p_adjusted=0.04))
    assert offer.describe_search(here, found)["is_placebo_found"].tolist() == [True]


@pytest.mark.parametrize(("n", "win_rate"), [(40, 0.3), (600, 0.3), (600, 0.0)])
def test_an_empty_list_gives_tables_without_rows_all_the_way(n, win_rate):
    """Too little to look at, nothing to find, and nothing ever won."""
    traits = {"kind": np.resize(["x", "y"], n), "shop": np.resize(["a", "b", "c"], n)}
    here = companies.build_space(companies.simulate(traits, win_rate, seed=11), ["kind", "shop"])  # luck gives nothing
    older = discovery.search_part(here, n_draws=FEW)
    recent = discovery.search_part(here, "recent", beside=older, n_draws=FEW)
    offered = offer.list_offered(here, older, recent)
    within = disguise.compare_within(here, offered["rules"])
    judged = offer.judge_offered(here, offered, within, n_draws=FEW)
    segments = offer.build_segments(here, older, judged)
    tables = {
        "segments": (segments, offer.SEGMENT_COLUMNS),
        "within": (within, disguise.COLUMNS),
        "claims": (offer.build_claims(segments), CLAIM_COLUMNS),
        "changes": (change.compare_quarters(here, here, segments), change.COLUMNS),
    }
    for table, columns in tables.values():
        assert table.empty and table.columns.tolist() == columns
    overlap = offer.build_overlap(here, segments)
    assert overlap.empty and overlap.columns.tolist() == [
        "segment_id", "segment", "other_id", "other", "n_shared", "share_rate",
    ]  # fmt: skip
    assert disguise.estimate_without(here, offered["rules"]).empty and judged.empty
    assert not offer.list_candidates(here, older)["is_offered"].any()
    searched = offer.describe_search(here, older, recent)
    assert searched["n_offered"].tolist() == [0, 0] and not searched["is_placebo_found"].any()
