"""Segment discovery: what is offered, laws that any search obeys, and truth told from luck in fifty worlds."""

from __future__ import annotations

import companies
import discovery as simulated
import numpy as np
import pandas as pd
import pytest
import worlds
from scipy.stats import binom
from scipy.stats import t as student

from icp_lib import discovery, draws, groups, rules, space, value

FEW = 99  # shuffled searches: the smallest p is 0.01
KINDS = [f"k{number:02d}" for number in range(16)]


@pytest.fixture(scope="module")
def planted():
    return simulated.build_space(0)


@pytest.fixture(scope="module")
def older(planted):
    return discovery.search_part(planted, n_draws=FEW)


@pytest.fixture(scope="module")
def many():
    """Half of sixteen kinds of company win four times as often: more good groups than are ever offered."""
    n = 3200
    traits = {"kind": np.resize(KINDS, n), "idle": np.resize(["x", "y", "z"], n)}
    return companies.build_space(companies.simulate(traits, np.where(np.arange(n) % 16 < 8, 0.6, 0.15)), traits.keys())


@pytest.fixture(scope="module")
def company():
    """One strong pair of traits, one weak trait and one that does nothing; families of two."""
    n = 1500
    rng = np.random.default_rng(5)
    traits = {
        "industry": rng.choice(["Retail", "Energy", "Freight"], n),
        "size": rng.integers(1, 200, n).astype(float),
        "shop": rng.choice(["yes", "no"], n),
        "family_id": np.array([f"f{number // 2}" for number in range(n)], object),
    }
    good = (traits["industry"] == "Freight") & (traits["size"] < 50)
    return companies.simulate(traits, np.where(good, 0.6, 0.2) + 0.05 * (traits["shop"] == "yes"))


TRAITS = {"industry": {}, "size": {"bins": [1, 50, 100]}, "shop": {}}


def find_offered(here, found) -> list[np.ndarray]:
    return [here.members(found.conjunctions[number]) for number in found.offered["number"]]


def name_offered(here, found) -> list[str]:
    return [here.segment(found.conjunctions[number]).name for number in found.offered["number"]]


def search_company(frames, traits=TRAITS, **options):
    here = companies.build_space(frames, traits, **options)
    return here, discovery.search_part(here, depth=2, n_draws=FEW)


def test_offered_are_few_distinct_likely_and_large_enough(planted, older, many):
    for here, found in ((planted, older), (many, discovery.search_part(many, depth=2, n_draws=FEW))):
        offered, masks = found.offered, find_offered(here, found)
        assert 1 <= len(offered) <= discovery.MOST_OFFERED
        assert (offered["p_adjusted"] <= discovery.MOST_P).all() and not offered["has_placebo"].any()
        assert (offered["n_won"] >= 15).all() and (offered["n_opportunities"] >= 50).all()
        for i, one in enumerate(masks):
            for other in masks[:i]:
                assert (one & other).sum() <= min(one.sum(), other.sum()) / 3
    assert len(offered) == discovery.MOST_OFFERED and (found.candidates["p_adjusted"] <= discovery.MOST_P).sum() > 6
    assert set(name_offered(here, found)) <= {f"Companies with kind: {kind}" for kind in KINDS[:8]}


def test_a_group_that_overlaps_a_better_one_gives_way(company):
    """What holds half of the offered one and more beside it is likely too, and not offered."""
    here, found = search_company(company)
    first = find_offered(here, found)[0]
    passed = found.candidates[(found.candidates["p_adjusted"] <= discovery.MOST_P) & ~found.candidates["is_offered"]]
    overlaps = [(here.members(found.conjunctions[number]) & first).sum() / first.sum() for number in passed["number"]]
    assert overlaps and max(overlaps) > 1 / 3


