"""The checks of every row, and the row's fate: read = kept + quarantined + excluded."""

from __future__ import annotations

from dataclasses import dataclass

from icp_lib.reading import ident, quote
from icp_lib.schemas import TABLES, Column

#: Tables are checked in this order, so that a row can be held against the valid rows it refers to.
ORDER = (
    "accounts", "campaigns", "stages", "contacts", "opportunities", "leads", "touches", "account_history",
    "stage_history", "spend", "revenue", "referrals", "surveys", "assignments", "prospects",
)  # fmt: skip
DAY = "INTERVAL 1 DAY"
OUTLIER = 1000
#: A day counts as an import from this many accounts and this share of all on, where accounts came on as many days.
IMPORT_ROWS, IMPORT_SHARE, IMPORT_DAYS = 20, 0.05, 20

#: The tables that rows of other tables refer to.
PARENTS = ("accounts", "contacts", "opportunities", "leads")
#: Named reasons for which an account is left out of every analysis: column -> (condition, reason).
EXCLUDED = {
    "is_deleted": ("is_deleted", "deleted"),
    "merged_into_account_id": ("merged_into_account_id IS NOT NULL", "merged into another account"),
}

TEST_NAME = "test record by its name"

#: rule -> (what is wrong with the rows, what to do)
RULES = {
    "required": ("have no value", "Fill it in at the source and export again."),
    "readable": ("cannot be read as {kind}", "Mend the cells at the source{dates}."),
    "allowed": ("hold a word that is not one of {one_of}", "Use one of these words."),
    "range": ("are outside {range}", "Check the sign and the unit."),
    "duplicate key": ("share their {column} with a row that says something else", "Keep one row for each {column}."),
    "identical copy": ("are identical copies of another row", "Nothing to do: one of each is kept."),
    "unknown {parent}": (
        "refer to a row that is not among the valid {parent}", "Export the missing {parent}, or remove the rows."),
    "unknown {parent}, optional": (
        "refer to a row that is not among the valid {parent}", "Kept; whatever needs the link leaves them out."),
    "closed without a date": ("are won or lost without a closed_at", "Add the closing date."),
    "closed before created": ("close more than a day before they were created", "Correct the dates."),
    "closed a little before created": (
        "close up to a day before they were created (time zones do this)", "Kept, with a cycle of 0 days."),
    "entered before created": (
        "enter a stage more than a day before the opportunity was created", "Correct the dates."),
    "won without amount": (
        "are won with an amount of zero or none", "Kept as won with no margin. Add the amounts if there were any."),
    "amount 1,000 times the usual": (
        "are 1,000 times the median or more, or less than a thousandth of it",
        "Kept. Check the unit (cents, thousands)."),
    "unknown stage": ("are in a stage that stages does not list", "Add the stage to stages."),
    "first of the month": ("are not the first day of a month", "Write months as 2026-09-01."),
    "other currency": (
        "are in a currency without a rate", "Add it to fx.csv (currency, rate), or export the company's currency."),
    "joined by name": (
        "have no id of their account and are joined to it by its name",
        "Kept. Add the account's id to the export: a company that changed its name is not found."),
    "name of no account": (
        "have no id of their account, and its name is not among the valid accounts",
        "Add the account's id to the export."),
    "name of several accounts": (
        "have no id of their account, and several accounts have its name", "Add the account's id to the export."),
    "other word": (
        "hold a word that is none of {one_of}", "Kept, and left empty{empty}."),
    "many created on one day": (
        "were all created on one day, as in an import", "Kept. Their creation date may be the import's."),
}  # fmt: skip


@dataclass(frozen=True)
class Check:
    """One condition that makes a row bad: SQL over the typed columns (``x``) and their text (``x__text``)."""

    rule: str
    column: str
    severity: str
    bad: str
    parent: str = ""


def find_facts(con, table: str, columns: list[Column]) -> dict:
    """Return what the checks need to know of all rows of ``typed_<table>``: `median_amount`, `import_day`, or None."""
    facts = {"median_amount": None, "import_day": None}
    if table == "opportunities" and "amount" in {column.name for column in columns}:
        median = "SELECT median(amount) FROM typed_opportunities WHERE amount > 0"
        facts["median_amount"] = con.execute(median).fetchone()[0]
    if table == "accounts":
        busiest = con.execute(
            "SELECT date_trunc('day', created_at) AS day, count(*) AS n, sum(count(*)) OVER () AS total, "
            "count(*) OVER () AS days FROM typed_accounts WHERE created_at IS NOT NULL GROUP BY 1 "
            "ORDER BY n DESC, day LIMIT 1"
        ).fetchone()
        if busiest and busiest[1] >= max(IMPORT_ROWS, IMPORT_SHARE * busiest[2]) and busiest[3] >= IMPORT_DAYS:
            facts["import_day"] = busiest[0]
    return facts


