"""Files become text without damage: nothing shifts, nothing is guessed, what cannot be read is named with its line."""

from __future__ import annotations

import codecs

import duckdb
import pandas as pd
import pytest

from icp_lib import extract, feeding, opening, reading
from icp_lib.checks import DataError
from icp_lib.opening import BLANKS
from icp_lib.reading import escape_path, find_bytes, hold, line_at, lines_of
from icp_lib.settings import load_settings

HEAD = "account_id,created_at,industry\n"
ODD_IDS = ["NA", "None", "null", "00012", "9007199254740993", "1e5", "TRUE"]


def accounts(loaded) -> pd.DataFrame:
    return pd.read_parquet(loaded.path("accounts"))


@pytest.fixture
def find(tmp_path):
    """Open a company's files: `find(folder)` -> feeds by table, files not read and why."""

    def feeds(folder):
        scratch = tmp_path / "scratch"
        scratch.mkdir(exist_ok=True)
        return feeding.find_feeds(folder, opening.find_candidates(folder), load_settings(folder), scratch)

    return feeds


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_delimiters(load, mark):
    text = f'account_id{mark}created_at{mark}industry\nB1{mark}2024-01-01{mark}"a{mark}b"\n'
    assert accounts(load(accounts=text, opportunities=OPPORTUNITY.replace("A1", "B1"))).industry.tolist() == [
        f"a{mark}b"
    ]


OPPORTUNITY = "opportunity_id,account_id,created_at,status\nO1,A1,2024-02-01,open\n"


@pytest.mark.parametrize(
    "data",
    [
        codecs.BOM_UTF8 + (HEAD + "A1,2024-01-01,Retail\nA2,2024-01-02,Café\n").encode(),
        codecs.BOM_UTF8 + b'"account_id","created_at","industry"\nA1,2024-01-01,Retail\nA2,2024-01-02,Caf\xc3\xa9',
        (HEAD + "A1,2024-01-01,Retail\nA2,2024-01-02,Café\n").replace("\n", "\r\n").encode(),
        (HEAD + "A1,2024-01-01,Retail\nA2,2024-01-02,Café\n").replace("\n", "\r").encode(),
        (HEAD + "\n\nA1,2024-01-01,Retail\n\nA2,2024-01-02,Café\n\n").encode(),
        (HEAD + "A1 , 2024-01-01,\u00a0Retail\nA2,2024-01-02,Café\t\n").encode(),
        b" account_id ,created_at,industry,notes,\nA1,2024-01-01,Retail,x,\nA2,2024-01-02,Caf\xc3\xa9,y,\n",
    ],
    ids=["bom", "bom-quoted", "crlf", "cr", "blank-lines", "spaces", "other-columns"],
)
def test_the_same_rows_however_they_are_written(load, data):
    frame = accounts(load(accounts=data, opportunities=OPPORTUNITY))
    assert frame[["account_id", "industry"]].values.tolist() == [["A1", "Retail"], ["A2", "Café"]]


def test_ids_survive_as_text(load):
    rows = "".join(f"{name},2024-01-01,NA\n" for name in ODD_IDS)
    frame = accounts(load(accounts=HEAD + rows, opportunities=OPPORTUNITY.replace("A1", "00012")))
    assert sorted(frame["account_id"]) == sorted(ODD_IDS)
    assert frame["industry"].tolist() == ["NA"] * len(ODD_IDS)


def test_only_an_empty_cell_is_missing(load):
    frame = accounts(load(accounts=HEAD + 'A1,2024-01-01,""\nA2,2024-01-01,\nA3,2024-01-01,-\n'))
    assert frame["industry"].isna().tolist() == [True, True, False]


@pytest.mark.parametrize("blank", BLANKS)
def test_blanks_around_a_cell_go_and_those_within_stay(load, blank):
    cells = [f"{blank}x", f"x{blank}", f"{blank} x{blank}x\n{blank}", f"é{blank}", blank, f" {blank} "]
    rows = "".join(f'A{number},2024-01-01,"{cell}"\n' for number, cell in enumerate(cells, start=1))
    frame = accounts(load(accounts=HEAD + rows))
    assert frame["industry"].astype(object).where(frame["industry"].notna(), None).tolist() == [
        "x", "x", f"x{blank}x", "é", None, None
    ]  # fmt: skip


