"""Cells -> SQL, run in the engine against the same rule written in Python."""

from __future__ import annotations

import csv

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icp_lib.checks import DataError
from icp_lib.recognition import normalise
from icp_lib.transforms import Where, fold_sql, transform_sql, where_sql

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
IDS = st.text("ABCXYZabcxyz0159", min_size=15, max_size=15)


def run(sql: str, *cells):
    """Value of an SQL expression over the cells c0, c1, ..."""
    columns = ", ".join(f"CAST(? AS VARCHAR) AS c{number}" for number in range(len(cells)))
    return duckdb.execute(f"SELECT {sql} FROM (SELECT {columns})", list(cells)).fetchone()[0]


def do(transform: str, *cells):
    return run(transform_sql(transform, *(f"c{number}" for number in range(len(cells)))), *cells)


def complete(short: str) -> str:
    """15 -> 18: each suffix character is the number whose bits say which of five characters are capitals."""
    blocks = (short[start : start + 5] for start in (0, 5, 10))
    return short + "".join(LETTERS[sum(2**k for k, c in enumerate(block) if c.isupper())] for block in blocks)


@settings(max_examples=40, deadline=None)
@given(IDS)
def test_sf18_completes_as_the_python_rule(short):
    assert do("sf18", short) == complete(short)


@pytest.mark.parametrize("cell", [None, "", "001", "Acme Incorporated", "0015500000Xyy06AAB", "0015500000Xyy0é"])
def test_sf18_leaves_everything_else(cell):
    assert do("sf18", cell) == cell


def test_sf18_derives_the_real_ids_again(shared_data):
    found = set()
    for path in (shared_data / "crm_exports" / "dbt_salesforce_seeds").glob("*.csv"):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                cells = (
                    row.get(column) or "" for column in ("id", "account_id", "owner_id", "opportunity_id", "who_id")
                )
                found |= {cell for cell in cells if len(cell) == 18 and cell.isalnum() and cell[:2] == "00"}
    real = {cell for cell in found if complete(cell[:15]) == cell}
    assert len(real) >= 5
    for cell in real:
        assert do("sf18", cell[:15]) == cell


def test_sf18_with_a_prefix_keeps_one_kind_of_id():
    lead = "00Q" + "a" * 12
    assert do("sf18:00Q", lead) == complete(lead)
    assert do("sf18:003", lead) is None
    assert do("sf18:00Q", None) is None


@pytest.mark.parametrize(
    ("cell", "first"), [("12;34", "12"), ("12, 34", "12"), (" 12 ", "12"), ("12", "12"), (";34", None), (None, None)]
)
def test_first_id(cell, first):
    assert do("first_id", cell) == first


def test_first_filled():
    assert do("first_filled", None, "b") == "b"
    assert do("first_filled", "a", "b") == "a"


@pytest.mark.parametrize(
    ("won", "lost", "status"),
    [("true", "false", "won"), ("FALSE", "Yes", "lost"), ("false", "false", "open"), (None, None, "open"),
     ("1", "0", "won"), ("true", "true", None), ("perhaps", "false", None), ("Sí", "no", "won")],
)  # fmt: skip
def test_status_of_won_and_lost(won, lost, status):
    assert do("won_lost", won, lost) == status


@pytest.mark.parametrize(
    ("won", "closed", "status"),
    [("true", "true", "won"), ("0", "1", "lost"), ("false", "false", "open"), (None, "true", "lost"), ("x", "1", None)],
)
def test_status_of_won_and_closed(won, closed, status):
    assert do("won_closed", won, closed) == status


@pytest.mark.parametrize(
    ("stage", "status"),
    [("Closed Won", "won"), ("Closed Won (Sales Pipeline)", "won"), ("closedlost", "lost"), ("CLOSED LOST", "lost"),
     ("Gewonnen", "won"), ("Abgeschlossen und verloren", "lost"), ("Cierre ganado", "won"), ("Fermé gagné", "won"),
     ("Perdue", "lost"), ("Negotiation", "open"), ("Wonder round", "open"), ("Won/lost review", None),
     ("appointmentscheduled", "open"), ("103829", None), ("5b3b6a1e-7c55-4a7c-b0e4-1d2e3f4a5b6c", None), (None, None)],
)  # fmt: skip
def test_status_of_a_stage(stage, status):
    assert do("stage_word", stage) == status


@pytest.mark.parametrize(
    ("transform", "cell", "word"),
    [("deal_type", "New Business", "new"), ("deal_type", "newbusiness", "new"), ("deal_type", "NEW CUSTOMER", "new"),
     ("deal_type", "Existing Business", "expansion"), ("deal_type", "Existing Customer - Upgrade", "expansion"),
     ("deal_type", "Existing Customer - Renewal", "renewal"), ("deal_type", "Renewal", "renewal"),
     ("deal_type", "Neugeschäft", "new"), ("deal_type", "Pilot", None), ("deal_type", "newsletter", None),
     ("account_type", "Customer - Direct", "customer"), ("account_type", "PROSPECT", "prospect"),
     ("account_type", "Channel Partner / Reseller", "partner"), ("account_type", "Vendor", "partner"),
     ("account_type", "Competitor", "competitor"), ("account_type", "Other", None), ("account_type", None, None),
     ("status", "Won", "won"), ("status", "Offen", "open"), ("status", "Deleted", "deleted"),
     ("attribute", "NumberOfEmployees", "employees"), ("attribute", "Billing Country", "country"),
     ("attribute", "phone", None)],
)  # fmt: skip
def test_words(transform, cell, word):
    assert do(transform, cell) == word


def test_an_unknown_transform_is_refused():
    with pytest.raises(DataError, match=r"transform: 'first_ids' is not known. Did you mean 'first_id'"):
        transform_sql("first_ids", "c0")


@settings(max_examples=60, deadline=None)
@given(st.text("aZéÉ_-/ (%)1ñ…\u00a0\ufeff", max_size=12))
def test_cells_fold_as_headers_do(text):
    assert run(fold_sql("c0"), text) == normalise(text)


@pytest.mark.parametrize(
    ("cell", "is_kept", "holds"),
    [("Stage Name", True, True), ("Amount", True, False), (None, True, False), (None, False, True),
     ("stage", False, False)],
)  # fmt: skip
def test_conditions_on_rows(cell, is_kept, holds):
    conditions = [Where("Field", ("stagename", "stage"), is_kept)]
    assert run(where_sql(conditions, lambda header: "c0"), cell) is holds
