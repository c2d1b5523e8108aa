"""The extract: nothing is lost, nothing is named, nothing half-built is seen, and only contents decide what it is."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from icp_lib import extract as extracts
from icp_lib.checks import DataError

CANARIES = ("canary-7f3a@example.com", "Zebediah Canary")

ids = st.sampled_from(["A1", "A2", "A3", "A4", "", "A9", "ä,\n1"])
days = st.sampled_from(["2024-01-01", "2024-02-10", "2024-02-11T10:00Z", "soon", "", "31.12.2024", "2024-02-09"])
ROWS = {
    "accounts": (
        "account_id,created_at,account_type,is_deleted,employees",
        st.tuples(
            ids, days, st.sampled_from(["customer", "test", "partnr", ""]), st.sampled_from(["", "yes", "?"]),
            st.sampled_from(["12", "-1", "1.5", ""])),
    ),
    "opportunities": (
        "opportunity_id,account_id,created_at,closed_at,status,amount",
        st.tuples(
            st.sampled_from(["O1", "O2", "O3", ""]), ids, days, days, st.sampled_from(["won", "lost", "open", "", "w"]),
            st.sampled_from(["5", "0", "-5", "x", ""])),
    ),
    "contacts": ("contact_id,account_id", st.tuples(st.sampled_from(["C1", "C2", ""]), ids)),
    "stage_history": (
        "opportunity_id,stage,entered_at",
        st.tuples(st.sampled_from(["O1", "O2", "O9"]), st.sampled_from(["Opened", "Demo", ""]), days),
    ),
    "revenue": ("account_id,month,revenue", st.tuples(ids, days, st.sampled_from(["1", "-1", ""]))),
}  # fmt: skip


def write_csv(path, header, rows):
    frame = pd.DataFrame(rows, columns=header.split(","))
    frame.to_csv(path, index=False)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_read_is_kept_and_quarantined_and_excluded(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dirty")
    n_read = {}
    for table, (header, row) in ROWS.items():
        rows = data.draw(st.lists(row, min_size=1, max_size=12), label=table)
        write_csv(folder / f"{table}.csv", header, rows)
        n_read[table] = len(rows)
    try:
        extract = extracts.load(folder, folder / "out", strict=False)
    except DataError as error:  # a column of dates in another way of writing may be a question
        assert "Say which in icp.yml" in str(error)
        return
    counts = extract.population.groupby(["table", "step"])["n_rows"].sum().unstack(fill_value=0)
    for table, read in n_read.items():
        steps = counts.loc[table].reindex(["read", "kept", "quarantined", "excluded"], fill_value=0)
        assert steps["read"] == read == steps[["kept", "quarantined", "excluded"]].sum()
        kept = pd.read_parquet(extract.path(table))
        assert len(kept) == steps["kept"]
        quarantine = extract.cache / "quarantine" / f"{table}.csv"
        assert (len(pd.read_csv(quarantine)) if quarantine.exists() else 0) == steps["quarantined"]
    accounts, deals = (pd.read_parquet(extract.path(table)) for table in ("accounts", "opportunities"))
    assert accounts["account_id"].is_unique and deals["opportunity_id"].is_unique
    assert set(deals["account_id"]) <= set(accounts["account_id"])


def steps(extract, table):
    rows = extract.population.query("table == @table and step != 'read'")
    return {(row.step, row.reason): row.n_rows for row in rows.itertuples()}


def test_excluded_accounts_take_what_belongs_to_them_along(load):
    extract = load(
        accounts="account_id,created_at,account_type,is_deleted,merged_into_account_id\n"
        "A1,2024-01-01,customer,,\nA2,2024-01-01,Test,,\nA3,2024-01-01,,true,\nA4,2024-01-01,,,A9\n",
        opportunities="opportunity_id,account_id,created_at,status\n"
        + "".join(f"O{n},A{n},2024-02-01,open\n" for n in (1, 2, 3, 4)),
        contacts="contact_id,account_id\nC1,A1\nC2,A2\n",
        touches="touch_id,occurred_at,touch_type,contact_id\nT1,2024-02-01,call,C1\nT2,2024-02-01,call,C2\n",
    )
    assert steps(extract, "accounts") == {
        ("kept", ""): 1,
        ("excluded", "test"): 1,
        ("excluded", "deleted"): 1,
        ("excluded", "merged into another account"): 1,
    }
    assert steps(extract, "opportunities") == {("kept", ""): 1, ("excluded", "belongs to an excluded account"): 3}
    assert steps(extract, "touches") == {("kept", ""): 1, ("excluded", "belongs to an excluded account"): 1}
    assert extract.checks.query("severity == 'error'")["n_rows"].sum() == 0


def test_which_accounts_are_excluded_is_a_setting(load):
    text = "account_id,created_at,account_type\nA1,2024-01-01,test\nA2,2024-01-01,prospect\nA3,2024-01-01,\n"
    assert ("excluded", "test") not in steps(load(settings="exclude: {account_types: []}", accounts=text), "accounts")


def test_identical_copies_and_conflicts_of_one_key(load):
    days = {"A1": "1", "A2": "11", "A3": "122"}
    rows = "".join(f"{name},2024-01-0{day}\n" for name, written in days.items() for day in written)
    extract = load(
        accounts="account_id,created_at\n" + rows,
        opportunities="opportunity_id,account_id,created_at,status\n"
        + "".join(f"O{n},A{n},2024-02-01,open\nO{n},A{n},2024-02-01,open\n" for n in (1, 2, 3)),
        stage_history="opportunity_id,stage,entered_at\nO1,Opened,2024-02-01\nO2,Opened,2024-02-01\n",
    )
    assert steps(extract, "accounts") == {("kept", ""): 2, ("excluded", "identical copy"): 1, ("quarantined", ""): 3}
    assert steps(extract, "opportunities") == {
        ("kept", ""): 2,
        ("excluded", "identical copy"): 2,
        ("quarantined", ""): 2,
    }
    assert steps(extract, "stage_history") == {("kept", ""): 2}


def test_status_from_the_stage(load):
    deals = (
        "opportunity_id,account_id,created_at,closed_at,stage\nO1,A1,2024-02-01,2024-03-01,{}\nO2,A2,2024-02-01,,{}\n"
    )
    extract = load(
        stages="stage,stage_order,is_closed,is_won\nOpened,1,,\nWon,2,yes,yes\nLost,3,yes,no\n",
        opportunities=deals.format("Won", "Opened"),
    )
    assert pd.read_parquet(extract.path("opportunities"))["status"].tolist() == ["won", "open"]
    with pytest.raises(
        DataError, match=r"opportunities: needs 'status' \(open, won, lost\), or 'stage' and a table stages"
    ):
        load(opportunities=deals.format("Won", "Opened"), name="other")


def test_no_name_and_no_address_in_anything_that_is_shown(load):
    address, name = CANARIES
    extract = load(
        accounts="account_id,created_at,account_name,employees,industry\n"
        f"A1,2024-01-01,{name},{name},\n{address},{name},{name},5,\n{name},{name},,,\n",
        opportunities="opportunity_id,account_id,created_at,closed_at,status,amount,owner_id,stage\n"
        f"O1,{address},{address},{name},{name},{address},{address},{name}\n"
        f"{address},{name},2024-01-01,,open,,{name},\n",
        contacts=f"contact_id,account_id,department,email\n{address},{address},{name},{address}\n",
        stages=f"stage,stage_order\n{address},{name}\n",
        spend=f"month,category,amount,currency\n{name},{address},{name},{address}\n",
    )
    shown = extract.checks.to_csv() + extract.population.to_csv() + json.dumps(extract.facts)
    assert extract.checks["n_rows"].sum() > 15
    for canary in (*CANARIES, "canary-7f3a", "Zebediah"):
        assert canary not in shown
    strict = extract.settings.model_copy(update={"max_quarantined": 0.0})
    with pytest.raises(DataError) as error:
        extracts.check_quarantined(extracts.Extract(strict, extract.cache, "", {}))
    assert not any(canary in str(error.value) for canary in CANARIES)


def test_too_much_in_quarantine_stops(company, tmp_path):
    rows = "".join(f"A{n},2024-01-{n + 1:02}\n" for n in range(18))
    folder = company("", accounts="account_id,created_at\n" + rows + "B1,soon\n")
    with pytest.raises(DataError) as error:
        extracts.load(folder, tmp_path / "out")
    assert str(error.value).startswith(
        "accounts: 1 of 19 rows (5.3%) cannot be used, more than max_quarantined in icp.yml (5%):\n"
        "  accounts.csv, column created_at: 1 of 19 rows cannot be read as a date (first: line 20, account_id "
        "B1: 4 char"
    )
    assert len(pd.read_parquet(extracts.load(folder, tmp_path / "out", strict=False).path("accounts"))) == 18
    company("", accounts="account_id,created_at\n" + rows + "A18,2024-02-01\nB1,soon\n")
    extracts.load(folder, tmp_path / "out")


def test_the_same_contents_are_read_once(company, tmp_path, monkeypatch):
    folder, said = company(), []
    first = extracts.load(folder, tmp_path / "out", say=said.append)
    assert said == ["opening files", "reading accounts", "reading opportunities"]
    monkeypatch.setattr(extracts, "_read", lambda *_: pytest.fail("read again"))
    second = extracts.load(folder, tmp_path / "out")
    assert second.cache == first.cache
    assert second.checks.equals(first.checks) and second.facts == first.facts


def test_each_step_of_a_large_table_is_told(company, tmp_path, monkeypatch):
    monkeypatch.setattr(extracts, "LARGE", 4)
    rows, said = "".join(f"A{number},2024-01-01\n" for number in range(1, 5)), []
    extracts.load(company(accounts="account_id,created_at\n" + rows), tmp_path / "out", say=said.append)
    assert said == [
        "opening files", "reading accounts", "checking accounts, 4 rows", "writing accounts", "reading opportunities"
    ]  # fmt: skip


def test_contents_settings_and_nothing_else_make_the_fingerprint(company, tmp_path):
    folder = company()
    first = extracts.load(folder, tmp_path / "out").fingerprint
    moved = shutil.copytree(folder, tmp_path / "elsewhere" / "other name")
    assert extracts.load(moved, tmp_path / "other out").fingerprint == first
    (moved / "fx.csv").write_text("currency,rate\nUSD,0.9\n")
    assert extracts.load(moved, tmp_path / "other out").fingerprint != first
    (moved / "fx.csv").unlink()
    (moved / "accounts.sql").write_text("SELECT account_id, created_at, industry FROM accounts")
    assert extracts.load(moved, tmp_path / "other out").fingerprint != first
    (moved / "accounts.sql").unlink()
    files = moved.parent / "files"
    files.mkdir()
    for path in moved.glob("*.csv"):
        path.rename(files / path.name)
    assert extracts.load(moved, tmp_path / "out", files).fingerprint == first
    (moved / "icp.yml").write_text("max_quarantined: 1\nraw: ../files\nname: Acme\nquarter: 2026-Q1\n")
    assert extracts.load(moved, tmp_path / "out").fingerprint == first
    (moved / "icp.yml").write_text("max_quarantined: 0.9\nraw: ../files\n")
    assert extracts.load(moved, tmp_path / "out").fingerprint != first
    data = (folder / "accounts.csv").read_bytes()
    (folder / "accounts.csv").write_bytes(data.replace(b"Energy", b"energy"))
    assert extracts.load(folder, tmp_path / "out").fingerprint != first


def test_a_file_that_is_not_read_is_named_with_the_reason(load):
    """It may be recognised after a change, so it is part of the fingerprint."""
    plain, more = load(), load(unrelated="x\n1\n", name="more")
    assert plain.fingerprint != more.fingerprint
    assert more.facts["not_read"] == [
        "unrelated.csv: no table has such columns. Name it after a canonical table and use its columns, or write "
        "<table>.sql."
    ]


def test_the_run_id_depends_on_the_quarter(load):
    extract = load()
    assert extracts.run_id(extract, "2026-Q1") != extracts.run_id(extract, "2026-Q2")
    assert len(extracts.run_id(extract, "2026-Q1")) == 8


def test_a_half_built_cache_is_never_seen(company, tmp_path, monkeypatch):
    folder, out = company(), tmp_path / "out"
    with monkeypatch.context() as broken:
        broken.setattr(extracts.quarantine, "count_fates", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            extracts.load(folder, out)
    assert list((out / ".cache").iterdir()) == []
    extract = extracts.load(folder, out)
    (extract.cache / "_facts.json").unlink()
    assert extracts.load(folder, out).facts["present"]["accounts"] == ["account_id", "created_at", "industry"]
    assert [path.name for path in (out / ".cache").iterdir()] == [extract.fingerprint]


def test_equal_contents_give_equal_bytes(company, tmp_path):
    folder = company()
    one, two = (extracts.load(folder, tmp_path / name) for name in ("one", "two"))
    for path in sorted(one.cache.iterdir()):
        assert path.read_bytes() == (two.cache / path.name).read_bytes(), path.name


def test_out_that_cannot_be_written(company, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DataError, match=r"OUT: the cache in 'out' cannot be written"):
        extracts.load(company(), tmp_path / "out")


def test_missing_raw(company, tmp_path):
    with pytest.raises(DataError, match=r"RAW: the folder 'nowhere' does not exist"):
        extracts.load(company(), tmp_path / "out", tmp_path / "nowhere")


def test_a_declared_trait_is_typed_and_an_absent_table_is_empty(load):
    extract = load(
        settings="traits: {fleet: {bins: [1, 10]}, industry: }",
        accounts="account_id,created_at,fleet,phone\nA1,2024-01-01,12,1\nA2,2024-01-01,,2\nA3,2024-01-01,3.5,3\n",
    )
    frame = pd.read_parquet(extract.path("accounts"))
    assert frame["fleet"].tolist()[::2] == [12, 3.5] and "phone" not in frame
    leads = pd.read_parquet(extract.path("leads"))
    assert leads.empty and {"lead_id", "mql_at"} <= set(leads.columns)