def build_checks(table: str, columns: list[Column], facts: dict) -> list[Check]:
    """Return the checks of one table.

    Parameters
    ----------
    table : str
    columns : list of schemas.Column
        The columns that the extract has.
    facts : dict
        'parents': tables that the extract has, to refer to; 'currencies': those that can be converted; 'median_amount'
        or None; 'has_stages': whether stages were given; 'import_day': a mass-import day or None; 'marks': what is
        marked besides (`_joined`, `_other_<column>`).
    """
    checks = []
    for column in columns:
        name, text = ident(column.name), ident(f"{column.name}__text")
        if column.required or (table, column.name) == ("opportunities", "status"):
            by_name = " AND _joined IS NULL" if column.name == "account_id" and "_joined" in facts["marks"] else ""
            checks.append(Check("required", column.name, "error", f"{text} IS NULL{by_name}"))
        if column.kind not in ("text", "id", "list"):
            checks.append(Check("readable", column.name, "error", f"{text} IS NOT NULL AND {name} IS NULL"))
        if column.one_of:
            words = ", ".join(map(quote, column.one_of))
            checks.append(Check("allowed", column.name, "error", f"{name} NOT IN ({words})"))
        if column.low is not None or column.high is not None:
            low = f"{name} < {column.low}" if column.low is not None else "false"
            high = f"{name} > {column.high}" if column.high is not None else "false"
            checks.append(Check("range", column.name, "error", f"{low} OR {high}"))
        if column.kind == "month":
            checks.append(Check("first of the month", column.name, "error", f"date_trunc('month', {name}) <> {name}"))
        if column.references in facts["parents"]:
            rule, severity = ("", "error") if column.required else (", optional", "warning")
            bad = f"{name} IS NOT NULL AND {ident(f'{column.name}__state')} IS NULL"
            checks.append(Check("unknown {parent}" + rule, column.name, severity, bad, column.references))
        if column.name == "account_id" and "_joined" in facts["marks"]:
            checks += _name_checks("error" if column.required else "warning")
        if f"_other_{column.name}" in facts["marks"]:
            checks.append(Check("other word", column.name, "warning", f"_other_{column.name}"))
    if any(column.key for column in columns):
        keys = ", ".join(column.name for column in columns if column.key)
        checks.append(Check("duplicate key", keys, "error", "_conflict"))
        checks.append(Check("identical copy", keys, "warning", "_copy"))
    return checks + _own_checks(table, {column.name for column in columns}, facts)


def _name_checks(severity: str) -> list[Check]:
    """How rows were joined by the account's name."""
    return [
        Check("joined by name", "account_id", "warning", "_joined = 'one'"),
        Check("name of no account", "account_id", severity, "_joined = 'none'"),
        Check("name of several accounts", "account_id", severity, "_joined = 'several'"),
    ]


def _own_checks(table: str, has: set[str], facts: dict) -> list[Check]:
    """The checks that only one table has."""
    checks = []
    if table == "opportunities":
        checks += _close_checks("closed_at" in has)
    if table == "opportunities" and (usual := facts["median_amount"]):
        outlier = f"amount >= {usual * OUTLIER} OR (amount > 0 AND amount < {usual / OUTLIER})"
        checks += [
            Check("won without amount", "amount", "warning", "status = 'won' AND coalesce(amount, 0) = 0"),
            Check("amount 1,000 times the usual", "amount", "warning", outlier),
        ]
    if table == "stage_history":
        early = f"entered_at < opportunity_created_at - {DAY}"
        checks.append(Check("entered before created", "entered_at", "error", early))
    if table in ("opportunities", "stage_history") and facts["has_stages"] and "stage" in has:
        checks.append(Check("unknown stage", "stage", "error", "stage NOT IN (SELECT stage FROM state_stages)"))
    if table == "accounts" and (day := facts["import_day"]):
        on_day = f"date_trunc('day', created_at) = TIMESTAMP '{day}'"
        checks.append(Check("many created on one day", "created_at", "warning", on_day))
    if "currency" in has:
        known = ", ".join(map(quote, facts["currencies"]))
        checks.append(Check("other currency", "currency", "error", f"upper(currency) NOT IN ({known})"))
    return checks


def _close_checks(has_date: bool) -> list[Check]:
    """Whether and when decided opportunities closed."""
    late = "status IN ('won', 'lost')"
    if not has_date:
        return [Check("closed without a date", "closed_at", "error", late)]
    a_little = f"{late} AND closed_at < created_at AND closed_at >= created_at - {DAY}"
    return [
        Check("closed without a date", "closed_at", "error", f"{late} AND closed_at__text IS NULL"),
        Check("closed before created", "closed_at", "error", f"{late} AND closed_at < created_at - {DAY}"),
        Check("closed a little before created", "closed_at", "warning", a_little),
    ]


