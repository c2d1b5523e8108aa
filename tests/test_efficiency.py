"""Page 03's cost to win customers on a company of twelve accounts: every figure by arithmetic that is written out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import twelve

from icp_lib import costs, draws, efficiency, efficiency_answers, lags, ledger
from icp_lib.display import say

#: Month opened (0 is January) and the days on which each deal was open, month by month, both ends included.
DAYS = {
    "A1": (0, [22, 28, 10]), "A2": (0, [22, 28, 31, 10]), "A3": (1, [19, 31, 10]), "A4": (3, [21, 31, 10]),
    "A5": (2, [22, 30, 10]), "A6": (6, [22, 31, 30]), "B1": (0, [22, 28, 31, 30, 10]),
    "B2": (2, [22, 30, 31, 30, 10]), "B3": (1, [19, 31, 30, 31, 10]), "B4": (3, [21, 31, 30, 31, 10]),
    "B5": (4, [22, 30, 31, 31, 10]), "B6": (7, [22, 30]),
}  # fmt: skip
FREIGHT, FOOD = ([name for name in DAYS if name[0] == letter] for letter in "AB")
#: Share of wins by months after the lead, and after the deal's opening (see test_lags): 3/11, 8/77 and 16/77 of 45/77.
W2, W3, W4 = 21 / 45, 8 / 45, 16 / 45
#: Mean open days at each age over the deals old enough: twelve at ages 0 and 1, without B6 at 2, without A6 at 3 and 4.
AT_AGE = [256 / 12, 359 / 12, (10 + 31 + 10 + 10 + 10 + 30 + 31 + 31 + 30 + 30 + 31) / 11,
          (10 + 30 + 30 + 31 + 31 + 31) / 10, 50 / 10]  # fmt: skip
#: July's deals have had three ages of five.
SEEN_JULY = sum(AT_AGE[:3]) / sum(AT_AGE)


def by_month(names) -> np.ndarray:
    """Open days of some deals from January to September."""
    days = np.zeros(9)
    for name in names:
        opened, each = DAYS[name]
        days[opened : opened + len(each)] += each
    return days


EVERY = by_month(DAYS)


def salaries(names, counted=(1, 1, 1, 1, 1, 1, W2 / SEEN_JULY, 0, 0)) -> float:
    """A thousand a month, split over all open days; by month opened, what counts for the customers.

    In four quarters: all that was opened up to May; of July's deals 21 in 45 are won by September, and they have yet to
    cost what their ages of three and four months will; of August's none are.
    """
    return float(sum((twelve.SALARIES * by_month([name]) / EVERY).sum() * counted[DAYS[name][0]] for name in names))


@pytest.fixture
def made(monkeypatch) -> costs.Costs:
    monkeypatch.setattr(lags, "MIN_AT_RISK", 3)
    return build()


def build(cutoff=twelve.CUTOFF, rules=ledger.RULES, spend=None) -> costs.Costs:
    accounts, deals = twelve.build_accounts(), twelve.build_opportunities()
    spend = twelve.build_spend() if spend is None else spend
    is_later = deals["closed_at"] >= cutoff
    deals = deals.assign(status=deals["status"].mask(is_later, "open"), closed_at=deals["closed_at"].mask(is_later))
    leads, revenue = twelve.build_leads(), twelve.build_revenue()
    book = ledger.build_ledger(accounts, deals[deals["created_at"] < cutoff], spend[spend["month"] < cutoff],
                               cutoff=cutoff, leads=leads[leads["created_at"] < cutoff],
                               revenue=revenue[revenue["month"] < cutoff], n_draws=50)  # fmt: skip
    return costs.build_costs(book, *efficiency.group_segments(accounts, twelve.SEGMENTS), rules=rules)


def values(table: pd.DataFrame, metric: str) -> list[float]:
    return table.loc[table["metric"] == metric, "estimate"].tolist()


def test_cost_by_segment_by_hand(made):
    """Freight, the rest, all. Media by quarter of the channel: half is Search (A's leads), half Fair (B's)."""
    table = efficiency.estimate_by_group(made)
    # a month's media reaches the wins that come up to September: all of January to May, less of June and July
    lagged = 450 * 5 + 450 * (W2 + W3) + 900 * W2
    care_a, care_b, care = (330 + 220 + 440 + 330) / 4, 880.0, (330 + 220 + 440 + 330 + 880) / 5
    help_a, help_b, help_all = 20.0, 50.0, (4 * 20 + 50) / 5
    cac = [
        (lagged / 2 + salaries(FREIGHT)) / 4 + care_a + help_a,
        (lagged / 2 + salaries(FOOD)) / 2 + care_b + help_b,  # B2 is not live: B1's care stands for both
        (lagged + salaries(DAYS)) / 6 + care + help_all,
    ]
    assert values(table, "cac") == pytest.approx(cac)
    assert values(table, "cac_without_support") == pytest.approx([cac[0] - 20, cac[1] - 50, cac[2] - 26])
    assert table["n"].tolist() == [4, 2, 6] * 4 and table["n_live"].tolist() == [4, 1, 5] * 4
    # without the lag: media and salaries of January to September, all onboarding and support until live, as spent
    now_a, now_b = (float((1000 * by_month(names) / EVERY).sum()) for names in (FREIGHT, FOOD))
    bare = [(2700 + now_a + 1320 + 80) / 4, (2700 + now_b + 880 + 50) / 2, (5400 + 9000 + 2200 + 130) / 6]
    assert values(table, "cac_zero_lag") == pytest.approx(bare)
    # everything moved by the lead's lag: each month's share that comes by September
    share = np.array([1, 1, 1, 1, 1, W2 + W3, W2, 0, 0])
    media = np.array([450.0] * 6 + [900.0] * 3)
    care_when = np.array([0, 0, 0, 330 + 20, 660 + 40, 880 + 50, 330 + 20, 0, 0])
    moved = ((media + 1000 + care_when) * share).sum() / 6
    assert values(table, "cac_all_lagged")[-1] == pytest.approx(moved)


def test_the_ledger_by_hand(made):
    table = efficiency.build_statement(made).set_index("category")
    assert table["spend"].round(9).tolist() == [5400, 0, 0, 11_250, 2200, 580, 19_430]
    assert table["spend_on_existing"].tolist() == [0, 0, 0, 2250, 0, 0, 2250]
    assert table["spend_after_live"].round(9).tolist() == [0, 0, 0, 0, 0, 450, 450]
    lagged = 450 * 5 + 450 * (W2 + W3) + 900 * W2
    paid = salaries(DAYS)
    # B2, not live yet, is taken to cost what the other five cost: 440 and 26
    counted = [lagged, 0, 0, paid, 2200 + 440, 130 + 26]
    assert table["cost_counted"].tolist() == pytest.approx([*counted, sum(counted)])
    assert table["spend_moved"].tolist()[:4] == pytest.approx([lagged - 5400, 0, 0, paid - 9000])
    left = table["spend"] - table["spend_on_existing"] - table["spend_after_live"] + table["spend_moved"]
    assert left.tolist() == pytest.approx(table["cost_counted"].tolist())
    assert table["cac"].tolist() == pytest.approx((table["cost_counted"] / 6).tolist())
    assert (table["cost_uncharged"] == 0).all()


def test_cost_by_quarter_by_hand(made):
    """The third quarter won B2 alone: 21 of July's 900 in 45 and what was spent on its lead before."""
    table = efficiency.estimate_by_quarter(made, "2026-Q3")
    whole = table[table["segment_id"] == ""].set_index(["quarter", "metric"])["estimate"]
    assert whole[("2026-Q3", "cac_zero_lag")] == pytest.approx(2700 + 3000 + 330 + 20)
    # second quarter: won A2, A3 in April, B1 in May, A4 in June; months April to June less what comes later
    lagged = 450 * (W2 + W3 + W4) + 450 * (W2 + W3 + W4) + 450 * (W2 + W3 + W4)
    assert sum([W2, W3, W4]) == pytest.approx(1) and lagged == pytest.approx(1350)
    # of January's deals those won after three and four months, of February's all, of March's after two and three
    paid = salaries(DAYS, [W3 + W4, 1, W2 + W3, W2, 0, 0, 0, 0, 0])
    care = (220 + 440 + 330 + 880) / 4 + (20 * 3 + 50) / 4
    # media of April to June's customers: each month's wins need the leads of two to four months before
    needed = {month: 0.0 for month in range(-4, 9)}
    for won in (3, 4, 5):  # April, May, June; January is 0
        for lag, weight in ((2, W2), (3, W3), (4, W4)):
            needed[won - lag] += weight
    media = sum(450 * needed[month] for month in range(6))
    assert whole[("2026-Q2", "cac")] == pytest.approx((media + paid) / 4 + care)
    counts = table[(table["segment_id"] == "") & (table["metric"] == "cac")].set_index("quarter")["n"]
    assert counts[["2026-Q3", "2026-Q2", "2026-Q1"]].tolist() == [1, 4, 1]


