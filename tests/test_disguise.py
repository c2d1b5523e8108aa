"""Is it something else? Worlds in which it is the rep, the size, another segment, or nothing else."""

from __future__ import annotations

import companies
import numpy as np
import pandas as pd
import pytest

from icp_lib import disguise, groups, stats
from icp_lib.rules import Segment

N = 3000


def is_(attribute: str, value) -> Segment:
    return Segment.of({"attribute": attribute, "op": "is", "value": value})


def compare(frames, traits, *segments: Segment) -> pd.DataFrame:
    """The comparisons, by segment and by what it is compared within."""
    table = disguise.compare_within(companies.build_space(frames, traits), list(segments))
    return table.set_index(["segment", "within"])


def draw(seed: int, **shares) -> dict:
    """Levels drawn with given shares: name -> {level: share}."""
    rng = np.random.default_rng(seed)
    return {name: rng.choice(list(share), N, p=list(share.values())) for name, share in shares.items()}


def test_a_territory_that_a_strong_rep_owns_is_explained_by_the_rep():
    traits = draw(1, region={"North": 0.3, "South": 0.7}, shop={"yes": 0.5, "no": 0.5})
    rng = np.random.default_rng(2)
    is_star = rng.random(N) < np.where(traits["region"] == "North", 0.7, 0.05)
    owner = np.where(is_star, "R1", rng.choice(["R2", "R3"], N))
    source = rng.choice(["Fair", "Search"], N)
    rate = np.where(is_star, 0.6, 0.2)
    frames = companies.simulate(traits, rate, seed=3, owner_id=owner, lead_source=source)
    found = compare(frames, ["region", "shop"], is_("region", "North")).loc["Companies in North"]
    assert found["judged"].to_dict() == {"the rep": "explained", "shop": "", "where the deal came from": ""}
    assert found["lift"].iloc[0] > 1.5 and found.loc["the rep", "share_left_rate"] < 0.3
    assert found.index[0] == "the rep" and (found["n_strata"] == [3, 2, 2]).all()


def test_a_trap_of_simpson_is_contradicted_by_the_size():
    """Worse than its like at every size, and better in all, because small companies win and use it."""
    size = np.where(np.arange(N) % 2, 10.0, 200.0)
    uses = np.random.default_rng(3).random(N) < np.where(size == 10, 0.8, 0.15)
    rate = np.where(size == 10, 0.6, 0.15) * np.where(uses, 0.7, 1.0)
    tools = np.where(uses, "Telematics; ERP", "ERP")
    frames = companies.simulate({"employees": size, "technologies": tools}, rate)
    traits = {"employees": {"bins": [1, 50]}, "technologies": {}}
    found = compare(frames, traits, is_("technologies", "Telematics")).loc["Companies that use Telematics"]
    assert found.loc["employees", "lift"] > 1.3 and found.loc["employees", "lift_pooled_high"] < 1
    assert found["judged"].to_dict() == {"employees": "contradicted", "ERP": ""}


def test_a_trait_that_has_nothing_to_do_with_it_takes_nothing():
    traits = draw(4, industry={"Freight": 0.3, "Retail": 0.7}, shop={"yes": 0.5, "no": 0.5})
    frames = companies.simulate(traits, np.where(traits["industry"] == "Freight", 0.5, 0.2))
    row = compare(frames, ["industry", "shop"], is_("industry", "Freight")).loc[("Freight companies", "shop")]
    assert row["judged"] == "" and row["lift_pooled_low"] > 1
    assert row["share_left_rate"] == pytest.approx(1, abs=0.05)  # independent traits: what is left differs by chance
    assert row["comparable_rate"] == 1


def test_others_are_compared_inside_and_outside_of_the_leader():
    """The second borrows its lead from the first, a pair that no single trait stands for; a third has its own."""
    traits = draw(5, industry={"Freight": 0.5, "Retail": 0.5}, buyer_role={"Owner": 0.5, "IT lead": 0.5})
    is_leader = (traits["industry"] == "Freight") & (traits["buyer_role"] == "Owner")
    rng = np.random.default_rng(6)
    traits["region"] = np.where(rng.random(N) < np.where(is_leader, 0.8, 0.2), "North", "South")
    traits["shop"] = rng.choice(["yes", "no"], N)
    rate = np.where(is_leader, 0.6, 0.12) * np.where(traits["shop"] == "yes", 1.3, 0.7)
    leader = Segment.of(*is_("industry", "Freight").rules, *is_("buyer_role", "Owner").rules)
    others = is_("region", "North"), is_("shop", "yes")
    found = compare(companies.simulate(traits, rate), list(traits), leader, *others)
    assert (leader.name, disguise.LEADER) not in found.index
    assert found.loc[("Companies in North", disguise.LEADER), "judged"] == "explained"
    assert found.loc[("Companies in North", disguise.LEADER), "lift"] > 1.5
    assert found.loc[("Companies with shop: yes", disguise.LEADER), "judged"] == ""