def test_fewer_than_fifteen_won_are_never_offered():
    """Dear deals: a group of 50 with 12 wins of ten times the usual margin beats luck, and is not offered."""
    n = 1500
    kind = np.where(np.arange(n) < 120, "dear", "usual")
    order = np.random.default_rng(2).permutation(n)
    is_dear = (kind == "dear")[order]
    margin = np.where(is_dear, 10.0, 1.0)
    frames = companies.simulate({"kind": kind[order]}, np.where(is_dear, 0.25, 0.1), margin=margin)
    accounts = frames[0]
    old = accounts[(accounts["part"] == "found") & (accounts["kind"] == "dear")]
    won = old.index[old["n_won"] > 0][12:]  # keep the first twelve wins
    status = frames[1]["status"].where(~frames[1]["account_id"].isin(accounts.loc[won, "account_id"]), "lost")
    accounts = accounts.assign(n_won=accounts["n_won"].where(~accounts.index.isin(won), 0))
    here = companies.build_space((accounts, frames[1].assign(status=status)), ["kind"])
    found = discovery.search_part(here, depth=1, n_draws=FEW)
    first = found.candidates.iloc[0]
    assert (first["n_won"], first["n_opportunities"] >= 50, first["p_adjusted"]) == (12, True, 0.01)
    assert found.offered.empty


def test_placebos_are_searched_and_never_offered():
    """A trait that is the placebo by another name is offered; the placebo itself, as good, is not."""
    n = 1200
    ids = np.array([f"a{number:05d}" for number in range(n)], object)
    letters = draws.placebo_levels(ids, 3)
    frames = companies.simulate({"copy": letters}, np.where(letters == "B", 0.5, 0.15))
    here = companies.build_space(frames, ["copy"])
    found = discovery.search_part(here, depth=1, n_draws=FEW)
    names = [here.segment(found.conjunctions[number]).name for number in found.candidates["number"]]
    assert names[:2] == ["Companies with copy: B", "Companies with placebo a: B"]
    assert found.candidates["is_offered"].tolist()[:2] == [True, False]
    assert found.candidates["is_placebo"].tolist()[:2] == [False, True]
    assert found.about["placebo_p_adjusted"].iloc[0] == found.candidates["p_adjusted"].iloc[1] == 0.01
    alone = discovery.search_part(companies.build_space(frames, []), depth=1, n_draws=FEW)
    assert alone.candidates["p_adjusted"].iloc[0] == 0.01 and alone.offered.empty


def test_a_placebo_beside_a_real_trait_is_not_taken_for_found():
    """Part of a strong group picked by luck is likely too, by the lead of the whole: that is no alarm."""
    here = simulated.build_space(6)
    found = discovery.search_part(here, n_draws=FEW)
    beside = found.candidates["has_placebo"] & ~found.candidates["is_placebo"]
    assert found.candidates.loc[beside, "p_adjusted"].min() <= 0.05 < found.about["placebo_p_adjusted"].iloc[0]
    for row in found.candidates.itertuples():
        attributes = set(here.attribute[discovery._used(found.conjunctions[row.number])])
        assert row.has_placebo == bool(attributes & set(space.PLACEBOS))
        assert row.is_placebo == (attributes <= set(space.PLACEBOS))


def test_very_many_accounts_are_judged_by_multipliers(planted, older, monkeypatch):
    """The same list of candidates and T by either road; no lift of shuffled searches by the second."""
    monkeypatch.setattr(discovery, "MOST_PERMUTED", 1000)
    found = discovery.search_part(planted, n_draws=FEW)
    assert (older.about["null"].iloc[0], found.about["null"].iloc[0]) == ("permuted", "multipliers")
    assert (found.candidates["number"] == older.candidates["number"]).all()
    np.testing.assert_allclose(found.candidates["t"], older.candidates["t"], rtol=1e-9)
    assert found.candidates["p_adjusted"].iloc[0] == 0.01
    assert found.draws.empty and found.draws.columns.tolist() == ["draw", "lift"]
    assert found.noise.empty and found.noise.columns.tolist() == older.noise.columns.tolist()


