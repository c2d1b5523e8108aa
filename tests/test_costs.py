"""What the customers of a period cost: growth examples with a known truth, limits, laws, and coverage over worlds."""

from __future__ import annotations

import efficiency as worlds  # bench/efficiency.py
import numpy as np
import pandas as pd
import pytest
import twelve
from scipy.stats import chi2, poisson

from icp_lib import costs, draws, efficiency, lags, ledger

#: Customers won in five quarters, each a quarter more than the one before; as-of is the end of the third.
GROWTH = [256, 320, 400, 500, 625]


def build_growth(media: float, salaries: float, onboarding: float) -> costs.Costs:
    """A company that books in the middle month of a quarter: leads and deals of 1 February are won on 31 August.

    Per customer: media with the lead, a third of the salaries in each of the three quarters, onboarding with the win.
    As of 30 September 2026 the deals of the last two quarters are open.
    """
    starts = pd.to_datetime(["2025-08-01", "2025-11-01", "2026-02-01", "2026-05-01", "2026-08-01"])
    leads, spend, revenue = [], [], []
    for start, n in zip(starts, GROWTH, strict=True):
        won_at = start + pd.DateOffset(months=7) - pd.Timedelta("1D")
        ids = [f"{start:%Y%m}-{number}" for number in range(n)]
        is_won, live = won_at < twelve.CUTOFF, won_at.replace(day=1)
        leads.append(pd.DataFrame({"account_id": ids, "created_at": start, "closed_at": won_at if is_won else pd.NaT,
                                   "status": "won" if is_won else "open"}))  # fmt: skip
        spend += [(start, "media", media * n), (live, "onboarding", onboarding * n)]
        spend += [(start + pd.DateOffset(months=3 * i), "salaries", salaries / 3 * n) for i in range(3)]
        if is_won:
            revenue.append(pd.DataFrame({"account_id": ids, "month": live, "revenue": 1.0,
                                         "onboarding_cost": onboarding, "support_cost": 0.0}))  # fmt: skip
    table = pd.concat(leads, ignore_index=True).assign(is_relevant=True, lead_source=None, campaign_id=None)
    accounts = table[["account_id"]].assign(family_id=table["account_id"])
    money = pd.DataFrame(spend, columns=["month", "category", "amount"])
    money = money[money["month"] < twelve.CUTOFF].assign(channel=None, campaign_id=None, audience=None)
    book = ledger.build_ledger(accounts, table, money, cutoff=twelve.CUTOFF, leads=table, n_draws=200,
                               revenue=pd.concat(revenue, ignore_index=True))  # fmt: skip
    return costs.build_costs(book, *efficiency.group_segments(accounts, pd.DataFrame()))


@pytest.mark.parametrize(
    ("parts", "zero_lag", "all_lagged"),
    [((10.0, 0.0, 0.0), 15.625, 10.0), ((4.0, 4.0, 2.0), 40 / 3, 40 / 3 / 1.25**2)],
    ids=["all media at the lead", "salaries over the cycle, onboarding at the win"],
)
def test_spend_that_grows_a_quarter_a_quarter_with_a_cycle_of_two(parts, zero_lag, all_lagged):
    """The truth is 10.00; without lag 15.63 and 13.33, everything lagged 10.00 and 8.53."""
    made = build_growth(*parts)
    values = {}
    for lag in costs.LAGS:
        found, method = costs.estimate_cost(costs.count_costs(made, (1, 2, 3), lag=lag), -1)
        values[lag] = found
        assert method == costs.DRAWN
    house = values["by category"]
    assert house.value == pytest.approx(10.0, rel=1e-9) and house.low < 10.0 < house.high
    assert values["none"].value == pytest.approx(zero_lag, rel=1e-9)
    assert values["all by the lead"].value == pytest.approx(all_lagged, rel=1e-9)


def build_twelve(monkeypatch=None, n_draws: int = 50, spend=None, rules=("direct",), **frames) -> costs.Costs:
    if monkeypatch is not None:
        monkeypatch.setattr(lags, "MIN_AT_RISK", 3)
    accounts = twelve.build_accounts()
    sources = {"leads": twelve.build_leads(), "revenue": twelve.build_revenue()} | frames
    deals = sources.pop("opportunities", twelve.build_opportunities())
    spend = twelve.build_spend() if spend is None else spend
    book = ledger.build_ledger(accounts, deals, spend, cutoff=twelve.CUTOFF, n_draws=n_draws, **sources)
    return costs.build_costs(book, *efficiency.group_segments(accounts, twelve.SEGMENTS), rules=rules)


