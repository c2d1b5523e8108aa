"""The space of segments: which levels are in it, and parts that know nothing of each other."""

from __future__ import annotations

import companies
import discovery as simulated
import numpy as np
import pandas as pd
import pytest
import worlds

from icp_lib import draws, search, space, value
from icp_lib.rules import Segment

TRAITS = {name: trait.model_dump() for name, trait in simulated.TRAITS.items()}
PARTS = ("found", "held_out", "recent")


@pytest.fixture(scope="module")
def world():
    return worlds.build_frames(7)


@pytest.fixture(scope="module")
def here(world):
    return space.build_space(*world, TRAITS, cutoff=worlds.CUTOFF)


@pytest.fixture(scope="module")
def parts(here):
    return {name: space.build_part(here, name) for name in PARTS}


def column(part: space.Part, name: str) -> np.ndarray:
    return part.sums[:, space.SUMS.index(name)]


def merged_quarters(units: pd.DataFrame) -> list[list[int]]:
    """Neighbouring quarters until 20 are won, the oldest first; what is left joins the last."""
    blocks, left = [], []
    for quarter in sorted(set(units["quarter"])):
        left.append(quarter)
        if units.loc[units["quarter"].isin(left), "is_won"].sum() >= 20:
            blocks, left = [*blocks, left], []
    return [*blocks[:-1], blocks[-1] + left] if blocks else [left]


def test_missing_values_words_for_the_rest_and_traits_of_winners_define_nothing():
    n = 400
    industry = np.resize(np.array(["Retail", "Other", "unknown", None, "Energy"], object), n)
    frames = companies.simulate({"industry": industry, "size": np.where(np.arange(n) % 3, 5.0, np.nan)}, 0.3)
    table = frames[0].assign(reason_won=lambda accounts: np.where(accounts["n_won"] > 0, "Price", None))
    here = companies.build_space((table, frames[1]), {"industry": {}, "size": {"bins": [1, 10]}, "reason_won": {}})
    real = [(attribute, level) for attribute, level, _ in here.levels if attribute not in space.PLACEBOS]
    assert real == [("industry", "Energy"), ("industry", "Retail"), ("size", "1 to 9"), ("size", "10 or more")]


def test_placebos_are_there_and_the_same_for_an_account_in_any_company(here):
    levels = pd.Series(here.attribute[here.is_placebo]).value_counts()
    assert levels.to_dict() == space.PLACEBOS
    few = here.accounts["account_id"].sample(50, random_state=1)
    for name, n_levels in space.PLACEBOS.items():
        expected = here.accounts.set_index("account_id")[name][few]
        assert draws.placebo_levels(few, n_levels).tolist() == expected.tolist()
        assert here.membership[:, here.attribute == name].sum(axis=1).tolist() == [1] * len(here.accounts)


def test_items_of_a_list_are_attributes_of_their_own():
    frames = companies.simulate(
        {
            "technologies": np.resize(["ERP; Fuel card", "ERP", "Fuel card"], 300),
            "tags": np.resize(["old; key", "old"], 300),
            "industry": np.resize(["Retail", "Energy"], 300),
        },
        0.3,
    )
    here = companies.build_space(frames, {"technologies": {}, "tags": {"kind": "list"}, "industry": {}})
    names = here.attribute[~here.is_placebo].tolist()
    assert names == ["technologies: ERP", "technologies: Fuel card", "tags: key", "tags: old", "industry", "industry"]
    found = search.search_conjunctions(here.membership, here.attribute, np.ones((300, 1)), depth=2).levels
    both = here.segment(next(row for row in found if set(here.attribute[row]) == set(names[:2])))
    assert both.name == "Companies that use ERP, Fuel card" and both.mask(here.accounts).sum() == 100
    again = Segment.of(*both.rules[::-1])
    assert again == both and again.segment_id == both.segment_id  # two items of one list, in any order
    assert not any(set(here.attribute[row[row >= 0]]) == {"industry"} for row in found if (row >= 0).sum() == 2)