def build_flagged(table: str, columns: list[Column], checks: list[Check], parents: set[str], exclude: list[str]) -> str:
    """Return the SQL of the rows with errors, with warnings or to be left out: most rows are none of these.

    Parameters
    ----------
    table : str
        There must be ``typed_<table>`` (of accounts with `_test_name`), and ``state_<parent>`` for every parent.
    columns : list of schemas.Column
    checks : list of Check
        A row's ``_errors`` and ``_warnings`` are places in this list.
    parents : set of str
        Tables that the extract has and rows can refer to.
    exclude : list of str
        Account types that are left out.

    Returns
    -------
    str
        A SELECT of the cells as text, ``_errors``, ``_warnings``, ``_copy``, ``_excluded`` (the reason), ``_fate``.
    """
    joins, picked = _copies(table, columns)
    reasons = [("_copy", "identical copy")]
    if table == "accounts":
        has = {column.name for column in columns}
        reasons = [*(EXCLUDED[name] for name in EXCLUDED if name in has), *reasons]
        reasons += [(f"account_type = {quote(kind)}", kind) for kind in exclude if "account_type" in has]
        reasons += [("_test_name", TEST_NAME)]
    for column in columns:
        if column.references in parents:
            parent, state = f"p_{column.name}", ident(f"{column.name}__state")
            joins += f" LEFT JOIN state_{column.references} {parent} ON t.{ident(column.name)} = {parent}.id"
            picked.append(f"{parent}.state AS {state}")
            reasons.append((f"{state} = 'excluded'", "belongs to an excluded account"))
    if table == "stage_history":
        picked.append("p_opportunity_id.created_at AS opportunity_created_at")
    conditions = [*(check.bad for check in checks), *(condition for condition, _ in reasons)]
    excluded = " ".join(f"WHEN {condition} THEN {quote(reason)}" for condition, reason in reasons)
    errors, warnings = (_places(checks, severity) for severity in ("error", "warning"))
    texts = ", ".join(ident(f"{column.name}__text") for column in columns)
    return f"""
        SELECT *, CASE WHEN len(_errors) > 0 THEN 'quarantined' WHEN _excluded IS NOT NULL THEN 'excluded'
                       ELSE 'kept' END AS _fate
        FROM (SELECT _file, _row, _part, _copy, {texts}, {errors} AS _errors, {warnings} AS _warnings,
                     CASE {excluded} END AS _excluded
              FROM (SELECT {", ".join(picked)} FROM typed_{table} t {joins}) WHERE ({") OR (".join(conditions)}))"""


def _places(checks: list[Check], severity: str) -> str:
    """SQL of the places in `checks` of what is wrong with a row."""
    each = [f"CASE WHEN {check.bad} THEN {number} END" for number, check in enumerate(checks)
            if check.severity == severity]  # fmt: skip
    return f"list_filter([{', '.join(each)}]::INTEGER[], x -> x IS NOT NULL)"


def build_judged(table: str) -> str:
    """Return the SQL of all typed rows with ``_fate``, ``_excluded`` and ``_copy``; ``flagged_<table>`` tells them."""
    return (
        "SELECT t.*, coalesce(f._fate, 'kept') AS _fate, f._excluded, coalesce(f._copy, false) AS _copy "
        f"FROM typed_{table} t LEFT JOIN flagged_{table} f USING (_file, _row, _part)"
    )


def _copies(table: str, columns: list[Column]) -> tuple[str, list[str]]:
    """A join that tells, for keys that stand more than once, identical copies from rows that disagree."""
    keys = [ident(column.name) for column in columns if column.key]
    if not keys:
        return "", ["t.*", "false AS _conflict", "false AS _copy"]
    key = ", ".join(keys)
    every = ", ".join(ident(f"{column.name}__text") for column in columns)
    known = " AND ".join(f"{name} IS NOT NULL" for name in keys)
    join = f""" LEFT JOIN (
        SELECT _file, _row, _part, count(DISTINCT hash({every})) OVER (PARTITION BY {key}) AS variants,
               row_number() OVER (PARTITION BY {every} ORDER BY _file, _row) AS copy
        FROM typed_{table}
        WHERE ({key}) IN (SELECT ({key}) FROM typed_{table} WHERE {known} GROUP BY {key} HAVING count(*) > 1)
    ) k USING (_file, _row, _part)"""
    conflict = "coalesce(k.variants > 1, false) AS _conflict"
    return join, ["t.*", conflict, "coalesce(k.variants = 1 AND k.copy > 1, false) AS _copy"]


def build_state(table: str, columns: list[Column]) -> str | None:
    """Return the SQL of what other tables ask of this one: its valid keys and their fate, or the stages; else None."""
    keys = TABLES[table].keys
    if table == "stages":
        has = {column.name for column in columns}
        flags = ", ".join(
            f"coalesce({name if name in has else 'false'}, false) AS {name}" for name in ("is_won", "is_closed")
        )
        return f"SELECT stage, {flags} FROM judged_stages WHERE _fate = 'kept'"
    if table in PARENTS:
        also = ", created_at" if table == "opportunities" else ""
        return (
            f"SELECT {keys[0]} AS id, _fate AS state{also} FROM judged_{table} "
            "WHERE _fate <> 'quarantined' AND NOT _copy"
        )
    return None
