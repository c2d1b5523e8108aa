"""Headers -> plans: real exports, the dialects as vendors document them, drift, ties, and what is said otherwise."""

from __future__ import annotations

import csv
import random

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icp_lib.aliases import FORMS
from icp_lib.checks import DataError
from icp_lib.reading import ident
from icp_lib.recognition import Plan, normalise, recognise, table_of, why_not
from icp_lib.schemas import TABLES
from icp_lib.transforms import transform_sql, where_sql


def words(text: str) -> list[str]:
    """Headers of a text: separated by bars, or by spaces where there is no bar."""
    return text.split("|") if "|" in text else text.split()


HUBSPOT_DEALS = words(
    "Record ID|Deal Name|Pipeline|Deal Stage|Amount|Amount in company currency|Currency|Create Date|Close Date|"
    "Deal Type|Deal owner|Closed Lost Reason|Is Closed Won|Is closed lost|Associated Company IDs (Primary)|"
    "Last Activity Date"
)
HUBSPOT_COMPANIES = words(
    "Record ID|Company name|Company Domain Name|Industry|Number of Employees|Annual Revenue|City|State/Region|"
    "Country/Region|Lifecycle Stage|Create Date|Company owner|Type|Parent Company|Original Traffic Source|Lead Status"
)
HUBSPOT_CONTACTS = words(
    "Record ID|First Name|Last Name|Email|Job Title|Lifecycle Stage|Lead Status|Create Date|Contact owner|"
    "Associated Company IDs (Primary)"
)
SALESFORCE_OPPORTUNITIES = words(
    "Id AccountId Name StageName Amount CurrencyIsoCode CloseDate CreatedDate IsClosed IsWon Probability Type "
    "LeadSource CampaignId ForecastCategoryName OwnerId IsDeleted FiscalYear"
)
REPORT_OPPORTUNITIES = words(
    "Opportunity ID|Opportunity Name|Account ID|Account Name|Stage|Amount|Amount Currency|Amount (converted)|"
    "Amount (converted) Currency|Close Date|Created Date|Closed|Won|Probability (%)|Type|Lead Source|"
    "Opportunity Owner|Age"
)
SALESFORCE_ACCOUNTS = words(
    "Id Name Website Industry NumberOfEmployees AnnualRevenue BillingCountry BillingState BillingCity Type ParentId "
    "OwnerId CreatedDate IsDeleted MasterRecordId AccountSource"
)
PIPEDRIVE_DEALS = [
    f"Deal - {field}"
    for field in ("ID", "Title", "Organization", "Organization ID", "Value", "Currency of Value", "Pipeline", "Stage",
                  "Status", "Deal created", "Last stage change", "Won time", "Lost time", "Deal closed on",
                  "Expected close date", "Lost reason", "Source channel", "Label")
]  # fmt: skip
DIALECTS = {
    "hubspot deals": (HUBSPOT_DEALS, "opportunities", "HubSpot", "labels"),
    "hubspot companies": (HUBSPOT_COMPANIES, "accounts", "HubSpot", "labels"),
    "hubspot contacts": (HUBSPOT_CONTACTS, "contacts", "HubSpot", "labels"),
    "hubspot company names": (
        words("createdate domain hs_lastmodifieddate hs_object_id name"), "accounts", "HubSpot", "internal names"),
    "hubspot deal names": (
        words("amount closedate createdate dealname dealstage hs_lastmodifieddate hs_object_id pipeline"),
        "opportunities", "HubSpot", "internal names"),
    "hubspot contact names": (
        words("createdate email firstname hs_object_id lastmodifieddate lastname"), "contacts", "HubSpot",
        "internal names"),
    "hubspot models, deals": (
        words("deal_id deal_name amount created_date closed_date pipeline_label pipeline_stage_label owner_full_name"),
        "opportunities", "HubSpot", "warehouse"),
    "hubspot models, stages": (
        words("deal_id pipeline_stage_label date_stage_entered date_stage_exited is_stage_active"), "stage_history",
        "HubSpot", "warehouse"),
    "german companies": (
        words("Datensatz-ID|Unternehmensname|Branche|Anzahl der Mitarbeiter|Land/Region|Erstellungsdatum"),
        "accounts", "HubSpot", "German labels"),
    "german deals": (
        words("Datensatz-ID|Deal-Name|Deal-Phase|Betrag|Währung|Erstellungsdatum|Abschlussdatum|"
        "Associated Company IDs (Primary)"), "opportunities", "HubSpot", "German labels"),
    "spanish companies": (
        words("ID de registro|Nombre de la empresa|Nombre de dominio de la empresa|Sector|"
              "País/región|Ciudad|Fecha de creación"), "accounts", "HubSpot", "Spanish labels"),
    "spanish deals": (
        words("ID de registro|Nombre del negocio|Etapa del negocio|Valor|Fecha de creación|Fecha de cierre|"
        "Associated Company IDs"), "opportunities", "HubSpot", "Spanish labels"),
    "french companies": (
        words("ID de fiche d’informations|Nom de l’entreprise|Secteur d’activité|Pays/Région|Ville|Date de création"),
        "accounts", "HubSpot", "French labels"),
    "french deals": (
        words("ID de fiche d'informations|Nom de la transaction|Phase de la transaction|Montant|Date de fermeture|"
        "Date de création|Associated Company IDs (Primary)"), "opportunities", "HubSpot", "French labels"),
    "salesforce accounts": (SALESFORCE_ACCOUNTS, "accounts", "Salesforce", "API names"),
    "salesforce person accounts": (
        [*SALESFORCE_ACCOUNTS, "FirstName", "LastName"], "accounts", "Salesforce", "API names"),
    "salesforce account report": (
        words("Account ID|Account Name|Website|Industry|Employees|Annual Revenue|Billing Country|Type|Created Date|"
        "Account Owner"), "accounts", "Salesforce", "report"),
    "salesforce opportunities": (SALESFORCE_OPPORTUNITIES, "opportunities", "Salesforce", "API names"),
    "salesforce opportunity report": (REPORT_OPPORTUNITIES, "opportunities", "Salesforce", "report"),
    "salesforce leads": (
        words("Id Company Status LeadSource Industry NumberOfEmployees AnnualRevenue Country CreatedDate ConvertedDate "
        "ConvertedAccountId ConvertedOpportunityId IsConverted"), "leads", "Salesforce", "API names"),
    "salesforce contacts": (
        words("Id AccountId Title Department Email LeadSource CreatedDate"), "contacts", "Salesforce", "API names"),
    "salesforce history object": (
        words("Id OpportunityId StageName Amount CloseDate Probability CreatedDate"), "stage_history", "Salesforce",
        "API names"),
    "salesforce history report": (
        words("Opportunity ID|Opportunity Name|From Stage|To Stage|Last Modified"), "stage_history", "Salesforce",
        "report"),
    "salesforce field history": (
        words("Id OpportunityId Field OldValue NewValue CreatedDate"), "stage_history", "Salesforce", "API names"),
    "salesforce account field history": (
        words("Id AccountId Field OldValue NewValue CreatedDate"), "account_history", "Salesforce", "API names"),
    "salesforce tasks": (
        words("Id AccountId WhatId WhoId Type TaskSubtype ActivityDate CompletedDateTime Status OwnerId"), "touches",
        "Salesforce", "API names"),
    "salesforce campaigns": (
        words("Id Name Type Status StartDate EndDate BudgetedCost ActualCost"), "campaigns", "Salesforce",
        "API names"),
    "salesforce campaign members": (
        words("Id CampaignId LeadId ContactId Status HasResponded CreatedDate"), "touches", "Salesforce", "API names"),
    "salesforce stages": (
        words("Id ApiName MasterLabel SortOrder IsClosed IsWon IsActive"), "stages", "Salesforce", "API names"),
    "pipedrive deals": (PIPEDRIVE_DEALS, "opportunities", "Pipedrive", "labels"),
    "pipedrive organizations": (
        ["Organization - ID", "Organization - Name", "Organization - Organization created"], "accounts", "Pipedrive",
        "labels"),
    "pipedrive people": (
        ["Person - ID", "Person - Name", "Person - Organization ID"], "contacts", "Pipedrive", "labels"),
}  # fmt: skip
SEEDS = {
    "company_data": "accounts", "company_property_history_data": "account_history", "contact_data": "contacts",
    "deal_company_data": "opportunities", "deal_data": "opportunities", "deal_pipeline_stage_data": "stages",
    "deal_property_history_data": "stage_history", "deal_stage_data": "stage_history",
    "email_campaign_data": "campaigns", "engagement_call_data": "touches", "engagement_communication_data": "touches",
    "engagement_company_data": "touches", "engagement_contact_data": "touches", "engagement_deal_data": "touches",
    "engagement_email_data": "touches", "engagement_note_data": "touches", "engagement_task_data": "touches",
    "sf_account_data": "accounts", "sf_account_history_data": "account_history", "sf_contact_data": "contacts",
    "sf_event_data": "touches", "sf_lead_data": "leads", "sf_opportunity_data": "opportunities",
    "sf_opportunity_history_data": "stage_history", "sf_task_data": "touches",
}  # fmt: skip