def table_of(made: costs.Costs) -> list[float]:
    table = efficiency.estimate_by_group(made)
    return table[["estimate", "conf_low", "conf_high"]].to_numpy().ravel().tolist()


def test_below_twenty_the_limits_of_the_count_are_exact():
    """P(N >= 6 | low) = P(N <= 6 | high) = 2.5 %, and nothing else varies."""
    made = build_twelve(revenue=None, spend=twelve.build_spend().query("category == 'media'"))
    counted = costs.count_costs(made, costs.YEAR, lag="none")
    found, method = costs.estimate_cost(counted, -1)
    assert method == costs.EXACT and found.value == pytest.approx(5400 / 6)
    most, fewest = 5400 / found.low, 5400 / found.high
    assert poisson.cdf(6, most) == pytest.approx(0.025) and poisson.sf(5, fewest) == pytest.approx(0.025)


@pytest.mark.parametrize("n", [2, 19, 20, 60])
def test_draws_have_the_limits_that_are_printed_whatever_the_number_of_customers(n):
    drawn = draws.draw_weights([f"F{i}" for i in range(n)]).sum(axis=0, dtype=float)
    won = np.append(n, drawn)[None]
    nothing = {name: np.zeros_like(won) for name in ledger.CATEGORIES}
    counted = costs.Counted({name: nothing[name] for name in ledger.SHARED} | {"media": 90.0 * n + nothing["media"]},
                            {name: nothing[name] for name in ledger.CARE}, won, won, 1.0)  # fmt: skip
    found, method = costs.estimate_cost(counted, 0)
    value = costs.draw_cost(counted)[0]
    assert value[0] == found.value == 90.0 and np.isfinite(value).all()
    assert method == (costs.EXACT if n < 20 else costs.DRAWN)
    # between two levels of 1,000 the limit of two customers moves by 2 %
    assert np.quantile(value[1:], [0.025, 0.975]) == pytest.approx([found.low, found.high], rel=0.02)
    dear, cheap = drawn < np.quantile(drawn, 0.3), drawn > np.quantile(drawn, 0.7)
    assert n == 2 or value[1:][dear].min() > value[1:][cheap].max()
    plain = np.nanquantile(costs.cost_each(counted)[0, 1:], [0.025, 0.975])
    exact = 90.0 * n / (chi2.ppf([0.975, 0.025], [2 * n + 2, 2 * n]) / 2)
    assert n == 60 or abs(found.low / exact[0] - 1) < abs(plain[0] / exact[0] - 1)  # plain draws end too early below


def test_below_twenty_onboarding_widens_the_range_and_without_two_who_are_live_it_is_open(monkeypatch):
    counted = costs.count_costs(build_twelve(monkeypatch), costs.YEAR)
    whole, bare = (costs.estimate_cost(counted, -1, parts)[0] for parts in (ledger.CATEGORIES, ledger.SHARED))
    care = whole.value - bare.value
    assert whole.high - whole.value > bare.high - bare.value and whole.value - whole.low > bare.value - bare.low
    assert care == pytest.approx((330 + 220 + 440 + 330 + 880) / 5 + (20 * 4 + 50) / 5)
    assert costs.estimate_cost(counted, 1)[0].high == np.inf  # the rest: one of two is live


def test_nobody_won_and_nobody_live_are_told_apart(monkeypatch):
    made = build_twelve(monkeypatch)
    nobody = costs.describe_cost(costs.count_costs(made, (10, 11, 12)), -1, "cac")
    assert np.isnan(nobody["estimate"]) and nobody["note"].startswith("No new customer")
    late = costs.describe_cost(costs.count_costs(made, (1, 2, 3)), 1, "cac")  # B2, won in July, not live
    assert np.isnan(late["estimate"]) and late["note"].endswith("None is live yet, so onboarding is not known")


def test_spend_that_begins_too_late_gives_no_figure(monkeypatch):
    late = twelve.build_spend().query("month >= '2026-03-01'")
    row = costs.describe_cost(costs.count_costs(build_twelve(monkeypatch, spend=late), costs.YEAR), -1, "cac")
    assert np.isnan(row["estimate"]) and "is in spend: it begins too late" in row["note"]


def test_segments_and_what_nobody_was_charged_with_add_up_to_all(monkeypatch):
    radio = {"category": "media", "channel": "Radio", "amount": 100.0, "audience": None}
    spend = pd.concat([twelve.build_spend(), twelve.build_spend().tail(3).assign(**radio)])
    made = build_twelve(monkeypatch, spend=spend, rules=("direct", "open days"))
    for rule in made.by_month:
        for lag in costs.LAGS:
            counted = costs.count_costs(made, costs.YEAR, rule, lag)
            for name in ("events", "tools", "salaries", *([] if rule == "direct" else ["media"])):
                parts = counted.shared[name]
                assert parts[:2, 0].sum() == pytest.approx(parts[-1, 0]), (rule, lag, name)
    counted = costs.count_costs(made, costs.YEAR, lag="none")
    assert counted.shared["media"][-1, 0] - counted.shared["media"][:2, 0].sum() == pytest.approx(300.0)


