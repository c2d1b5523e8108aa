"""Attribution: conservation, arithmetic, minimum, costs, laws, and ranges against a known truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from icp_lib import attribution, credits
from icp_lib.rules import Segment

CUTOFF = pd.Timestamp("2026-10-01")
NONE = pd.DataFrame(columns=["segment_id", "segment", "conditions"])
SPEND = pd.DataFrame({
    "month": pd.to_datetime(["2025-01-01", "2025-02-01", "2025-02-01", "2025-02-01", "2025-11-01", "2025-02-01"]),
    "category": ["media", "media", "events", "media", "media", "salaries"],
    "amount": [1000.0, 500.0, 600.0, 70.0, 9999.0, 8888.0],
    "channel": ["Mail", "Mail", "Fair", "Radio", "Mail", "Mail"],
})  # fmt: skip
NO_SPEND = SPEND.head(0)
RETAIL = Segment.of({"attribute": "industry", "op": "is", "value": "Retail"})


def build_journeys(paths: list[str], won: list[bool], deal_at="2025-03-01") -> tuple[pd.DataFrame, pd.DataFrame]:
    ids = [f"a{number:05d}" for number in range(len(paths))]
    journeys = pd.DataFrame({
        "account_id": ids, "is_won": won, "has_deal": True, "deal_at": pd.Timestamp(deal_at),
        "path": [path.split() for path in paths], "lead_visit": 1, "deal_visit": 1, "n_touches": 2,
        "n_touches_unnamed": 0,
    })  # fmt: skip
    accounts = pd.DataFrame({"account_id": ids, "family_id": ids, "industry": "Retail"})
    return journeys, accounts


def draw_world(seed: int, n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return journeys of four channels: one of them doubles the chance of a customer."""
    rng = np.random.default_rng(seed)
    names = np.array(["Fair", "Mail", "Phone", "Search"])
    paths = [" ".join(rng.choice(names, 1 + rng.poisson(1.2), p=[0.1, 0.4, 0.2, 0.3])) for _ in range(n)]
    won = rng.random(n) < np.where(["Phone" in path for path in paths], 0.3, 0.15)
    return build_journeys(paths, won.tolist())


def estimate(journeys, accounts, segments=NONE, spend=NO_SPEND, **options) -> pd.DataFrame:
    return attribution.estimate_attribution(journeys, accounts, segments, spend, cutoff=CUTOFF, **options)


def test_a_new_channel_is_not_charged_for_the_years_before_it():
    """Search alone for four years; in the year of the spend half of the customers come by each, for as much money."""
    old, accounts = build_journeys(["Search"] * 200, [True] * 200, "2022-03-01")
    new, more = build_journeys(["Search", "Radio"] * 24, [True] * 48, "2025-03-01")
    new, more = (frame.assign(account_id="n" + frame["account_id"]) for frame in (new, more))
    more["family_id"] = more["account_id"]
    spend = pd.DataFrame({"month": pd.Timestamp("2025-01-01"), "category": "media", "amount": 12_000.0,
                          "channel": ["Search", "Radio"]})  # fmt: skip
    both, every = (pd.concat(pair, ignore_index=True) for pair in ((old, new), (accounts, more)))
    found = estimate(both, every, spend=spend)
    equal = found[found["rule"] == "Equal split"].set_index("channel")
    assert equal["cost_per_customer"].to_dict() == pytest.approx({"Search": 500.0, "Radio": 500.0})
    assert equal.loc["Search", "share_rate"] == pytest.approx(224 / 248)  # the credit is of all customers followed


def test_a_cost_without_a_customer_of_its_months_stays_and_says_so():
    journeys, accounts = build_journeys(["Mail"] * 40, [True] * 40, "2022-03-01")
    day = pd.Timestamp("2025-01-01")
    spend = pd.DataFrame({"month": [day], "category": "media", "amount": 900.0, "channel": "Mail"})
    found = estimate(journeys, accounts, spend=spend)
    assert (found["cost"] == 900.0).all() and found["cost_per_customer"].isna().all()
    assert (found["note"] == attribution.NONE_CREDITED).all()


