"""The rows of `data/template/`: three of each canonical table, invented, joined by their ids."""

from __future__ import annotations

import csv
import io

from icp_lib.schemas import Table

#: Three rows of each table, column by column. A column that is not here stays empty.
ROWS = {
    "accounts": {
        "account_id": "A1 | A2 | A3", "created_at": "2025-01-09 | 2024-11-05 | 2025-01-16",
        "industry": "Road freight | Food wholesale | Road freight", "employees": "34 | 120 | 8",
        "annual_revenue": "5200000 | 41000000 | 900000", "country": "Germany | Austria | Germany",
        "region": "West | East | West", "city": "Dortmund | Linz | Hagen",
        "business_model": "Own vehicles | Mixed | Own vehicles",
        "technologies": "Telematics;Fuel card | Accounting software | Fuel card",
        "account_type": "customer | prospect | prospect", "parent_account_id": " |  | A1",
        "lead_source": "Referral | Trade fair | Referral", "ready": "4 | 2 | 3", "willing": "4 | 3 | 2",
        "able": "5 | 4 | ", "fit_technical": "4 | 3 | ", "fit_functional": "5 | 3 | ", "fit_resource": "3 | 4 | ",
        "fit_competence": "4 | 4 | ", "fit_experience": "3 | 2 | ", "fit_cultural": "5 | 3 | ",
        "is_deleted": "false | false | false",
    },
    "opportunities": {
        "opportunity_id": "O1 | O2 | O3", "account_id": "A1 | A2 | A3",
        "created_at": "2025-02-03 | 2025-02-10 | 2026-08-17", "closed_at": "2025-04-22 | 2025-07-30 | ",
        "status": "won | lost | open", "stage": "Won | Lost | Opened", "amount": "9000 | 24000 | 3600",
        "term_months": "12 | 24 | 12", "gross_margin": "6750 |  | ", "gross_margin_rate": "0.75 |  | ",
        "type": "new | new | new", "lead_source": "Referral | Trade fair | Referral", "campaign_id": " | K2 | ",
        "buyer_role": "Owner | Purchasing | Owner", "loss_reason": " | No budget this year | ",
        "is_timing_loss": " | true | ", "owner_id": "R1 | R2 | R1",
    },
    "account_history": {
        "account_id": "A1 | A1 | A2", "attribute": "employees | employees | technologies",
        "value": "29 | 34 | Accounting software", "valid_from": "2025-01-09 | 2025-10-01 | 2024-11-05",
    },
    "stage_history": {
        "opportunity_id": "O1 | O1 | O3", "stage": "Opened | Won | Opened",
        "entered_at": "2025-02-03 | 2025-04-22 | 2026-08-17",
    },
    "stages": {
        "stage": "Opened | Won | Lost", "stage_order": "1 | 2 | 3", "is_closed": "false | true | true",
        "is_won": "false | true | false",
    },
    "contacts": {
        "contact_id": "C1 | C2 | C3", "account_id": "A1 | A2 | A3", "buyer_role": "Owner | Purchasing | Owner",
        "seniority": "Owner | Head of department | Owner", "department": "Management | Purchasing | Management",
        "created_at": "2025-01-09 | 2024-11-05 | 2025-01-16",
    },
    "leads": {
        "lead_id": "L1 | L2 | L3", "created_at": "2025-01-10 | 2025-01-13 | 2025-01-16", "account_id": "A1 | A2 | A3",
        "contact_id": "C1 | C2 | C3", "lead_source": "Referral | Trade fair | Referral", "campaign_id": " | K2 | ",
        "mql_at": "2025-01-14 | 2025-01-20 | 2025-01-20", "sal_at": "2025-01-17 | 2025-01-24 | ",
        "sql_at": "2025-02-03 | 2025-02-10 | ", "rejected_at": " |  | 2025-01-28",
        "rejection_reason": " |  | No budget yet", "first_contacted_at": "2025-01-15 | 2025-01-22 | 2025-01-27",
        "opportunity_id": "O1 | O2 | ",
    },
    "touches": {
        "touch_id": "T1 | T2 | T3",
        "occurred_at": "2025-01-13T09:20:00Z | 2025-01-15T08:00:00Z | 2025-03-04T13:30:00Z",
        "touch_type": "Pricing page | Call | Demo request", "account_id": "A1 | A1 | A2", "lead_id": "L1 | L1 | L2",
        "contact_id": "C1 | C1 | C2", "opportunity_id": " |  | O2", "channel": "Paid search | Phone | Website",
        "campaign_id": "K1 |  | ", "content": "Prices |  | Demo form",
    },
    "campaigns": {
        "campaign_id": "K1 | K2 | K3", "channel": "Paid search | Trade fair | Newsletter",
        "started_at": "2025-01-01 | 2025-01-13 | 2025-03-01", "ended_at": "2025-03-31 | 2025-01-16 | ",
        "audience": "new | new | existing",
    },
    "spend": {
        "month": "2025-01-01 | 2025-01-01 | 2025-05-01", "category": "media | salaries | onboarding",
        "amount": "4200 | 9500 | 1200", "channel": "Paid search |  | ", "campaign_id": "K1 |  | ",
        "audience": "new |  | new",
    },
    "revenue": {
        "account_id": "A1 | A1 | A1", "month": "2025-05-01 | 2025-06-01 | 2025-07-01", "revenue": "750 | 750 | 750",
        "gross_margin": "562.50 | 562.50 | 562.50", "support_cost": "80 | 35 | 20", "onboarding_cost": "1200 |  | ",
        "seats": "12 | 12 | 14",
    },
    "referrals": {
        "referrer_account_id": "A2 | A2 | A1", "referred_account_id": "A1 | A3 | A2",
        "referred_at": "2025-01-08 | 2025-01-15 | 2025-11-18",
    },
    "surveys": {
        "account_id": "A1 | A1 | A1", "answered_at": "2025-10-02 | 2026-04-01 | 2026-07-02", "nps": "8 | 9 | 9",
        "value_received": "21000 | 24000 | ",
    },
    "assignments": {
        "experiment_id": "owner-message | case-study | owner-message", "account_id": "A1 | A2 | A3",
        "arm": "owner_message | case_study | as_usual",
        "candidate": "small-carriers | food-wholesalers | small-carriers",
        "assigned_at": "2025-01-20 | 2025-01-20 | 2025-01-20", "exposed_at": "2025-01-22 | 2025-01-23 | ",
        "stratum": "Germany | Austria | Germany",
    },
    "prospects": {
        "prospect_id": "P1 | P2 | P3", "industry": "Road freight | Retail | Machine maker",
        "employees": "15 | 300 | 60", "annual_revenue": "2100000 | 88000000 | ",
        "country": "Germany | Germany | Czechia", "region": "North | West | ",
        "city": "Bremen |  | Brno", "business_model": "Own vehicles | Carriers | Mixed",
        "technologies": "Fuel card | Telematics;Accounting software | ",
        "domain_hash": "9d1c5e07a2b84f36 | 4be2907f13ca6d58 | e07731bd95f2c84a",
    },
}  # fmt: skip


def build_template(table: Table) -> str:
    """Return the template of one table as CSV: every canonical column, three rows.

    Examples
    --------
    >>> from icp_lib.schemas import TABLES
    >>> print(build_template(TABLES["stages"]).splitlines()[1])
    Opened,1,false,false
    """
    cells = [ROWS[table.name].get(column.name, " | | ").split("|") for column in table.columns]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in table.columns)
    writer.writerows([cell.strip() for cell in row] for row in zip(*cells, strict=True))
    return text.getvalue()
