"""Rows find their account: merged ones, test records, names in place of ids, and what a system's words become."""

from __future__ import annotations

import json

import duckdb
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icp_lib import linking
from icp_lib.settings import Settings

WORDS = Settings().exclude.name_words
MERGED = (
    "account_id,created_at,industry,parent_account_id,merged_into_account_id\nA1,2024-01-01,x,,\nA2,2024-01-01,x,,A1\n"
    "A3,2024-01-01,x,,A2\nA4,2024-01-01,x,,A5\nA5,2024-01-01,x,,A4\nA6,2024-01-01,x,A3,\nA7,2024-01-01,x,,gone\n"
)
DEALS = "opportunity_id,account_id,created_at,status\n" + "".join(f"O{n},A{n},2024-02-01,open\n" for n in range(1, 8))


def kept(extract, table):
    return pd.read_parquet(extract.path(table))


def steps(extract, table):
    rows = extract.population.query("table == @table and step != 'read'")
    return {(row.step, row.reason): row.n_rows for row in rows.itertuples()}


def assumed(extract, table):
    return {one["column"]: one["read_as"] for one in extract.facts["assumed"] if one["table"] == table}


def test_rows_of_a_merged_account_go_to_the_one_that_remains(load):
    extract = load(
        accounts=MERGED, opportunities=DEALS,
        contacts="contact_id,account_id\nC1,A3\nC2,A4\n",
        referrals="referrer_account_id,referred_account_id\nA3,A6\n",
        leads="lead_id,created_at,contact_id\nL1,2024-01-01,C1\nL2,2024-01-01,C2\n",
    )  # fmt: skip
    deals = kept(extract, "opportunities").set_index("opportunity_id")["account_id"]
    assert deals.to_dict() == {"O1": "A1", "O2": "A1", "O3": "A1", "O6": "A6"}
    assert steps(extract, "opportunities")["excluded", "belongs to an excluded account"] == 3  # circle, missing
    assert assumed(extract, "opportunities")["account_id"] == (
        "2 rows of merged accounts are given to the account that remains"
    )
    assert kept(extract, "contacts")["account_id"].tolist() == ["A1"]
    assert kept(extract, "leads")["lead_id"].tolist() == ["L1"]
    assert kept(extract, "referrals")["referrer_account_id"].tolist() == ["A1"]
    accounts = kept(extract, "accounts").set_index("account_id")
    assert accounts.index.tolist() == ["A1", "A6"] and accounts.loc["A6", "parent_account_id"] == "A1"


def test_months_of_a_merged_account_are_added(load):
    extract = load(
        accounts=MERGED, opportunities=DEALS,
        revenue="account_id,month,revenue,gross_margin,support_cost\nA1,2024-03,100,50,\nA2,2024-03,10,5,1\n"
        "A2,2024-04,20,,2\nA3,2024-03,1,1,1\nA3,2024-04,2,1,\nA6,2024-03,7,7,7\nA4,2024-03,9,9,9\n",
        account_history="account_id,attribute,value,valid_from\nA1,industry,a,2024-01-01\nA2,industry,b,2024-01-01\n"
        "A2,industry,c,2024-02-01\n",
    )  # fmt: skip
    rows = kept(extract, "revenue")[["account_id", "month", "revenue", "gross_margin", "support_cost"]]
    rows["month"] = rows["month"].dt.month
    assert rows.astype(object).where(rows.notna(), None).values.tolist() == [
        ["A1", 3, 111, 56, 2], ["A1", 4, 22, None, 2], ["A6", 3, 7, 7, 7]
    ]  # fmt: skip
    assert assumed(extract, "revenue")["account_id"] == (
        "1 row of merged accounts is given to the account that remains, 3 rows are added to its own for the same month"
    )
    assert kept(extract, "account_history")["value"].tolist() == ["a", "c"]
    assert steps(extract, "revenue") == {("kept", ""): 3, ("excluded", "belongs to an excluded account"): 4}


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 6), st.integers(0, 8), max_size=7))
def test_survivors_are_the_ends_of_chains(into):
    """Against a walk: a chain ends at a valid account that is not merged, or nowhere."""
    with duckdb.connect() as con:
        con.execute("CREATE TABLE judged_accounts (account_id VARCHAR, merged_into_account_id VARCHAR, _fate VARCHAR, "
                    "_copy BOOLEAN)")  # fmt: skip
        rows = [(str(n), str(into[n]) if n in into else None, "kept", False) for n in range(7)]
        con.executemany("INSERT INTO judged_accounts VALUES (?, ?, ?, ?)", rows)
        con.execute("CREATE TABLE state_accounts AS SELECT account_id AS id FROM judged_accounts")
        linking.find_survivors(con, {"merged_into_account_id"})
        found = dict(con.execute("SELECT * FROM survivors").fetchall())
    expected = {}
    for start in into:
        seen, at = {start}, into[start]
        while at in into and at not in seen:
            seen.add(at)
            at = into[at]
        if at not in into and at < 7:
            expected[str(start)] = str(at)
    assert found == expected