def test_cost_by_channel_is_that_of_its_accounts(made):
    table = efficiency.estimate_channels(made.ledger)
    cac = table[table["metric"] == "cac"].set_index("channel")
    by_segment = efficiency.estimate_by_group(made)
    assert cac.loc[["Search", "Fair"], "estimate"].tolist() == pytest.approx(values(by_segment, "cac")[:2])
    assert cac.index.tolist() == ["Search", "Fair", "All customers"] and cac["n"].tolist() == [4, 2, 6]
    shown = efficiency_answers.pick_channels(table)
    cheapest, dearest = cac["estimate"].drop("All customers").sort_values().index[[0, -1]]
    assert shown["channel"].tolist() == [cheapest, dearest, "All customers"]
    row = efficiency_answers.pick_ends(shown).iloc[0]
    assert row[["cheapest", "dearest"]].tolist() == [cheapest, dearest]
    assert efficiency_answers.pick_ends(shown.tail(2))["kind"].tolist() == ["few"]
    assert efficiency_answers.pick_ends(shown.head(0)).empty


def test_ranks_under_every_rule_and_lag(made, monkeypatch):
    assert efficiency.rank_segments(made).empty  # no segment has 20 customers
    monkeypatch.setattr(efficiency, "MIN_CUSTOMERS", 2)
    groups = pd.DataFrame({"segment_id": ["a", "b"], "segment": ["Freight", "Food"]})
    is_freight = twelve.FREIGHT.mask(twelve.build_accounts())
    two = costs.build_costs(made.ledger, groups, np.column_stack([is_freight, ~is_freight]), ledger.RULES)
    ranks = efficiency.rank_segments(two)
    assert len(ranks) == 2 * 3 * 3  # no touches: three rules, three lags
    assert (ranks.groupby(["rule", "lag"])["rank"].sum() == 3).all() and ranks["is_house"].sum() == 2
    assert ranks.groupby("segment")["p_first"].first().sum() == pytest.approx(1)
    table = efficiency_answers.pick_robustness(ranks)
    assert table["segment"].tolist() == ["Freight", "Food"] and table["first_of"].tolist() == ["9 of 9", "0 of 9"]
    # by deals opened, no lag: each month's media and salaries by the deals opened in it; May's go to B5 alone
    opened = {
        "Freight": [2 / 3, 1 / 2, 1 / 2, 1 / 2, 0, 0, 1, 0, 0],
        "Food": [1 / 3, 1 / 2, 1 / 2, 1 / 2, 1, 0, 0, 1, 0],
    }
    by_deals = ranks[(ranks["rule"] == "opportunities") & (ranks["lag"] == "none")].set_index("segment")["estimate"]
    shared = np.array(twelve.MEDIA) + 1000
    assert by_deals["Freight"] == pytest.approx(((shared * opened["Freight"]).sum() + 1320 + 80) / 4)
    assert by_deals["Food"] == pytest.approx(((shared * opened["Food"]).sum() + 880 + 50) / 2)