def test_members_of_levels_and_conjunctions_are_those_of_their_rules(here):
    for number, (_, _, segment) in enumerate(here.levels):
        assert here.membership[:, number].tolist() == segment.mask(here.accounts).tolist()
    strong = [number for number, (_, _, segment) in enumerate(here.levels) if segment.rules[0] in worlds.STRONG]
    conjunction = np.array([*strong, -1])
    assert here.segment(conjunction) == Segment.of(*worlds.STRONG)
    assert here.members(conjunction).tolist() == Segment.of(*worlds.STRONG).mask(here.accounts).tolist()


def test_only_accounts_with_a_deal_are_searched_and_the_others_are_kept(world, here):
    tried = set(world[1].loc[world[1]["is_relevant"], "account_id"])
    assert set(here.accounts["account_id"]) == tried
    assert set(here.untried["account_id"]) == set(world[0]["account_id"]) - tried
    assert len(here.untried) + len(here.accounts) == len(world[0])


@pytest.mark.parametrize("name", PARTS)
def test_what_was_got_and_expected_are_equal_in_every_block_of_quarters(parts, name):
    for units in (parts[name].units, parts[name].capped):
        for block in merged_quarters(units):
            inside = units[units["quarter"].isin(block)]
            assert inside["m"].sum() == pytest.approx(inside["e"].sum(), rel=1e-9)  # one sum, split and added again
            assert inside["is_won"].sum() == pytest.approx(inside["e_won"].sum(), rel=1e-9)


@pytest.mark.parametrize("name", PARTS)
def test_sums_of_accounts_are_those_of_their_deals(here, parts, name):
    part = parts[name]
    ids = here.accounts["account_id"].iloc[part.rows]
    by_account, capped = part.units.groupby("account_id"), part.capped.groupby("account_id")
    for ours, theirs in (
        ("n_opportunities", by_account.size()),
        ("n_won", by_account["has_won"].sum()),
        ("m", by_account["m"].sum()),
        ("e", by_account["e"].sum()),
        ("e_won", by_account["e_won"].sum()),
        ("m_capped", capped["m"].sum()),
        ("e_capped", capped["e"].sum()),
    ):
        np.testing.assert_allclose(column(part, ours), theirs[ids], rtol=1e-12)
    assert (column(part, "n_accounts") == 1).all() and len(set(ids)) == len(ids) == by_account.ngroups
    cap = part.units.loc[part.units["is_won"], "m"].quantile(value.CAP)
    assert part.capped["m"].max() == pytest.approx(cap) and part.units["m"].max() > cap


@pytest.mark.parametrize("name", PARTS)
def test_residuals_are_centred_among_accounts_that_came_in_the_same_quarter(here, parts, name):
    part = parts[name]
    came = part.units.groupby("account_id")["quarter"].min()[here.accounts["account_id"].iloc[part.rows]].to_numpy()
    order = pd.DataFrame({"came": came, "stratum": part.stratum}).drop_duplicates().sort_values("came")
    assert order["stratum"].tolist() == list(range(len(order)))  # the oldest is the smallest
    raw = pd.Series(column(part, "m_capped") - column(part, "e_capped"))
    expected = raw - raw.groupby(part.stratum).transform("mean")
    scale = np.abs(raw).max()
    np.testing.assert_allclose(part.residual, expected, atol=1e-9 * scale)  # differences of sums of this size
    total = np.bincount(part.stratum, weights=part.residual)
    np.testing.assert_allclose(total, 0, atol=1e-9 * scale * len(part.rows))
    assert (column(part, "r") == part.residual).all() and (column(part, "r2") == part.residual**2).all()


