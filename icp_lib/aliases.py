"""How customer systems head their columns: one form for each table of each system. Data only; `recognition` reads it.

An alias text lists the headers of one column in order of preference. `|` stands between alternatives, `+` joins headers
that must all be there, and `>` names what is done to the cell (`transforms.transform_sql`). Letters and digits count,
nothing else, so `CreatedDate`, `Created Date` and `created_date` are one alias; a HubSpot alias also stands for the
same with `property_` before it. A column that starts with `_` is only looked for, never read.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from icp_lib.transforms import TRUE_WORDS, WORDS


@dataclass(frozen=True)
class Form:
    """One table of one system.

    `columns` holds the aliases by canonical column; `needs` what must be found (`a | b`: one of them); a file with a
    header of `never` is something else; of the rows only those are kept whose column is one of the words in `keep`;
    `beside` is the table that the same file gives first; `shape` says how rows become canonical rows.
    """

    system: str
    table: str
    columns: dict[str, str]
    needs: tuple[str, ...]
    never: str = ""
    shape: str = "table"
    keep: dict[str, tuple[str, ...]] = field(default_factory=dict)
    beside: str = ""
    note: str = ""


#: A converted amount -> the header of its currency ('': it is the company's).
CONVERTED = {
    "Amount in company currency": "", "amount_in_home_currency": "", "Betrag in Unternehmenswährung": "",
    "Valor en la moneda de la empresa": "", "Importe en la moneda de la empresa": "",
    "Montant dans la devise de l'entreprise": "", "Amount (converted)": "Amount (converted) Currency",
}  # fmt: skip
#: What a file's name may say of its table, where its header fits two equally well.
STEM_WORDS = {
    "accounts": ("account", "compan", "organization", "organisation", "unternehmen", "empresa", "entreprise"),
    "opportunities": ("opportunit", "deal", "negocio", "transaction"),
    "contacts": ("contact", "person", "people", "kontakt"),
    "leads": ("lead",),
    "account_history": ("history",),
    "stage_history": ("history",),
    "stages": ("stage",),
    "touches": ("touch", "task", "event", "engagement", "activit", "call", "meeting"),
    "campaigns": ("campaign",),
}
#: Headers, in every system, of the marks of a deleted record and of the row that holds today.
DELETED, ACTIVE = "IsDeleted | archived | _fivetran_deleted", "_fivetran_active"

_ASSOCIATED = (
    "Associated Company IDs (Primary) > first_id | Primary Associated Company ID > first_id | "
    "Associated Company IDs > first_id | Associated Company ID > first_id"
)
_SOURCE = "Original Traffic Source | Original Source | Original Source Type | hs_analytics_source"
_PERSON = "First Name | Last Name | Job Title | Contact owner"
_DEAL = "Deal Name | Deal Stage | Deal owner | Deal Type"

HUBSPOT = (
    Form("HubSpot", "accounts", {
        "account_id": "Record ID | hs_object_id | company_id | id",
        "created_at": "Create Date | created_date",
        "industry": "Industry",
        "employees": "Number of Employees",
        "annual_revenue": "Annual Revenue",
        "country": "Country/Region | Country",
        "region": "State/Region | State",
        "city": "City",
        "technologies": "Web Technologies",
        "account_type": "Type",
        "parent_account_id": "Parent Company ID | hs_parent_company_id",
        "lead_source": _SOURCE,
        "is_deleted": DELETED,
        "_account_name": "Company name | name",
        "_domain": "Company Domain Name | domain",
        "_hubspot": "Record ID | hs_object_id | createdate | company_id",
    }, ("account_id", "industry | employees | annual_revenue | _account_name | _domain", "_hubspot"),
        never=f"{_PERSON} | {_DEAL} | Vorname | Nachname | Apellidos | Prénom | Ticket ID | timestamp + value"),
    Form("HubSpot", "opportunities", {
        "opportunity_id": "Record ID | hs_object_id | deal_id | id",
        "account_id": f"{_ASSOCIATED} | company_id | hs_primary_associated_company",
        "created_at": "Create Date | created_date",
        "closed_at": "Close Date | closed_date",
        "status": "Is Closed Won + Is closed lost > won_lost | hs_is_closed_won + hs_is_closed_lost > won_lost | "
                  "Is Closed Won + Is Deal Closed? > won_closed | hs_is_closed_won + hs_is_closed > won_closed | "
                  "Deal Stage > stage_word | pipeline_stage_label > stage_word",
        "stage": "Deal Stage | pipeline_stage_label | deal_pipeline_stage_id",
        "amount": "Amount in company currency | amount_in_home_currency | Amount",
        "currency": "Currency | deal_currency_code",
        "type": "Deal Type",
        "lead_source": _SOURCE,
        "loss_reason": "Closed Lost Reason",
        "owner_id": "hubspot_owner_id | owner_id | Deal owner | owner_full_name",
        "_name": "Deal Name",
        "_account_name": "Associated Company (Primary) | Associated Company",
    }, ("opportunity_id", "stage | _name"),
        never="date_entered | date_stage_entered | engagement_id | Ticket ID | timestamp + value"),
    Form("HubSpot", "contacts", {
        "contact_id": "Record ID | hs_object_id | id",
        "account_id": f"{_ASSOCIATED} | associatedcompanyid",
        "buyer_role": "Buying Role > first_id | hs_buying_role > first_id",
        "seniority": "Employment Seniority | Seniority | hs_seniority",
        "created_at": "Create Date",
        "_person": f"{_PERSON} | Lead Status | hs_lead_status | Email | {_ASSOCIATED}",
        "_hubspot": "Record ID | hs_object_id | createdate",
    }, ("contact_id", "_person", "_hubspot"),
        never=f"{_DEAL} | Company Domain Name | domain | Ticket ID | Ticket name | Activity date | hs_timestamp | "
              "canonical_vid | timestamp + value"),
    Form("HubSpot", "leads", {
        "lead_id": "Record ID | hs_object_id | id",
        "contact_id": "Record ID | hs_object_id | id",
        "account_id": f"{_ASSOCIATED} | associatedcompanyid",
        "created_at": "Became a Lead Date | hs_lifecyclestage_lead_date | Create Date",
        "lead_source": _SOURCE,
        "mql_at": "Became a Marketing Qualified Lead Date | hs_lifecyclestage_marketingqualifiedlead_date | "
                  "Date entered Marketing Qualified Lead (Lifecycle Stage Pipeline) | "
                  "hs_v2_date_entered_marketingqualifiedlead",
        "sql_at": "Became a Sales Qualified Lead Date | hs_lifecyclestage_salesqualifiedlead_date | "
                  "Date entered Sales Qualified Lead (Lifecycle Stage Pipeline) | "
                  "hs_v2_date_entered_salesqualifiedlead",
    }, ("lead_id", "mql_at | sql_at"), beside="contacts", note="every contact of this file counts as a lead"),
    Form("HubSpot", "opportunities",
         {"opportunity_id": "deal_id", "account_id": "company_id", "_link": "type_id | category"},
         ("opportunity_id", "account_id", "_link"), never="Deal Name | engagement_id | Ticket ID", shape="link"),
    Form("HubSpot", "stage_history", {
        "opportunity_id": "deal_id",
        "stage": "pipeline_stage_label | value",
        "entered_at": "date_stage_entered | date_entered",
    }, ("opportunity_id", "stage", "entered_at")),
    Form("HubSpot", "stage_history",
         {"opportunity_id": "deal_id", "stage": "value", "entered_at": "timestamp", "_field": "name"},
         ("opportunity_id", "stage", "entered_at", "_field"), shape="field history", keep={"_field": ("dealstage",)},
         note="only changes of dealstage are read"),
    Form("HubSpot", "account_history",
         {"account_id": "company_id", "attribute": "name > attribute", "value": "value", "valid_from": "timestamp",
          "_field": "name"},
         ("account_id", "attribute", "value", "valid_from"), shape="field history",
         keep={"_field": tuple("|".join(WORDS["attribute"].values()).split("|"))},
         note="only changes of canonical traits are read"),
    Form("HubSpot", "stages",
         {"stage": "stage_id", "stage_order": "display_order", "is_closed": "is_closed", "is_won": "closed_won"},
         ("stage", "stage_order", "is_won"),
         note="stage is the system's stage id: it joins deals that give ids, not those that give labels"),
    Form("HubSpot", "touches", {
        "touch_id": "engagement_id | Record ID | hs_object_id",
        "occurred_at": "hs_timestamp | Activity date",
        "touch_type": "type | Activity type",
        "account_id": _ASSOCIATED,
        "contact_id": "Associated Contact IDs > first_id",
        "opportunity_id": "Associated Deal IDs > first_id",
        "_done": "hs_task_status",
    }, ("touch_id", "occurred_at", "touch_type"), keep={"_done": TRUE_WORDS}),
    *(Form("HubSpot", "touches", {"touch_id": "engagement_id", column: header}, ("touch_id", column),
           never="hs_timestamp | Ticket ID", shape="link")
      for column, header in
      (("account_id", "company_id"), ("contact_id", "contact_id"), ("opportunity_id", "deal_id"))),
    Form("HubSpot", "campaigns", {"campaign_id": "id", "_app": "app_id", "_sent": "num_included"},
         ("campaign_id", "_app", "_sent"), note="these are e-mail campaigns; their channel is not in the file"),
)  # fmt: skip

_NO_ACCOUNT = (
    "Id + AccountId | Stage | StageName | Opportunity ID | Company | IsConverted | Converted | ConvertedDate | "
    "Lead ID | Contact ID | First Name + Account ID | Last Name + Account ID | WhoId | Username | Deal ID"
)
_TRAITS = {
    "industry": "Industry",
    "employees": "NumberOfEmployees | Employees",
    "annual_revenue": "AnnualRevenue",
    "country": "BillingCountry | Billing Country (text only) | BillingCountryCode",
    "region": "BillingState | Billing State/Province | Billing State/Province (text only) | BillingStateCode",
    "city": "BillingCity",
    "lead_source": "AccountSource",
}
_ANY_TRAIT = "industry | employees | annual_revenue | country"
_FIELD = "Field | Field / Event"

SALESFORCE = (
    Form("Salesforce", "accounts", {
        "account_id": "Id | Account ID 18 | Account ID",
        "created_at": "CreatedDate",
        **_TRAITS,
        "account_type": "Type | Account Type",
        "parent_account_id": "ParentId | Parent Account ID",
        "is_deleted": DELETED,
        "merged_into_account_id": "MasterRecordId",
        "_account_name": "Account Name | Name",
        "_account": "Account Name | Account Owner | AccountSource | AccountNumber | TickerSymbol",
    }, ("account_id", f"{_ANY_TRAIT} | _account"), never=f"{_NO_ACCOUNT} | _fivetran_start | NewValue | New Value"),
    Form("Salesforce", "opportunities", {
        "opportunity_id": "Id | Opportunity ID 18 | Opportunity ID",
        "account_id": "AccountId | Account ID 18",
        "created_at": "CreatedDate",
        "closed_at": "CloseDate",
        "status": "IsWon + IsClosed > won_closed | Won + Closed > won_closed | StageName > stage_word | "
                  "Stage > stage_word",
        "stage": "StageName | Stage",
        "amount": "Amount (converted) | Amount",
        "currency": "CurrencyIsoCode | Amount Currency",
        "type": "Type",
        "lead_source": "LeadSource",
        "campaign_id": "CampaignId | Primary Campaign ID",
        "loss_reason": "Loss_Reason__c | Loss Reason | Closed_Lost_Reason__c | Closed Lost Reason | Lost Reason",
        "owner_id": "OwnerId > sf18 | Opportunity Owner",
        "_account_name": "Account Name",
    }, ("opportunity_id", "stage | status"),
        never="Id + OpportunityId | NewValue | To Stage | _fivetran_start | Lead ID | WhoId"),
    Form("Salesforce", "contacts", {
        "contact_id": "Id | Contact ID 18 | Contact ID",
        "account_id": "AccountId | Account ID 18",
        "department": "Department",
        "created_at": "CreatedDate",
        "_account_name": "Account Name",
        "_person": "FirstName | LastName | Department | MailingCountry | ReportsToId | Contact Owner",
    }, ("contact_id", "account_id | created_at", "_person"),
        never="IsConverted | Company + Status | Lead ID | Lead Status | Stage | StageName | Opportunity ID | WhoId | "
              "Username | ProfileId | CampaignId + ContactId | Id + ContactId | _fivetran_start | canonical_vid"),
    Form("Salesforce", "leads", {
        "lead_id": "Id | Lead ID",
        "created_at": "CreatedDate | Create Date",
        "account_id": "ConvertedAccountId",
        "contact_id": "ConvertedContactId",
        "opportunity_id": "ConvertedOpportunityId",
        "lead_source": "LeadSource",
        "rejection_reason": "Disqualified_Reason__c | Disqualified Reason | Rejection_Reason__c | Rejection Reason",
        "_lead": "IsConverted | Converted | ConvertedDate | ConvertedAccountId | Lead ID | Lead Status | Lead Owner | "
                 "Company + Status",
    }, ("lead_id", "_lead"), never="Stage | StageName | WhoId | CampaignId + LeadId | _fivetran_start"),
    Form("Salesforce", "stage_history",
         {"opportunity_id": "OpportunityId", "stage": "StageName | Stage", "entered_at": "CreatedDate"},
         ("opportunity_id", "stage", "entered_at"),
         never="Account ID | Account Name | Opportunity Name | Name | Type | Lead Source | IsWon | Won | To Stage | "
               "Opportunity Owner | Field | _fivetran_start"),
    Form("Salesforce", "stage_history",
         {"opportunity_id": "Opportunity ID", "stage": "To Stage", "entered_at": "Last Modified | Last Modified Date"},
         ("opportunity_id", "stage", "entered_at")),
    Form("Salesforce", "stage_history",
         {"opportunity_id": "OpportunityId", "stage": "NewValue", "entered_at": "CreatedDate | Edit Date",
          "_field": _FIELD},
         ("opportunity_id", "stage", "entered_at", "_field"), shape="field history",
         keep={"_field": ("stagename", "stage")}, note="only changes of the stage are read"),
    Form("Salesforce", "stage_history",
         {"opportunity_id": "Id", "stage": "StageName", "entered_at": "_fivetran_start"},
         ("opportunity_id", "stage", "entered_at"), shape="object history",
         note="one row a change of any field: a stage counts from its first row; the first row is the first copy"),
    Form("Salesforce", "account_history",
         {"account_id": "AccountId", "attribute": "Field > attribute | Field / Event > attribute", "value": "NewValue",
          "valid_from": "CreatedDate | Edit Date", "_field": _FIELD},
         ("account_id", "attribute", "value", "valid_from"), shape="field history", never="Opportunity ID",
         keep={"_field": tuple("|".join(WORDS["attribute"].values()).split("|"))},
         note="only changes of canonical traits are read"),
    Form("Salesforce", "account_history", {"account_id": "Id", "valid_from": "_fivetran_start", **_TRAITS},
         ("account_id", "valid_from", _ANY_TRAIT), never=_NO_ACCOUNT, shape="object history",
         note="one row a change of any field: the first row of an account is its first copy, not its beginning"),
    Form("Salesforce", "stages",
         {"stage": "ApiName | MasterLabel", "stage_order": "SortOrder", "is_closed": "IsClosed", "is_won": "IsWon"},
         ("stage", "stage_order", "is_won")),
    Form("Salesforce", "touches", {
        "touch_id": "Id | Activity ID",
        "occurred_at": "CompletedDateTime + ActivityDate > first_filled | ActivityDateTime + ActivityDate > "
                       "first_filled | ActivityDate",
        "touch_type": "Type + TaskSubtype > first_filled | Type + EventSubtype > first_filled | Type | TaskSubtype | "
                      "EventSubtype",
        "account_id": "AccountId",
        "lead_id": "WhoId > sf18:00Q",
        "contact_id": "WhoId > sf18:003",
        "opportunity_id": "WhatId > sf18:006",
        "_activity": "WhoId | WhatId | TaskSubtype | EventSubtype",
        "_done": "IsClosed",
    }, ("touch_id", "occurred_at", "touch_type", "_activity"), keep={"_done": TRUE_WORDS}),
    Form("Salesforce", "touches", {
        "touch_id": "Id",
        "occurred_at": "FirstRespondedDate + CreatedDate > first_filled | CreatedDate",
        "touch_type": "Status",
        "lead_id": "LeadId",
        "contact_id": "ContactId",
        "campaign_id": "CampaignId",
        "_done": "HasResponded",
    }, ("touch_id", "occurred_at", "touch_type", "campaign_id", "lead_id | contact_id"), keep={"_done": TRUE_WORDS}),
    Form("Salesforce", "campaigns", {
        "campaign_id": "Id | Campaign ID",
        "channel": "Type | Campaign Type",
        "started_at": "StartDate",
        "ended_at": "EndDate",
        "_campaign": "BudgetedCost | ActualCost | NumberSent | NumberOfLeads | Campaign Type | "
                     "Budgeted Cost in Campaign | Actual Cost in Campaign | StartDate + IsActive",
    }, ("campaign_id", "_campaign"),
        never="Stage | StageName | Lead ID | Contact ID | HasResponded | Opportunity ID | Clicks | Impr. | "
              "Impressions"),
)  # fmt: skip

PIPEDRIVE = (
    Form("Pipedrive", "accounts", {
        "account_id": "Organization - ID",
        "created_at": "Organization - Organization created",
        "industry": "Organization - Industry",
        "employees": "Organization - Number of employees | Organization - Employee count",
        "annual_revenue": "Organization - Annual revenue",
        "country": "Organization - Country of Address | Organization - Country",
        "region": "Organization - State/county of Address",
        "city": "Organization - City/town/village/locality of Address",
        "_account_name": "Organization - Name",
    }, ("account_id",), never="Deal - ID | Person - ID | Activity - ID | Lead - ID"),
    Form("Pipedrive", "opportunities", {
        "opportunity_id": "Deal - ID",
        "account_id": "Deal - Organization ID | Organization - ID",
        "created_at": "Deal - Deal created",
        "closed_at": "Deal - Won time + Deal - Lost time > first_filled | Deal - Deal closed on",
        "status": "Deal - Status > status",
        "stage": "Deal - Stage",
        "amount": "Deal - Value",
        "currency": "Deal - Currency of Value | Deal - Currency",
        "lead_source": "Deal - Source channel",
        "loss_reason": "Deal - Lost reason",
        "owner_id": "Deal - Owner",
        "_title": "Deal - Title",
        "_account_name": "Deal - Organization",
    }, ("opportunity_id", "status | created_at | amount | _title | _account_name")),
    Form("Pipedrive", "contacts", {
        "contact_id": "Person - ID",
        "account_id": "Person - Organization ID | Organization - ID",
        "created_at": "Person - Person created",
        "_account_name": "Person - Organization",
    }, ("contact_id",), never="Deal - ID | Activity - ID | Lead - ID"),
    Form("Pipedrive", "touches", {
        "touch_id": "Activity - ID",
        "occurred_at": "Activity - Marked as done time | Activity - Due date",
        "touch_type": "Activity - Type",
        "account_id": "Activity - Organization ID",
        "contact_id": "Activity - Person ID",
        "opportunity_id": "Activity - Deal ID",
        "_done": "Activity - Done | Activity - Status",
    }, ("touch_id", "occurred_at", "touch_type"), keep={"_done": TRUE_WORDS}),
)  # fmt: skip

FORMS = (*PIPEDRIVE, *HUBSPOT, *SALESFORCE)

#: Labels of HubSpot's company and deal exports in other languages; associations stay English there.
LOCAL = {
    "German": {
        "accounts": {
            "account_id": "Datensatz-ID", "created_at": "Erstellungsdatum", "industry": "Branche",
            "employees": "Anzahl der Mitarbeiter | Mitarbeiterzahl | Anzahl Mitarbeiter",
            "annual_revenue": "Jahresumsatz | Jährlicher Umsatz", "country": "Land/Region | Land",
            "region": "Bundesland/Region | Bundesland", "city": "Stadt | Ort", "account_type": "Typ",
            "_account_name": "Unternehmensname | Name des Unternehmens", "_hubspot": "Datensatz-ID",
        },
        "opportunities": {
            "opportunity_id": "Datensatz-ID", "created_at": "Erstellungsdatum",
            "closed_at": "Abschlussdatum | Schlussdatum", "status": "Deal-Phase > stage_word", "stage": "Deal-Phase",
            "amount": "Betrag in Unternehmenswährung | Betrag", "currency": "Währung", "type": "Deal-Typ",
            "owner_id": "Zuständiger Mitarbeiter für Deal | Für Deal zuständiger Mitarbeiter",
        },
    },
    "Spanish": {
        "accounts": {
            "account_id": "ID de registro", "created_at": "Fecha de creación", "industry": "Sector | Industria",
            "employees": "Número de empleados", "annual_revenue": "Ingresos anuales", "country": "País/región",
            "region": "Estado/región", "city": "Ciudad", "account_type": "Tipo",
            "_account_name": "Nombre de la empresa", "_domain": "Nombre de dominio de la empresa",
            "_hubspot": "ID de registro",
        },
        "opportunities": {
            "opportunity_id": "ID de registro", "created_at": "Fecha de creación", "closed_at": "Fecha de cierre",
            "status": "Etapa del negocio > stage_word", "stage": "Etapa del negocio",
            "amount": "Valor en la moneda de la empresa | Importe en la moneda de la empresa | Valor | Importe",
            "currency": "Moneda | Divisa", "type": "Tipo de negocio", "owner_id": "Propietario del negocio",
            "_name": "Nombre del negocio",
        },
    },
    "French": {
        "accounts": {
            "account_id": "ID de fiche d'informations", "created_at": "Date de création",
            "industry": "Secteur d'activité | Secteur", "employees": "Nombre d'employés | Nombre de salariés",
            "annual_revenue": "Chiffre d'affaires annuel | Revenu annuel", "country": "Pays/Région",
            "region": "État/Région", "city": "Ville", "_account_name": "Nom de l'entreprise",
            "_domain": "Nom de domaine de l'entreprise", "_hubspot": "ID de fiche d'informations",
        },
        "opportunities": {
            "opportunity_id": "ID de fiche d'informations", "created_at": "Date de création",
            "closed_at": "Date de fermeture | Date de clôture", "status": "Phase de la transaction > stage_word",
            "stage": "Phase de la transaction", "amount": "Montant dans la devise de l'entreprise | Montant",
            "currency": "Devise", "type": "Type de transaction", "owner_id": "Propriétaire de la transaction",
            "_name": "Nom de la transaction",
        },
    },
}  # fmt: skip