def one(header, stem="export") -> Plan:
    (plan,) = recognise(stem, header)
    return plan


def source(plan: Plan, column: str):
    return next((source for source in plan.sources if source.column == column), None)


def headers_of(plan: Plan) -> dict:
    return {source.column: source.headers for source in plan.sources}


def test_every_real_export_is_the_right_table_or_none(shared_data):
    found = {}
    for path in sorted((shared_data / "crm_exports").glob("*/*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream))
        for plan in recognise(path.stem, header):
            found[path.stem] = plan.table
            assert {name for source in plan.sources for name in source.headers} <= set(header)
        if path.stem not in found:
            assert "\n" not in why_not(path.stem, header)
        assert recognise("export", header)[:1] == recognise(path.stem, header)[:1], "the header alone decides"
    assert found == SEEDS


def test_every_plan_of_a_real_export_runs_in_the_engine(shared_data):
    n_rows = {}
    for path in sorted((shared_data / "crm_exports").glob("*/*.csv")):
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header = next(csv.reader(stream))
        for plan in recognise(path.stem, header):
            cells = (f"{transform_sql(s.transform, *map(ident, s.headers))} AS {s.column}" for s in plan.sources)
            rows = duckdb.sql(
                f"SELECT {', '.join(cells)} FROM read_csv('{path}', all_varchar=true, header=true) "
                f"WHERE {where_sql(plan.where, ident)}"
            )
            assert rows.columns == [source.column for source in plan.sources]
            n_rows[path.stem] = len(rows)
    known = {"company_data": 24, "deal_data": 44, "deal_pipeline_stage_data": 69, "sf_task_data": 10}
    assert known.items() <= n_rows.items()


@pytest.mark.parametrize("name", DIALECTS)
def test_documented_dialects(name):
    header, table, system, dialect = DIALECTS[name]
    plan = recognise("export", header)[0]
    assert (plan.table, plan.system, plan.dialect) == (table, system, dialect)
    columns = [source.column for source in plan.sources]
    assert len(set(columns)) == len(columns)
    assert set(columns) <= {column.name for column in TABLES[table].columns} | {"currency"}


@pytest.mark.parametrize("name", DIALECTS)
def test_names_and_addresses_are_not_read(name):
    plan = recognise("export", DIALECTS[name][0])[0]
    read = {normalise(header) for source in plan.sources for header in source.headers}
    assert not read & {"name", "companyname", "dealname", "email", "firstname", "lastname", "jobtitle", "title",
                       "accountname", "opportunityname", "dealtitle", "dealorganization", "website"}  # fmt: skip


@given(st.sampled_from(sorted(DIALECTS)), st.randoms(use_true_random=False))
def test_case_spacing_and_order_do_not_change_the_plan(name, luck: random.Random):
    header = DIALECTS[name][0]

    def drift(text: str) -> str:
        text = luck.choice((str.upper, str.lower, str.title, str))(text)
        text = text.replace(" ", luck.choice((" ", "  ", "_", "\u00a0", "")))
        return luck.choice(("", "\ufeff", " ", '"')) + text + luck.choice(("", " ", '"'))

    drifted = {text: drift(text) for text in luck.sample(header, len(header))}
    before, after = recognise("export", header)[0], recognise("export", list(drifted.values()))[0]
    assert (before.table, before.system, before.dialect) == (after.table, after.system, after.dialect)
    assert [(s.column, tuple(map(drifted.get, s.headers)), s.transform) for s in before.sources] == [
        (s.column, s.headers, s.transform) for s in after.sources
    ]
    assert (before.missing, before.shape, before.n_unused) == (after.missing, after.shape, after.n_unused)


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing(text):
    assert normalise(normalise(text)) == normalise(text)


def test_hubspot_deals_in_full():
    plan = one(HUBSPOT_DEALS)
    assert headers_of(plan) == {
        "opportunity_id": ("Record ID",), "account_id": ("Associated Company IDs (Primary)",),
        "created_at": ("Create Date",), "closed_at": ("Close Date",), "status": ("Is Closed Won", "Is closed lost"),
        "stage": ("Deal Stage",), "amount": ("Amount in company currency",), "type": ("Deal Type",),
        "loss_reason": ("Closed Lost Reason",), "owner_id": ("Deal owner",),
    }  # fmt: skip
    assert source(plan, "status").transform == "won_lost"
    assert source(plan, "account_id").transform == "first_id"
    assert source(plan, "type").transform == "deal_type"
    assert "amount: 'Amount in company currency' is used, not 'Amount'" in plan.notes
    assert plan.missing == () and plan.n_unused == 5


def test_an_amount_keeps_its_own_currency():
    plain = one([name for name in HUBSPOT_DEALS if name != "Amount in company currency"])
    assert headers_of(plain)["amount"] == ("Amount",) and headers_of(plain)["currency"] == ("Currency",)
    report = one(REPORT_OPPORTUNITIES)
    assert headers_of(report)["amount"] == ("Amount (converted)",)
    assert headers_of(report)["currency"] == ("Amount (converted) Currency",)
    alone = one([name for name in REPORT_OPPORTUNITIES if name != "Amount (converted) Currency"])
    assert "currency" not in headers_of(alone)


def test_status_comes_from_the_stage_where_nothing_says_closed():
    plan = one([name for name in HUBSPOT_DEALS if not name.startswith("Is ")])
    assert source(plan, "status").transform == "stage_word"
    assert any("status is read from 'Deal Stage'" in note for note in plan.notes)


def test_salesforce_ids_are_completed_and_names_of_owners_are_not():
    api, report = one(SALESFORCE_OPPORTUNITIES), one(REPORT_OPPORTUNITIES)
    for plan in (api, report):
        assert {source(plan, column).transform for column in ("opportunity_id", "account_id")} == {"sf18"}
        assert source(plan, "status").transform == "won_closed"
    assert source(api, "owner_id").transform == "sf18"
    assert source(report, "owner_id").transform == ""


def test_deleted_and_replaced_rows():
    plan = one([*SALESFORCE_OPPORTUNITIES, "_fivetran_active"])
    assert [where.header for where in plan.where] == ["IsDeleted", "_fivetran_active"]
    assert not any(where.is_kept for where in plan.where)
    assert "rows are left out where 'IsDeleted' is true" in plan.notes
    assert "rows are left out where '_fivetran_active' is false" in plan.notes
    assert one(SALESFORCE_ACCOUNTS).where == ()
    assert headers_of(one(SALESFORCE_ACCOUNTS))["is_deleted"] == ("IsDeleted",)


def test_pipedrive_deals_close_when_won_or_lost():
    plan = one(PIPEDRIVE_DEALS)
    assert source(plan, "closed_at").headers == ("Deal - Won time", "Deal - Lost time")
    assert source(plan, "account_id").headers == ("Deal - Organization ID",)
    assert headers_of(plan)["currency"] == ("Deal - Currency of Value",)


def test_without_an_id_the_account_is_joined_by_name_and_it_is_said():
    plan = one([name for name in PIPEDRIVE_DEALS if name != "Deal - Organization ID"])
    assert plan.missing == ("account_id",)
    assert plan.account_name == "Deal - Organization"
    assert any("joined by name" in note for note in plan.notes)


def test_wide_stages_of_labels():
    wide = ['Date entered "Closed Won (Sales Pipeline)"', 'Date entered "Demo (remote) (Sales Pipeline)"',
            'Date exited "Demo (Sales Pipeline)"']  # fmt: skip
    deals, history = recognise("deals", [*HUBSPOT_DEALS, *wide])
    assert deals.table == "opportunities"
    assert (history.table, history.shape) == ("stage_history", "wide stages")
    assert history.details == (("Closed Won", wide[0]), ("Demo (remote)", wide[1]))
    assert headers_of(history) == {"opportunity_id": ("Record ID",)}


def test_wide_stages_of_internal_names_take_the_newer_column():
    wide = ["hs_date_entered_closedwon", "hs_v2_date_entered_closedwon", "hs_v2_date_entered_103",
            "hs_v2_date_entered_current_stage", "hs_v2_date_exited_103"]  # fmt: skip
    _deals, history = recognise("deals", [*DIALECTS["hubspot deal names"][0], *wide])
    assert history.details == (("closedwon", wide[1]), ("103", wide[2]))


def test_contacts_with_lifecycle_dates_give_leads_too():
    contacts, leads = recognise("contacts", [*HUBSPOT_CONTACTS, "Became a Marketing Qualified Lead Date"])
    assert (contacts.table, leads.table) == ("contacts", "leads")
    assert headers_of(leads)["lead_id"] == headers_of(leads)["contact_id"] == ("Record ID",)


def test_histories_and_links():
    field = one(DIALECTS["salesforce field history"][0])
    assert field.shape == "field history" and field.where[0].words == ("stagename", "stage")
    assert source(field, "stage").headers == ("NewValue",)
    whole = one([*SALESFORCE_ACCOUNTS, "_fivetran_start", "_fivetran_active"])
    assert whole.shape == "object history" and ("employees", "NumberOfEmployees") in whole.details
    link = one(["deal_id", "company_id", "type_id"])
    assert (link.table, link.shape) == ("opportunities", "link")


def test_canonical_headers_win():
    plan = one(["opportunity_id", "account_id", "created_at", "stage", "currency", "Deal Stage"], "opportunities_2025")
    assert (plan.system, plan.n_unused) == ("canonical", 1)
    assert not any(source.transform for source in plan.sources)
    assert recognise("orders", ["opportunity_id", "account_id", "created_at", "amount"]) == ()
    assert one(HUBSPOT_COMPANIES, "accounts").system == "HubSpot"


@pytest.mark.parametrize(
    ("stem", "table"), [("accounts", "accounts"), ("Accounts-2025", "accounts"), ("account_history", "account_history"),
                        ("stages", "stages"), ("companies", "")],
)  # fmt: skip
def test_table_of_a_name(stem, table):
    assert table_of(stem) == table


def test_a_missing_required_column_is_said():
    plan = one([name for name in SALESFORCE_ACCOUNTS if name != "CreatedDate"])
    assert plan.missing == ("created_at",)
    assert "created_at is not in this file: add 'CreatedDate' to the export" in plan.notes


def test_a_true_tie_is_an_error_that_the_name_of_the_file_settles():
    header = ["Record ID", "Create Date", "Industry", "Associated Company IDs"]
    with pytest.raises(DataError, match=r"export, header: fits accounts \(HubSpot\) and contacts \(HubSpot\) equally"):
        recognise("export", header)
    assert one(header, "all-companies").table == "accounts"
    assert one(header, "contacts").table == "contacts"


def test_a_column_that_is_read_stands_once():
    with pytest.raises(
        DataError, match=r"deals, header: the column 'Amount' \(read as opportunities.amount\) stands 2"
    ):
        recognise("deals", ["Record ID", "Deal Name", "Amount", "amount"])
    assert one(["Record ID", "Deal Name", "Amount", "Notes", "Notes"]).table == "opportunities"


def test_why_not():
    assert why_not("companies", ["Recod ID", "Company name", "Create Date"]) == (
        "nearest is accounts (HubSpot), which also needs 'Record ID'. Did you mean 'Recod ID'?"
    )
    assert why_not("x", ["account_id", "created_at"]) == (
        "has the columns of accounts: if that is what it holds, rename it to accounts.csv."
    )
    assert why_not("notes", ["Ada Lovelace", "ada@example.com"]).startswith("no table has such columns.")


@pytest.mark.parametrize("header", [[], [""], ["id"], ["Record ID"], ["a", "a"], ["\ufeff"]])
def test_too_little_is_nothing(header):
    assert recognise("export", header) == ()
    assert why_not("export", header)


@given(
    st.lists(st.sampled_from(sorted({h for header, *_rest in DIALECTS.values() for h in header})), unique_by=normalise)
)
def test_any_mixture_is_a_plan_or_a_told_tie(header):
    try:
        plans = recognise("export", header)
    except DataError as error:
        assert "equally well" in str(error)
        return
    for plan in plans:
        used = [name for source in plan.sources for name in source.headers]
        assert set(used) <= set(header) and 0 <= plan.n_unused <= len(header)
    assert plans or why_not("export", header)


def test_no_form_is_dead():
    """Every form but the parts of another is reached by a documented header or a real export."""
    reached = {(plan.system, plan.table) for header, *_rest in DIALECTS.values() for plan in recognise("x", header)}
    tables = {(form.system, form.table) for form in FORMS if form.shape == "table" and not form.beside}
    assert tables - reached <= {("HubSpot", "stages"), ("HubSpot", "touches"), ("HubSpot", "campaigns"),
                                ("Pipedrive", "touches")}  # fmt: skip
