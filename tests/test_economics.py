"""Lifetime value and payback: by hand, against another implementation, by laws, and on companies with a known truth."""

from __future__ import annotations

from pathlib import Path

import economics as bench
import numpy as np
import pandas as pd
import pytest
import twelve
from worlds import simulation_error

from icp_lib import customers as customer_table
from icp_lib import economics, growth, intervals, months, retention
from icp_lib.formats import format_interval
from icp_lib.sentences import missing_words

REFERENCE = Path(__file__).parent / "reference"
CUTOFF = pd.Timestamp("2026-10-01")
CAC = 870.0
N_WORLDS = 50
#: 50 ranges of 95 % hold fewer than 41 times by luck in 2 of 10,000 runs; of 93 %, in 2 of 1,000.
LEAST_HELD = 41


def write_company() -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Twelve customers: A to F won in May 2025 and live in June, G to L won in March 2026 and live in April.

    A month brings margin 100 (A, B, G to K), 200 (C, D) or 300 (E, F), twice that in revenue, and costs 10 of support.
    B paid until December 2025; D brings 300 from January 2026 on (a deal won in December); F brings 150 from April
    2026; L is not live yet. K and L are one family.
    """
    rows = []
    sizes = dict(A=100, B=100, C=200, D=200, E=300, F=300, G=100, H=100, I=100, J=100, K=100)
    for name, size in sizes.items():
        start, end = ("2025-06-01", "2026-09-01") if name < "G" else ("2026-04-01", "2026-09-01")
        for month in pd.date_range(start, "2025-12-01" if name == "B" else end, freq="MS"):
            margin = 300 if name == "D" and month >= pd.Timestamp("2026-01-01") else size
            margin = 150 if name == "F" and month >= pd.Timestamp("2026-04-01") else margin
            rows.append((name, month, 2.0 * margin, float(margin), 10.0))
    revenue = pd.DataFrame(rows, columns=["account_id", "month", "revenue", "gross_margin", "support_cost"])
    names = list("ABCDEFGHIJKL")
    won = pd.to_datetime(["2025-05-20"] * 6 + ["2026-03-20"] * 6)
    deals = pd.DataFrame({"account_id": names, "closed_at": won, "type": "new", "is_relevant": True})
    more = pd.DataFrame({"account_id": ["D"], "closed_at": pd.to_datetime(["2025-12-12"]), "type": "expansion",
                         "is_relevant": False})  # fmt: skip
    accounts = pd.DataFrame({"account_id": names, "family_id": [*"ABCDEFGHIJKK"]})
    referrals = pd.DataFrame({"referrer_account_id": ["A", "Z", "B"], "referred_account_id": ["G", "H", "I"],
                              "referred_at": pd.to_datetime(["2026-01-05", "2026-01-06", "2026-04-01"])})  # fmt: skip
    return accounts, pd.concat([deals, more], ignore_index=True).assign(status="won"), revenue, referrals


def build(accounts, opportunities, revenue, cutoff=CUTOFF, segments=None, **options):
    """Months, keys and members of a company."""
    table = customer_table.build_customers(accounts, opportunities, revenue, cutoff)
    by_month = months.build_months(table, revenue, cutoff, **options)
    return by_month, *months.mark_customers(by_month, accounts, pd.DataFrame() if segments is None else segments)


def constant(keys: pd.DataFrame, value: float = CAC) -> tuple[pd.DataFrame, np.ndarray]:
    """A cost of winning a customer that is the same in every draw."""
    return keys, np.full((len(keys), 1001), value)


def run_company(monkeypatch, least: int = 6) -> pd.DataFrame:
    """`unit_economics` of the twelve, with minima that they reach, by metric."""
    accounts, deals, revenue, referrals = write_company()
    for module in (months, retention):
        monkeypatch.setattr(module, "MIN_CUSTOMERS", 5)
    monkeypatch.setattr(growth, "MIN_CUSTOMERS", 4)  # four are still waiting for more in month 12
    monkeypatch.setattr(economics, "MIN_LIFETIME", least)
    by_month, keys, members = build(accounts, deals, revenue)
    found = economics.draw_economics(by_month, keys, members, constant(keys), least)
    tables = (
        economics.estimate_economics(found, 7.0),
        retention.estimate_retention(by_month, keys, members),
        growth.estimate_growth(by_month, keys, members, deals, referrals),
        growth.estimate_referral_cac(by_month, keys, members, referrals, constant(keys)),
        economics.compare_definitions(by_month, found, members),
        retention.estimate_quarters(by_month),
        retention.estimate_cohorts(by_month),
        economics.build_payback_curves(found, 7.0),
    )
    return months.join_tables(*tables[:4]).set_index("metric"), *tables[4:]


def test_every_figure_of_twelve_customers_by_hand(monkeypatch):
    unit, rivals, quarters, cohorts, curves = run_company(monkeypatch)
    # month 1: six live with 1200, five of the other six with 500, L with nothing; months 2 to 6: 1200 - 60 and 500 - 50
    first, usual = (1200 + 500) / 12, (1140 + 450) / 12
    # then only the first six: month 7 as before; B gone and D larger in 8 to 10; F smaller in 11 to 16
    by_month = [0, first, *[usual] * 5, 1140 / 6, *[(1200 - 50) / 6] * 3, *[(1050 - 50) / 6] * 6]
    value = np.cumsum(by_month)
    assert curves["net"].tolist() == pytest.approx(value - CAC)
    assert curves["n"].tolist() == [12] * 7 + [6] * 10
    assert unit.loc["ltv", "name"] == "LTV(16)"
    assert unit.loc["ltv", "estimate"] == pytest.approx(9650 / 12 + 190 + 3 * 1150 / 6 + 1000)
    assert unit.loc["payback_months", "estimate"] == pytest.approx(6 + (870 - 9650 / 12) / 190)
    assert unit.loc["ltv_to_cac", "estimate"] == pytest.approx(value[-1] / 870)
    same = unit.loc["ltv_alike_to_cac", ["name", "estimate"]].tolist()
    assert same == ["LTV(16)/CAC", pytest.approx(value[-1] / 870)]
    # 2400 of revenue in September 2025; now B nothing, D 600 of 400, F 300 of 600
    assert unit.loc["nrr", "estimate"] == pytest.approx(2100 / 2400)
    assert unit.loc["grr", "estimate"] == pytest.approx(1900 / 2400)
    assert unit.loc["logo_churn_rate", "estimate"] == pytest.approx(1 / 6)
    assert unit.loc["retention_12", "estimate"] == pytest.approx(5 / 6)
    # D after six months, when the six of June 2025 were still there and the others had been live for two months
    assert unit.loc["expansion_12", ["estimate", "n", "n_events"]].tolist() == [pytest.approx(1 / 6), 11, 1]
    assert np.isinf(unit.loc["months_to_expansion", "estimate"])
    # G by A, H by somebody who is no customer; I was referred after the win
    assert unit.loc["referral_rate", ["estimate", "n", "n_events"]].tolist() == [pytest.approx(2 / 6), 6, 2]
    assert unit.loc["referrals_per_customer", "estimate"] == pytest.approx(1 / 6)
    assert unit.loc["cac_direct", "estimate"] == pytest.approx(870 * 6 / 4)
    assert unit.loc["cac_referral_adjusted", "estimate"] == 870
    kept = quarters.set_index(["period", "metric"])["estimate"]
    assert kept["Jul–Sep 2026", "nrr"] == 1
    assert kept["Apr–Jun 2026", "nrr"] == pytest.approx(2100 / 2400)
    assert kept["Jan–Mar 2026", "nrr"] == 1  # B's 200 gone, D's 200 more
    assert kept["Jan–Mar 2026", "grr"] == pytest.approx(2200 / 2400)
    assert kept["Jan–Mar 2026", "logo_churn_rate"] == pytest.approx(1 / 6)
    assert np.isnan(kept["Jul–Sep 2026", "logo_churn_rate"])
    assert cohorts[["cohort", "nrr", "n", "n_left"]].to_numpy().tolist() == [
        ["Live Apr 2025 to Sep 2025", pytest.approx(2100 / 2400), 6, 1]
    ]
    said = rivals.set_index("definition")["estimate"]
    margin_now = (90 + 190 + 290 + 290 + 140 + 5 * 90) / 10
    assert said["Simple payback"] == pytest.approx(870 / margin_now)
    # August 2025 to July 2026: five for twelve months, B for six until it left in January, five for three
    assert said["LTV by churn"] == pytest.approx(margin_now * (5 * 12 + 6 + 5 * 3))
    each = [1450 / 16, 640 / 7, 3050 / 16, (200 + 6 * 190 + 9 * 290) / 16, 4650 / 16, (300 + 9 * 290 + 6 * 140) / 16]
    each += [550 / 6] * 5
    paying = 6 * 11 / 12 + 1 + 9 * 5 / 6
    assert said["Product of means"] == pytest.approx(np.mean(each) * paying)


def test_horizon_ends_with_the_last_month_that_enough_customers_have_had(monkeypatch):
    unit = run_company(monkeypatch, 12)[0]
    assert unit.loc["ltv", "name"] == "LTV(6)"
    assert unit.loc["ltv", "estimate"] == pytest.approx(9650 / 12)
    assert np.isinf(unit.loc["payback_months", "estimate"])
    assert unit.loc["payback_months", "note"] == "Not paid back within the 6 months followed"
    assert unit.loc["payback_by_target", "note"] == "Followed for 6 months only"
    text = format_interval(*unit.loc["payback_months", ["estimate", "conf_low", "conf_high"]], "payback_months")
    assert text.startswith("not reached")


def test_value_of_the_company_of_twelve_accounts():
    revenue = twelve.build_revenue()
    by_month, keys, members = build(twelve.build_accounts(), twelve.build_opportunities(), revenue)
    found = economics.draw_economics(by_month, keys, members, min_customers=1)
    # won in March (A1), April (A2, A3), May (B1), June (A4) and July (B2, not live); 100 a month, support 20 or 50
    by_hand = [0, 500 / 6, (4 * 80 + 50) / 6, (4 * 80 + 50) / 5, (3 * 80 + 50) / 4, 3 * 80 / 3, 80]
    assert found.curves[0][0].tolist() == pytest.approx(np.cumsum(by_hand))
    assert by_month.note == "Revenue, not margin"


def test_sum_of_means_and_its_error_equal_a_regression_on_month_dummies():
    units, said = (pd.read_csv(REFERENCE / f"economics_{name}.csv") for name in ("value_units", "value"))
    shape = units["customer"].max() + 1, units["month"].max() + 1
    margin, is_seen = np.zeros(shape), np.zeros(shape, bool)
    margin[units["customer"], units["month"]] = units["margin"]
    is_seen[units["customer"], units["month"]] = True
    family = units.groupby("customer")["family"].first().to_numpy()
    weights = np.ones((2, family.max() + 1), np.uint8)
    value, errors = months.sum_means(margin, is_seen, family, weights)
    assert value[0] == pytest.approx(said["value"].to_numpy(), rel=1e-9)
    assert errors[0] == pytest.approx(said["error"].to_numpy(), rel=1e-9)


def test_calibrated_draws_keep_their_order_and_reach_further_up_where_values_are_skewed():
    wider = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        values = np.exp(rng.standard_normal(25))
        weights = np.vstack([np.ones(25), rng.poisson(1, (1000, 25))])
        total = weights.sum(axis=1)
        mean = weights @ values / total
        error = np.sqrt((np.square(values - mean[:, None]) * weights).sum(axis=1)) / total
        moved = intervals.calibrate_draws(mean, error, 25)
        assert moved[0] == mean[0]
        assert (np.argsort(moved[1:], kind="stable") == np.argsort(mean[1:], kind="stable")).all()
        plain, better = (intervals.estimate_draws(each) for each in (mean, moved))
        wider.append((better.high - mean[0]) / (plain.high - mean[0]))
    assert np.mean(wider) > 1.2


def test_rare_amounts_have_the_exact_limits_of_a_count_where_weights_are_equal():
    for row in pd.read_csv(REFERENCE / "economics_poisson.csv").itertuples():
        amount = np.repeat([1.0, 0.0], [row.count, 100 - row.count])
        found = intervals.estimate_rare(amount, np.ones(100), np.arange(100))
        assert (found.low, found.high) == pytest.approx((row.low, row.high), rel=1e-9)


def test_payback_is_linear_within_a_month_and_the_cost_may_differ_by_draw():
    curve = np.array([[0.0, 10.0, 30.0, 30.0], [5.0, 4.0, 3.0, 2.0], [0.0, 10.0, 30.0, 30.0], [0.0, -5.0, 5.0, 6.0]])
    reached = economics.find_payback(curve, np.array([20.0, 4.0, np.nan, 5.5]))
    assert reached[[0, 1, 3]].tolist() == [1.5, 0.0, 2.5]
    assert np.isnan(reached[2])
    assert np.isinf(economics.find_payback(curve, np.full(4, 31.0))).all()


def test_nothing_after_as_of_counts_and_the_order_of_rows_does_not():
    accounts, deals, revenue, _ = write_company()
    cutoff = pd.Timestamp("2026-07-01")
    seen = deals["closed_at"] < cutoff
    curves = []
    for rows in (revenue, revenue.sample(frac=1, random_state=3), revenue[revenue["month"] < cutoff]):
        by_month, keys, members = build(accounts, deals[seen], rows, cutoff)
        curves.append(economics.draw_economics(by_month, keys, members, min_customers=6).curves[0])
    assert curves[1] == pytest.approx(curves[0])
    assert curves[2] == pytest.approx(curves[0])


def test_a_half_month_is_not_seen():
    accounts, deals, revenue, _ = write_company()
    whole, half = (build(accounts, deals, revenue, pd.Timestamp(day))[0] for day in ("2026-09-01", "2026-08-31 22:00"))
    assert whole.last == half.last == 2026 * 12 + 7  # August; the end of August in Berlin is 22:00 UTC


def test_value_scales_with_money_and_adds_up_over_disjoint_segments():
    accounts, deals, revenue = bench.build_company(4, 160)
    by_month, keys, members = build(accounts, deals, revenue)
    everybody = economics.draw_economics(by_month, keys, members).curves[0]
    money = revenue.assign(gross_margin=3 * revenue["gross_margin"], support_cost=3 * revenue["support_cost"])
    tripled = economics.draw_economics(*build(accounts, deals, money)).curves[0]
    assert tripled == pytest.approx(3 * everybody)
    margin, is_seen = months.shift_to_win(by_month, 12)
    half = np.arange(len(accounts)) % 2 == 0
    parts = [(margin[side].sum(axis=0), is_seen[side].sum(axis=0)) for side in (half, ~half)]
    together = sum(part[0] for part in parts) / sum(part[1] for part in parts)
    assert everybody[0, :13] == pytest.approx(np.cumsum(together))


def test_a_table_that_begins_in_the_middle_of_the_companys_life_says_nothing_before_it():
    accounts, deals, revenue = bench.build_company(5, 400)
    late = revenue[revenue["month"] >= pd.Timestamp("2024-10-01")]
    by_month, keys, members = build(accounts, deals, late)
    assert by_month.first == 2024 * 12 + 9
    value = economics.draw_economics(by_month, keys, members).curves[0]
    truth = bench.true_curve()[: value.shape[1]]
    low, high = np.quantile(value[1:, 12], [0.0005, 0.9995])
    assert low < truth[12] < high
    # counted as nothing, the unknown months would have halved it
    wrong = economics.draw_economics(*build(accounts, deals, pd.concat([late, revenue.head(1)]))).curves[0]
    assert wrong[0, 12] < 0.8 * value[0, 12]


def test_chance_of_more_than_three_times_the_cost_is_told_only_after_36_months():
    accounts, deals, revenue = bench.build_company(6, 400)
    by_month, keys, members = build(accounts, deals, revenue)
    found = economics.draw_economics(by_month, keys, members, constant(keys, 6.0))
    unit = economics.estimate_economics(found).set_index("metric")
    assert unit.loc["ltv", "name"] == "LTV(36)"
    chance = (found.curves[0][1:, 36] / 6.0 > 3).mean()
    assert unit.loc["ltv_to_cac_above_3", "estimate"] == chance
    short = economics.estimate_economics(found._replace(seen=[np.where(np.arange(61) > 35, 29, found.seen[0])]))
    assert "ltv_to_cac_above_3" not in set(short["metric"])
    note = short.set_index("metric").loc["ltv_to_cac", "note"]
    assert note == "Chance of more than 3 not told: it takes 36 months of follow-up"


def test_chance_of_payback_by_the_target_is_the_share_of_draws():
    accounts, deals, revenue = bench.build_company(6, 160)
    by_month, keys, members = build(accounts, deals, revenue)
    found = economics.draw_economics(by_month, keys, members, constant(keys, bench.COST))
    unit = economics.estimate_economics(found, 10.5).set_index("metric")
    reached = economics.pick_draws(found)["all"]
    assert unit.loc["payback_by_target", "estimate"] == (reached <= 10.5).mean()
    assert 0.02 < unit.loc["payback_by_target", "estimate"] < 0.98
    curves = economics.build_payback_curves(found)
    low = curves.loc[curves["net_high"] >= 0, "month"].iloc[0]  # where the band crosses 0 the range ends
    assert low - 1 <= unit.loc["payback_months", "conf_low"] <= low
    assert unit.loc["payback_months", "conf_level"] == 0.95


def test_what_rests_on_few_new_customers_says_so_and_draws_without_one_are_not_paid_back():
    accounts, deals, revenue = bench.build_company(6, 160)
    by_month, keys, members = build(accounts, deals, revenue)
    cac = np.full((1, 1001), 0.1)
    cac[0, 1:161] = np.inf  # nobody was won
    found = economics.draw_economics(by_month, keys, members, (keys.assign(n_new=2), cac))
    unit = economics.estimate_economics(found).set_index("metric")
    assert unit.loc["payback_by_target", "estimate"] == 0.84
    assert unit.loc["payback_months", "conf_high"] == np.inf
    resting = unit.loc[["payback_by_target", "payback_months", "ltv_to_cac", "ltv_to_cac_above_3"]]
    assert (resting["n"] == 2).all() and resting["note"].str.startswith("CAC of 2 new customers, fewer than 20").all()
    assert unit.loc["ltv_to_cac", "conf_low"] == 0 and unit.loc["ltv_to_cac_above_3", "estimate"] == 0.84
    assert unit.loc["ltv", "n"] == len(by_month.customers)
    assert economics.build_payback_curves(found).empty  # no end to the range
    shown = months.pick_metrics(unit.reset_index(), ("payback_months", "ltv_to_cac"))
    assert shown["n"].tolist() == [2] and shown["note"].str.count("CAC of 2 new customers").tolist() == [1]
    many = economics.estimate_economics(found._replace(n_new=np.array([42.0]))).set_index("metric")
    assert many.loc["payback_by_target", "n"] == 42
    assert many.loc["payback_by_target", "note"].split(". ")[0] == "CAC of 42 new customers"


def test_without_revenue_there_are_no_rows_and_the_words_say_so():
    accounts, deals, revenue, _ = write_company()
    by_month, keys, members = build(accounts, deals, revenue.head(0))
    found = economics.draw_economics(by_month, keys, members, constant(keys))
    tables = [economics.estimate_economics(found), retention.estimate_retention(by_month, keys, members)]
    assert all(list(table.columns) == months.COLUMNS and table.empty for table in tables)
    joined = months.join_tables(*tables)
    assert list(joined.columns) == months.COLUMNS
    assert len(months.pick_metrics(joined, ("ltv",))) == 0
    assert economics.build_payback_curves(found).empty
    assert retention.estimate_quarters(by_month).empty
    assert retention.estimate_cohorts(by_month).empty
    assert economics.compare_definitions(by_month, found, members).empty
    assert economics.pick_draws(found)["all"].isna().all()
    assert missing_words("revenue").startswith("Not measured: needs revenue.")


def test_without_a_cost_the_value_stands_and_payback_says_why_not():
    accounts, deals, revenue = bench.build_company(6, 160)
    by_month, keys, members = build(accounts, deals, revenue)
    unit = economics.estimate_economics(economics.draw_economics(by_month, keys, members)).set_index("metric")
    assert unit.loc["ltv", "estimate"] > 0
    assert unit.loc["payback_months", ["estimate", "note"]].isna().tolist() == [True, False]
    assert unit.loc["payback_months", "note"] == "No CAC to cover"
    assert (unit.loc[["ltv_to_cac", "ltv_alike_to_cac"], "note"] == "No CAC to compare with").all()


def test_groups_are_compared_over_the_months_that_all_have_had():
    accounts, deals, revenue = bench.build_company(6, 400)
    accounts = accounts.assign(industry=np.where(np.arange(len(accounts)) % 7, "Many", "Few"))
    few = twelve.Segment.of({"attribute": "industry", "op": "is", "value": "Few"})
    by_month, keys, members = build(accounts, deals, revenue, segments=pd.DataFrame([few.describe()]))
    found = economics.draw_economics(by_month, keys, members, constant(keys, bench.COST))
    unit = economics.estimate_economics(found)
    shortest, longest = (economics.find_horizon(seen, len(seen)) for seen in found.seen)
    assert shortest < longest
    alike = unit[unit["metric"] == "ltv_alike_to_cac"]
    assert set(alike["name"]) == {f"LTV({shortest})/CAC"}
    assert alike["note"].str.contains(f"up to {shortest} months").all()
    assert alike["estimate"].tolist() == pytest.approx([curve[0, shortest] / bench.COST for curve in found.curves])
    shown = months.pick_metrics(unit, ("payback_months", "ltv_alike_to_cac"))
    assert list(shown)[-2:] == ["n", "note"] and shown["n"].tolist() == found.n.tolist()


def test_metrics_of_different_customers_say_how_many_are_behind_each():
    rows = pd.DataFrame({"segment_id": "", "segment": "All", "metric": ["nrr", "grr", "retention_12"], "estimate": 0.9,
                         "conf_low": 0.8, "conf_high": 1.0, "n": [1072, 1072, 57],
                         "note": ["", "", "Young"]})  # fmt: skip
    shown = months.pick_metrics(rows, ("nrr", "grr", "retention_12"))
    assert "n" not in shown and shown["note"].tolist() == ["Young. n = 1,072 (NRR, GRR); 57 (Kept for a year)"]


def test_a_small_segment_is_counted_and_not_printed():
    accounts, deals, revenue = bench.build_company(6, 160)
    accounts = accounts.assign(industry=np.where(np.arange(len(accounts)) < 12, "Few", "Many"))
    few = twelve.Segment.of({"attribute": "industry", "op": "is", "value": "Few"})
    by_month, keys, members = build(accounts, deals, revenue, segments=pd.DataFrame([few.describe()]))
    found = economics.draw_economics(by_month, keys, members, constant(keys, bench.COST))
    unit = economics.estimate_economics(found)
    assert keys["segment"].tolist() == [few.name, months.EVERYBODY]
    small = unit[unit["segment"] == few.name]
    assert small["estimate"].isna().all()
    assert set(small["note"]) == {"12 customers of the 20 needed", "12 customers of the 30 needed"}
    alike = economics.pick_alike(unit)
    assert alike["segment"].tolist() == [few.name, months.EVERYBODY]  # nothing to compare: as they are
    assert alike["verdict"].tolist() == ["not enough data", ""]


@pytest.fixture(scope="module")
def worlds() -> pd.DataFrame:
    return pd.DataFrame([bench.judge_company(seed, 85, n_draws=400) for seed in range(N_WORLDS)])


def test_ranges_of_value_and_payback_hold_the_truth(worlds):
    told = worlds.dropna(subset=["ltv_low", "paid_low"])
    assert len(told) == N_WORLDS
    assert told["ltv_truth"].between(told["ltv_low"], told["ltv_high"]).sum() >= LEAST_HELD
    assert told["payback"].between(told["paid_low"], told["paid_high"]).sum() >= LEAST_HELD


def test_value_is_right_where_large_customers_stay_and_the_product_of_means_is_not():
    judged = pd.DataFrame([bench.judge_company(seed, 160, stay=1.2, n_draws=2) for seed in range(N_WORLDS)])
    ours, product = (judged[name] / judged["ltv_truth"] for name in ("ltv", "product_of_means"))
    error = simulation_error(ours)
    assert abs(ours.mean() - 1) < 3.5 * error  # by luck in 5 of 10,000 runs
    assert product.mean() < 0.9
    assert ours.mean() - product.mean() > 3.5 * simulation_error(ours - product)