def test_pooled_ratio_is_that_of_mantel_and_haenszel():
    traits = draw(7, industry={"Freight": 0.4, "Retail": 0.6}, country={"A": 0.5, "B": 0.3, "": 0.2})
    traits["country"] = np.where(traits["country"] == "", None, traits["country"])  # missing is a level
    frames = companies.simulate(traits, np.where(traits["industry"] == "Freight", 0.4, 0.2))
    here = companies.build_space(frames, list(traits))
    row = disguise.compare_within(here, [is_("industry", "Freight")]).iloc[0]
    units = here.frames.capped.merge(here.accounts[["account_id", "industry", "country"]], on="account_id")
    units["is_in"] = units["industry"] == "Freight"
    top = bottom = 0.0
    for _, level in units.groupby(units["country"].fillna("none")):
        (m1, e1), (m0, e0) = (level.loc[level["is_in"] == side, ["m", "e"]].sum() for side in (True, False))
        top, bottom = top + m1 * e0 / (e1 + e0), bottom + m0 * e1 / (e1 + e0)
    assert (row["within"], row["n_strata"]) == ("country", 3)
    assert row["lift_pooled"] == pytest.approx(top / bottom, rel=1e-9)
    cluster = pd.factorize(units["family_id"])[0]
    crude = stats.estimate_lift(units["m"], units["e"], units["is_in"], cluster).value
    assert row["lift"] == pytest.approx(crude, rel=1e-9)
    assert row["share_left_rate"] == pytest.approx(np.log(top / bottom) / np.log(crude), rel=1e-9)


def test_a_segment_is_compared_within_what_is_not_in_its_rule():
    """Not within its own attributes or a placebo; within other items of a list that it has one item of."""
    rng = np.random.default_rng(8)
    traits = {
        "technologies": rng.choice(["ERP", "ERP; Fuel card", "Telematics", "Fuel card"], N),
        "industry": rng.choice(["Freight", "Retail"], N), "lead_source": rng.choice(["Fair", "Search"], N),
    }  # fmt: skip
    both = Segment.of(*is_("technologies", "ERP").rules, *is_("industry", "Freight").rules)
    plain, with_source = (
        set(compare(companies.simulate(traits, 0.3, **columns), list(traits), both).loc[both.name].index)
        for columns in ({}, {"lead_source": traits["lead_source"]})
    )
    assert plain == {"Fuel card", "Telematics", "lead source"}
    assert with_source == {"Fuel card", "Telematics", "where the deal came from"}  # the deal's own goes before


def test_where_a_group_has_nothing_beside_it_nothing_is_judged():
    """One country holds the whole segment and nobody else: nothing can be compared within it."""
    industry = np.resize(["Freight", "Retail", "Retail"], N)
    traits = {"industry": industry, "country": np.where(industry == "Freight", "A", "B")}
    row = compare(companies.simulate(traits, np.where(industry == "Freight", 0.6, 0.2)), list(traits),
                  is_("industry", "Freight")).iloc[0]  # fmt: skip
    assert (row["judged"], row["comparable_rate"], row["n_strata"]) == ("not comparable", 0, 0)
    assert np.isnan(row["share_left_rate"])


def test_rows_of_a_segment_start_with_what_takes_most():
    traits = draw(9, industry={"Freight": 0.3, "Retail": 0.7}, a={"x": 0.5, "y": 0.5}, b={"x": 0.2, "y": 0.8})
    frames = companies.simulate(traits, np.where(traits["industry"] == "Freight", 0.5, 0.2))
    here = companies.build_space(frames, list(traits))
    table = disguise.compare_within(here, [is_("industry", "Freight"), is_("a", "x")])
    assert table.columns.tolist() == disguise.COLUMNS and len(table) == 2 + 3
    for _, rows in table.groupby("segment_id"):
        assert rows["share_left_rate"].is_monotonic_increasing


