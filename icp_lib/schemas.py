"""The canonical tables and the metrics: the only source of names, units, definitions and hover texts.

A column's `kind` says how its text is read (id, text, list, flag, integer, number, money, time, month); its `role` says
what it may be used for. Only a column with the role 'trait' can describe an ideal customer.
"""

from __future__ import annotations

from dataclasses import dataclass

from icp_lib.checks import DataError, check_in

ROLES = ("id", "trait", "outcome", "cost", "time")


@dataclass(frozen=True)
class Column:
    """One column of a canonical table; `low` and `high` are inclusive, `one_of` lists the allowed words."""

    name: str
    kind: str
    role: str
    definition: str
    required: bool = False
    key: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    one_of: tuple[str, ...] = ()
    references: str = ""


@dataclass(frozen=True)
class Table:
    """One canonical table: what a row is, and its columns."""

    name: str
    row: str
    columns: tuple[Column, ...]

    @property
    def keys(self) -> list[str]:
        """Names of the columns that together identify a row (empty: rows have no key)."""
        return [column.name for column in self.columns if column.key]

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


def _id(name, definition, **kw):
    return Column(name, "id", "id", definition, **kw)


def _key(name, definition, **kw):
    return _id(name, definition, required=True, key=True, **kw)


def _account(definition="The account this row belongs to", **kw):
    return _id("account_id", definition, references="accounts", **kw)


def _time(name, definition, **kw):
    return Column(name, "time", "time", definition, unit="UTC", **kw)


def _trait(name, definition, kind="text", **kw):
    return Column(name, kind, "trait", definition, **kw)


def _score(name, definition):
    return Column(name, "number", "trait", definition, unit="0 to 5", low=0, high=5)


def _money(name, role, definition, low=0.0, **kw):
    return Column(name, "money", role, definition, unit="currency", low=low, **kw)


def _month(**kw):
    return Column("month", "month", "time", "First day of the month", required=True, **kw)


def _outcome(name, definition, kind="text", **kw):
    return Column(name, kind, "outcome", definition, **kw)