def test_change_is_told_only_with_enough_customers(made, monkeypatch):
    monkeypatch.setattr(lags, "MIN_AT_RISK", 3)
    before = build(pd.Timestamp("2026-07-01"))
    table = efficiency.compare_quarters(made, before)
    assert table["reading"].str.startswith("fewer than 20").all() and table["cac_change"].isna().all()
    monkeypatch.setattr(efficiency, "MIN_CUSTOMERS", 1)
    told = efficiency.compare_quarters(made, made)
    known = told[told["reading"] != "not known a quarter ago"]
    assert (known["cac_change"] == 0).all() and set(known["reading"]) == {"within noise"}


def test_changes_are_widened_for_the_number_of_groups_that_are_told(made, monkeypatch):
    monkeypatch.setattr(efficiency, "MIN_CUSTOMERS", 4)  # two of the three groups
    noise = np.random.default_rng(1).standard_normal((3, 1001))
    drawn = iter([(made.groups, 1000 + noise), (made.groups, np.full((3, 1001), 997.9))])
    monkeypatch.setattr(efficiency, "draw_cac", lambda _: next(drawn))
    table = efficiency.compare_quarters(made, made)
    assert table["cac_change"].isna().tolist() == [False, True, False]
    for i in (0, 2):
        ends = np.quantile(2.1 + noise[i, 1:], [0.0125, 0.9875])
        assert table.loc[i, ["cac_change_low", "cac_change_high"]].tolist() == pytest.approx(ends.tolist())
    assert 2.1 + np.quantile(noise[0, 1:], 0.0125) < 0 < 2.1 + np.quantile(noise[0, 1:], 0.025)
    assert table["reading"].iloc[0] == "within noise"  # at 95 % for each alone it would be dearer


