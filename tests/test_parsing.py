"""Text becomes dates and numbers in one way per column, or a question."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pytest

from icp_lib.checks import DataError


@pytest.fixture
def read(load):
    """Read one column of opportunities: `read("amount", ["1", ...], settings)` -> the values kept (None: "
    "unreadable)."""

    def values(column, cells, settings=""):
        rows = "".join(f'O{number},A1,2020-01-01,open,"{cell}"\n' for number, cell in enumerate(cells))
        extract = load(
            settings="max_quarantined: 1\n" + settings,
            opportunities=f"opportunity_id,account_id,started,status,{column}\n".replace("started", "created_at")
            + rows,
        )
        return _values(extract, "opportunities", column, len(cells))

    return values


@pytest.fixture
def read_dates(load):
    """Read accounts.created_at in the same way."""

    def values(cells, settings=""):
        rows = "".join(f'O{number},"{cell}"\n' for number, cell in enumerate(cells))
        extract = load(
            settings="max_quarantined: 1\n" + settings,
            accounts="account_id,created_at\n" + rows,
            opportunities="opportunity_id,account_id,created_at,status\nX,O0,2030-01-01,open\n"
            if not settings.startswith("date_format: '")
            else "opportunity_id,account_id,created_at,status\nX,O0,x,open\n",
        )
        return _values(extract, "accounts", "created_at", len(cells))

    return values


def _values(extract, table, column, n):
    frame = pd.read_parquet(extract.path(table)).set_index(f"{'account' if table == 'accounts' else 'opportunity'}_id")
    values = frame[column].reindex([f"O{number}" for number in range(n)])
    return [None if pd.isna(value) else value for value in values]


def at(text):
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("cell", "utc"),
    [
        ("2026-09-30", "2026-09-29 22:00"),
        ("2026-01-31", "2026-01-30 23:00"),
        ("2026-09-30 10:00:00", "2026-09-30 10:00"),
        ("2026-09-30T10:00", "2026-09-30 10:00"),
        ("2026-09-30T10:00Z", "2026-09-30 10:00"),
        ("2026-09-30 10:00:00 UTC", "2026-09-30 10:00"),
        ("2026-09-30T10:00:00.250+02:00", "2026-09-30 08:00:00.250"),
        ("2026-09-30T10:00 +0200", "2026-09-30 08:00"),
        ("2026-09-30T23:30:00-07", "2026-10-01 06:30"),
        ("2026-02-30", None),
        ("0026-02-03", None),
        ("9999-12-31", None),
        ("2026-09-30T25:00", None),
    ],
)
def test_iso_dates(read_dates, cell, utc):
    assert read_dates([cell, "2026-01-01"], "timezone: Europe/Berlin")[0] == (at(utc) if utc else None)


@pytest.mark.parametrize(
    ("zone", "utc"), [("America/Los_Angeles", "2026-09-30 07:00"), ("Pacific/Auckland", "2026-09-29 11:00")]
)
def test_a_day_is_a_day_in_the_company_s_time_zone(read_dates, zone, utc):
    assert read_dates(["2026-09-30"], f"timezone: {zone}") == [at(utc)]


@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (["31.12.2026", "1.2.2026"], ["2026-12-31", "2026-02-01"]),
        (["31/12/2026", "01/02/2026"], ["2026-12-31", "2026-02-01"]),
        (["12/31/2026", "01/02/2026"], ["2026-12-31", "2026-01-02"]),
        (["31-12-2026", "01-02-2026"], ["2026-12-31", "2026-02-01"]),
        (["2026/12/31", "2026/02/01"], ["2026-12-31", "2026-02-01"]),
        (["31/12/2026", "30/12/2026", "12/31/2026"], ["2026-12-31", "2026-12-30", None]),
        (["31/12/2026", "30/11/26"], ["2026-12-31", None]),
        (["2026-12-31", "2026-12-30", "31.12.2026"], ["2026-12-31", "2026-12-30", None]),
    ],
)
def test_one_way_of_writing_for_a_column(read_dates, cells, days):
    assert read_dates(cells) == [at(day) if day else None for day in days]


@pytest.mark.parametrize("mark", ["/", "-"])
def test_an_ambiguous_column_is_a_question(read_dates, mark):
    with pytest.raises(DataError) as error:
        read_dates([f"01{mark}02{mark}2026", f"03{mark}04{mark}2026"])
    assert str(error.value) == (
        f"accounts, column created_at: no day is above 12, so %d{mark}%m{mark}%Y and %m{mark}%d{mark}%Y both "
        f"read all 2 "
        f"dates. Say which in icp.yml: date_format: {{accounts.created_at: '%d{mark}%m{mark}%Y'}}."
    )