@pytest.mark.parametrize(
    ("name", "is_test"),
    [
        ("Test", True), ("test 1", True), ("TEST-2", True), ("Test account", True), ("demo company 3", True),
        ("asdf", True), ("DO NOT USE - Acme", True), ("do  not use", True), ("(Dummy)", True), ("Example", True),
        ("Test Valley Haulage", False), ("Testo SE", False), ("Demographics Ltd", False), ("Contest", False),
        ("Do not user", False), ("Example Print Ltd", False), ("A test", False), ("", False), (None, False),
    ],
)  # fmt: skip
def test_names_of_test_records(name, is_test):
    found = duckdb.execute(f"SELECT {linking.named_test_sql('x', WORDS)} FROM (SELECT ?::VARCHAR AS x)", [name])
    assert found.fetchone() == (is_test,)


def test_words_are_taken_as_they_are_written():
    sql = linking.named_test_sql("x", ["a+b", "it's off", "Prüfung"])
    names = ["A+B 1", "aab", "It's  off - Acme", "PRÜFUNG", "its off"]
    assert [duckdb.execute(f"SELECT {sql} FROM (SELECT ? AS x)", [name]).fetchone()[0] for name in names] == [
        True, False, True, True, False,
    ]  # fmt: skip


def test_a_test_record_is_left_out_and_never_named(load):
    text = "account_id,created_at,account_name\nA1,2024-01-01,Test account 77\nA2,2024-01-01,Test Valley Haulage\n"
    extract = load(accounts=text, opportunities=DEALS.split("O3")[0])
    assert steps(extract, "accounts") == {("kept", ""): 1, ("excluded", "test record by its name"): 1}
    assert steps(extract, "opportunities") == {("kept", ""): 1, ("excluded", "belongs to an excluded account"): 1}
    shown = extract.checks.to_csv() + extract.population.to_csv() + json.dumps(extract.facts)
    shown += "".join(pd.read_parquet(path).to_csv() for path in extract.cache.glob("*.parquet"))
    assert "account 77" not in shown and "Haulage" not in shown
    off = load(settings="exclude: {name_words: []}", accounts=text, opportunities=DEALS.split("O3")[0])
    assert steps(off, "accounts") == {("kept", ""): 2}


def test_a_name_finds_the_account_that_remains(load):
    """A deleted or merged account of the same name is no second account."""
    extract = load(
        accounts="account_id,created_at,account_name,is_deleted,merged_into_account_id\nA1,2024-01-01,Acme,,\n"
        "A2,2024-01-01,acme,,A1\nA3,2024-01-01,ACME,true,\nA4,2024-01-01,Gone,true,\n",
        opportunities=None,
        deals="Deal - ID,Deal - Status,Deal - Organization,Deal - Deal created\n1,open,Acme,2024-01-01\n"
        "2,open,Gone,2024-01-01\n",
    )
    assert kept(extract, "opportunities")["account_id"].tolist() == ["A1"]
    assert steps(extract, "opportunities") == {("kept", ""): 1, ("excluded", "belongs to an excluded account"): 1}


def test_an_id_wins_over_a_name_and_a_row_with_neither_lacks_its_id(load):
    extract = load(
        accounts="account_id,created_at,account_name\n1,2024-01-01,Acme\n2,2024-01-01,Other\n",
        opportunities=None,
        deals="Deal - ID,Deal - Status,Deal - Organization,Deal - Deal created\n1,open,Acme,2024-01-01\n"
        "2,open,,2024-01-01\n",
        deals_2="Deal - ID,Deal - Status,Deal - Organization ID,Deal - Organization,Deal - Deal created\n"
        "3,open,2,Acme,2024-01-01\n",
    )
    assert kept(extract, "opportunities")["account_id"].tolist() == ["1", "2"]
    bad = extract.checks.query("severity == 'error' and n_rows > 0")
    assert bad[["rule", "n_rows"]].values.tolist() == [["required", 1]]


