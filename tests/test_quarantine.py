"""What was found is told once, completely, and without naming anybody."""

from __future__ import annotations

import pandas as pd
import pytest

from icp_lib.quarantine import message, show_cell, show_key
from icp_lib.schemas import Column
from icp_lib.validation import Check

DIRTY = (
    "opportunity_id,account_id,created_at,closed_at,status,amount,notes\n"
    'O1,A1,2024-02-01,2024-03-01,won,5,"two\nlines"\n'
    "\n"
    "O2,A9,2024-02-01,2024-01-01,lost,n/a,Zebediah Canary\n"
    "O3,A1,2024-02-01,,open,7,\n"
)


def test_the_quarantine_says_file_line_reason_and_cells_as_written(load):
    extract = load(opportunities=DIRTY)
    frame = pd.read_csv(extract.cache / "quarantine" / "opportunities.csv", keep_default_na=False)
    assert frame.to_dict("records") == [
        {
            "file": "opportunities.csv",
            "line": 5,
            "reason": "account_id: unknown accounts; amount: readable; closed_at: closed before created",
            "opportunity_id": "O2",
            "account_id": "A9",
            "created_at": "2024-02-01",
            "closed_at": "2024-01-01",
            "status": "lost",
            "amount": "n/a",
        }
    ]
    assert not (extract.cache / "quarantine" / "accounts.csv").exists()


def test_a_row_with_three_errors_is_quarantined_once(load):
    population = load(opportunities=DIRTY).population.query("table == 'opportunities'")
    assert population[["step", "reason", "n_rows", "n_won"]].values.tolist() == [
        ["read", "", 3, 1],
        ["kept", "", 2, 1],
        ["quarantined", "", 1, 0],
    ]


def test_examples_are_the_first_five_ids(load):
    rows = "".join(f"A{number},soon\n" for number in (7, 3, 9, 1, 5, 8, 2))
    checks = load(accounts="account_id,created_at\nA0,2024-01-01\n" + rows).checks
    assert checks.query("rule == 'readable' and table == 'accounts'")["examples"].tolist() == ["A1; A2; A3; A5; A7"]


def test_the_file_and_line_of_the_second_file(load):
    extract = load(accounts_2="created_at,account_id\n2024-01-01,A8\nsoon,A9\n")
    (said,) = extract.checks.query("n_rows > 0")["message"]
    assert said.startswith("accounts_2.csv, column created_at: 1 of 5 rows") and "(first: line 3, account_id A9" in said


def test_a_row_of_a_parquet_file_has_no_line(company, tmp_path):
    from icp_lib import extract

    folder = company()
    (folder / "accounts.csv").unlink()
    frame = pd.DataFrame({"account_id": ["A1", "A2", "A3", "A4"], "created_at": ["2024-01-01"] * 3 + ["soon"]})
    frame.to_parquet(folder / "accounts.parquet")
    (said,) = extract.load(folder, tmp_path / "out").checks.query("n_rows > 0")["message"]
    assert "(first: row 4, account_id A4" in said


@pytest.mark.parametrize(
    ("kind", "cell", "shown"),
    [
        ("time", "2026-13-01", "'2026-13-01'"),
        ("money", "€ 1.200,-", "'€ 1.200,-'"),
        ("money", "n/a", "'n/a'"),
        ("time", "Ann Miller", "10 characters of text"),
        ("time", "ann@example.com", "15 characters of text"),
        ("id", "A7", "'A7'"),
        ("id", "ann@example.com", "'(hidden: 15 characters)'"),
        ("id", "Ann Miller", "'(hidden: 10 characters)'"),
        ("money", None, ""),
    ],
)
def test_a_cell_is_shown_unless_it_may_name_somebody(kind, cell, shown):
    assert show_cell(cell, Column("x", kind, "id", "")) == shown


def test_a_key_is_shown_unless_it_may_name_somebody():
    opportunity, stage = Column("opportunity_id", "id", "id", ""), Column("stage", "text", "outcome", "")
    assert show_key([], []) == "no id"
    assert show_key([opportunity, stage], ["O1", "Closed won"]) == "O1 / Closed won"
    assert show_key([opportunity, stage], ["O1", "ask ann@example.com"]) == "O1 / (hidden: 19 characters)"
    assert show_key([opportunity], [None]) == "opportunity_id (none)"


def test_range_in_words():
    found = {"file": "f.csv", "place": "line 2", "n_rows": 1, "n_checked": 1, "key": "no id", "cell": "6"}
    for low, high, words in ((0, 5, "0 to 5"), (1, None, "1 or more"), (None, 9, "9 or less")):
        assert f"are outside {words} (first" in message(
            Check("range", "x", "error", ""), Column("x", "number", "trait", "", low=low, high=high), found
        )