_TRAITS = (
    _trait("industry", "What the company does"),
    _trait("employees", "Number of employees", kind="integer", unit="employees", low=0),
    _trait("annual_revenue", "The company's own revenue a year", kind="money", unit="currency", low=0),
    _trait("country", "Country"),
    _trait("region", "State, province or sales territory"),
    _trait("city", "City"),
    _trait("business_model", "How the company earns its money"),
    _trait("technologies", "What it uses, separated by ;", kind="list"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("accounts", "one company, customer or not", (
            _key("account_id", "The account's identifier"),
            _time("created_at", "When the account was first recorded", required=True),
            *_TRAITS,
            _trait("account_type", "What the account is to us",
                   one_of=("customer", "prospect", "partner", "competitor", "test")),
            _id("parent_account_id", "The parent company's account"),
            _trait("lead_source", "How the account first came in"),
            _score("ready", "Has the problem and knows it"),
            _score("willing", "Is acting on it"),
            _score("able", "Has money and authority"),
            _score("fit_technical", "Technical fit"),
            _score("fit_functional", "Functional fit"),
            _score("fit_resource", "Has the resources to succeed"),
            _score("fit_competence", "Has the competence to succeed"),
            _score("fit_experience", "Has the experience to succeed"),
            _score("fit_cultural", "Cultural fit"),
            Column("is_deleted", "flag", "id", "Deleted in the source"),
            _id("merged_into_account_id", "The account that this one was merged into"),
        )),
        Table("opportunities", "one deal, won, lost or open", (
            _key("opportunity_id", "The opportunity's identifier"),
            _account("The account that buys", required=True),
            _time("created_at", "When the opportunity was opened", required=True),
            _time("closed_at", "When it was won or lost; ignored while open"),
            _outcome("status", "open, won or lost", one_of=("open", "won", "lost")),
            _outcome("stage", "The stage it is in"),
            _money("amount", "outcome", "Contract value over its whole term"),
            _outcome("term_months", "Length of the contract", kind="number", unit="months", low=1, high=240),
            _money("gross_margin", "outcome", "Gross margin over the contract's term", low=None),
            _outcome("gross_margin_rate", "Gross margin as a share of the amount", kind="number", unit="0 to 1",
                     low=-1, high=1),
            Column("type", "text", "id", "New business, expansion or renewal", one_of=("new", "expansion", "renewal")),
            _trait("lead_source", "What brought the opportunity"),
            _id("campaign_id", "The campaign that brought it"),
            _trait("buyer_role", "Role of the person who buys"),
            _outcome("loss_reason", "Why it was lost"),
            _outcome("is_timing_loss", "Lost only because the time was wrong", kind="flag"),
            _id("owner_id", "The sales representative"),
        )),
        Table("account_history", "one trait value from a day on", (
            _account(required=True, key=True),
            _key("attribute", "The trait's column name"),
            Column("value", "text", "trait", "Its value from that day on", required=True),
            _time("valid_from", "From when the value holds", required=True, key=True),
        )),
        Table("stage_history", "one stage that an opportunity entered", (
            _id("opportunity_id", "The opportunity", required=True, key=True, references="opportunities"),
            _outcome("stage", "The stage entered", required=True, key=True),
            _time("entered_at", "When it was entered", required=True, key=True),
        )),
        Table("stages", "one stage of the pipeline", (
            _outcome("stage", "The stage's name", required=True, key=True),
            _outcome("stage_order", "Its place in the pipeline", kind="integer", required=True),
            _outcome("is_closed", "Whether it ends the opportunity", kind="flag"),
            _outcome("is_won", "Whether it wins the opportunity", kind="flag"),
        )),
        Table("contacts", "one person in an account, without name or address", (
            _key("contact_id", "The contact's identifier"),
            _account(),
            _trait("buyer_role", "Role in the purchase"),
            _trait("seniority", "Seniority"),
            _trait("department", "Department"),
            _time("created_at", "When the contact was recorded"),
        )),
        Table("leads", "one lead", (
            _key("lead_id", "The lead's identifier"),
            _time("created_at", "When the lead came in", required=True),
            _account(),
            _id("contact_id", "The contact", references="contacts"),
            _trait("lead_source", "What brought the lead"),
            _id("campaign_id", "The campaign that brought it"),
            _time("mql_at", "When it became marketing qualified (MQL)"),
            _time("sal_at", "When sales accepted it (SAL)"),
            _time("sql_at", "When it became sales qualified (SQL)"),
            _time("rejected_at", "When sales rejected it"),
            _outcome("rejection_reason", "Why sales rejected it"),
            _time("first_contacted_at", "When sales first contacted it"),
            _id("opportunity_id", "The opportunity it became", references="opportunities"),
        )),
        Table("touches", "one contact between an account and us", (
            _key("touch_id", "The touch's identifier"),
            _time("occurred_at", "When it happened", required=True),
            _outcome("touch_type", "Pricing page, demo request, e-mail open, call ...", required=True),
            _account(),
            _id("lead_id", "The lead", references="leads"),
            _id("contact_id", "The contact", references="contacts"),
            _id("opportunity_id", "The opportunity", references="opportunities"),
            _outcome("channel", "The marketing channel"),
            _id("campaign_id", "The campaign"),
            _outcome("content", "What was seen or sent"),
        )),
        Table("campaigns", "one campaign", (
            _key("campaign_id", "The campaign's identifier"),
            _outcome("channel", "The marketing channel"),
            _time("started_at", "When it started"),
            _time("ended_at", "When it ended"),
            _outcome("audience", "Whom it addresses", one_of=("new", "existing")),
        )),
        Table("spend", "one amount spent in a month", (
            _month(),
            Column("category", "text", "cost", "What the money was spent on", required=True,
                   one_of=("media", "salaries", "tools", "events", "onboarding", "support")),
            _money("amount", "cost", "Money spent", required=True),
            Column("channel", "text", "cost", "The marketing channel"),
            _id("campaign_id", "The campaign"),
            Column("audience", "text", "cost", "new, existing, or empty for both", one_of=("new", "existing")),
        )),
        Table("revenue", "one account's month", (
            _account(required=True, key=True),
            _month(key=True),
            _money("revenue", "outcome", "Revenue of the month", required=True),
            _money("gross_margin", "outcome", "Gross margin of the month", low=None),
            _money("support_cost", "cost", "Cost of supporting the account"),
            _money("onboarding_cost", "cost", "Cost of bringing the account live"),
            _outcome("seats", "Seats in use", kind="number", unit="seats", low=0),
        )),
        Table("referrals", "one account that another account brought", (
            _id("referrer_account_id", "The account that referred", required=True, references="accounts"),
            _id("referred_account_id", "The account that was referred", required=True, references="accounts"),
            _time("referred_at", "When"),
        )),
        Table("surveys", "one customer's answer", (
            _account(required=True),
            _time("answered_at", "When it was answered", required=True),
            _outcome("nps", "Would recommend us", kind="number", unit="0 to 10", low=0, high=10),
            _money("value_received", "outcome", "Value received a year, the customer's own estimate"),
        )),
        Table("assignments", "one account's arm in an experiment", (
            _key("experiment_id", "The experiment in experiments.yml"),
            _account(required=True, key=True),
            _id("arm", "The arm it was assigned to", required=True),
            _id("candidate", "The profile that the account matches"),
            _time("assigned_at", "When it was assigned", required=True),
            _time("exposed_at", "When it was first worked as the arm says"),
            _id("stratum", "The stratum it was assigned within"),
        )),
        Table("prospects", "one company that is not in the accounts yet", (
            _key("prospect_id", "The prospect's identifier"),
            *_TRAITS,
            _id("domain_hash", "Hash of its web domain"),
        )),
    )
}