@pytest.fixture(scope="module")
def twelve() -> pd.DataFrame:
    """Credit in a company of twelve accounts, eight of them customers."""
    paths = ["Mail Fair", "Mail", "Fair Phone", "Phone", "Mail Phone Fair", "Mail", "Fair", "Mail Phone",
             "Fair", "Fair", "Phone", "Mail"]  # fmt: skip
    return estimate(*build_journeys(paths, [True] * 8 + [False] * 4), spend=SPEND, min_customers=8)


def test_credits_of_twelve_accounts_by_arithmetic(twelve):
    found = twelve.pivot(index="rule", columns="channel", values="estimate")
    assert found.loc["First touch"].to_dict() == {"Fair": 2, "Mail": 5, "Phone": 1, "Radio": 0}
    assert found.loc["Last touch"].to_dict() == {"Fair": 3, "Mail": 2, "Phone": 3, "Radio": 0}
    wanted = {
        "Fair": 0.5 + 0.5 + 1 / 3 + 1,
        "Mail": 0.5 + 1 + 1 / 3 + 1 + 0.5,
        "Phone": 0.5 + 1 + 1 / 3 + 0.5,
        "Radio": 0,
    }
    assert found.loc["Equal split"].to_dict() == pytest.approx(wanted)
    # W: lead and deal began in the first visit, so 0.9 for it and 0.1 for the rest; alone, all
    wanted = {"Fair": 0.1 + 0.9 + 0.05 + 1, "Mail": 0.9 + 1 + 0.9 + 1 + 0.9, "Phone": 0.1 + 1 + 0.05 + 0.1, "Radio": 0}
    assert found.loc["W-shaped"].to_dict() == pytest.approx(wanted)
    assert attribution.is_conserved(twelve) and (twelve["n"] == 8).all()


def test_removal_of_twelve_accounts_by_arithmetic(twelve):
    # From start: Mail 6, Fair 4, Phone 2 of 12. From Mail (6): Fair 1, Phone 2, won 2, none 1. From Fair (6): Phone 1,
    # won 3, none 2. From Phone (5): Fair 1, won 3, none 1. So f = 3/6 + p/6, p = 3/5 + f/5 give f = 18/29, p = 21/29,
    # m = 2/6 + f/6 + p/3 and P(won) = m/2 + f/3 + p/6; without a channel its own value is 0 in these equations.
    f, p = 18 / 29, 21 / 29
    m = 1 / 3 + f / 6 + p / 3
    whole = m / 2 + f / 3 + p / 6
    no_mail, no_fair = f / 3 + p / 6, (1 / 3 + 3 / 5 / 3) / 2 + 3 / 5 / 6
    no_phone = (1 / 3 + 1 / 2 / 6) / 2 + 1 / 2 / 3
    effect = {"Fair": 1 - no_fair / whole, "Mail": 1 - no_mail / whole, "Phone": 1 - no_phone / whole}
    wanted = {name: 8 * value / sum(effect.values()) for name, value in effect.items()}
    found = twelve[twelve["rule"] == "Markov removal"].set_index("channel")["estimate"]
    assert found.drop("Radio").to_dict() == pytest.approx(wanted)


def test_costs_are_of_media_and_events_up_to_the_last_deal_followed(twelve):
    found = twelve[twelve["rule"] == "Last touch"].set_index("channel")
    assert found["cost"].dropna().to_dict() == {"Fair": 600, "Mail": 1500, "Radio": 70}
    assert found["cost_per_customer"].dropna().to_dict() == {"Fair": 200, "Mail": 750}
    assert found.loc["Phone", "note"] == "No spend is booked on this channel"
    assert found.loc["Radio", "note"] == "No touch and no lead has this channel"
    # 3 customers behind it: exact Poisson limits of 3, 0.6187 and 8.7673
    assert found.loc["Fair", "cost_per_customer_low"] == pytest.approx(600 / 8.7673, rel=1e-4)
    assert found.loc["Fair", "cost_per_customer_high"] == pytest.approx(600 / 0.6187, rel=1e-4)


def test_deals_opened_before_there_was_spend_do_not_make_customers_cheaper():
    journeys, accounts = build_journeys(["Mail"] * 40, [True] * 40)
    journeys.loc[:29, "deal_at"] = pd.Timestamp("2024-06-01")
    found = estimate(journeys, accounts, spend=SPEND[SPEND["channel"] == "Mail"])
    assert set(found["cost_per_customer"]) == {1500 / 10} and set(found["estimate"]) == {40}


