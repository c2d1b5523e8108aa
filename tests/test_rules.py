"""Segments as rules: masks, names, ids, levels."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icp_lib.checks import DataError
from icp_lib.rules import Segment, build_levels, fix_edges, level_label, split_list

ACCOUNTS = pd.DataFrame(
    {
        "account_id": ["a", "b", "c", "d"],
        "industry": ["Road freight", "NA", None, "Retail"],
        "employees": [4.0, 5.0, 20.0, np.nan],
        "technologies": ["ERP; Telematics", "ERP", None, "Fuel card"],
        "part": ["found", "found", "found", "held_out"],
    }
)


@pytest.mark.parametrize(("rule", "mask"), [
    ({"attribute": "industry", "op": "is", "value": "NA"}, [0, 1, 0, 0]),
    ({"attribute": "industry", "op": "in", "value": ["Retail", "Road freight"]}, [1, 0, 0, 1]),
    ({"attribute": "industry", "op": "missing"}, [0, 0, 1, 0]),
    ({"attribute": "employees", "op": "between", "value": [5, 20]}, [0, 1, 0, 0]),
    ({"attribute": "employees", "op": "between", "value": [5, None]}, [0, 1, 1, 0]),
    ({"attribute": "technologies", "op": "is", "value": "ERP"}, [1, 1, 0, 0]),
])  # fmt: skip
def test_mask_of_each_rule(rule, mask):
    assert Segment.of(rule).mask(ACCOUNTS).astype(int).tolist() == mask


def test_all_rules_hold_and_their_order_does_not_matter():
    rules = (
        {"attribute": "technologies", "op": "is", "value": "ERP"},
        {"attribute": "employees", "op": "between", "value": [5, None]},
    )
    one, two = Segment.of(*rules), Segment.of(*rules[::-1])
    assert one == two and one.segment_id == two.segment_id
    assert one.mask(ACCOUNTS).tolist() == [False, True, False, False]
    assert Segment.of(*json.loads(one.to_json())) == one


def test_a_rule_about_a_column_that_is_not_there_names_it():
    with pytest.raises(DataError, match="segment: needs the columns industri"):
        Segment.of({"attribute": "industri", "op": "is", "value": "x"}).mask(ACCOUNTS)
    with pytest.raises(DataError, match="op: 'like' is not known"):
        Segment.of({"attribute": "industry", "op": "like", "value": "x"}).mask(ACCOUNTS)


def test_levels_of_every_kind_of_trait():
    traits = {"industry": {}, "employees": {"bins": [5, 21]}, "technologies": {}, "absent": {}}
    levels = [(attribute, level) for attribute, level, _ in build_levels(ACCOUNTS, traits)]
    assert levels == [
        ("industry", "NA"), ("industry", "Retail"), ("industry", "Road freight"), ("industry", "Missing"),
        ("employees", "under 5"), ("employees", "5 to 20"), ("employees", "21 or more"), ("employees", "Missing"),
        ("technologies", "ERP"), ("technologies", "Fuel card"), ("technologies", "Telematics"),
        ("technologies", "Missing"),
    ]  # fmt: skip


def test_quantiles_never_look_at_the_newer_part():
    accounts = pd.DataFrame({"size": np.arange(100.0), "part": ["found"] * 60 + ["held_out"] * 40})
    newer = accounts.assign(size=accounts["size"].where(accounts["part"] == "found", 1e6))
    how = {"size": {"quantiles": 4}}
    assert [level for _, level, _ in build_levels(accounts, how)] == [level for _, level, _ in build_levels(newer, how)]


def test_groups_of_equal_size_are_the_same_in_every_part_of_the_accounts():
    accounts = pd.DataFrame({"size": np.arange(100.0), "name": "a", "part": "found"})
    declared = {"size": {"quantiles": 4}, "name": {}, "unknown": {}}
    traits = fix_edges(accounts, declared)
    assert traits == declared | {"size": {"quantiles": 4, "edges": [25.0, 50.0, 74.0]}}
    every, few = ([each for *_, each in build_levels(some, traits)] for some in (accounts, accounts.tail(30)))
    assert every == few and every[0].rules[0]["value"] == [None, 25.0]
    assert [each for *_, each in build_levels(accounts, {"size": {"quantiles": 4}, "name": {}})] == every
    binned = {"size": {"bins": [50]}}
    assert fix_edges(accounts, binned) == binned


@given(st.lists(st.integers(0, 500), min_size=4, max_size=40), st.integers(2, 6))
def test_bins_are_disjoint_and_cover_every_value(sizes, quantiles):
    accounts = pd.DataFrame({"size": np.array(sizes, float), "part": "found"})
    masks = [segment.mask(accounts) for _, _, segment in build_levels(accounts, {"size": {"quantiles": quantiles}})]
    assert np.sum(masks, axis=0).tolist() == [1] * len(sizes)


def test_names_read_as_words():
    names = [
        segment.name
        for _, _, segment in build_levels(
            ACCOUNTS.assign(buyer_role="Owner", web_shop="yes"),
            {"industry": {}, "employees": {"bins": [5, 21]}, "buyer_role": {}, "web_shop": {}},
        )
    ]
    assert {
        "Road freight companies",
        "Companies with 5 to 20 employees",
        "Companies where the owner buys",
        "Companies with web shop: yes",
        "Companies with no industry filled in",
    } <= set(names)
    assert level_label(1, 2) == "1" and split_list(None) == []


@pytest.mark.parametrize(("rules", "name"), [
    ([("industry", "is", "Road freight"), ("employees", "between", [5, 21]), ("buyer_role", "is", "Owner")],
     "Road freight companies with 5 to 20 employees where the owner buys"),
    ([("buyer_role", "is", "Purchasing")], "Companies where purchasing buys"),
    ([("web_shop", "is", "yes"), ("annual_revenue", "between", [800_000, 2_400_000]), ("region", "is", "North")],
     "Companies with annual revenue 800,000 to 2,399,999, web shop: yes in North"),
    ([("technologies", "is", "ERP"), ("technologies", "is", "Fuel card"), ("buyer_role", "is", "IT lead")],
     "Companies that use ERP, Fuel card where the IT lead buys"),
    ([("industry", "missing", None), ("lead_source", "is", "Partner")],
     "Companies with no industry filled in that come by partner"),
])  # fmt: skip
def test_several_rules_read_as_one_name(rules, name):
    segment = Segment.of(*({"attribute": attribute, "op": op, "value": value} for attribute, op, value in rules))
    assert segment.name == name
    assert Segment.from_json(segment.to_json()) == segment
