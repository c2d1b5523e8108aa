"""The quarter is what it says, and tables come back as they were saved."""

from __future__ import annotations

import json
import math
from datetime import date, datetime

import pandas as pd
import pytest

from icp_lib import run as runs
from icp_lib.checks import DataError
from icp_lib.run import Quarter
from icp_lib.saved import FORMULA, plain_cell, read_table, safe_cell


@pytest.fixture
def run(company, tmp_path):
    deals = (
        "opportunity_id,account_id,created_at,closed_at,status,amount,type\n"
        "O1,A1,2024-02-01,2024-03-01,won,1000,\nO2,A2,2024-03-01,2024-07-02,won,2000,new\n"
        "O3,A3,2024-04-01,,open,3000,renewal\nO4,A3,2024-04-01,2024-05-01,won,30,renewal\nO5,A3,2024-08-01,,open,1,\n"
    )
    return runs.start_run("2024-Q2", str(company(opportunities=deals)), str(tmp_path / "out"))


@pytest.mark.parametrize("text", ["2026-Q3", "2026Q3"])
def test_a_quarter(text):
    quarter = Quarter.parse(text)
    assert (str(quarter), quarter.start, quarter.as_of) == ("2026-Q3", date(2026, 7, 1), date(2026, 9, 30))
    assert str(quarter.previous) == "2026-Q2" and str(Quarter(2026, 1).previous) == "2025-Q4"


WRONG = [
    "",
    "../x",
    "2026-Q5",
    "2026-Q0",
    "2026-Q1\n",
    " 2026-Q1",
    "2026-q1",
    "1926-Q1",
    "2026",
    "/etc",
    "2026-Q1/..",
    None,
]


@pytest.mark.parametrize("text", [*WRONG, "\uff12\uff10\uff12\uff16-Q1"])
def test_what_is_no_quarter(text):
    with pytest.raises(DataError, match=r"quarter: .* is not a quarter\. Write it as 2026-Q3\."):
        Quarter.parse(text)


def test_no_quarter_touches_no_disk(company, tmp_path):
    with pytest.raises(DataError, match="is not a quarter"):
        runs.start_run("../x", str(company()), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("first_month", "start", "as_of"),
    [(1, (2026, 1, 1), (2026, 3, 31)), (4, (2025, 4, 1), (2025, 6, 30)), (12, (2025, 12, 1), (2026, 2, 28))],
)
def test_a_fiscal_year_is_named_after_the_year_in_which_it_ends(first_month, start, as_of):
    quarter = Quarter(2026, 1, first_month)
    assert (quarter.start, quarter.as_of) == (date(*start), date(*as_of))
    assert Quarter(2026, 4, first_month).end == Quarter(2027, 1, first_month).start
    assert Quarter(2027, 1, first_month).previous == Quarter(2026, 4, first_month)


@pytest.mark.parametrize("first_month", range(1, 13))
def test_the_last_quarter_that_has_ended(first_month):
    for number in range(1, 5):
        quarter = Quarter(2026, number, first_month)
        assert Quarter.before(quarter.end, first_month) == quarter
        assert Quarter.before(quarter.as_of, first_month) == quarter.previous


@pytest.mark.parametrize(
    ("zone", "number", "cutoff"),
    [
        ("Europe/Berlin", 3, datetime(2026, 9, 30, 22)),
        ("Europe/Berlin", 4, datetime(2026, 12, 31, 23)),
        ("America/Los_Angeles", 3, datetime(2026, 10, 1, 7)),
        ("UTC", 3, datetime(2026, 10, 1)),
    ],
)
def test_the_first_moment_after_the_quarter(zone, number, cutoff):
    assert Quarter(2026, number).cutoff(zone) == cutoff


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles", "Pacific/Auckland"])
def test_the_last_day_is_in_and_the_next_is_out(company, tmp_path, zone):
    folder = company(
        f"timezone: {zone}",
        accounts="account_id,created_at\nA1,2026-09-30\nA2,2026-10-01\n",
        opportunities="opportunity_id,account_id,created_at,status\nO1,A1,2026-09-30,open\n",
        spend="month,category,amount\n2026-09-01,media,1\n2026-10-01,media,2\n",
    )
    run = runs.start_run("2026-Q3", str(folder), str(tmp_path / "out"))
    assert run.accounts["account_id"].tolist() == ["A1"]
    assert run.spend["amount"].tolist() == [1]


def test_tables_are_as_of_the_quarter(run):
    deals = run.opportunities.set_index("opportunity_id")
    assert deals["status"].to_dict() == {"O1": "won", "O2": "open", "O3": "open", "O4": "won"}
    assert deals["is_relevant"].to_dict() == {"O1": True, "O2": True, "O3": False, "O4": False}
    (counts,) = run.visible.query("table == 'opportunities'").to_dict("records")
    names = ("visible", "relevant", "won", "won_other", "won_later", "won_ever")
    assert [counts[f"n_{name}"] for name in names] == [4, 2, 1, 1, 1, 3]
    assert run.n_rows["accounts"] == 3 and run.n_rows["leads"] == 0
    assert run.leads.empty and "mql_at" in run.leads


def test_an_unknown_table_names_the_closest(run):
    with pytest.raises(AttributeError, match=r"run has no 'oportunities'\. Did you mean 'opportunities'\?"):
        _ = run.oportunities


