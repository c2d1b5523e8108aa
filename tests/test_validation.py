"""Every rule is hit by a small case: how it counts, what it says, and what becomes of the row."""

from __future__ import annotations

import pandas as pd
import pytest

from icp_lib.schemas import Column
from icp_lib.validation import RULES, build_checks

A = "account_id,created_at\nA1,2024-01-01\nA2,2024-01-02\n"
O = "opportunity_id,account_id,created_at,closed_at,status,amount\n"  # noqa: E741
GOOD = O + "".join(f"G{number},A1,2024-01-01,2024-02-01,won,1000\n" for number in range(3))
STAGES = "stage,stage_order,is_closed,is_won\nOpened,1,no,no\nWon,2,yes,yes\nLost,3,yes,no\n"
MANY = "account_id,created_at\n" + "".join(f"D{n},2023-01-{n + 1:02}\nM{n},2024-06-05\n" for n in range(25))

NAMED = {
    "accounts": "account_id,created_at,account_name\nA1,2024-01-01,ACME Ltd\nA2,2024-01-02,Twin\nA3,2024-01-02,Twin\n",
    "opportunities": None,
}
DEALS = (
    "Deal - ID,Deal - Status,Deal - Organization,Deal - Deal created,Deal - Deal closed on,Deal - Value\n"
    "7,lost,Acme Ltd,2024-01-01,2024-02-01,\n"
)