def test_draws_of_few_customers_are_never_left_out_and_count_the_new(made):
    keys, cac = efficiency.draw_cac(made)
    assert keys["n_new"].tolist() == [4, 2, 6] and not np.isnan(cac).any()
    table = efficiency.estimate_by_group(made, metrics=("cac",))
    for row, draws_of in zip(table.itertuples(), cac[:, 1:], strict=True):
        # with 50 draws the outermost levels are 1 % and 99 %: beyond the limits, which are at 2.5 %
        assert draws_of.min() <= row.conf_low and draws_of.max() >= row.conf_high


def test_draws_are_named_by_segment(made):
    keys, cac = efficiency.draw_cac(made)
    frame = efficiency.name_draws(keys, cac)
    assert frame.columns.tolist() == [twelve.FREIGHT.segment_id, "rest", "all"] and len(frame) == 50
    assert cac[:, 0] == pytest.approx(values(efficiency.estimate_by_group(made), "cac"))


def test_claims_are_never_better_than_untested(made):
    by_segment, ranks = efficiency.estimate_by_group(made), efficiency.rank_segments(made)
    claims = efficiency_answers.build_claims(*efficiency.draw_cac(made), by_segment, twelve.SEGMENTS, ranks)
    assert claims["verdict"].tolist() == ["not enough data"] and claims["note"].tolist() == ["4 of 15 new customers"]


@pytest.mark.parametrize(("ratio", "verdict"), [(0.5, "untested"), (0.99, "not supported"), (2.0, "untested")])
def test_claims_by_the_ratio_to_the_rest(ratio, verdict):
    noise = np.exp(0.1 * np.random.default_rng(1).standard_normal((2, 1001)))
    noise[:, 0] = 1
    keys = pd.DataFrame({"segment_id": ["s1", "rest", ""], "segment": ["Freight", "The rest", "All customers"]})
    cac = np.vstack([ratio * 1000 * noise[0], 1000 * noise[1], np.full(1001, 900.0)])
    table = keys.assign(metric="cac", estimate=cac[:, 0], conf_low=1.0, conf_high=2.0, n=40, note="")
    segments = pd.DataFrame({"segment_id": ["s1"], "n_opportunities": 90, "verdict": "not supported"})
    ranks = efficiency.rank_segments(build_nothing())
    claims = efficiency_answers.build_claims(keys, cac, table, segments, ranks)
    assert claims["verdict"].tolist() == [verdict]
    assert claims["claim"].str.contains("cost less" if ratio < 1 else "cost more").all()
    assert claims["note"].tolist() == [efficiency_answers.NOT_CHECKED]
    assert claims["who"].tolist() == ["Freight, a segment that page 01 does not support,"]
    sure = efficiency_answers.build_claims(keys, cac, table, segments.assign(verdict="confirmed"), ranks)
    assert sure["who"].tolist() == ["Freight"]
    error = np.std(np.log(noise[0, 1:] / noise[1, 1:]))
    from scipy.stats import norm

    assert claims["p_adjusted"].iloc[0] == pytest.approx(2 * norm.sf(abs(np.log(ratio)) / error), rel=0.01)