def test_a_small_group_is_marked_and_not_dropped():
    journeys, accounts = draw_world(1)
    accounts.loc[60:, "industry"] = "Energy"
    segments = pd.DataFrame([RETAIL.describe()])
    found = estimate(journeys, accounts, segments)
    small = found[found["segment_id"] == RETAIL.segment_id]
    n = int(journeys["is_won"][:60].sum())
    assert small["note"].tolist() == [f"{n} won of the 30 needed"] and small["estimate"].isna().all()
    shown = estimate(journeys, accounts, segments, min_customers=5)
    assert attribution.is_conserved(shown) and shown["cost"].isna().all()
    assert set(shown.loc[shown["segment_id"] == RETAIL.segment_id, "n"]) == {n}


def test_rows_in_another_order_and_other_accounts_change_nothing():
    journeys, accounts = draw_world(2)
    stranger = journeys.head(5).assign(account_id=[f"z{number}" for number in range(5)])
    mixed = pd.concat([journeys, stranger]).sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(estimate(mixed, accounts), estimate(journeys, accounts))


def test_w_needs_leads_and_deals():
    journeys, accounts = draw_world(3)
    assert credits.W not in set(estimate(journeys.assign(lead_visit=0), accounts)["rule"])
    assert credits.W in set(estimate(journeys, accounts)["rule"])


def test_nothing_gives_the_columns_and_no_rows():
    journeys, accounts = draw_world(4)
    for some in (journeys.head(0), journeys.assign(is_won=False), journeys.assign(path=[[]] * len(journeys))):
        found = estimate(some, accounts)
        assert found.empty and list(found) == attribution.COLUMNS
        assert attribution.compare_rules(found).empty and attribution.is_conserved(found)
    assert attribution.estimate_coverage(journeys.head(0), accounts, NONE).empty


def test_coverage_counts_customers_whose_channels_nobody_recorded():
    journeys, accounts = build_journeys(["Mail", "Mail", "", "", "Mail"], [True, True, True, True, False])
    journeys.loc[3, "n_touches"] = 0
    journeys["n_touches_unnamed"] = [0, 1, 2, 0, 9]
    row = attribution.estimate_coverage(journeys, accounts, NONE).iloc[0]
    nothing = journeys.assign(n_touches=0, n_touches_unnamed=0, path=[[]] * 5)
    assert attribution.estimate_coverage(nothing, accounts, NONE).empty  # nobody recorded anything: not measured
    assert row[["n", "touched_rate", "path_rate", "unnamed_rate"]].tolist() == [4, 0.75, 0.5, 3 / 6]


def test_rules_side_by_side(twelve):
    found = attribution.compare_rules(twelve).set_index("channel")
    assert found.loc["Mail", ["least_rate", "least_rule", "most_rate", "most_rule"]].tolist() == [
        2 / 8, "Last touch", pytest.approx(5 / 8), "First touch"]  # fmt: skip
    assert found["n_rules"].eq(5).all() and found.index[0] == "Mail"
    assert found.loc["Mail", "cost_per_customer_most"] == 750
    shown = attribution.pick_rules(found.reset_index()).set_index("channel")
    assert shown.index[0] == "Mail" and shown["n_credited"].sum() == pytest.approx(8)
    ends = shown.loc["Mail", ["cost_per_customer_low", "cost_per_customer_high"]].tolist()
    assert ends == found.loc["Mail", ["cost_per_customer_least", "cost_per_customer_most"]].tolist()
    assert ends[0] < shown.loc["Mail", "cost_per_customer"] < ends[1] == 750


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    """Shares in a world so large that they are the truth."""
    journeys, accounts = draw_world(10_000, 25_000)
    return estimate(journeys, accounts, n_draws=1).set_index(["rule", "channel"])["share_rate"]


def test_ranges_hold_the_truth(truth):
    held = []
    for seed in range(50):
        found = estimate(*draw_world(seed), n_draws=400).set_index(["rule", "channel"])
        found = found.loc[truth.index]
        held.append((found["share_rate_low"] <= truth) & (truth <= found["share_rate_high"]))
    held = pd.concat(held, axis=1).groupby(level="rule").mean().mean(axis=1)
    print(held)
    # 50 worlds of four dependent channels: at a coverage of 0.94, under 0.85 less than once in 1,000
    assert (held >= 0.85).all(), held