#: rule, tables, fate of the first bad row, message
CASES = {
    "required": (
        {"accounts": A + ",2024-01-03\n"},
        "quarantined",
        "accounts.csv, column account_id: 1 of 3 rows have no value (first: line 4, account_id (none)). "
        "Fill it in at the source and export again.",
    ),
    "readable": (
        {"accounts": A + "A3,soon\n"},
        "quarantined",
        "accounts.csv, column created_at: 1 of 3 rows cannot be read as a date (first: line 4, account_id A3: 4 "
        "characters "
        "of text). Mend the cells at the source, or set date_format in icp.yml.",
    ),
    "allowed": (
        {"opportunities": GOOD + "O9,A1,2024-01-01,,wonn,5\n"},
        "quarantined",
        "opportunities.csv, column status: 1 of 4 rows hold a word that is not one of open, won, lost "
        "(first: line 5, opportunity_id O9: 'wonn'). Use one of these words.",
    ),
    "range": (
        {"opportunities": GOOD + "O9,A1,2024-01-01,2024-02-01,won,-5\n"},
        "quarantined",
        "opportunities.csv, column amount: 1 of 4 rows are outside 0 or more (first: line 5, opportunity_id O9: '-5'). "
        "Check the sign and the unit.",
    ),
    "duplicate key": (
        {"accounts": A + "A2,2024-01-03\n"},
        "quarantined",
        "accounts.csv, column account_id: 2 of 3 rows share their account_id with a row that says something else "
        "(first: line 3, account_id A2). Keep one row for each account_id.",
    ),
    "identical copy": (
        {"accounts": A + "A2,2024-01-02\nA2,2024-01-02\n"},
        "excluded",
        "accounts.csv, column account_id: 2 of 4 rows are identical copies of another row (first: line 4, "
        "account_id A2). "
        "Nothing to do: one of each is kept.",
    ),
    "unknown {parent}": (
        {"opportunities": GOOD + "O9,A7,2024-01-01,,open,5\n"},
        "quarantined",
        "opportunities.csv, column account_id: 1 of 4 rows refer to a row that is not among the valid accounts "
        "(first: line 5, opportunity_id O9: 'A7'). Export the missing accounts, or remove the rows.",
    ),
    "unknown {parent}, optional": (
        {"contacts": "contact_id,account_id\nC1,A1\nC2,A7\nC3,\n"},
        "kept",
        "contacts.csv, column account_id: 1 of 3 rows refer to a row that is not among the valid accounts "
        "(first: line 3, contact_id C2: 'A7'). Kept; whatever needs the link leaves them out.",
    ),
    "closed without a date": (
        {"opportunities": GOOD + "O9,A1,2024-01-01,,won,5\nO8,A1,2024-01-01,,open,5\n"},
        "quarantined",
        "opportunities.csv, column closed_at: 1 of 5 rows are won or lost without a closed_at "
        "(first: line 5, opportunity_id O9). Add the closing date.",
    ),
    "closed before created": (
        {"opportunities": GOOD + "O9,A1,2024-01-10T01:00:00Z,2024-01-09T00:59:59Z,lost,5\n"},
        "quarantined",
        "opportunities.csv, column closed_at: 1 of 4 rows close more than a day before they were created "
        "(first: line 5, opportunity_id O9: '2024-01-09T00:59:59Z'). Correct the dates.",
    ),
    "closed a little before created": (
        {"opportunities": GOOD + "O9,A1,2024-01-10T01:00:00Z,2024-01-09T01:00:00Z,lost,5\n"},
        "kept",
        "opportunities.csv, column closed_at: 1 of 4 rows close up to a day before they were created (time "
        "zones do this) "
        "(first: line 5, opportunity_id O9: '2024-01-09T01:00:00Z'). Kept, with a cycle of 0 days.",
    ),
    "entered before created": (
        {"stage_history": "opportunity_id,stage,entered_at\nG1,Opened,2023-12-31\nG2,Opened,2023-12-30\n"},
        "quarantined",
        "stage_history.csv, column entered_at: 1 of 2 rows enter a stage more than a day before the opportunity "
        "was created "
        "(first: line 3, G2 / Opened / 2023-12-30: '2023-12-30'). Correct the dates.",
    ),
    "won without amount": (
        {"opportunities": GOOD + "O9,A1,2024-01-01,2024-02-01,won,\nO8,A1,2024-01-01,2024-02-01,won,0\n"},
        "kept",
        "opportunities.csv, column amount: 2 of 5 rows are won with an amount of zero or none (first: line 5, "
        "opportunity_id O9). Kept as won with no margin. Add the amounts if there were any.",
    ),
    "amount 1,000 times the usual": (
        {"opportunities": GOOD + "O9,A1,2024-01-01,,open,1000000\nO8,A1,2024-01-01,,open,0.99\n"},
        "kept",
        "opportunities.csv, column amount: 2 of 5 rows are 1,000 times the median or more, or less than a "
        "thousandth of it "
        "(first: line 5, opportunity_id O9: '1000000'). Kept. Check the unit (cents, thousands).",
    ),
    "unknown stage": (
        {"stages": STAGES, "stage_history": "opportunity_id,stage,entered_at\nG1,Demo,2024-01-05\n"},
        "quarantined",
        "stage_history.csv, column stage: 1 of 1 row are in a stage that stages does not list "
        "(first: line 2, G1 / Demo / 2024-01-05: 4 characters of text). Add the stage to stages.",
    ),
    "first of the month": (
        {"spend": "month,category,amount\n2024-01-01,media,5\n2024-01-02,media,5\n"},
        "quarantined",
        "spend.csv, column month: 1 of 2 rows are not the first day of a month (first: line 3, no id: '2024-01-02'). "
        "Write months as 2026-09-01.",
    ),
    "other currency": (
        {"spend": "month,category,amount,currency\n2024-01-01,media,5,EUR\n2024-01-01,media,5,USD\n"},
        "quarantined",
        "spend.csv, column currency: 1 of 2 rows are in a currency without a rate (first: line 3, no id: 'USD'). "
        "Add it to fx.csv (currency, rate), or export the company's currency.",
    ),
    "joined by name": (
        NAMED | {"deals": DEALS + "9,won,Acme  ltd,2024-01-01,2024-02-01,\n"},
        "kept",
        "deals.csv, column account_id: 2 of 2 rows have no id of their account and are joined to it by its name "
        "(first: line 2, opportunity_id 7: 'A1'). Kept. Add the account's id to the export: a company that changed "
        "its name is not found.",
    ),
    "name of no account": (
        NAMED | {"deals": DEALS + "9,won,Acme Limited,2024-01-01,2024-02-01,\n"},
        "quarantined",
        "deals.csv, column account_id: 1 of 2 rows have no id of their account, and its name is not among the valid "
        "accounts (first: line 3, opportunity_id 9). Add the account's id to the export.",
    ),
    "name of several accounts": (
        NAMED | {"deals": DEALS + "9,won,Twin,2024-01-01,2024-02-01,\n"},
        "quarantined",
        "deals.csv, column account_id: 1 of 2 rows have no id of their account, and several accounts have its name "
        "(first: line 3, opportunity_id 9). Add the account's id to the export.",
    ),
    "other word": (
        {"accounts": A, "opportunities": None, "deals": "Record ID,Deal Name,Deal Stage,Create Date,Close Date,"
         "Deal Type,Associated Company IDs\n1,a,Won,2024-01-01,2024-02-01,New Business,A1\n"
         "2,b,Won,2024-01-01,2024-02-01,Barter,A2\n"},
        "kept",
        "deals.csv, column type: 1 of 2 rows hold a word that is none of new, expansion, renewal (first: line 3, "
        "opportunity_id 2). Kept, and left empty: a deal without a type counts as new.",
    ),
    "many created on one day": (
        {"accounts": MANY, "opportunities": GOOD.replace("A1", "D1")},
        "kept",
        "accounts.csv, column created_at: 25 of 50 rows were all created on one day, as in an import "
        "(first: line 3, account_id M0: '2024-06-05'). Kept. Their creation date may be the import's.",
    ),
}  # fmt: skip


