"""Segment discovery on data that others made: a generator of CRM data, a real funnel, a synthetic SaaS company.

leadforge
    leadforge 1.0.0 (MIT) simulates a B2B company: accounts, contacts, leads, opportunities. What its documentation says
    of traits and conversion is not of one piece. The audit of its channels calls them weak and expects that: conversion
    comes "through motif-family hazards keyed off latent traits". Its dictionary of features promises modest differences
    between industries, and calls process maturity a visible signal of fit. Its source decides: industry, region, the
    bands of employees and revenue and the contact's role are drawn without a look at a hidden trait; process maturity
    goes with a hidden one that moves touches, never conversion; and only the difficulty `intro` shifts hidden traits by
    the band of revenue (fit), the lead's source (engagement) and the contact's seniority (authority). So nothing is
    planted in `intermediate` and `advanced`, and in `intro` what may be found is what was planted. Deals of one account
    share its hidden fit: they go together, as in life. Made by reference/make_leadforge.py.
Olist
    olist/SOURCE.md in the folder of real data; by the company's own SQL of data/olist, by origin and landing page.
RavenStack
    ravenstack_saas/SOURCE.md: "weak or no planted signal"; subscriptions stand for opportunities, trials for lost ones.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

from icp_lib import answers, disguise, offer, quality, sentences, value
from icp_lib import discovery as discoveries
from icp_lib import run as runs
from icp_lib import space as spaces

REFERENCE = Path(__file__).parent / "reference"
ACCOUNT = ["industry", "region", "employee_band", "estimated_revenue_band", "process_maturity_band"]
FEW = 99  # shuffled searches: enough to tell 1 in 20
LEADER, PAGE = "22c29808c4f815213303f8933030604c", "b76ef37428e6799c421989521c0e5077"
YOUNG = "40dec9f3d5259a3d2dbcdab2114fae47"


class Discovered(NamedTuple):
    """What notebook 01 has after its second cell."""

    measure: str
    space: spaces.Space
    older: discoveries.Found
    recent: discoveries.Found
    within: pd.DataFrame
    segments: pd.DataFrame
    searched: pd.DataFrame

    @property
    def verdicts(self) -> dict[str, str]:
        """Segment -> verdict, in the order of the page."""
        return dict(zip(self.segments["segment"], self.segments["verdict"], strict=True))

    @property
    def rules(self) -> list[dict]:
        """Attribute -> value of each offered segment."""
        return [{rule["attribute"]: rule["value"] for rule in json.loads(each)} for each in self.segments["conditions"]]

    @property
    def sentences(self) -> str:
        """The answer at the top of the page."""
        return str(sentences.say(answers.pick_answers(self.segments, self.searched), answers.SENTENCES))


def discover(run: runs.Run, n_draws: int = discoveries.N_DRAWS) -> Discovered:
    """Discover the segments of a company as notebook 01 does."""
    measure = value.choose_measure(run.opportunities, run.settings.measure, run.settings.gross_margin_rate)
    space = spaces.build_space(run.accounts, run.opportunities, run.traits, **run.value_options(measure))
    older = discoveries.search_part(space, "found", n_draws=n_draws)
    recent = discoveries.search_part(space, "recent", beside=older, n_draws=n_draws)
    offered = offer.list_offered(space, older, recent)
    within = disguise.compare_within(space, offered["rules"])
    judged = offer.judge_offered(space, offered, within, quality.estimate_coverage(run.accounts, run.traits))
    segments = offer.build_segments(space, older, judged, run.prospects)
    searched = offer.describe_search(space, older, recent)
    return Discovered(measure["measure"].iloc[0], space, older, recent, within, segments, searched)


def write_company(folder: Path, settings: str, accounts: pd.DataFrame, opportunities: pd.DataFrame) -> Path:
    """Write a company's folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "icp.yml").write_text(settings, encoding="utf-8")
    accounts.to_csv(folder / "accounts.csv", index=False)
    opportunities.to_csv(folder / "opportunities.csv", index=False)
    return folder


def read_leadforge(world: str) -> pd.DataFrame:
    """Read a frozen world: one row an opportunity."""
    return pd.read_csv(REFERENCE / f"leadforge_{world}.csv.gz", dtype="str")