def test_figures_of_a_candidate_are_those_of_its_deals(planted, older):
    part = older.part
    ids, capped = planted.accounts["account_id"].to_numpy(), part.capped
    for row in older.candidates.head(3).itertuples():
        mask = planted.members(older.conjunctions[row.number])
        inside = groups.find_units(part.units, ids[mask])
        residual = part.residual[mask[part.rows]]
        assert row.t == pytest.approx(residual.sum() / np.sqrt((residual**2).sum()), rel=1e-9)
        assert row.lift == pytest.approx(groups.estimate_units(part.units, inside).value, rel=1e-9)
        assert row.lift_capped == pytest.approx(groups.estimate_units(capped, inside).value, rel=1e-9)
        counts = (mask[part.rows].sum(), inside.sum(), part.units.loc[inside, "has_won"].sum())
        assert (row.n_accounts, row.n_opportunities, row.n_won) == counts
    assert older.candidates["t"].is_monotonic_decreasing and (older.candidates["t"] > 0).all()


def test_what_was_searched_is_said(planted, older):
    about = older.about.iloc[0]
    is_old = planted.accounts["part"] == "found"
    assert (about["part"], about["depth"], about["min_opportunities"]) == ("found", 3, 50)
    assert about["n_accounts"] == is_old.sum() and about["n_levels"] == len(planted.levels)
    assert about["n_attributes"] == len(simulated.TRAITS) and about["hypotheses"] == len(older.conjunctions)
    assert (about["n_draws"], len(older.draws)) == (FEW, FEW)
    assert about["t_found"] == older.candidates["t"].iloc[0] and about["p_adjusted"] == 1 / (FEW + 1)
    by_p = older.candidates.set_index("p_adjusted")["t"].sort_index()
    assert by_p[:0.04].min() > about["t_critical"] > by_p[0.07:].max()  # 1 of 20 shuffled searches
    noise = older.noise
    assert (noise["noise_50"] <= noise["noise_95"]).all() and noise["n_opportunities"].is_monotonic_increasing
    assert noise["noise_50"].is_monotonic_decreasing  # luck lifts small groups most


def test_shuffled_rows_change_nothing(company):
    shuffled = tuple(frame.sample(frac=1, random_state=seed) for seed, frame in enumerate(company))
    found, other = (search_company(frames)[1] for frames in (company, shuffled))
    assert (other.conjunctions == found.conjunctions).all()
    # sums of money in another order of rows
    for table in ("candidates", "noise", "draws"):
        pd.testing.assert_frame_equal(getattr(other, table), getattr(found, table), rtol=1e-9)


def test_names_of_levels_decide_nothing(company):
    """Other names sort otherwise, so that levels and conjunctions have other numbers: T, sizes and p stay."""
    accounts, opportunities = company
    names = {"industry": {"Retail": "c", "Energy": "z", "Freight": "a"}, "shop": {"yes": "no", "no": "yes"}}
    renamed = accounts.replace(names)
    found, other = (search_company((each, opportunities))[1] for each in (accounts, renamed))
    assert (found.candidates["number"] != other.candidates["number"]).any()
    columns = ["n_accounts", "n_opportunities", "n_won", "lift", "lift_capped", "t", "p_adjusted", "is_offered"]
    pd.testing.assert_frame_equal(found.candidates[columns], other.candidates[columns], rtol=1e-9)


def test_money_in_another_unit_gives_the_same_t_and_p(company):
    accounts, opportunities = company
    dearer = opportunities.assign(amount=opportunities["amount"] * 10)
    found, other = (search_company((accounts, each))[1] for each in (opportunities, dearer))
    pd.testing.assert_frame_equal(found.candidates, other.candidates, rtol=1e-9)
    scale = np.abs(other.part.residual).max()
    np.testing.assert_allclose(other.part.residual, found.part.residual * 10, atol=1e-9 * scale)