def test_a_fault_in_the_account_table_is_not_hidden_by_the_raw_one(run, monkeypatch):
    monkeypatch.setattr(runs.account_table, "build", lambda *_: None.nothing)
    with pytest.raises(AttributeError):
        _ = run.accounts


TEXTS = [f"{sign}1+1" for sign in FORMULA] + [
    " =1",
    "'=1",
    "'tis",
    "00012",
    "12 %",
    "a\r\nb",
    "a\rb",
    '"',
    "NA",
    "-",
    "-5",
]


def plain(text):
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "")


def test_a_table_comes_back_as_it_was_saved(run):
    texts = [plain(text) for text in TEXTS]
    frame = pd.DataFrame(
        {
            "account_id": [str(2**53 + number) for number in range(len(TEXTS))],
            "text": texts,
            "gap": [None, *texts[1:]],
            "n": range(len(TEXTS)),
            "negative": [-number - 0.5 for number in range(len(TEXTS))],
            "share": [1 / 3, math.nan, *[0.5] * (len(TEXTS) - 2)],
            "is_mature": [True, False] * (len(TEXTS) // 2) + [True] * (len(TEXTS) % 2),
        }
    ).astype({"text": "str", "gap": "str"})
    assert run.save(frame, "odd") is frame
    pd.testing.assert_frame_equal(run.table("odd"), frame, rtol=1e-10)


def test_what_a_spreadsheet_would_run_is_prefixed_and_numbers_are_not(run):
    run.save(pd.DataFrame({"text": ["=1+1", "＝1"], "number": [-5, 2 / 3], "empty": [None, ""]}), "odd")
    written = (run.work / "tables" / "odd.csv").read_bytes()
    assert written == "text,number,empty\n'=1+1,-5,\n'＝1,0.6666666667,\n".encode()


@pytest.mark.parametrize("text", TEXTS)
def test_a_safe_cell_starts_no_formula_and_is_undone(text):
    assert not safe_cell(text).strip().startswith(FORMULA)
    assert plain_cell(safe_cell(text)) == plain(text)


def test_an_empty_table_keeps_its_columns(run):
    run.save(pd.DataFrame(columns=["segment_id", "lift"]), "nothing")
    assert run.table("nothing").columns.tolist() == ["segment_id", "lift"]
    assert run.tables("nothing").empty


def test_a_table_is_read_from_the_working_folder_then_from_the_report(run):
    with pytest.raises(DataError, match=r"claims_01: not there yet for 2024-Q2\. Run `make report`, or the notebook"):
        run.table("claims_01")
    published = run.out / "2024-Q2" / "tables"
    published.mkdir(parents=True)
    (published / "claims_01.csv").write_text("claim\nold\n")
    (published / "claims_02.csv").write_text("claim\nkept\n")
    assert run.table("claims_01")["claim"].tolist() == ["old"]
    run.save(pd.DataFrame({"claim": ["new"]}), "claims_01")
    assert run.tables("claims_")["claim"].tolist() == ["new"]  # never a mixture of two runs
    assert run.tables("nothing_").empty


def test_last_quarter_s_table(run):
    assert run.previous("headline").empty
    folder = run.out / "2024-Q1" / "tables"
    folder.mkdir(parents=True)
    (folder / "headline.csv").write_text("lift\n1.5\n")
    assert run.previous("headline")["lift"].tolist() == [1.5]


@pytest.mark.parametrize("name", ["../x", "A", "a.b", "", "a/b", "1a", "a\n"])
def test_a_table_s_name_is_no_path(run, name):
    for use in (run.table, run.tables, run.previous, lambda name: run.save(pd.DataFrame(), name)):
        with pytest.raises(DataError, match="use small letters, digits and _"):
            use(name)


def test_a_check_raises_or_says_so(run):
    with pytest.raises(DataError, match=r"^check failed: rows add up$"):
        run.check(False, "rows add up")
    assert run.check(True, "rows add up") is not None


def test_the_profile_is_written_in_its_order(run):
    profile = {"segment": "Café", "conditions": [{"attribute": "industry", "op": "is", "value": "Retail"}]}
    assert run.save_profile(profile) is profile
    assert (run.work / "profile.yml").read_text(encoding="utf-8").startswith("segment: Café\nconditions:\n")


def test_a_notebook_reads_the_files_that_the_report_read(company, tmp_path):
    folder, elsewhere = company(), tmp_path / "exports"
    elsewhere.mkdir()
    for path in folder.glob("*.csv"):
        path.rename(elsewhere / path.name)
    note = tmp_path / "out" / ".work" / "2024-Q2" / "raw.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"data": str(folder), "raw": str(elsewhere)}))
    assert len(runs.start_run("2024Q2", str(folder), str(tmp_path / "out")).accounts) == 3
    note.write_text(json.dumps({"data": "another company", "raw": str(elsewhere)}))
    with pytest.raises(DataError, match=r"accounts: no accounts\.csv"):
        runs.start_run("2024-Q2", str(folder), str(tmp_path / "out"))


def test_read_table_knows_numbers_flags_and_text(tmp_path):
    (tmp_path / "t.csv").write_text("a_id,n,share,flag,zip,empty\n7,1,0.5,True,01067,\n8,,1e-05,False,20095,\n")
    frame = read_table(tmp_path / "t.csv")
    assert frame["a_id"].tolist() == ["7", "8"] and frame["zip"].tolist() == ["01067", "20095"]
    assert frame["n"].dtype == float and frame["share"].tolist() == [0.5, 1e-05]
    assert frame["flag"].dtype == bool and frame["empty"].isna().all()