def test_a_first_look_finds_bytes_across_blocks_and_at_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "BLOCK", 4)
    for text, found in (
        (b"abc,\nd", {b",\n"}), (b"a,b\nc,", {b",\n"}), (b"abc\r\n", {b"\r"}), (b"", set()), (b"abcd", set())
    ):  # fmt: skip
        (tmp_path / "x").write_bytes(text)
        assert find_bytes(tmp_path / "x", {b",\n", b"\r"}) == found, text


def test_a_view_that_is_held_can_be_changed():
    with duckdb.connect() as con:
        con.execute("CREATE TABLE t AS SELECT 1 AS x; CREATE VIEW v AS FROM t")
        for _ in range(2):
            hold(con, "v")
            con.execute("UPDATE v SET x = x + 1")
        assert con.execute("SELECT v.x, t.x FROM v, t").fetchall() == [(3, 1)]


def test_a_long_cell_is_read(load):
    frame = accounts(load(accounts=HEAD + f"A1,2024-01-01,{'x' * 200_000}\nA2,bad,\nA3,2024-01-01,\n"))
    assert frame.loc[0, "industry"] == "x" * 200_000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "accounts.csv: the file is empty. Export it again, or remove it."),
        (codecs.BOM_UTF8 + b"\r\n\n", "accounts.csv: the file is empty."),
        (HEAD, "accounts.csv: a header and no rows."),
        ("\nx\n", "accounts.csv, line 1: blank. The header must stand in the first line."),
        ((HEAD + "A1,2024-01-01,x\n").encode("utf-16-le"), "accounts.csv: holds zero bytes"),
        (
            HEAD + "A1,2024-01-01,a\nA2,2024-01-01,b,c\n",
            "accounts.csv, line 3: 1 row cannot be split into the 3 columns",
        ),
        (
            HEAD + 'A1,2024-01-01,"a\nb"\n\nA2,2024-01-01\nA3\n',
            "accounts.csv, line 5: 2 rows cannot be split into the 3",
        ),
        (HEAD + "A1,2024-01-01,Food, drink,\n", "accounts.csv, line 2: 1 row cannot be split into the 3 columns"),
        (HEAD + "A0,2024-01-01,\nA1,2024-01-01,a,\n", "(first: line 3; 4 cells, the last empty)"),
        (HEAD + "A0,2024-01-01,x\nA1,2024-01-01,a,", "(first: line 3; 4 cells, the last empty)"),
        (HEAD + "A1,2024-01-01,a,b\n" * 1500, "accounts.csv, line 2: 1,000 rows or more cannot be split"),
        (HEAD + 'A1,2024-01-01,"a\nA2,2024-01-01,b\n', "accounts.csv, line 2: 1 row cannot be split"),
        ((HEAD + "A1,2024-01-01,a\n").encode() + b"A2,2024-01-01,b\r\n" * 3, "accounts.csv: not one regular CSV"),
        (
            "account_id,account_id,created_at\nA1,A1,2024-01-01\n",
            "header: the column 'account_id' stands 2 times. Keep one.",
        ),
        ("account_id,created_at,city,city\nA1,2024-01-01,,\n", "header: the column 'city' stands 2 times. Keep one."),
        ("account_id,created\nA1,2024-01-01\n", "header: the column 'created_at' is missing. Did you mean 'created'?"),
        ("A1,2024-01-01,Zebediah Canary\n", "is missing. It needs account_id, created_at in its first line."),
    ],
)
def test_what_cannot_be_read_is_named(load, data, said):
    with pytest.raises(DataError) as error:
        load(accounts=data)
    assert said in str(error.value)
    assert "Canary" not in str(error.value)


def test_a_bad_byte_far_down_is_found_before_a_word_is_read(load):
    rows = "".join(f"A{number},2024-01-01,{'é' * 30}\n" for number in range(15_000))
    data = (HEAD + rows).encode() + b"A,2024-01-01,\xff\n"
    with pytest.raises(DataError) as error:
        load(accounts=data)
    assert str(error.value) == (
        f"accounts.csv: neither UTF-8 nor Windows-1252 throughout (byte {len(data) - 1:,}). Save it as CSV UTF-8."
    )


def test_a_missing_file_names_the_closest(company, find):
    folder = company()
    (folder / "accounts.csv").rename(folder / "acounts.csv")
    with pytest.raises(
        DataError, match=r"accounts: no accounts.csv .* 'acounts' is there: is it the same\?\n.*\n? ?It needs"
    ):
        find(folder)