def split_deals(opportunities: pd.DataFrame, which) -> pd.DataFrame:
    """Each of these deals as two, opened together, of half of the money and half of the days."""
    half = opportunities.assign(
        amount=opportunities["amount"].where(~which, opportunities["amount"] / 2),
        closed_at=opportunities["closed_at"].where(
            ~which, opportunities["created_at"] + (opportunities["closed_at"] - opportunities["created_at"]) / 2
        ),
    )
    return pd.concat([half, half[which]], ignore_index=True)


@pytest.mark.parametrize("name", ["found", "held_out"])
def test_a_deal_told_as_two_halves_brings_as_much(name):
    """Half of the lost deals, or of the won ones: what an account got and was expected to get stays.

    The cap is a quantile of won deals, and moves where one of them is counted twice: so residuals, which are capped,
    are compared where lost deals are split, and the uncapped sums where won ones are.
    """
    year = np.random.default_rng(4).uniform(274, 637, 1500)  # four whole quarters, 2025
    accounts, opportunities = companies.simulate({"kind": np.resize(KINDS, 1500)}, 0.3, days_ago=year)
    part = space.build_part(companies.build_space((accounts, opportunities), ["kind"]), name)
    assert part.units.groupby("quarter")["is_won"].sum().min() >= value.MIN_WON_PER_QUARTER, "else blocks would move"
    for status in ("lost", "won"):
        which = (opportunities["status"] == status) & (np.arange(len(opportunities)) % 2 == 0)
        halves = accounts, split_deals(opportunities, which)
        other = space.build_part(companies.build_space(halves, ["kind"]), name)
        assert len(other.units) > len(part.units) + 50
        sums = [space.SUMS.index(each) for each in ("m", "e")]
        # half of an odd number of microseconds is cut, and sums are added in another order
        near = {"rtol": 1e-9, "atol": 1e-9 * np.abs(part.residual).max()}
        np.testing.assert_allclose(other.sums[:, sums], part.sums[:, sums], **near)
        if status == "lost":
            np.testing.assert_allclose(other.residual, part.residual, **near)


def test_recent_finds_are_distinct_from_what_is_offered_already(planted, older):
    """The planted group leads the newest quarters too: it is not offered twice."""
    again = discovery.search_part(planted, "recent", n_draws=FEW)
    beside = discovery.search_part(planted, "recent", beside=older, n_draws=FEW)
    first = find_offered(planted, older)[0]
    shared = [(mask & first).sum() / min(mask.sum(), first.sum()) for mask in find_offered(planted, again)]
    assert max(shared) > 1 / 3
    masks = find_offered(planted, older) + find_offered(planted, beside)
    assert len(masks) <= discovery.MOST_OFFERED
    for new in find_offered(planted, beside):
        assert all((new & old).sum() <= min(new.sum(), old.sum()) / 3 for old in masks[: len(older.offered)])
    assert beside.about["min_opportunities"].iloc[0] == 25


def test_what_appears_in_the_last_quarters_is_found_there_only():
    n = 2000
    days_ago = np.random.default_rng(1).uniform(1, 900, n)
    is_new = (days_ago < 250) & (np.arange(n) % 5 == 0)
    is_old = ~is_new & (np.arange(n) % 4 == 0)
    kind = np.where(is_new, "new", np.where(is_old, "old", "usual"))
    frames = companies.simulate({"kind": kind}, np.where(kind == "usual", 0.2, 0.6), days_ago=days_ago)
    here = companies.build_space(frames, ["kind"])
    older = discovery.search_part(here, depth=1, n_draws=FEW)
    recent = discovery.search_part(here, "recent", beside=older, depth=1, n_draws=FEW)
    assert [name_offered(here, found) for found in (older, recent)] == [
        ["Companies with kind: old"], ["Companies with kind: new"],
    ]  # fmt: skip