def test_older_and_newer_accounts_share_no_account_and_no_family():
    ids = [f"a{number:03d}" for number in range(300)]
    family = [f"f{number % 40:02d}" for number in range(300)]
    rng = np.random.default_rng(3)
    deals = pd.DataFrame({
        "account_id": rng.choice(ids, 500), "days_ago": rng.uniform(1, 900, 500), "days": 30.0,
        "status": rng.choice(["won", "lost"], 500), "amount": 1000.0,
    })  # fmt: skip
    here = companies.build_space(companies.build_frames({"account_id": ids, "family_id": family, "kind": "x"}, deals),
                                 ["kind"])  # fmt: skip
    older, newer = (space.build_part(here, name) for name in ("found", "held_out"))
    assert set(older.rows) | set(newer.rows) == set(range(len(here.accounts)))
    families = [set(here.accounts["family_id"].iloc[part.rows]) for part in (older, newer)]
    assert families[0] and families[1] and not families[0] & families[1]
    for part in (older, newer):
        names = here.accounts["family_id"].iloc[part.rows].to_numpy()
        assert len(set(zip(names, part.family, strict=True))) == len(set(names)) == len(set(part.family))


@pytest.mark.parametrize(("changed", "kept"), [("found", "held_out"), ("held_out", "found")])
def test_a_part_knows_nothing_of_what_the_other_brought(world, parts, changed, kept):
    """Money, wins and days of one part are turned over; the other's numbers stay as they are, to the last digit."""
    accounts, opportunities = world
    turned = opportunities["account_id"].isin(accounts.loc[accounts["part"] == changed, "account_id"])
    status = opportunities["status"].replace({"won": "lost", "lost": "won"})
    moved = opportunities.assign(
        status=opportunities["status"].where(~turned, status),
        gross_margin=opportunities["gross_margin"].where(~turned, 7.0),
        closed_at=opportunities["closed_at"].where(~turned, opportunities["created_at"] + pd.Timedelta(days=3)),
    )
    again = space.build_space(accounts, moved, TRAITS, cutoff=worlds.CUTOFF)
    mine, other = space.build_part(again, kept), space.build_part(again, changed)
    assert (mine.sums == parts[kept].sums).all() and (mine.residual == parts[kept].residual).all()
    assert other.sums.shape == parts[changed].sums.shape and not np.allclose(other.sums, parts[changed].sums)


def test_the_recent_part_holds_the_newest_three_quarters_of_everybody(here, parts):
    units, all_units = parts["recent"].units, here.frames.units
    start = pd.Timestamp("2025-12-31 23:00")  # the New Year of Berlin
    assert units["created_at"].min() >= start and len(units) == (all_units["created_at"] >= start).sum()
    assert set(here.accounts["part"].iloc[parts["recent"].rows]) == {"found", "held_out"}


def test_the_order_of_rows_changes_nothing(world, here, parts):
    accounts, opportunities = world
    shuffled = accounts.sample(frac=1, random_state=1), opportunities.sample(frac=1, random_state=2)
    again = space.build_space(*shuffled, TRAITS, cutoff=worlds.CUTOFF)
    assert again.accounts["account_id"].tolist() == here.accounts["account_id"].tolist()
    assert (again.membership == here.membership).all()
    assert [level for _, level, _ in again.levels] == [level for _, level, _ in here.levels]
    for name, part in parts.items():
        other = space.build_part(again, name)
        np.testing.assert_allclose(other.sums, part.sums, rtol=1e-9, atol=1e-6)  # money, added in another order
        assert (other.stratum == part.stratum).all() and (other.family == part.family).all()


def test_a_part_without_accounts_and_a_space_without_traits_are_empty_not_broken():
    frames = companies.simulate({"kind": np.repeat("x", 30)}, 0.5, days_ago=np.full(30, 700.0))
    here = companies.build_space(frames, [])
    assert set(here.attribute) == set(space.PLACEBOS)
    newer = space.build_part(here, "held_out")
    assert newer.sums.shape == (0, len(space.SUMS)) and len(newer.residual) == len(newer.units) == 0