def write_leadforge(folder: Path, rows: pd.DataFrame, *traits: str) -> Path:
    """Write a world as a company; its estimated contract values are left out, as in a CRM that has no amounts."""
    accounts = rows.drop_duplicates("account_id")[["account_id", "account_created_at", *ACCOUNT, *traits]]
    deals = rows[["opportunity_id", "account_id", "created_at", "closed_at", "lead_source", "buyer_role"]]
    status = rows["close_outcome"].map({"closed_won": "won", "closed_lost": "lost"}).fillna("open")
    names = ": , ".join([*ACCOUNT, "buyer_role", "lead_source", *traits])
    return write_company(
        folder, f"name: Veridian\ncurrency: USD\ntraits: {{{names}: }}\n",
        accounts.rename(columns={"account_created_at": "created_at"}),
        deals.assign(status=status, owner_id=rows["owner_rep_id"]),
    )  # fmt: skip


def start(folder: Path, quarter: str) -> runs.Run:
    return runs.start_run(quarter, str(folder), str(folder / "out"))


@pytest.fixture(scope="module")
def leadforge(tmp_path_factory):
    """Discover the segments of a frozen world in a quarter, once."""
    done = {}

    def once(world: str, quarter: str) -> Discovered:
        if (world, quarter) not in done:
            folder = write_leadforge(tmp_path_factory.mktemp(world), read_leadforge(world))
            done[world, quarter] = discover(start(folder, quarter), FEW)
        return done[world, quarter]

    return once


@pytest.mark.parametrize(
    ("world", "quarter"), [("fit", "2024-Q2"), ("fit", "2024-Q1"), ("intent", "2024-Q2"), ("committee", "2024-Q2")]
)
def test_nothing_is_found_where_leadforge_plants_nothing(leadforge, world, quarter):
    """Three seeds, three motifs; and one of them again while deals that will be won are open."""
    found = leadforge(world, quarter)
    assert found.measure == "win_rate"
    assert set(found.space.attribute) == {*ACCOUNT, "buyer_role", "lead_source", *spaces.PLACEBOS}
    assert found.searched["hypotheses"].min() > 1000
    assert found.verdicts == {} and (found.searched["p_adjusted"] > 0.05).all()
    n = found.searched["hypotheses"].iloc[0]
    assert found.sentences == f"None of {n:,} groups has a lead that luck could not give."


def test_in_the_first_quarter_of_leadforge_many_deals_are_open_that_will_be_won(leadforge):
    early, late = (leadforge("fit", quarter).space.frames.units for quarter in ("2024-Q1", "2024-Q2"))
    won_later = late["has_won"].sum() - early["has_won"].sum()
    assert won_later > 0.2 * late["has_won"].sum() and early["is_open"].sum() > 0.5 * len(early)


def test_leadforge_could_have_shown_a_lead(leadforge):
    """Silence says something: a fifth of the accounts that win 1.7 times as often would most likely be confirmed."""
    found = leadforge("fit", "2024-Q2")
    lift = discoveries.estimate_power(found.space, found.older).set_index("account_share_rate")["lift"]
    assert 1.3 < lift[0.20] < lift[0.10] < 2


def test_where_leadforge_plants_a_lead_it_is_found_and_nothing_else(leadforge):
    """Difficulty `intro`: fit rises with the band of revenue, and decides. Every group offered has an upper band."""
    found = leadforge("planted", "2024-Q2")
    rows = read_leadforge("planted")
    rate = rows["close_outcome"].eq("closed_won").groupby(rows["estimated_revenue_band"]).mean()
    assert rate[["$1M-$10M", "$10M-$50M", "$50M-$200M", "$200M+"]].is_monotonic_increasing
    assert (found.searched["p_adjusted"] <= 0.05).all() and len(found.rules)
    assert {each.get("estimated_revenue_band") for each in found.rules} <= {"$50M-$200M", "$200M+"}
    assert not found.searched["is_placebo_found"].any()


def test_levels_with_too_few_deals_cost_nothing(leadforge, tmp_path):
    """Three traits of hundreds of levels each: millions of combinations, of which none has enough deals."""
    plain, rows = leadforge("fit", "2024-Q2"), read_leadforge("fit")
    number = rows["account_id"].str.extract(r"(\d+)$")[0].astype(int)
    names = [f"code_{base}" for base in (401, 397, 389)]
    rows = rows.assign(**{name: name + "-" + (number % int(name[5:])).astype(str) for name in names})
    found = discover(start(write_leadforge(tmp_path / "codes", rows, *names), "2024-Q2"), FEW)
    assert len(found.space.levels) > len(plain.space.levels) + 1000
    for name in ("hypotheses", "t_found", "t_critical", "p_adjusted"):
        assert found.searched[name].iloc[0] == plain.searched[name].iloc[0]
    segments = [[each.space.segment(row) for row in each.older.conjunctions] for each in (plain, found)]
    assert segments[0] == segments[1]