def test_other_files_are_told_and_folders_are_no_files(company, find):
    folder = company(deals_2025="x\n", feedback="quarter\n")
    (folder / "revenue.csv").mkdir()
    feeds, unread = find(folder)
    assert {table: [feed.file.path.name for feed in found] for table, found in feeds.items()} == {
        "accounts": ["accounts.csv"],
        "opportunities": ["opportunities.csv"],
    }
    assert unread.keys() == {"deals_2025.csv"}
    assert unread["deals_2025.csv"].startswith("no table has such columns.")


def test_files_of_one_table_may_have_other_columns_in_another_order(load):
    loaded = load(
        accounts_2="industry,created_at,account_id\nEnergy,2024-05-01,A9\n", accounts=HEAD + "A1,2024-01-01,Retail\n"
    )
    assert accounts(loaded)[["account_id", "industry"]].values.tolist() == [["A1", "Retail"], ["A9", "Energy"]]
    assert loaded.files.keys() == {"accounts.csv", "accounts_2.csv", "opportunities.csv"}


@pytest.mark.parametrize("start", ["", "sep=,\n", "A report\n\n"])
def test_line_numbers_count_quoted_breaks_blank_lines_and_what_stands_before_the_header(company, find, start):
    text = start + HEAD + 'A1,2024-01-01,"a\nb"\n\nA2,2024-01-01,x\n\n\nA3,2024-01-01,y\n'
    feeds, _ = find(company(accounts=text))
    file, before = feeds["accounts"][0].file, start.count("\n")
    assert lines_of(file, [0, 1, 2]) == {0: 2 + before, 1: 5 + before, 2: 8 + before}
    assert line_at(file.path, text.index("A3")) == 8 + before


def test_a_folder_named_like_a_pattern_reads_its_own_files(company, tmp_path):
    company(name="acme 2", accounts=HEAD + "WRONG,2024-01-01,x\n")
    folder = company(name="acme [2026]", accounts=HEAD + "A1,2024-01-01,x\n", opportunities=OPPORTUNITY)
    loaded = extract.load(folder, tmp_path / "out [1]*")
    assert accounts(loaded)["account_id"].tolist() == ["A1"]
    assert escape_path("a*b?[c]") == "a[*]b[?][[]c]"


def test_parquet_with_typed_columns_equals_csv(company, tmp_path):
    text = {
        "accounts": "account_id,created_at,employees,technologies,is_deleted\n"
        "A1,2024-01-01T10:00:00.5Z,12,CRM;ERP,false\nA2,2024-02-01T08:30:00Z,,,\n",
        "opportunities": "opportunity_id,account_id,created_at,closed_at,status,amount\n"
        "O1,A1,2024-02-01,2024-03-01,won,1000.125\nO2,A2,2024-02-02,,open,\n",
    }
    typed = company(name="typed")
    for table in text:
        (typed / f"{table}.csv").unlink()
    pd.DataFrame(
        {
            "account_id": ["A1", "A2"],
            "created_at": pd.to_datetime(["2024-01-01 10:00:00.5", "2024-02-01 08:30:00.0"]),
            "employees": [12.0, None],
            "technologies": [["CRM", "ERP"], None],
            "is_deleted": pd.array([False, None], dtype="boolean"),
        }
    ).to_parquet(typed / "accounts.parquet")
    days = [pd.Timestamp("2024-02-01").date(), pd.Timestamp("2024-02-02").date()]
    pd.DataFrame(
        {
            "opportunity_id": ["O1", "O2"],
            "account_id": pd.Categorical(["A1", "A2"]),
            "created_at": days,
            "closed_at": [pd.Timestamp("2024-03-01").date(), None],
            "status": ["won", "open"],
            "amount": [1000.125, None],
        }
    ).to_parquet(typed / "opportunities.parquet")
    plain = extract.load(company(name="plain", **text), tmp_path / "out")
    stored = extract.load(typed, tmp_path / "out")
    for table in text:
        pd.testing.assert_frame_equal(pd.read_parquet(plain.path(table)), pd.read_parquet(stored.path(table)))


def test_parquet_that_lost_digits_or_is_none(company, find):
    folder = company()
    (folder / "accounts.csv").unlink()
    pd.DataFrame({"account_id": [1.0, None], "created_at": ["2024-01-01"] * 2}).to_parquet(folder / "accounts.parquet")
    with pytest.raises(
        DataError, match=r"accounts\.parquet, column account_id: an id stored as a floating-point number"
    ):
        find(folder)
    (folder / "accounts.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(
        DataError, match=r"accounts\.parquet: not a readable Parquet file \(ArrowInvalid\)\. Export it again\."
    ):
        find(folder)
