"""One company in three ways of writing: canonical files, a HubSpot export, Salesforce objects and reports."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from icp_lib import extract
from icp_lib.transforms import _SUFFIX

SETTINGS = "currency: EUR\ntimezone: Europe/Berlin\n"
INDUSTRIES = ("Retail", "Energy", "Müller & Söhne, Print", "NA")
STAGES = ("Appointment Scheduled", "Contract Sent")
LAST = {"won": "Closed Won", "lost": "Closed Lost", "open": "Contract Sent"}
#: What all three can carry.
SHARED = {
    "accounts": ["account_id", "created_at", "industry", "employees", "annual_revenue", "country", "region", "city"],
    "opportunities": ["opportunity_id", "account_id", "created_at", "closed_at", "status", "stage", "amount", "type"],
    "stage_history": ["opportunity_id", "stage", "entered_at"],
    "contacts": ["contact_id", "account_id", "created_at"],
}


def day(number):
    """A day of 2024, summer or winter."""
    return (pd.Timestamp("2024-01-01") + pd.Timedelta(days=number)).strftime("%Y-%m-%d")


def utc(local):
    """What a clock in Berlin says, in UTC, as Salesforce writes it."""
    return pd.Timestamp(local).tz_localize("Europe/Berlin").tz_convert("UTC").strftime("%Y-%m-%dT%H:%M:%S.000+0000")


ACCOUNTS = [
    dict(n=n, name=f"Company {n}", created=day(n * 5), industry=INDUSTRIES[n % 4], employees=str(n * n + 1),
         revenue=f"{n * 1234.5:.2f}", country="Germany", region="Bayern" if n % 3 else "", city="München")
    for n in range(30)
]  # fmt: skip
DEALS = [
    dict(n=n, account=n % 30, created=day(n * 4 + 2), closed=day(n * 4 + 30),
         status=("won", "lost", "open")[n % 3], amount=f"{1000 + n * 37.5:.2f}", type=("new", "expansion", "")[n % 3],
         entered=[day(n * 4 + 2), day(n * 4 + 10), day(n * 4 + 30)])
    for n in range(40)
]  # fmt: skip
CONTACTS = [dict(n=n, account=n % 30, created=day(n * 3)) for n in range(40)]


def stages_of(deal):
    """Pairs of stage and day: an open deal has entered two."""
    n_entered = 2 if deal["status"] == "open" else 3
    return list(zip([*STAGES, LAST[deal["status"]]], deal["entered"], strict=True))[:n_entered]


def table(rows, before="", after=""):
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return before + text.getvalue() + after


def sf18(short):
    """The id of 18 characters, by the published rule."""
    bits = [sum(1 << place for place, mark in enumerate(short[at : at + 5]) if mark.isupper()) for at in (0, 5, 10)]
    return short + "".join(_SUFFIX[number] for number in bits)


def short_id(prefix, number):
    return f"{prefix}D0000{'aB' if number % 2 else 'Ab'}{number:05}"


def write_canonical():
    return {
        "accounts": table([
            dict(account_id=f"A{a['n']}", created_at=a["created"], industry=a["industry"], employees=a["employees"],
                 annual_revenue=a["revenue"], country=a["country"], region=a["region"], city=a["city"])
            for a in ACCOUNTS]),
        "opportunities": table([
            dict(opportunity_id=f"O{d['n']}", account_id=f"A{d['account']}", created_at=d["created"],
                 closed_at=d["closed"], status=d["status"], stage=stages_of(d)[-1][0], amount=d["amount"],
                 type=d["type"])
            for d in DEALS]),
        "stage_history": table([dict(opportunity_id=f"O{d['n']}", stage=stage, entered_at=at)
                                for d in DEALS for stage, at in stages_of(d)]),
        "contacts": table([dict(contact_id=f"C{c['n']}", account_id=f"A{c['account']}", created_at=c["created"])
                           for c in CONTACTS]),
    }  # fmt: skip


def write_hubspot():
    words = {"new": "New Business", "expansion": "Existing Business", "": ""}
    deals = []
    for d in DEALS:
        entered = dict(stages_of(d))
        deals.append({
            "Record ID": 9000 + d["n"], "Deal Name": f"Deal {d['n']}", "Deal Stage": stages_of(d)[-1][0],
            "Is Closed Won": str(d["status"] == "won").lower(), "Is closed lost": str(d["status"] == "lost").lower(),
            "Amount": "1", "Amount in company currency": d["amount"], "Currency": "USD", "Deal Type": words[d["type"]],
            "Create Date": d["created"] + " 00:00", "Close Date": d["closed"] + " 00:00",
            "Associated Company IDs (Primary)": 100 + d["account"], "Associated Company (Primary)": "x",
            **{f'Date entered "{stage} (Sales Pipeline)"': entered.get(stage, "") for stage in (*STAGES, "Closed Won",
                                                                                              "Closed Lost")},
        })  # fmt: skip
    return {
        "hubspot-crm-exports-all-companies": table([
            {"Record ID": 100 + a["n"], "Company name": a["name"], "Create Date": a["created"] + " 00:00",
             "Industry": a["industry"], "Number of Employees": a["employees"], "Annual Revenue": a["revenue"],
             "Country/Region": a["country"], "State/Region": a["region"], "City": a["city"]} for a in ACCOUNTS]),
        "hubspot-crm-exports-all-deals": table(deals),
        "hubspot-crm-exports-all-contacts": table([
            {"Record ID": 500 + c["n"], "First Name": "Ann", "Last Name": "Miller", "Email": "ann@example.com",
             "Create Date": c["created"] + " 00:00", "Associated Company IDs (Primary)": 100 + c["account"]}
            for c in CONTACTS]),
    }  # fmt: skip


def write_salesforce():
    words = {"new": "New Customer", "expansion": "Existing Customer - Upgrade", "": ""}
    gone = dict(Id=sf18(short_id("006", 99)), AccountId=sf18(short_id("001", 1)), Name="gone", StageName="Closed Won",
                Amount="1", CloseDate=day(9), CreatedDate=utc(day(8)), IsClosed="true", IsWon="true", Type="",
                IsDeleted="true")  # fmt: skip
    return {
        "Account": table([
            dict(Id=sf18(short_id("001", a["n"])), Name=a["name"], Industry=a["industry"],
                 NumberOfEmployees=a["employees"], AnnualRevenue=a["revenue"], BillingCountry=a["country"],
                 BillingState=a["region"], BillingCity=a["city"], CreatedDate=utc(a["created"]), IsDeleted="false",
                 MasterRecordId="")
            for a in ACCOUNTS]),
        "Opportunity": table([
            dict(Id=sf18(short_id("006", d["n"])), AccountId=sf18(short_id("001", d["account"])), Name=f"Deal {d['n']}",
                 StageName=stages_of(d)[-1][0], Amount=d["amount"], CloseDate=d["closed"],
                 CreatedDate=utc(d["created"]), IsClosed=str(d["status"] != "open").lower(),
                 IsWon=str(d["status"] == "won").lower(), Type=words[d["type"]], IsDeleted="false")
            for d in DEALS] + [gone]),
        "OpportunityHistory": table([
            dict(Id=f"008{number}", OpportunityId=sf18(short_id("006", number)), StageName=stage, CreatedDate=utc(at))
            for number, stage, at in ((d["n"], *pair) for d in DEALS for pair in stages_of(d))]),
        "Contact": table([
            dict(Id=sf18(short_id("003", c["n"])), AccountId=sf18(short_id("001", c["account"])), FirstName="Ann",
                 LastName="Miller", CreatedDate=utc(c["created"])) for c in CONTACTS]),
    }  # fmt: skip


def write_field_history():
    """The stages as changes of fields, between changes of other fields."""
    fields = [("StageName", stage, at, d["n"]) for d in DEALS for stage, at in stages_of(d)]
    fields += [("Amount", "5", d["created"], d["n"]) for d in DEALS]
    tables = write_salesforce()
    del tables["OpportunityHistory"]
    return tables | {"OpportunityFieldHistory": table([
        dict(Id=f"017{row}", OpportunityId=sf18(short_id("006", n)), Field=name, OldValue="", NewValue=value,
             CreatedDate=utc(at)) for row, (name, value, at, n) in enumerate(fields)])}  # fmt: skip


def write_report():
    """Reports as Salesforce writes them: labels, ids of 15 characters, dates of the user's country, a footer."""
    words = {"new": "New Business", "expansion": "Upsell", "": ""}

    def german(text):
        return pd.Timestamp(text).strftime("%d.%m.%Y")

    after = '\n\n"Grand Total",{}\n\n"Copyright (c) 2000-2026 salesforce.com, inc. All rights reserved."\n'
    after += '"Confidential Information - Do Not Distribute"\n"Generated By: Ann Miller 01.10.2026 09:14"\n'
    history = [(d["n"], *pair) for d in DEALS for pair in stages_of(d)]
    return {
        "report1700000000001": table([
            {"Account ID": short_id("001", a["n"]), "Account Name": a["name"], "Account Owner": "Ann Miller",
             "Industry": a["industry"], "Employees": a["employees"], "Annual Revenue": a["revenue"],
             "Billing Country": a["country"], "Billing State/Province": a["region"], "Billing City": a["city"],
             "Created Date": german(a["created"])} for a in ACCOUNTS], after=after.format("30 records")),
        "report1700000000002": table([
            {"Opportunity ID": short_id("006", d["n"]), "Opportunity Name": f"Deal {d['n']}",
             "Account Name": ACCOUNTS[d["account"]]["name"], "Stage": stages_of(d)[-1][0], "Amount": d["amount"],
             "Amount Currency": "EUR", "Close Date": german(d["closed"]), "Created Date": german(d["created"]),
             "Closed": int(d["status"] != "open"), "Won": int(d["status"] == "won"), "Type": words[d["type"]],
             "Opportunity Owner": "Ann Miller"} for d in DEALS], after=after.format("40 records")),
        "report1700000000003": table([
            {"Opportunity ID": short_id("006", number), "Opportunity Name": "x", "From Stage": "", "To Stage": stage,
             "Last Modified": german(at)} for number, stage, at in history], after=after.format("106 records")),
    }  # fmt: skip


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Load one way of writing: shared columns with plain ids, and the extract."""
    loaded = {}

    def load(write):
        if write not in loaded:
            folder = tmp_path_factory.mktemp(write.__name__)
            (folder / "icp.yml").write_text(SETTINGS, encoding="utf-8")
            for name, text in write().items():
                (folder / f"{name}.csv").write_text(text, encoding="utf-8")
            loaded[write] = extract.load(folder, folder / "out")
        return loaded[write]

    return load


def plain_ids():
    """The id of every system -> the canonical one."""
    ids = {str(start + n): f"{kind}{n}" for start, kind in ((100, "A"), (9000, "O"), (500, "C")) for n in range(40)}
    return ids | {sf18(short_id(prefix, n)): f"{kind}{n}" for prefix, kind in (("001", "A"), ("006", "O"), ("003", "C"))
                  for n in range(40)}  # fmt: skip


def shared(loaded, name):
    frame = pd.read_parquet(loaded.path(name))[SHARED[name]]
    for column in frame.columns[frame.columns.str.endswith("_id")]:
        frame[column] = frame[column].replace(plain_ids())
    return frame.sort_values(list(frame.columns[:2]), ignore_index=True)


CASES = [(write, name) for write in (write_hubspot, write_salesforce) for name in SHARED]
CASES += [(write_field_history, "stage_history")]
CASES += [(write_report, name) for name in SHARED if name != "contacts"]


@pytest.mark.parametrize(("write", "name"), CASES, ids=lambda case: getattr(case, "__name__", case))
def test_every_way_gives_the_same_table(read, write, name):
    expected, found = shared(read(write_canonical), name), shared(read(write), name)
    assert len(expected) == {"accounts": 30, "opportunities": 40, "stage_history": 107, "contacts": 40}[name]
    pd.testing.assert_frame_equal(found, expected)


def test_what_was_left_out_and_assumed_is_told(read):
    population = read(write_salesforce).population
    rows = population.query("table == 'opportunities'").set_index("step")["n_rows"]
    assert (rows["read"], rows["kept"], rows["excluded"]) == (41, 40, 1)
    rows = read(write_field_history).population.query("table == 'stage_history'").set_index("step")["n_rows"]
    assert (rows["read"], rows["kept"], rows["excluded"]) == (147, 107, 40)
    said = pd.DataFrame(read(write_report).facts["assumed"])["read_as"].tolist()
    assert "as opportunities of Salesforce (report)" in said
    assert any(words.startswith("lines below the table left out") for words in said)
    (joined,) = read(write_report).checks.query("rule == 'joined by name'")["message"]
    assert joined.startswith("report1700000000002.csv, column account_id: 40 of 40 rows have no id of their account")


def test_no_name_is_kept(read):
    for write in (write_hubspot, write_salesforce, write_report):
        loaded = read(write)
        for path in loaded.cache.rglob("*.parquet"):
            text = pd.read_parquet(path).to_csv()
            assert "Company 7" not in text and "Miller" not in text, path.name