def test_draw_b_is_the_estimate_with_the_families_of_draw_b(monkeypatch):
    """Repeating an account as often as its weight says gives the draw; money stays what it was."""
    made = build_twelve(monkeypatch)
    copies = made.ledger.weights[:, 4].astype(int)
    assert copies.sum() > 0
    counted = costs.count_costs(made, costs.YEAR, lag="none")
    n_won = sum(copies[place] for place, (_, _, status) in enumerate(twelve.DEALS.values()) if status == "won")
    assert counted.won[-1, 5] == n_won
    ours = counted.shared["media"][0, 5]
    by_hand = 0.0
    for month, media in zip(twelve.MONTHS, twelve.MEDIA, strict=True):
        quarter = [f"2026-{3 * ((int(month[5:7]) - 1) // 3) + i:02d}" for i in (1, 2, 3)]
        here = [copies[place] for place, (name, (opened, _, _)) in enumerate(twelve.DEALS.items())
                if opened[:7] in quarter and name.startswith("A")]  # fmt: skip
        by_hand += media / 2 if sum(here) else 0.0
    assert ours == pytest.approx(by_hand)


def test_ten_times_the_money_is_ten_times_the_cost(monkeypatch):
    spend = twelve.build_spend()
    once, tenfold = build_twelve(monkeypatch), build_twelve(spend=spend.assign(amount=spend["amount"] * 10))
    assert table_of(tenfold) == pytest.approx([10 * each for each in table_of(once)], nan_ok=True)


def test_rows_in_another_order_change_nothing(monkeypatch):
    mixed = {name: frame.sample(frac=1, random_state=3) for name, frame in (
        ("spend", twelve.build_spend()), ("opportunities", twelve.build_opportunities()),
        ("leads", twelve.build_leads()), ("revenue", twelve.build_revenue()))}  # fmt: skip
    assert table_of(build_twelve(monkeypatch, **mixed)) == pytest.approx(table_of(build_twelve()), nan_ok=True)


def test_without_spend_the_arrays_are_empty_and_nothing_breaks():
    made = build_twelve(spend=twelve.build_spend().head(0))
    assert len(efficiency.estimate_by_group(made)) == 0 and made.by_month["direct"]["media"].shape[0] == 0


def test_a_cost_of_one_lead_stays_with_it_in_draws_without_it():
    """Every campaign has one lead: a draw leaves out a third of them, and what they cost must not be lost with them."""
    world = worlds.build_world(1)
    leads = world.leads.assign(campaign_id=[f"k{number}" for number in range(len(world.leads))])
    month = leads["created_at"].dt.to_period("M").dt.to_timestamp()
    spend = pd.DataFrame({"month": month, "category": "events", "amount": 100.0, "channel": None,
                          "campaign_id": leads["campaign_id"], "audience": None})  # fmt: skip
    tables = world.accounts, world.opportunities, spend
    book = ledger.build_ledger(*tables, cutoff=worlds.CUTOFF, leads=leads, n_draws=400)
    mask = worlds.FREIGHT.mask(world.accounts)[:, None]
    made = costs.build_costs(book, pd.DataFrame([worlds.FREIGHT.describe()]), mask)
    shared = made.by_month["direct"]["events"].sum(axis=0)
    np.testing.assert_allclose(shared[0, 1:].mean(), shared[0, 0], rtol=0.02)  # 0.63 of it where what is lost is lost
    found, _ = costs.estimate_cost(costs.count_costs(made), 0)
    assert found.low < found.value < found.high


def test_ranges_hold_the_truth_in_fifty_worlds():
    """The truth is expected spend over expected customers. Of 50 worlds 41 or fewer would hold it less than once in
    1,000 at 95 % (binomial); the mean of 50 has a standard error of about 0.014."""
    rules = worlds.Rules(leads=70)
    rows = pd.concat([worlds.measure(worlds.build_world(seed, rules), 200, ("year",)) for seed in range(50)])
    table = worlds.summarise(rows).set_index(["lag", "group"])
    for group in ("all", "segment"):
        assert table.loc[("by category", group), "coverage"] >= 42 / 50
    assert table.loc[("by category", "all"), "ratio"] == pytest.approx(1, abs=0.05)
