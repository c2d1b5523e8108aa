"""The account table obeys its laws: the future, the order of rows and of files change nothing, and sums reconcile."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icp_lib import accounts as account_table
from icp_lib.schemas import TABLES

CUTOFF = datetime(2026, 7, 1)
DTYPES = {
    "time": "datetime64[us]",
    "month": "datetime64[us]",
    "flag": "boolean",
    "id": "str",
    "text": "str",
    "list": "str",
}
SLOW = settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))

accounts_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "account_id": st.sampled_from([f"A{n}" for n in range(8)]),
            "created_at": st.integers(0, 900),
            "industry": st.sampled_from(["Retail", "Energy", None]),
            "employees": st.sampled_from([5.0, 50.0, None]),
            "lead_source": st.sampled_from(["Fair", None]),
            "parent_account_id": st.sampled_from(["A0", "A1", "A2", "A9", None]),
        }
    ),
    min_size=1,
    unique_by=lambda row: row["account_id"],
)
deals_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "opportunity_id": st.integers(0, 30).map("O{}".format),
            "account_id": st.sampled_from([f"A{n}" for n in range(8)]),
            "created_at": st.integers(0, 900),
            "days": st.integers(0, 300),
            "status": st.sampled_from(["won", "lost", "open"]),
            "stage": st.sampled_from(["Demo", "Closed"]),
            "amount": st.sampled_from([100.0, 5.0, None]),
            "type": st.sampled_from(["new", "renewal", None]),
            "buyer_role": st.sampled_from(["CFO", None]),
            "lead_source": st.sampled_from(["Web", None]),
        }
    ),
    max_size=15,
    unique_by=lambda row: row["opportunity_id"],
)
history_drawn = st.lists(
    st.fixed_dictionaries(
        {
            "account_id": st.sampled_from([f"A{n}" for n in range(8)]),
            "attribute": st.sampled_from(["industry", "employees", "account_id", "n_won", "nothing"]),
            "value": st.sampled_from(["7", "70"]),
            "valid_from": st.integers(0, 900),
        }
    ),
    max_size=8,
    unique_by=lambda row: (row["account_id"], row["attribute"], row["valid_from"]),
)


def day(number):
    return datetime(2024, 7, 1) + timedelta(days=number)


def typed(table, rows):
    """A canonical table with every column and its type."""
    rows = [{k: day(v) if k in ("created_at", "valid_from") else v for k, v in row.items()} for row in rows]
    rows = [
        row | {"closed_at": row["created_at"] + timedelta(days=row["days"])} if "days" in row else row for row in rows
    ]
    columns = TABLES[table].columns
    frame = pd.DataFrame(rows, columns=[column.name for column in columns])
    return frame.astype({column.name: DTYPES.get(column.kind, "float64") for column in columns})


def build(accounts, deals, history, **options):
    frames = {"accounts": accounts, "opportunities": deals, "account_history": history}
    return account_table.build(
        *(account_table.cut(ibis.memtable(frame), name, CUTOFF, **options) for name, frame in frames.items())
    )


@pytest.fixture(scope="module")
def typed_world():
    return lambda accounts, deals, history: (
        typed("accounts", accounts), typed("opportunities", deals), typed("account_history", history))  # fmt: skip


@SLOW
@given(accounts=accounts_drawn, deals=deals_drawn, history=history_drawn, seed=st.integers(0, 9))
def test_the_future_and_the_order_of_rows_change_nothing(typed_world, accounts, deals, history, seed):
    world = typed_world(accounts, deals, history)
    table = build(*world)
    known = [
        frame[frame[date] < CUTOFF]
        for frame, date in zip(world, ("created_at", "created_at", "valid_from"), strict=True)
    ]
    later = known[1]["closed_at"] >= CUTOFF
    known[1] = known[1].assign(
        status=known[1]["status"].mask(later, "open"),
        closed_at=known[1]["closed_at"].mask(later | (known[1]["status"] == "open"), pd.Timestamp("2031-01-01")),
        stage=known[1]["stage"].mask(later, "Elsewhere"),
    )
    pd.testing.assert_frame_equal(table, build(*known))
    shuffled = [frame.sample(frac=1, random_state=seed) for frame in world]
    pd.testing.assert_frame_equal(table, build(*shuffled))


@SLOW
@given(accounts=accounts_drawn, deals=deals_drawn, history=history_drawn)
def test_one_row_an_account_and_sums_reconcile(typed_world, accounts, deals, history):
    world = typed_world(accounts, deals, history)
    table = build(*world, types=["new"], min_amount=50)
    assert table["account_id"].tolist() == sorted(
        row["account_id"] for row in accounts if day(row["created_at"]) < CUTOFF
    )
    expected = dict.fromkeys(table["account_id"], 0)
    won = set()
    for row in deals:
        relevant = (row["type"] or "new") == "new" and (row["amount"] or 0) >= 50 and day(row["created_at"]) < CUTOFF
        if relevant and row["account_id"] in expected:
            expected[row["account_id"]] += 1
            if row["status"] == "won" and day(row["created_at"] + row["days"]) < CUTOFF:
                won.add(row["account_id"])
    assert table.set_index("account_id")["n_opportunities"].to_dict() == expected
    assert (table["n_won"] + table["n_lost"] + table["n_open"] == table["n_opportunities"]).all()
    assert set(table.loc[table["is_customer"], "account_id"]) == won
    assert table["part"].notna().equals(table["n_opportunities"] > 0)


@SLOW
@given(accounts=accounts_drawn, deals=deals_drawn)
def test_no_family_stands_on_both_sides_and_the_older_sixty_percent_are_found(typed_world, accounts, deals):
    table = build(*typed_world(accounts, deals, []))
    parts = table.dropna(subset="part").groupby("family_id")["part"].nunique()
    assert (parts <= 1).all()
    split = table.dropna(subset="part")
    dated = table.groupby("family_id")["first_opportunity_at"].transform("min")[split.index]
    found = split["part"] == "found"
    assert found.sum() >= 0.6 * len(split)
    assert not found.any() or found.all() or dated[found].max() < dated[~found].min()
    if found.any():  # without the newest date found, it would be less than 60 %
        assert (dated[found] < dated[found].max()).sum() < 0.6 * len(split)


def test_splitting_a_file_changes_nothing(load):
    rows = [f"A{n},2024-01-{n + 1:02},{'Retail' if n % 2 else 'Energy'}\n" for n in range(12)]
    deals = "opportunity_id,account_id,created_at,status\n" + "".join(
        f"O{n},A{n},2024-03-{n + 1:02},open\n" for n in range(12)
    )
    head = "account_id,created_at,industry\n"
    one = load(accounts=head + "".join(rows), opportunities=deals)
    two = load(name="two", accounts=head + "".join(rows[7:]), accounts_2=head + "".join(rows[:7]), opportunities=deals)
    frames = [
        account_table.build(
            *(
                account_table.cut(ibis.read_parquet(extract.path(name)), name, CUTOFF)
                for name in ("accounts", "opportunities", "account_history")
            )
        )
        for extract in (one, two)
    ]
    pd.testing.assert_frame_equal(*frames)
    assert frames[0]["part"].tolist().count("found") == 8


def test_a_value_is_the_one_known_then():
    accounts = typed("accounts", [{"account_id": "A1", "created_at": 0, "industry": "Now", "employees": 9.0}])
    rows = [("industry", "Old", 10), ("industry", "Older", 5), ("industry", "Future", 800), ("employees", "3", 1)]
    rows += [("created_at", "2020-01-01", 1), ("country", "France", 800)]
    history = typed(
        "account_history", [dict(zip(("attribute", "value", "valid_from"), row, strict=True)) for row in rows]
    )
    table = build(accounts, typed("opportunities", []), history.assign(account_id="A1"))
    assert table.loc[0, ["industry", "employees", "created_at"]].tolist() == ["Old", 3.0, pd.Timestamp(day(0))]
    assert pd.isna(table.loc[0, "country"])


def test_a_history_value_that_is_no_number_leaves_today_s():
    accounts = typed("accounts", [{"account_id": "A1", "created_at": 0, "employees": 9.0}])
    history = typed(
        "account_history", [{"account_id": "A1", "attribute": "employees", "value": "many", "valid_from": 1}]
    )
    assert build(accounts, typed("opportunities", []), history).loc[0, "employees"] == 9


def test_an_opportunity_closed_later_is_open_and_nothing_is_known_of_its_close():
    deal = {"account_id": "A1", "created_at": 700, "stage": "Closed", "loss_reason": "Price", "is_timing_loss": True}
    rows = [{"opportunity_id": f"O{n}", "status": "lost", "days": days} | deal for n, days in enumerate((29, 30))]
    frame = account_table.cut(ibis.memtable(typed("opportunities", rows)), "opportunities", CUTOFF).to_pandas()
    frame = frame.sort_values("opportunity_id")
    assert frame["status"].tolist() == ["lost", "open"]
    for column in ("closed_at", "stage", "loss_reason", "is_timing_loss"):
        assert frame[column].isna().tolist() == [False, True], column


def test_later_stages_of_a_lead_have_not_happened():
    lead = {"lead_id": "L1", "created_at": 0, "mql_at": day(10), "sql_at": day(800), "rejected_at": day(801)}
    frame = typed("leads", [lead | {"rejection_reason": "Budget"}])
    seen = account_table.cut(ibis.memtable(frame), "leads", CUTOFF).to_pandas().loc[0]
    assert seen["mql_at"] == day(10)
    assert seen[["sql_at", "rejected_at", "rejection_reason"]].isna().all()


@pytest.mark.parametrize("hours", [-14, -2, 0, 7, 12])
def test_a_month_is_a_date_in_every_time_zone(hours):
    months = pd.DataFrame({"month": pd.to_datetime(["2026-05-01", "2026-06-01", "2026-07-01", None])})
    frame = typed("spend", []).reindex(range(4)).assign(month=months["month"].astype("datetime64[us]"))
    seen = account_table.cut(ibis.memtable(frame), "spend", CUTOFF + timedelta(hours=hours)).to_pandas()
    assert seen["month"].max() == pd.Timestamp("2026-06-01") and len(seen) == 3


@pytest.mark.parametrize(
    ("parents", "families"),
    [
        ([None, "a", "b", None], ["a", "a", "a", "d"]),
        (["b", "c", "b", "a"], ["b", "b", "b", "b"]),
        (["a", "gone", None, "b"], ["a", "gone", "c", "gone"]),
        (["d", "a", "b", "c"], ["a", "a", "a", "a"]),
    ],
    ids=["chain", "into-a-circle", "self-and-unknown", "circle"],
)
def test_families(parents, families):
    ids = pd.Series(list("abcd"))
    assert account_table.build_family(ids, pd.Series(parents)).tolist() == families
    turned = account_table.build_family(ids[::-1], pd.Series(parents)[::-1])
    assert turned[::-1].tolist() == families


def test_the_part_of_ten_accounts_and_a_family():
    first = pd.Series(pd.date_range("2024-01-01", periods=10))
    assert account_table.build_part(pd.Series(range(10)), first).tolist() == ["found"] * 6 + ["held_out"] * 4
    family = pd.Series([0, *range(1, 9), 0])
    assert account_table.build_part(family, first).tolist() == ["found"] * 5 + ["held_out"] * 4 + ["found"]
    with_gap = account_table.build_part(pd.Series(range(10)), first.where(first.index != 0))
    assert with_gap.isna().tolist() == [True] + [False] * 9 and with_gap.tolist().count("found") == 6
    assert account_table.build_part(pd.Series([1, 2]), pd.Series([pd.NaT, pd.NaT])).isna().all()