def test_what_each_condition_adds_is_the_lift_without_it():
    traits = draw(10, industry={"Freight": 0.5, "Retail": 0.5}, shop={"yes": 0.5, "no": 0.5})
    good = (traits["industry"] == "Freight") & (traits["shop"] == "yes")
    here = companies.build_space(companies.simulate(traits, np.where(good, 0.6, 0.2)), list(traits))
    pair = Segment.of(*is_("industry", "Freight").rules, *is_("shop", "yes").rules)
    table = disguise.estimate_without(here, [pair, is_("shop", "no")])
    assert table["segment"].tolist() == [pair.name] * 2
    assert table[["without", "others"]].to_numpy().tolist() == [
        ["Freight companies", "Companies with shop: yes"], ["Companies with shop: yes", "Freight companies"],
    ]  # fmt: skip
    units = here.frames.units
    for row in table.itertuples():
        kept = is_("shop", "yes") if row.without == "Freight companies" else is_("industry", "Freight")
        inside = groups.find_units(units, here.accounts.loc[kept.mask(here.accounts), "account_id"])
        expected = groups.estimate_units(units, inside)
        assert (row.lift_without, row.lift_without_low, row.lift_without_high) == expected[:3]
        assert row.n_opportunities == inside.sum() and row.lift > row.lift_without > 1


def test_no_segment_gives_tables_without_rows():
    here = companies.build_space(companies.simulate({"kind": np.resize(["x", "y"], 200)}, 0.3), ["kind"])
    assert disguise.compare_within(here, []).columns.tolist() == disguise.COLUMNS
    empty = disguise.estimate_without(here, [])
    assert empty.empty and empty.columns.tolist() == [
        "segment_id", "segment", "without", "others", "lift", "lift_without", "lift_without_low", "lift_without_high",
        "n_opportunities",
    ]  # fmt: skip


def test_the_levels_of_the_comparison_that_leaves_least_add_up_to_all_deals():
    """Freight leads because large companies do: level by level, by hand."""
    rng = np.random.default_rng(5)
    size = np.where(rng.random(N) < 0.4, 10.0, 200.0)
    traits = {"industry": np.where(rng.random(N) < np.where(size == 200, 0.6, 0.1), "Freight", "Retail")}
    frames = companies.simulate(traits | {"employees": size}, np.where(size == 200, 0.5, 0.15), seed=5)
    here = companies.build_space(frames, {"industry": {}, "employees": {"bins": [1, 50]}})
    segment = is_("industry", "Freight")
    within = disguise.compare_within(here, [segment])
    table = disguise.list_strata(here, [segment], within)
    assert set(table["within"]) == {"employees"} and within["within"].iloc[0] == "employees"
    units = here.frames.capped
    inside = groups.find_units(units, here.accounts.loc[segment.mask(here.accounts), "account_id"])
    assert table[["n_opportunities", "n_opportunities_rest"]].sum().tolist() == [inside.sum(), (~inside).sum()]
    large = groups.find_units(units, here.accounts.loc[here.accounts["employees"] == 200, "account_id"])
    got = [units.loc[large & side, ["m", "e"]].sum() for side in (inside, ~inside)]
    row = table.iloc[0]  # most of them are large
    assert row["lift"] == pytest.approx((got[0]["m"] / got[0]["e"]) / (got[1]["m"] / got[1]["e"]))
    few = table[table[["n_won", "n_won_rest"]].min(axis=1) < stats.MIN_WON]
    assert few["lift"].isna().all() and disguise.list_strata(here, [], within.head(0)).empty


def test_an_item_of_two_lists_is_compared_within_each_of_them():
    rng = np.random.default_rng(60)
    lists = {name: np.where(rng.random(N) < 0.5, "HubSpot", "Zoho") for name in ("tools", "products")}
    kind = np.where(rng.random(N) < np.where(lists["products"] == "HubSpot", 0.7, 0.2), "Freight", "Retail")
    frames = companies.simulate(lists | {"industry": kind}, np.where(lists["products"] == "HubSpot", 0.5, 0.15), seed=6)
    traits = {"tools": {"kind": "list"}, "products": {"kind": "list"}, "industry": {}}
    here, segment = companies.build_space(frames, traits), is_("industry", "Freight")
    within = disguise.compare_within(here, [segment])
    assert within["within"].is_unique and len(within) == 4
    table = disguise.list_strata(here, [segment], within)
    yes, (attribute, item) = table.set_index("level").loc["yes"], table["within"].iloc[0].split(": ")
    members = here.accounts.loc[(here.accounts["products"] == item) & (here.accounts["industry"] == "Freight")]
    assert attribute == "products"
    assert yes["n_opportunities"] == groups.find_units(here.frames.capped, members["account_id"]).sum()
