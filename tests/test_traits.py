"""Who is called best: by the first twelve months, at one age, and never by what came later."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from companies import CUTOFF, build_frames

from icp_lib import accounts, traits
from icp_lib.checks import DataError
from icp_lib.settings import trait_roles

NO_REVENUE = pd.DataFrame(
    {name: pd.Series(dtype=kind) for name, kind in {"account_id": "str", "month": "datetime64[us]", "revenue": float,
     "gross_margin": float, "support_cost": float, "onboarding_cost": float}.items()}
)  # fmt: skip


def company(n: int = 100, amount=None):
    """n accounts with one deal each: a third won long ago, a third lost long ago, the rest won and lost lately."""
    number = np.arange(n)
    ids = np.array([f"a{i:03d}" for i in number], object)
    status = np.where(number % 2 == 0, "won", "lost")
    days_ago = np.where(number < 0.6 * n, 700 - number, 200 - 0.5 * number)
    deals = pd.DataFrame({"opportunity_id": ids, "account_id": ids, "days_ago": days_ago, "days": 30.0,
                          "status": status, "is_timing_loss": number % 6 == 1,
                          "amount": np.nan if amount is None else amount})  # fmt: skip
    table, opportunities = build_frames(
        {"account_id": ids, "industry": np.where(number % 4 == 0, "Mills", "Yards")}, deals
    )
    won = opportunities[opportunities["status"] == "won"]
    table["first_won_at"] = won.groupby("account_id")["closed_at"].min().reindex(ids).to_numpy()
    return table, opportunities


def months(table, per_month, n_months: int = 14, **more) -> pd.DataFrame:
    """Revenue from the month of the win on."""
    rows = []
    for (account, won_at), worth in zip(
        table[["account_id", "first_won_at"]].dropna().to_numpy(), per_month, strict=True
    ):
        start = pd.Timestamp(won_at).to_period("M").to_timestamp()
        rows += [(account, start + pd.DateOffset(months=k), float(worth)) for k in range(n_months)]
    frame = pd.DataFrame(rows, columns=["account_id", "month", "revenue"])
    frame = frame[frame["month"] < CUTOFF]
    costs = {"gross_margin": frame["revenue"], "support_cost": 0.0, "onboarding_cost": 0.0}
    return frame.assign(**(costs | more))


def label(table, opportunities, revenue=NO_REVENUE, **options):
    return traits.label_accounts(table, opportunities, revenue, CUTOFF, **options)


def test_first_year_is_margin_less_support_and_onboarding_of_twelve_months():
    table, _opportunities = company()
    revenue = months(table, np.full(50, 100.0), support_cost=10.0, gross_margin=70.0)
    first = revenue.groupby("account_id").cumcount() == 0
    revenue["onboarding_cost"] = np.where(first, 200.0, 0.0)
    values = traits.estimate_first_year(table, revenue, CUTOFF)
    old = table["first_won_at"] <= CUTOFF - pd.DateOffset(months=12)
    assert values[old].tolist() == [12 * 60.0 - 200.0] * int(old.sum())  # months 13 and 14 are not in it
    assert values[~old].isna().all()


def test_best_is_the_top_fifth_of_those_old_enough_and_the_young_are_not_judged():
    table, opportunities = company()
    labelled = label(table, opportunities, months(table, np.arange(50.0)))
    old = labelled["first_won_at"] <= CUTOFF - pd.DateOffset(months=12)
    values = labelled.loc[old, "value_12"].sort_values()
    assert set(labelled.index[labelled["is_best"]]) == set(values.index[-int(0.2 * old.sum()) :])
    young = labelled["is_customer"] & ~old
    assert (labelled.loc[young, "group"] == "new").all() and not labelled.loc[young, "is_modelled"].any()
    lost_late = (labelled["group"] == "lost") & (labelled["first_opportunity_at"] > CUTOFF - pd.DateOffset(months=12))
    assert lost_late.any() and not labelled.loc[lost_late, "is_modelled"].any()
    assert labelled.loc[labelled["is_modelled"], "part"].notna().all()
    assert labelled.loc[~labelled["is_modelled"], "part"].isna().all()
    assert (labelled["basis"] == "first year").all()


def test_who_never_paid_is_worth_nothing_and_who_was_won_before_the_revenue_is_unknown():
    table, opportunities = company()
    revenue = months(table, np.arange(50.0))
    never = table["account_id"].isin(["a010", "a012"])
    labelled = label(table, opportunities, revenue[~revenue["account_id"].isin(["a010", "a012"])])
    assert labelled.loc[never, "value_12"].tolist() == [0.0, 0.0]
    assert labelled.loc[never, "group"].tolist() == ["other", "other"] and labelled.loc[never, "is_modelled"].all()
    table, opportunities = company(320)
    begins = pd.Timestamp("2025-01-01")
    revenue = months(table, np.arange(160.0))
    early = table["first_won_at"] < begins
    labelled = label(table, opportunities, revenue[revenue["month"] >= begins])
    assert 10 < early.sum() < 30 and (labelled.loc[early, "group"] == "unknown").all()
    assert not labelled.loc[early, "is_modelled"].any()
    words = traits.describe_labels(labelled).iloc[0]
    young = labelled["is_customer"] & (labelled["first_won_at"] > CUTOFF - pd.DateOffset(months=12))
    assert words["n_new"] == young.sum() and words["n_unknown"] == early.sum()
    assert words["n_judged"] == labelled["is_customer"].sum() - young.sum() - early.sum()
    assert words["unjudged_words"] == f"{young.sum()} are too young, of {early.sum()} the first year is not known"


def test_a_revenue_table_of_few_customers_says_nothing_of_the_others():
    table, _opportunities = company()
    revenue = months(table, np.arange(50.0))
    few = revenue[revenue["account_id"].isin(["a002", "a004", "a006"])]
    values = traits.estimate_first_year(table, few, CUTOFF)
    assert values.notna().sum() == 3


def test_the_older_part_lies_within_that_of_all_accounts():
    """Old accounts whose deals are still open cannot be judged: the judged ones are newer than all."""
    table, opportunities = company()
    ids = np.array([f"b{i:03d}" for i in range(120)], object)
    deals = pd.DataFrame({"opportunity_id": ids, "account_id": ids, "days_ago": 900.0, "days": 30.0, "status": "open",
                          "is_timing_loss": False, "amount": np.nan})  # fmt: skip
    still, more = build_frames({"account_id": ids, "industry": "Mills"}, deals)
    both = pd.concat([table, still], ignore_index=True)
    both["part"] = accounts.build_part(both["family_id"], both["first_opportunity_at"])
    labelled = label(both, pd.concat([opportunities, more]), months(table, np.arange(50.0)))
    older = labelled["part"] == "found"
    assert older.any() and (both.loc[older, "part"] == "found").all()
    judged = accounts.build_part(both["family_id"], both["first_opportunity_at"].where(labelled["is_modelled"]))
    assert ((judged == "found") & (both["part"] == "held_out")).any()


def test_groups_are_disjoint_and_timing_losses_are_told_apart():
    table, opportunities = company()
    labelled = label(table, opportunities, months(table, np.arange(50.0), n_months=14))
    assert set(labelled["group"]) <= {"best", "other", "churned", "new", "lost", "lost_timing"}
    assert (labelled.loc[labelled["group"] == "churned", "has_churned"]).all() and labelled["has_churned"].any()
    timing = set(opportunities.loc[opportunities["is_timing_loss"] & (opportunities["status"] == "lost"), "account_id"])
    assert set(labelled.loc[labelled["group"] == "lost_timing", "account_id"]) == timing
    assert labelled.groupby("account_id")["group"].nunique().eq(1).all()


def test_what_comes_after_the_first_year_and_the_order_of_rows_change_nothing():
    table, opportunities = company()
    revenue = months(table, np.arange(50.0))
    labelled = label(table, opportunities, revenue)
    start = revenue["account_id"].map(table.set_index("account_id")["first_won_at"])
    later = revenue["month"] > start + pd.DateOffset(months=12)
    changed = revenue.assign(gross_margin=revenue["gross_margin"].mask(later, 1e9))
    again = label(table, opportunities.sample(frac=1, random_state=1), changed.sample(frac=1, random_state=2))
    pd.testing.assert_frame_equal(labelled, again)
    scaled = revenue.assign(gross_margin=7 * revenue["gross_margin"])
    assert (label(table, opportunities, scaled)["is_best"] == labelled["is_best"]).all()


def test_without_revenue_what_was_signed_ranks_and_without_amounts_all_customers_are_best():
    table, opportunities = company(amount=np.arange(100.0))
    signed = label(table, opportunities)
    assert (signed["basis"] == "signed").all() and 0 < signed["is_best"].sum() <= 0.2 * signed["is_customer"].sum() + 1
    nothing = label(*company())
    assert (nothing["basis"] == "won").all() and (nothing["is_best"] == nothing["is_customer"]).all()
    assert nothing["value_12"].isna().all()
    words = traits.describe_labels(nothing).iloc[0]
    assert words["basis_words"].endswith("neither revenue nor amounts are known")


def test_where_all_have_the_same_value_nobody_is_best_and_the_page_says_so():
    table, opportunities = company()
    labelled = label(table, opportunities, months(table, np.full(50, 5.0)))
    assert not labelled["is_best"].any()
    assert traits.describe_labels(labelled)["note"].iloc[0].startswith("No customer can be called best yet")


def test_the_team_may_name_its_best_customers():
    table, opportunities = company()
    labelled = label(table, opportunities, best_customers=["a000", "a002"])
    assert labelled.loc[labelled["is_best"], "account_id"].tolist() == ["a000", "a002"]
    assert (labelled["basis"] == "list").all() and not (labelled["group"] == "new").any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("a999", "best_customers: 1 of 2 ids are no customers \\(first: 'a999' is not among the accounts\\)"),
        ("a001", "\\(first: 'a001' has not won a relevant deal by as-of\\)"),
    ],
)
def test_an_id_that_is_no_customer_is_refused(wrong, words):
    with pytest.raises(DataError, match=words):
        label(*company(), best_customers=["a000", wrong])


def test_what_is_known_only_after_the_sale_cannot_describe_an_ideal_customer():
    labelled = label(*company()).assign(first_response_days=1.0, status="won")
    words = ("traits: 'first_response_days' is an outcome \\(known only after the sale\\) and cannot describe an ideal "
             "customer. Use a column with role 'trait'.")  # fmt: skip
    with pytest.raises(DataError, match=words):
        traits.build_trait_levels(labelled, {"first_response_days": {}}, {"first_response_days": "outcome"})
    with pytest.raises(DataError, match="'status' is an outcome"):
        traits.build_trait_levels(labelled, {"status": {}}, trait_roles())


def test_levels_hold_missing_values_and_two_placebos_and_nothing_that_only_winners_have():
    labelled = label(*company()).assign(plan=lambda t: np.where(t["is_customer"], "Pro", None))
    labelled.loc[:9, "industry"] = None
    levels = traits.build_trait_levels(labelled, {"industry": {}, "plan": {}})
    assert {(attribute, level) for attribute, level, _ in levels if attribute == "industry"} == {
        ("industry", "Mills"), ("industry", "Yards"), ("industry", "Missing")}  # fmt: skip
    assert {attribute for attribute, _, _ in levels} == {"industry", "placebo_a", "placebo_b"}