def test_where_the_leading_segment_is_worse_is_said_beyond_its_range_only():
    rows = [("s1", "expansion_12", 0.10, 0.04, 0.16), ("", "expansion_12", 0.17, 0.14, 0.20),
            ("s1", "nrr", 0.9, 0.8, 1.0), ("", "nrr", 0.95, 0.9, 1.0),
            ("s1", "logo_churn_rate", 0.2, 0.15, 0.3), ("", "logo_churn_rate", 0.1, 0.1, 0.1)]  # fmt: skip
    unit = pd.DataFrame(rows, columns=["segment_id", "metric", "estimate", "conf_low", "conf_high"])
    unit["segment"] = unit["segment_id"].map({"s1": "Freight", "": "All customers"})
    claims = pd.DataFrame({"segment_id": ["s1"], "segment": ["Freight"]})
    worse = efficiency_answers.pick_worse(unit, claims)
    assert worse["metric"].tolist() == ["logo_churn_rate", "expansion_12"]
    said = str(say(worse, efficiency_answers.WORSE, by="kind"))
    assert "bought more within a year, 10% (4 to 16) against 17%" in said
    two = pd.concat([unit[unit["metric"] == "nrr"], unit.iloc[2:4].assign(metric="ltv_alike")])
    even = efficiency_answers.pick_worse(two, claims)
    assert str(say(even, efficiency_answers.WORSE, by="kind")).endswith("in none of: LTV, same months for all; NRR.")
    assert efficiency_answers.pick_worse(unit, claims.head(0))["kind"].tolist() == ["nobody"]
    assert efficiency_answers.pick_worse(unit.head(0), claims).empty


def build_nothing() -> costs.Costs:
    return build(spend=twelve.build_spend().head(0), rules=("direct",))


def test_without_spend_every_table_keeps_its_columns():
    nothing = build_nothing()
    keys, cac = efficiency.draw_cac(nothing)
    assert np.isnan(cac).all() and len(keys) == 3
    tables = [efficiency.estimate_by_group(nothing), efficiency.estimate_by_quarter(nothing, "2026-Q3"),
              efficiency.build_statement(nothing), efficiency.rank_segments(nothing),
              efficiency.estimate_channels(nothing.ledger), efficiency.compare_quarters(nothing, nothing)]  # fmt: skip
    assert all(not len(table) and len(table.columns) > 4 for table in tables)
    by_segment, _, statement, ranks, channels, _ = tables
    claims = efficiency_answers.build_claims(keys, cac, by_segment, twelve.SEGMENTS, ranks)
    summary = efficiency_answers.summarise(by_segment, statement, nothing)
    picked = [efficiency_answers.pick_segments(by_segment, claims), efficiency_answers.pick_answers(claims, summary),
              efficiency_answers.pick_statement(statement), efficiency_answers.pick_channels(channels),
              efficiency_answers.pick_robustness(ranks), efficiency_answers.list_limits(claims), summary]  # fmt: skip
    assert all(not len(table) for table in picked)


def test_quarters_are_named_back_over_the_year():
    assert efficiency.name_quarters("2026-Q2", 4) == ["2026-Q2", "2026-Q1", "2025-Q4", "2025-Q3"]


def test_draws_can_be_paired_with_any_other_notebook(made):
    expected = draws.draw_weights(sorted(twelve.DEALS), 50)
    order = made.ledger.accounts["family"].to_numpy()
    assert (made.ledger.weights[order] == expected).all()


@pytest.mark.parametrize(("n", "said"), [(2, "."), (4, "; picked as the cheapest of 4 segments, so perhaps too good.")])
def test_the_cheapest_of_many_says_that_it_was_picked(n, said):
    claims = pd.DataFrame({"segment_id": [f"s{i}" for i in range(n)], "metric": "cac"})
    ids = [*claims["segment_id"], ""]
    paid = pd.DataFrame({"segment_id": ids, "segment": "Who", "payback_months": 9.0, "payback_by_target": 0.8})
    paid = paid.assign(payback_months_low=8.0, payback_months_high=10.0)
    found = str(say(efficiency_answers.pick_payback(paid, claims, 12.0), efficiency_answers.PAID)).splitlines()
    ends = [each.partition(" after the win (8.0 to 10.0)")[2] for each in found]
    assert ends == [said, "."]