def test_the_status_of_pipeline_stage_ids_comes_from_the_stages(load):
    """HubSpot's interface gives the ids of stages; the export of pipelines says which of them win."""
    head = "Record ID,Deal Name,Deal Stage,Create Date,Close Date,Associated Company IDs (Primary)\n"
    deals = [("closedwon", "A1"), ("100200300", "A1"), ("100200301", "A2"), ("100200302", "A3")]
    extract = load(
        opportunities=None,
        deals=head + "".join(f"{n},d,{stage},2024-02-01,2024-03-01,{account}\n"
                             for n, (stage, account) in enumerate(deals)),
        pipeline_stages="stage_id,label,pipeline_id,display_order,closed_won,is_closed\nclosedwon,Won,1,4,true,true\n"
        "100200300,Demo,1,1,false,false\n100200301,Signed,1,2,true,true\n100200302,Dead,1,3,false,true\n",
    )  # fmt: skip
    assert kept(extract, "opportunities")["status"].tolist() == ["won", "open", "won", "lost"]


def test_without_the_stages_an_id_gives_no_status(load):
    head = "Record ID,Deal Name,Deal Stage,Create Date,Close Date,Associated Company IDs (Primary)\n"
    extract = load(opportunities=None, deals=head + "1,d,100200300,2024-02-01,,A1\n2,d,Demo,2024-02-01,,A1\n")
    assert kept(extract, "opportunities")["opportunity_id"].tolist() == ["2"]
    (said,) = extract.checks.query("rule == 'required' and column == 'status'")["message"]
    assert said.startswith("deals.csv, column status: 1 of 2 rows have no value (first: line 2")


def test_a_row_with_several_stages_shares_no_fate_among_them(load):
    """One cell is wrong, one row of the file is doubled, and each stage is counted once."""
    head = "Record ID,Deal Name,Deal Stage,Create Date,Close Date,Associated Company IDs," + ",".join(
        f'"Date entered ""{stage} (Sales Pipeline)"""' for stage in ("Demo", "Offer", "Closed Won")
    )
    day = "2024-03-0{} 10:00"
    rows = [f"{n},x,Closed Won,2024-02-01,2024-06-01,A1,{day.format(1)},{{}},{day.format(3)}" for n in (1, 2)]
    extract = load(
        opportunities=None,
        deals="\n".join([head, rows[0].format("2023-01-01 10:00"), *[rows[1].format(day.format(2))] * 2, ""]),
    )
    assert steps(extract, "stage_history") == {
        ("kept", ""): 5, ("quarantined", ""): 1, ("excluded", "identical copy"): 3
    }  # fmt: skip
    assert kept(extract, "stage_history")[["opportunity_id", "stage"]].values.tolist() == [
        ["1", "Closed Won"], ["1", "Demo"], ["2", "Closed Won"], ["2", "Demo"], ["2", "Offer"]
    ]  # fmt: skip


def test_local_times_of_an_export_become_utc(load):
    head = "Record ID,Deal Name,Deal Stage,Create Date,Close Date,Associated Company IDs (Primary)\n"
    rows = "1,d,Won,2024-07-01 14:30,2024-07-02,A1\n2,d,Won,2024-01-01 14:30,2024-07-02T14:30:00Z,A1\n"
    extract = load(settings="timezone: Europe/Berlin", opportunities=None, deals=head + rows)
    deals = kept(extract, "opportunities")
    assert deals["created_at"].astype(str).tolist() == ["2024-07-01 12:30:00", "2024-01-01 13:30:00"]
    assert deals["closed_at"].astype(str).tolist() == ["2024-07-01 22:00:00", "2024-07-02 14:30:00"]
    said = [one["read_as"] for one in extract.facts["assumed"] if one["column"] == "deals.csv"]
    assert "times without an offset are those of Europe/Berlin" in said


def test_people_are_joined_by_the_name_of_their_company_too(load):
    extract = load(
        accounts="account_id,created_at,account_name\nA1,2024-01-01,Acme\nA2,2024-01-01,Other\n",
        people="Person - ID,Person - Organization,Person - Person created\n1,ACME,2024-01-01\n2,Unknown,2024-01-01\n",
        prospects="prospect_id,account_name\nP1,Acme\n",
    )
    assert kept(extract, "contacts")["account_id"].dropna().tolist() == ["A1"]
    found = extract.checks.query("table == 'contacts' and n_rows > 0")
    assert found[["rule", "severity", "n_rows"]].values.tolist() == [
        ["joined by name", "warning", 1], ["name of no account", "warning", 1]
    ]  # fmt: skip
    assert kept(extract, "prospects")["prospect_id"].tolist() == ["P1"]