@pytest.fixture(scope="module")
def olist_files(shared_data):
    folder = shared_data / "olist"
    if not folder.is_dir():
        pytest.skip("no olist/ in the folder of real data")
    return folder


@pytest.fixture(scope="module")
def olist(olist_files, tmp_path_factory):
    """Olist as it stood at the end of 2018, by its own SQL: every lead may have been won by then."""
    return discover(start(write_olist(tmp_path_factory.mktemp("olist"), olist_files), "2018-Q4"))


@pytest.fixture(scope="module")
def leads(olist_files):
    """One row a lead as in the files, is_won added."""
    table = pd.read_csv(olist_files / "olist_marketing_qualified_leads_dataset.csv", dtype="str")
    won = pd.read_csv(olist_files / "olist_closed_deals_dataset.csv", dtype="str")["mql_id"]
    return table.assign(is_won=table["mql_id"].isin(won), month=table["first_contact_date"].str[:7])


def write_olist(folder: Path, files: Path) -> Path:
    """Copy data/olist, told where the files lie."""
    own = Path(__file__).parents[1] / "data" / "olist"
    shutil.copytree(own, folder, dirs_exist_ok=True)
    text = (own / "icp.yml").read_text(encoding="utf-8")
    (folder / "icp.yml").write_text(f"{text}raw: {json.dumps(str(files))}\n", encoding="utf-8")
    return folder


def test_olist_is_searched_by_origin_and_by_landing_pages_with_enough_leads(olist, leads):
    """Traits known only for leads that were won are no part of it, nor is the origin "unknown", which wins most."""
    assert olist.measure == "win_rate"
    assert set(olist.space.attribute) == {"lead_source", "landing_page_id", *spaces.PLACEBOS}
    assert not {"unknown", "other"} & {level for _, level, _ in olist.space.levels}
    assert sum(attribute == "landing_page_id" for attribute in olist.space.attribute) == 495
    older = olist.space.accounts.set_index("account_id")["part"] == "found"
    n_leads = leads[leads["mql_id"].map(older).fillna(False)].groupby("landing_page_id").size()
    single = [row[0] for row in olist.older.conjunctions if row[1] < 0]
    searched = {level for each in single for attribute, level, _ in [olist.space.levels[each]]
                if attribute == "landing_page_id"}  # fmt: skip
    assert searched == set(n_leads.index[n_leads >= 50]) and 5 < len(searched) < 50


def test_two_landing_pages_of_olist_are_confirmed_and_a_young_one_is_untested(olist):
    """Searching by origin alone, as SOURCE.md does, offers nothing that newer leads confirm."""
    assert list(olist.verdicts.values()) == ["confirmed", "confirmed", "untested"]
    first, second, new = olist.rules
    assert first == {"landing_page_id": LEADER, "lead_source": "organic_search"}
    assert second == {"landing_page_id": PAGE} and new == {"landing_page_id": YOUNG}
    assert olist.sentences.count("Seen again in newer deals.") == 2
    assert "too few newer deals have checked it" in olist.sentences
    note = olist.segments["note"].iloc[2]
    assert note == "No deal in the newest quarter: 94, 0, then 0 deals in the last 3 quarters"
    assert not olist.searched["is_placebo_found"].any()


def test_what_is_confirmed_of_olist_stands_in_its_files(olist, leads):
    """By hand: wins against what the other leads of the same month won at, and without the months of the first trap.

    SOURCE.md: no deal was recorded before 5 December 2017. Months are finer than the quarters of the measure, so a page
    that was merely used when deals began to be recorded would lose its lead here.
    """
    for rules, lift in zip(olist.rules[:2], olist.segments["holdout_lift"], strict=False):
        inside = leads["landing_page_id"] == rules["landing_page_id"]
        if "lead_source" in rules:
            inside &= leads["origin"] == rules["lead_source"]
        for rows in (leads, leads[leads["first_contact_date"] >= "2017-12-05"]):
            mine, rest = rows[inside[rows.index]], rows[~inside[rows.index]]
            expected = mine["month"].map(rest.groupby("month")["is_won"].mean()).sum()
            by_hand = mine["is_won"].sum() / expected
            assert by_hand == pytest.approx(lift, rel=0.15)  # half of the leads are newer: the same figure but for luck
    close_rate = leads.groupby("landing_page_id")["is_won"].mean()
    assert close_rate[[LEADER, PAGE, YOUNG]].min() > 1.5 * leads["is_won"].mean()


