"""The ledger: every amount has one place, days and shares are those of a slow count, and SMCRM's published figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import twelve

from icp_lib import costs, ledger, rivals

CUTOFF = twelve.CUTOFF


def build(spend=None, n_draws: int = 20, **frames) -> ledger.Ledger:
    sources = {"leads": twelve.build_leads(), "revenue": twelve.build_revenue()} | frames
    accounts = sources.pop("accounts", twelve.build_accounts())
    deals = sources.pop("opportunities", twelve.build_opportunities())
    spend = twelve.build_spend() if spend is None else spend
    return ledger.build_ledger(accounts, deals, spend, cutoff=CUTOFF, n_draws=n_draws, **sources)


def spent(*rows: tuple) -> pd.DataFrame:
    columns = ["month", "category", "amount", "channel", "campaign_id", "audience"]
    frame = pd.DataFrame([(*row, *[None] * (6 - len(row))) for row in rows], columns=columns)
    return frame.assign(month=pd.to_datetime(frame["month"]))


def charged(book: ledger.Ledger, rule: str = "direct", category: str = "media") -> dict[str, float]:
    table = ledger.charge_accounts(book, rule)
    table = table[table["category"] == category]
    names = book.accounts["account_id"].to_numpy()[table["account"]]
    return dict(zip(names, table["amount"].round(6), strict=True))


def test_days_are_those_of_a_slow_count():
    got = build().spans
    table = pd.DataFrame({"account": list(twelve.DEALS)}).rename_axis("place").reset_index()
    for place, (_, (opened, closed, status)) in enumerate(twelve.DEALS.items()):
        days = pd.date_range(opened, closed or "2026-09-30")
        by_month = pd.Series(1.0, days).groupby((2026 - days.year) * 12 + 10 - days.month).sum()
        mine = got[got["account"] == place]
        assert mine.set_index("ago")["days"].sort_index().to_dict() == by_month.to_dict()
        assert set(mine["opened"]) == {10 - days[0].month} and set(mine["is_won"]) == {status == "won"}
    assert len(table) == 12


def test_a_deal_that_nobody_closes_ends_after_a_year_one_won_late_keeps_its_days():
    deals = pd.DataFrame({
        "account_id": ["A1", "A2", "A3"], "created_at": pd.to_datetime(["2025-01-01"] * 3),
        "closed_at": pd.to_datetime([None, "2026-03-31", "2026-03-31"]), "status": ["open", "lost", "won"],
        "is_relevant": True, "lead_source": None, "campaign_id": None,
    })  # fmt: skip
    spans = build(opportunities=deals).spans
    assert spans.groupby("account")["days"].sum().tolist() == [365.0, 365.0, 455.0]
    assert spans.groupby("account")["ago"].min().tolist() == [10, 10, 7]  # December 2025, March 2026


def test_a_campaign_s_cost_goes_to_its_leads_a_channel_s_to_those_of_its_quarter_the_rest_to_the_month():
    leads = twelve.build_leads()
    leads.loc[[0, 4], "campaign_id"] = "K1"  # A1 in January, A5 in March
    book = build(
        spent(
            ("2026-07-01", "media", 10.0, "Search", "K1"),
            ("2026-06-01", "media", 12.0, "Fair"),  # B4 in April, B5 in May
            ("2026-02-01", "events", 9.0),  # A3 and B3 in February
            ("2026-04-01", "media", 8.0, "Search", "K9"),  # no lead has K9: the channel's, A4 in April
        ),
        leads=leads,
    )
    assert charged(book) == {"A1": 5.0, "A5": 5.0, "B4": 6.0, "B5": 6.0, "A4": 8.0}
    assert charged(book, category="events") == {"A3": 4.5, "B3": 4.5}
    assert ledger.list_uncharged(book).empty


def test_a_channel_that_no_lead_has_is_named_and_stays_a_line():
    book = build(spent(("2026-04-01", "media", 70.0, "Radio"), ("2026-04-01", "media", 30.0, "Search"),
                       ("2025-04-01", "salaries", 5.0)))  # fmt: skip
    rest = ledger.list_uncharged(book)
    assert rest[["category", "channel", "amount"]].fillna("").to_numpy().tolist() == [
        ["media", "Radio", 70.0], ["salaries", "", 5.0],
    ]  # fmt: skip
    assert rest["note"].tolist() == ["no lead came by 'Radio'", "nothing to charge it to that month"]
    whole = ledger.reconcile(book).set_index("category")
    assert whole.loc["media", ["spend_charged", "spend_uncharged"]].tolist() == [30.0, 70.0]


@pytest.mark.parametrize("rule", ledger.RULES)
@pytest.mark.parametrize("seed", range(3))
def test_every_amount_has_one_place_to_the_cent(rule, seed):
    rng = np.random.default_rng(seed)
    n = 400
    spend = pd.DataFrame({
        "month": rng.choice(pd.date_range("2025-06-01", "2026-09-01", freq="MS"), n),
        "category": rng.choice(ledger.CATEGORIES, n), "amount": rng.integers(1, 10**7, n) / 100,
        "channel": rng.choice(["Search", "Fair", "Radio", None], n), "campaign_id": rng.choice(["K1", None], n),
        "audience": rng.choice(["new", "existing", None], n),
    })  # fmt: skip
    touches = pd.DataFrame({"account_id": rng.choice([*twelve.DEALS, "nobody"], 90),
                            "occurred_at": rng.choice(pd.date_range("2025-11-01", "2026-09-30"), 90)})  # fmt: skip
    book = build(spend, touches=touches)
    table = ledger.reconcile(book, rule)
    assert table["spend_missing"].abs().max() < 0.005  # half a cent
    assert abs(table["spend"].sum() - spend["amount"].sum()) < 0.005
    assert (table[["spend_charged", "spend_on_existing", "spend_uncharged"]] >= 0).all(axis=None)


def test_onboarding_takes_what_spend_says_of_the_month():
    care = build().care
    named = care[care["category"] == "onboarding"].set_index("account")["amount"]
    assert named.round(9).to_dict() == {0: 330.0, 1: 220.0, 2: 440.0, 3: 330.0, 6: 880.0}  # a tenth more, each month
    support = care[care["category"] == "support"].groupby("account")["is_before"].sum()
    assert support.to_dict() == {0: 1, 1: 1, 2: 1, 3: 1, 6: 1}  # the month of going live, no later one


def test_onboarding_without_customers_rows_is_split_over_those_who_go_live():
    revenue = twelve.build_revenue().assign(onboarding_cost=np.nan, support_cost=np.nan)
    book = build(spent(("2026-05-01", "onboarding", 600.0), ("2026-08-01", "onboarding", 50.0)), revenue=revenue)
    assert book.care[["account", "amount", "is_before"]].to_numpy().tolist() == [[1, 300.0, True], [2, 300.0, True]]
    assert ledger.reconcile(book).set_index("category").loc["onboarding", "spend_uncharged"] == 50.0


def test_without_onboarding_in_spend_the_customers_own_cost_stands_and_is_said():
    book = build(spent(("2026-05-01", "media", 1.0)))
    assert book.care.groupby("category")["amount"].sum().to_dict() == {"onboarding": 2000.0, "support": 580.0}
    assert book.notes == (
        "No onboarding in spend: the customers' own onboarding cost stands for it.",
        "No support in spend: the customers' own support cost stands for it.",
    )


def test_after_the_win_no_touch_and_no_lead_acquires_anybody():
    late = pd.DataFrame({"account_id": ["A1", "A1"], "created_at": pd.to_datetime(["2026-03-09", "2026-03-11"]),
                         "lead_source": "Search", "campaign_id": None})  # fmt: skip
    book = build(leads=late, touches=late.rename(columns={"created_at": "occurred_at"}))
    assert len(book.keys["direct"]) == 1 and book.keys["touches"]["amount"].tolist() == [1.0]


def test_without_leads_media_follow_the_deals_that_were_opened():
    book = build(spent(("2026-01-01", "media", 90.0)), leads=None, revenue=None)
    assert charged(book) == {"A1": 30.0, "A2": 30.0, "B1": 30.0}
    assert book.notes[0] == "No lead belongs to an account, so media follow the deals that were opened."


def test_without_spend_there_is_nothing_and_nothing_breaks():
    book = build(twelve.build_spend().head(0))
    assert not len(book.entries) and book.n_months == 0
    assert ledger.reconcile(book)["spend"].tolist() == [0.0] * 6 and ledger.list_uncharged(book).empty


@pytest.fixture
def smcrm(shared_data) -> pd.DataFrame:
    path = shared_data / "smcrm" / "customerAcquisition.csv"
    if not path.exists():
        pytest.skip("no smcrm/ in the folder of real data")
    return pd.read_csv(path)


def test_smcrm_costs_879_97_with_those_not_won_and_650_64_without(smcrm):
    """Kumar and Petersen (2012): 500 prospects, each with what was spent on it; 292 were won."""
    ids = smcrm["customer"].astype(int).astype(str)
    accounts = pd.DataFrame({"account_id": ids, "family_id": ids, "lead_source": "Campaign"})
    won = smcrm["acquisition"] == 1
    deals = pd.DataFrame({
        "account_id": ids, "created_at": pd.Timestamp("2026-09-01"), "closed_at": pd.Timestamp("2026-09-20"),
        "status": np.where(won, "won", "lost"), "is_relevant": True, "lead_source": None, "campaign_id": ids,
    })  # fmt: skip
    spend = pd.DataFrame({"month": pd.Timestamp("2026-09-01"), "category": "media", "amount": smcrm["acq_expense"],
                          "channel": None, "campaign_id": ids, "audience": "new"})  # fmt: skip
    first = spend.head(1).assign(month=pd.Timestamp("2026-07-01"), amount=0.0)  # the whole quarter is known
    book = ledger.build_ledger(accounts, deals, pd.concat([first, spend]), cutoff=CUTOFF, n_draws=200)
    assert ledger.reconcile(book)["spend_missing"].abs().max() < 0.005
    groups = rivals.group_payers(book, ())
    table = rivals.compare_definitions(costs.build_costs(book, *groups), period=(1, 2, 3)).set_index("definition")
    assert table.iloc[0][["estimate", "n"]].round(2).tolist() == [879.97, 292]
    assert round(table.loc["Deals won only", "estimate"], 2) == 650.64