def test_every_rule_has_a_case():
    assert CASES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", CASES)
def test_rule(load, rule):
    tables, fate, said = CASES[rule]
    tables = {"accounts": A, "opportunities": GOOD} | tables
    extract = load(**tables)
    checks = extract.checks.query("n_rows > 0")
    table = {"deals": "opportunities"}.get(file := said.split(".csv")[0], file)
    parent = "opportunities" if table == "stage_history" else "accounts"
    (found,) = checks[(checks["table"] == table) & (checks["rule"] == rule.format(parent=parent))].to_dict("records")
    assert found["message"] == said
    assert found["severity"] == ("error" if fate == "quarantined" else "warning")
    steps = extract.population[extract.population["table"] == table].set_index("step")["n_rows"].to_dict()
    assert steps["read"] == sum(steps.values()) - steps["read"] == found["n_checked"]
    assert fate in steps and (fate == "kept" or steps[fate] == found["n_rows"])
    assert len(pd.read_parquet(extract.path(table))) == steps.get("kept", 0)


def test_negative_spend_is_named_and_set_aside(load):
    spend = "month,category,amount\n2024-01-01,media,5\n2024-01-01,media,-5\n"
    extract = load(accounts=A, opportunities=GOOD, spend=spend)
    (found,) = extract.checks.query("n_rows > 0 and table == 'spend'").to_dict("records")
    assert found["message"] == (
        "spend.csv, column amount: 1 of 2 rows are outside 0 or more (first: line 3, no id: '-5'). "
        "Check the sign and the unit."
    )
    assert len(pd.read_parquet(extract.path("spend"))) == 1


def test_won_deals_without_the_column_closed_at_are_not_open(load):
    extract = load(
        opportunities="opportunity_id,account_id,created_at,status\nO1,A1,2024-02-01,won\nO2,A1,2024-02-01,open\n"
    )
    (said,) = extract.checks.query("rule == 'closed without a date'")["message"]
    assert said.startswith(
        "opportunities.csv, column closed_at: 1 of 2 rows are won or lost without a closed_at (first: line 2"
    )


def test_a_check_that_found_nothing_is_listed(load):
    checks = load().checks
    assert (checks["n_rows"] == 0).all() and (checks["message"] == "").all()
    assert {"required", "readable", "range", "duplicate key", "closed before created"} <= set(checks["rule"])


def test_checks_are_about_columns_that_the_extract_has():
    facts = {"parents": set(), "marks": set(), "median_amount": None, "has_stages": False, "import_day": None}
    key = Column("account_id", "id", "id", "", required=True, key=True, references="accounts")
    assert [check.rule for check in build_checks("surveys", [key], facts)] == [
        "required",
        "duplicate key",
        "identical copy",
    ]