@pytest.mark.parametrize(
    ("declared", "cell", "utc"),
    [
        ("%m/%d/%Y", "01/02/2026", "2026-01-01 23:00"),
        ("%d/%m/%y", "01/02/26", "2026-01-31 23:00"),
        ("%d.%m.%Y %H:%M", "01.02.2026 10:00", "2026-02-01 10:00"),
        ("%d.%m.%Y %H:%M %z", "01.02.2026 10:00 +0200", "2026-02-01 08:00"),
    ],
)
@pytest.mark.parametrize("key", ["accounts.created_at", "*"])
def test_a_declared_format(read_dates, declared, cell, utc, key):
    how = f"date_format: '{declared}'" if key == "*" else f"date_format: {{{key}: '{declared}'}}"
    assert read_dates([cell], f"{how}\ntimezone: Europe/Berlin") == [at(utc)]


def test_a_declared_format_that_is_none(read_dates):
    with pytest.raises(DataError, match=r"icp.yml: date_format: '%q' for accounts.created_at is not a date format"):
        read_dates(["2026-01-01"], "date_format: '%q'")


def test_months(load):
    spend = "month,category,amount\n2026-09-01,media,1\n2026-10,tools,1\n2026-10-02,media,1\nOct 2026,media,1\n"
    extract = load(settings="max_quarantined: 1\ntimezone: America/Los_Angeles", spend=spend)
    assert pd.read_parquet(extract.path("spend"))["month"].tolist() == [at("2026-09-01"), at("2026-10-01")]
    assert extract.checks.query("table == 'spend' and n_rows > 0")["rule"].tolist() == [
        "readable",
        "first of the month",
    ]


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1000", "1e3", "+5.", ".5", "0"], [1000, 1000, 5, 0.5, 0]),
        (["1,234,567", "1,234.5", "12"], [1234567, 1234.5, 12]),
        (["1.234,50", "2.000", "7"], [1234.5, 2000, 7]),
        (["1.234.567", "1.234", "12,5"], [1234567, 1234, 12.5]),
        (["€1.200,50", "1200 €", "EUR 3", "(€5,25)", "-€ 4"], [1200.5, 1200, 3, None, None]),
        (["1'200.00", "1 234 567.5", "1\u00a0000.5", "1\u202f000"], [1200, 1234567.5, 1000.5, 1000]),
        (["0.125", "0.250"], [0.125, 0.25]),
        (["$5", "£5", "12 34", "5%", "1e999", "nan", "--1", "."], [None] * 8),
    ],
)
def test_money(read, cells, values):
    assert read("amount", cells) == values


def test_negative_money_in_parentheses(read):
    assert read("gross_margin", ["(500)", "(€1,200.50)", "-€ 4", "5 EUR"]) == [-500, -1200.5, -4, 5]


def test_thousands_or_decimals_is_a_question(read):
    with pytest.raises(DataError) as error:
        read("amount", ["1.234", "20", "3,456"])
    assert str(error.value) == (
        "opportunities, column amount: 2 numbers such as 1.234 or 1,234 may be thousands or decimals. "
        "Say in icp.yml which mark your decimals have: decimal: '.' or decimal: ','."
    )
    assert read("amount", ["1.234", "20"], "decimal: ','") == [1234, 20]
    assert read("amount", ["1.234", "20"], "decimal: '.'") == [1.234, 20]


def test_flags_whole_numbers_and_words(load):
    extract = load(
        accounts="account_id,created_at,is_deleted,employees,account_type\n"
        "A1,2024-01-01,No,12.0,Customer\nA2,2024-01-01,0,12.5,prospect\nA3,2024-01-01,maybe,1,prospect\n"
    )
    frame = pd.read_parquet(extract.path("accounts"))
    assert frame[["account_id", "is_deleted", "employees", "account_type"]].values.tolist() == [
        ["A1", False, 12, "customer"]
    ]


def test_what_names_a_person_becomes_a_code_that_still_joins(load):
    extract = load(
        contacts="contact_id,account_id,department\nann@example.com,A1,Sales\nC2,A1,ask bob@example.com\n",
        touches="touch_id,occurred_at,touch_type,contact_id\nT1,2024-02-01,call,ann@example.com\nT2,2024-02-01,call,C2\n",
        opportunities="opportunity_id,account_id,created_at,status,owner_id\nO1,A1,2024-02-01,open,Ann Lee\n",
    )
    contacts = pd.read_parquet(extract.path("contacts"))
    touches = pd.read_parquet(extract.path("touches"))
    owner = pd.read_parquet(extract.path("opportunities"))["owner_id"]
    assert set(touches["contact_id"]) == set(contacts["contact_id"])
    assert contacts["contact_id"].str.fullmatch(r"code-[0-9a-f]{12}|C2").all()
    assert contacts["department"].tolist() == ["ask (e-mail)", "Sales"]
    assert owner.str.fullmatch(r"code-[0-9a-f]{12}").all()
    assumed = {f"{item['table']}.{item['column']}": item["read_as"] for item in extract.facts["assumed"]}
    assert assumed["contacts.contact_id"] == "text; 1 cells that name a person are replaced by a code"