def test_a_rep_who_is_known_only_for_won_leads_explains_nothing(olist, leads):
    """Olist writes down who sold only when a lead is won: "the rep" would stand for the win itself."""
    rep = olist.within[olist.within["within"] == "the rep"]
    assert len(rep) == 3 and (rep["judged"] == "not comparable").all() and rep["lift_pooled"].isna().all()
    owners = olist.space.frames.units
    assert owners.loc[~owners["has_won"], "owner_id"].isna().all() and owners["owner_id"].notna().sum() > 800
    origin = olist.within[olist.within["within"] == "where the deal came from"]
    assert len(origin) == 2 and (origin["judged"] == "").all()


def test_no_trait_known_only_for_winners_is_ever_confirmed_of_olist(olist_files, tmp_path):
    """Half a year earlier, 120 leads that will be won are open and have these traits already."""
    found = discover(start(write_olist(tmp_path / "olist", olist_files), "2018-Q2"), FEW)
    confirmed = [each for each, verdict in zip(found.rules, found.verdicts.values(), strict=True)
                 if verdict in ("confirmed", "promising")]  # fmt: skip
    assert {name for each in confirmed for name in each} <= {"lead_source", "landing_page_id"}
    assert {PAGE, YOUNG, LEADER} <= {each.get("landing_page_id") for each in found.rules}


@pytest.fixture(scope="module")
def ravenstack(shared_data, tmp_path_factory):
    """Discover the segments of RavenStack: trials are lost, paid subscriptions won; `money` is what they pay a year."""
    source = shared_data / "ravenstack_saas"
    if not source.is_dir():
        pytest.skip("no ravenstack_saas/ in the folder of real data")
    accounts = pd.read_csv(source / "ravenstack_accounts.csv", dtype="str")
    paid = pd.read_csv(source / "ravenstack_subscriptions.csv", dtype="str")
    traits = "industry: , country: , referral_source: , plan_tier: , seats_bought: {quantiles: 4}"
    deals = pd.DataFrame(
        {
            "opportunity_id": paid["subscription_id"],
            "account_id": paid["account_id"],
            "created_at": paid["start_date"],
            "closed_at": paid["start_date"],
            "status": paid["is_trial"].map({"TRUE": "lost", "FALSE": "won"}),
        }
    )

    def once(measure: str) -> Discovered:
        columns = {} if measure == "win_rate" else {"amount": paid["arr_amount"].where(deals["status"] == "won")}
        folder = write_company(
            tmp_path_factory.mktemp(measure),
            f"name: RavenStack\ncurrency: USD\ndate_format: '%d-%m-%Y'\nmeasure: {measure}\ntraits: {{{traits}}}\n",
            accounts.rename(columns={"signup_date": "created_at", "seats": "seats_bought"})
            .drop(columns=["account_name", "churn_flag", "is_trial"]),
            deals.assign(**columns),
        )  # fmt: skip
        return discover(start(folder, "2024-Q4"), FEW)

    return once


def test_nothing_is_confirmed_of_ravenstacks_trials(ravenstack):
    """Whether a subscription is a trial is drawn without a look at the account."""
    found = ravenstack("win_rate")
    assert found.searched["hypotheses"].iloc[0] > 500
    assert "confirmed" not in found.verdicts.values() and "promising" not in found.verdicts.values()


def test_what_ravenstack_earns_follows_its_seats_and_nothing_else(ravenstack, shared_data):
    """By hand: the price of a seat depends on the plan of the subscription alone, so that seats are money."""
    found = ravenstack("margin_per_opportunity")
    assert found.verdicts and set(found.verdicts.values()) == {"confirmed"}
    assert {tuple(each) for each in found.rules} == {("seats_bought",)}
    paid = pd.read_csv(shared_data / "ravenstack_saas" / "ravenstack_subscriptions.csv").query("~is_trial")
    prices = (paid["arr_amount"] / paid["seats"]).groupby(paid["plan_tier"]).nunique()
    assert (prices == 1).all() and len(prices) == 3