def test_stability_is_high_for_what_is_there_and_low_for_what_luck_gave(planted, older, many):
    rate = discovery.estimate_stability(planted, older)
    assert rate.shape == (len(older.offered),) and ((rate >= 0) & (rate <= 1)).all()
    strong = rules.Segment.of(*worlds.STRONG).mask(planted.accounts)
    assert (find_offered(planted, older)[0] == strong).all() and rate[0] == rate.max() > 0.5
    traits = {name: many.accounts[name].to_numpy() for name in ("kind", "idle")}
    null = companies.build_space(companies.simulate(traits, 0.3), ["kind", "idle"])
    lucky = discovery.search_part(null, depth=2, n_draws=FEW)
    lucky.candidates.loc[lucky.candidates.index[-1], "is_offered"] = True  # the worst candidate, as if it were offered
    assert discovery.estimate_stability(null, lucky)[-1] < 0.5


def test_a_fixed_list_is_judged_on_newer_deals_only(planted, older):
    masks = np.column_stack([*find_offered(planted, older), ~find_offered(planted, older)[0]])
    checked = discovery.check_held_out(planted, masks, n_draws=FEW)
    part = space.build_part(planted, "held_out")
    ids, n = planted.accounts["account_id"].to_numpy(), masks.shape[1]
    for i, mask in enumerate(masks.T):
        inside = groups.find_units(part.units, ids[mask])
        lift = groups.estimate_units(part.units, inside)
        assert checked.lift[i] == lift and checked.joint[i].value == lift.value
        assert checked.n_opportunities[i] == inside.sum()
        assert checked.n_won[i] == part.units.loc[inside, "has_won"].sum()
        assert checked.expected_won[i] == pytest.approx(part.units.loc[inside, "e_won"].sum())
        wider = np.log(checked.joint[i].high / lift.value) / np.log(lift.high / lift.value)
        won = [part.units.loc[side & (part.units["m"] > 0), "family_id"].nunique() for side in (inside, ~inside)]
        assert wider == pytest.approx(student.ppf(1 - 0.025 / n, min(won) - 1) / student.ppf(0.975, min(won) - 1))
    assert checked.p_adjusted[0] == checked.p_opposite[-1] == 0.01  # the planted one, and everybody but it
    assert checked.p_opposite[0] == 1 and checked.p_adjusted[-1] > 0.5


def test_what_newer_deals_did_not_bring_turns_round():
    """Good in the older part, poor in the newer one."""
    n = 2000
    days_ago = np.random.default_rng(1).uniform(1, 900, n)
    kind = np.where(np.arange(n) % 4 == 0, "faded", "usual")
    rate = np.where(kind == "faded", np.where(days_ago > 365, 0.6, 0.1), 0.3)
    here = companies.build_space(companies.simulate({"kind": kind}, rate, days_ago=days_ago), ["kind"])
    found = discovery.search_part(here, depth=1, n_draws=FEW)
    checked = discovery.check_held_out(here, np.column_stack(find_offered(here, found)), n_draws=FEW)
    assert len(found.offered) == 1 and found.offered["p_adjusted"].iloc[0] == 0.01
    assert checked.lift[0].high < 1 and checked.p_opposite[0] == 0.01 and checked.p_adjusted[0] > 0.5


def test_an_empty_list_and_an_empty_newer_part_are_judged_without_a_word(planted):
    checked = discovery.check_held_out(planted, np.zeros((len(planted.accounts), 0), bool), n_draws=FEW)
    assert [len(each) for each in checked] == [0] * 7
    frames = companies.simulate({"kind": np.resize(["x", "y"], 200)}, 0.4, days_ago=np.full(200, 500.0))
    here = companies.build_space(frames, ["kind"])
    assert (here.accounts["part"] == "found").all()
    checked = discovery.check_held_out(here, here.membership[:, :2], n_draws=FEW)
    assert checked.n_won.tolist() == [0, 0] and np.isnan([each.value for each in checked.lift]).all()


@pytest.mark.parametrize("n", [8, 40])
def test_too_few_deals_to_search_offer_nothing(n):
    frames = companies.simulate({"kind": np.resize(["x", "y"], n)}, 0.4)
    here = companies.build_space(frames, ["kind"])
    for part in ("found", "recent"):
        found = discovery.search_part(here, part, n_draws=FEW)
        assert found.candidates.empty and found.offered.empty and found.draws.empty
        assert found.about["hypotheses"].iloc[0] == 0 and np.isnan(found.about["p_adjusted"].iloc[0])
    assert discovery.estimate_stability(here, found).tolist() == []