#: Columns that decide when a row exists: a row dated after as-of is invisible.
DATED_BY = {
    "accounts": "created_at", "opportunities": "created_at", "account_history": "valid_from",
    "stage_history": "entered_at", "contacts": "created_at", "leads": "created_at", "touches": "occurred_at",
    "campaigns": "started_at", "spend": "month", "revenue": "month", "referrals": "referred_at",
    "surveys": "answered_at", "assignments": "assigned_at",
}

#: One row a claim: the columns of `claims_<nn>` and `findings`.
CLAIM_COLUMNS = ["claim_id", "claim", "segment_id", "metric", "estimate", "conf_low", "conf_high", "n", "hypotheses",
                 "estimate_found", "p_adjusted", "holdout_p_adjusted", "explained_by", "verdict", "note"]  # fmt: skip

#: What each notebook needs at least: tables, and columns as table.column.
NEEDS = {
    "00_data_check": ("accounts", "opportunities"),
    "01_segment_discovery": ("accounts", "opportunities"),
    "02_trait_analysis": ("accounts", "opportunities"),
    "03_acquisition_efficiency": ("accounts", "opportunities", "spend"),
    "04_buyer_journey": ("accounts", "opportunities"),
    "05_fit_and_lead_scoring": ("accounts", "opportunities"),
    "06_icp_ab_test": ("assignments", "experiments.yml"),
    "07_icp_profile": ("accounts", "opportunities"),
}

#: What makes a notebook say more.
WANTS = {
    "01_segment_discovery": ("opportunities.amount", "opportunities.gross_margin"),
    "02_trait_analysis": ("revenue", "contacts", "touches", "surveys", "prospects"),
    "03_acquisition_efficiency": ("revenue", "leads", "touches", "contacts", "campaigns", "prospects", "referrals"),
    "04_buyer_journey": ("stage_history", "leads", "touches"),
    "05_fit_and_lead_scoring": ("leads", "touches", "prospects"),
}


def check_trait(name: str, roles: dict[str, str]) -> str:
    """Return `name` if its role is trait, else refuse it by its role.

    Parameters
    ----------
    name : str
        A column of the account table.
    roles : dict
        Column name -> role.
    """
    check_in(name, list(roles), "traits")
    if roles[name] != "trait":
        why = {"outcome": "an outcome (known only after the sale)", "id": "an identifier", "cost": "a cost",
               "time": "a date"}[roles[name]]
        raise DataError(f"traits: '{name}' is {why} and cannot describe an ideal customer. "
                        "Use a column with role 'trait'.")
    return name


def _and(words) -> str:
    words = list(words)
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def missing_words(needs: str | tuple[str, ...] | None) -> str:
    """Return what is missing and what it would take, in the words of the schemas.

    Parameters
    ----------
    needs : str or tuple of str or None
        A table (``spend``), a column (``opportunities.amount``) or a file (``experiments.yml``).

    Examples
    --------
    >>> missing_words("spend")
    'Not measured: needs spend. Add spend.csv with month, category and amount, then run again.'
    """
    if not needs:
        return "Nothing to show: no row passed."
    needs = (needs,) if isinstance(needs, str) else tuple(needs)
    steps = []
    for need in needs:
        table, _, column = need.partition(".")
        if column == "yml":
            steps.append(need)
        elif column:
            steps.append(f"the column {column} to {table}.csv")
        else:
            columns = [each.name for each in TABLES[check_in(table, TABLES, "needs")].columns if each.required]
            steps.append(f"{table}.csv with {_and(columns)}")
    return f"Not measured: needs {_and(needs)}. Add {'; and '.join(steps)}, then run again."