def test_what_could_have_been_seen_needs_less_lead_in_a_larger_group(planted, older):
    power = discovery.estimate_power(planted, older)
    assert power.columns.tolist() == ["account_share_rate", "lift", "note"]
    assert power["account_share_rate"].is_monotonic_increasing and power["lift"].is_monotonic_decreasing
    assert (power["lift"] > 1).all() and (power["note"] == "").all()


N_SHUFFLED = 99  # fewer draws than in the benchmark: a p-value of fewer is as exact, only coarser
N_WORLDS, LUCK = 50, 0.001  # a bound is broken by luck in less than one choice of fifty worlds of a thousand


def most(rate: float) -> int:
    """The most worlds of all in which something that happens at this rate may be seen."""
    return int(binom.isf(LUCK, N_WORLDS, rate))


def least(rate: float) -> int:
    return N_WORLDS - most(1 - rate)


@pytest.fixture(scope="module")
def judged():
    """Of planted and of both kinds of null worlds what discovery says, by the functions of the benchmark."""
    batches = [range(start, start + 10) for start in range(0, N_WORLDS, 10)]
    return [
        pd.DataFrame([row for seeds in batches for row in simulated.judge_worlds(seeds, null, None, N_SHUFFLED, 199)])
        for null in (False, True, "late")
    ]


def test_the_planted_segment_is_confirmed_in_nine_worlds_of_ten(judged):
    planted, *_ = judged
    assert planted["planted_confirmed"].sum() >= least(0.9)
    assert planted["n_offered"].between(1, discovery.MOST_OFFERED).all()


def test_the_decoy_and_the_trap_are_not_confirmed(judged):
    """Large amounts that take years, and a trait that only small companies have: one world of a hundred at most."""
    planted, *_ = judged
    for name in ("decoy_confirmed", "trap_alone_confirmed"):
        assert planted[name].sum() <= most(0.01)


def test_a_lead_of_the_strong_rep_s_territory_is_laid_to_the_rep(judged):
    """Where the territory leads beyond luck, the comparison within reps takes more than half of it in most worlds."""
    planted, *_ = judged
    leads = planted[planted["rep_leads"]]
    assert len(leads) >= 5
    assert leads["rep_explains"].sum() >= len(leads) - int(binom.isf(LUCK, len(leads), 0.35))


@pytest.mark.parametrize("kind", [1, 2], ids=["no truth", "a late level, slow losses"])
def test_worlds_without_any_truth_find_it_as_often_as_they_should(judged, kind):
    """Search: 5 %, by its p. Confirmed: 5 % of 5 %. Promising: either p, of lists that 20 % of the worlds have."""
    null = judged[kind]
    assert (null["p"] <= 0.05).sum() <= most(0.05)
    assert null["is_confirmed"].sum() <= most(0.05 * 0.05)
    assert null["is_promising"].sum() <= most(0.05 + 0.2 * 0.05)
    assert (null["n_offered"] > 0).sum() <= most(0.2)
    assert null["p"].between(1 / (N_SHUFFLED + 1), 1).all() and null["p"].std() > 0.1


@pytest.mark.parametrize("kind", [1, 2], ids=["no truth", "a late level, slow losses"])
def test_ranges_of_single_levels_hold_the_truth_in_worlds_without_any(judged, kind):
    """Nineteen of twenty hold 1; levels of one world share their deals, so the mean over worlds is compared."""
    null = judged[kind]
    inside = null["level_many_in"] / null["level_many_n"]
    error = inside.std(ddof=1) / np.sqrt(N_WORLDS)
    # 3.3 errors: luck in one choice of a thousand; half a point more, for Student's t is an approximation here
    assert null["level_many_n"].sum() > 500 and abs(inside.mean() - 0.95) < 3.3 * error + 0.005
