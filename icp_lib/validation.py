"""The checks of every row, and the row's fate: read = kept + quarantined + excluded."""

from __future__ import annotations

import re
from dataclasses import dataclass

from icp_lib.checks import closest
from icp_lib.reading import ident, quote
from icp_lib.schemas import TABLES, Column

#: Tables are checked in this order, so that a row can be held against the valid rows it refers to.
ORDER = (
    "accounts",
    "campaigns",
    "stages",
    "contacts",
    "opportunities",
    "leads",
    "touches",
    "account_history",
    "stage_history",
    "spend",
    "revenue",
    "referrals",
    "surveys",
    "assignments",
    "prospects",
)
DAY = "INTERVAL 1 DAY"
OUTLIER = 1000

#: Words that stand for "nothing": shown in messages as they are.
PLACEHOLDERS = ("n/a", "na", "nan", "none", "null", "tbd", "tbc", "unknown", "?", "x", "#n/a", "#ref!", "#value!")
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
            kind = ("unknown {parent}", "error") if column.required else ("unknown {parent}, optional", "warning")
            known = ident(f"{column.name}__state")
            checks.append(
                Check(kind[0], column.name, kind[1], f"{name} IS NOT NULL AND {known} IS NULL", column.references)
            )
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
        late = "status IN ('won', 'lost')"
        if "closed_at" in has:
            checks += [
                Check("closed without a date", "closed_at", "error", f"{late} AND closed_at__text IS NULL"),
                Check("closed before created", "closed_at", "error", f"{late} AND closed_at < created_at - {DAY}"),
                Check(
                    "closed a little before created",
                    "closed_at",
                    "warning",
                    f"{late} AND closed_at < created_at AND closed_at >= created_at - {DAY}",
                ),
            ]
        else:
            checks.append(Check("closed without a date", "closed_at", "error", late))
        if facts["median_amount"]:
            usual = facts["median_amount"]
            checks += [
                Check("won without amount", "amount", "warning", "status = 'won' AND coalesce(amount, 0) = 0"),
                Check(
                    "amount 1,000 times the usual",
                    "amount",
                    "warning",
                    f"amount >= {usual * OUTLIER} OR (amount > 0 AND amount < {usual / OUTLIER})",
                ),
            ]
        if facts["has_stages"] and "stage" in has:
            checks.append(Check("unknown stage", "stage", "error", "stage NOT IN (SELECT stage FROM state_stages)"))
    if table == "stage_history":
        checks.append(
            Check("entered before created", "entered_at", "error", f"entered_at < opportunity_created_at - {DAY}")
        )
        if facts["has_stages"]:
            checks.append(Check("unknown stage", "stage", "error", "stage NOT IN (SELECT stage FROM state_stages)"))
    if table == "accounts" and facts["import_day"]:
        day = facts["import_day"]
        checks.append(
            Check(
                "many created on one day", "created_at", "warning", f"date_trunc('day', created_at) = TIMESTAMP '{day}'"
            )
        )
    if "currency" in has:
        known = ", ".join(map(quote, facts["currencies"]))
        checks.append(Check("other currency", "currency", "error", f"upper(currency) NOT IN ({known})"))
    return checks


def message(check: Check, column: Column | None, found: dict) -> str:
    """Return one line: where, how many, what is wrong, the first example, what to do.

    Parameters
    ----------
    check : Check
    column : schemas.Column or None
        None where the check is about several columns.
    found : dict
        file, place ('line 7'), n_rows, n_checked, key (the first example's, by `show_key`), cell (text or None).

    Examples
    --------
    >>> c = Check("closed before created", "closed_at", "error", "")
    >>> found = dict(file="opportunities.csv", place="line 7", n_rows=2, n_checked=9, key="D1", cell="2026-01-01")
    >>> message(c, None, found).split(" (")[0]
    'opportunities.csv, column closed_at: 2 of 9 rows close more than a day before they were created'
    >>> message(c, None, found).split(" (")[1]
    "first: line 7, D1: '2026-01-01'). Correct the dates."
    """
    what, fix = RULES[check.rule]
    kind = column.kind if column else ""
    fill = {
        "parent": check.parent,
        "column": check.column,
        "kind": _KINDS.get(kind, "text"),
        "one_of": ", ".join(column.one_of) if column else "",
        "range": _range(column) if column else "",
        "empty": ": a deal without a type counts as new" if check.column == "type" else "",
        "dates": ", or set date_format in icp.yml" if kind == "time" else "",
    }
    many = f"{found['n_rows']:,} of {found['n_checked']:,} row{'s' if found['n_checked'] != 1 else ''}"
    cell = f": {shown}" if (shown := show_cell(found["cell"], column)) else ""
    first = f"first: {found['place']}, {found['key']}{cell}"
    return f"{found['file']}, column {check.column}: {many} {what.format(**fill)} ({first}). {fix.format(**fill)}"


_KINDS = {
    "time": "a date",
    "month": "a month",
    "number": "a number",
    "integer": "a whole number",
    "money": "an amount of money",
    "flag": "true or false",
}


def _range(column: Column) -> str:
    if column.low is None and column.high is None:
        return ""
    if column.low is not None and column.high is not None:
        return f"{column.low:g} to {column.high:g}"
    return f"{column.low:g} or more" if column.low is not None else f"{column.high:g} or less"


def show_key(columns: list[Column], cells: list) -> str:
    """Return a row's key for a message; an id that may be an address or a name is hidden.

    Examples
    --------
    >>> show_key([Column("account_id", "id", "id", "")], ["A7"])
    'account_id A7'
    >>> show_key([Column("account_id", "id", "id", "")], ["Ann Miller"])
    'account_id (hidden: 10 characters)'
    """
    if not columns:
        return "no id"
    shown = " / ".join(_show_id(column, cell) for column, cell in zip(columns, cells, strict=True))
    return f"{columns[0].name} {shown}" if len(columns) == 1 else shown


def _show_id(column: Column, cell) -> str:
    text = "(none)" if cell is None else str(cell)
    personal = "@" in text or len(text) > 60 or (column.kind == "id" and re.search(r"\s", text))
    return f"(hidden: {len(text)} characters)" if personal else text


def show_cell(cell: str | None, column: Column | None) -> str:
    """Return a cell for a message: digits and marks as they are, words only when they resemble an allowed one.

    Examples
    --------
    >>> show_cell("2026-13-01", None), show_cell("Ann Miller", None)
    ("'2026-13-01'", '10 characters of text')
    """
    if cell is None:
        return ""
    if column and column.kind == "id":
        return f"'{_show_id(column, cell)}'"
    plain = re.fullmatch(r"[\d\s.,:/+\-%€$£TZ()'’]{1,40}|[A-Z]{3}", cell) and not _may_be_phone(cell)
    if plain or cell.casefold() in PLACEHOLDERS or (column and column.one_of and closest(cell, column.one_of)):
        return f"'{cell}'"
    return f"{len(cell):,} characters of text"


def _may_be_phone(cell: str) -> bool:
    """Whether seven digits or more stand together as neither a date nor a number does."""
    day = r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}([T\s].*)?"
    number = r"[-(]?[€$£]?\s?(\d+|\d{1,3}([.,'’\s]\d{3})+)([.,]\d+)?\)?\s?[€$£%]?\)?"
    return len(re.findall(r"\d", cell)) >= 7 and not re.fullmatch(f"{day}|{number}", cell)


def build_judged(table: str, columns: list[Column], checks: list[Check], parents: set[str], exclude: list[str]) -> str:
    """Return the SQL that gives every typed row its errors, its warnings and its fate.

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
        A SELECT with ``_errors``, ``_warnings``, ``_copy``, ``_excluded`` (the reason) and ``_fate``.
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
            state = f"{column.name}__state"
            joins += (
                f" LEFT JOIN state_{column.references} p_{column.name} ON t.{ident(column.name)} = p_{column.name}.id"
            )
            picked.append(f"p_{column.name}.state AS {ident(state)}")
            reasons.append((f"{ident(state)} = 'excluded'", "belongs to an excluded account"))
    if table == "stage_history":
        joins += " LEFT JOIN judged_opportunities o ON t.opportunity_id = o.opportunity_id "
        joins += "AND o._fate <> 'quarantined' AND NOT o._copy"
        picked.append("o.created_at AS opportunity_created_at")
    excluded = " ".join(f"WHEN {condition} THEN {quote(reason)}" for condition, reason in reasons)
    errors, warnings = (_places(checks, severity) for severity in ("error", "warning"))
    return f"""
        SELECT *, CASE WHEN len(_errors) > 0 THEN 'quarantined' WHEN _excluded IS NOT NULL THEN 'excluded'
                       ELSE 'kept' END AS _fate
        FROM (SELECT *, {errors} AS _errors, {warnings} AS _warnings,
                     CASE {excluded} END AS _excluded
              FROM (SELECT {", ".join(picked)} FROM typed_{table} t {joins}))"""


def _places(checks: list[Check], severity: str) -> str:
    """SQL of the places in `checks` of what is wrong with a row; few rows are asked twice."""
    bad = {number: f"({check.bad})" for number, check in enumerate(checks) if check.severity == severity}
    if not bad:
        return "[]::INTEGER[]"
    each = ", ".join(f"CASE WHEN {words} THEN {number} END" for number, words in bad.items())
    found = f"list_filter([{each}]::INTEGER[], x -> x IS NOT NULL)"
    return f"CASE WHEN {' OR '.join(bad.values())} THEN {found} ELSE []::INTEGER[] END"


def _copies(table: str, columns: list[Column]) -> tuple[str, list[str]]:
    """A join that tells, for keys that stand more than once, identical copies from rows that disagree."""
    keys = [ident(column.name) for column in columns if column.key]
    if not keys:
        return "", ["t.*", "false AS _conflict", "false AS _copy"]
    key = ", ".join(keys)
    every = ", ".join(ident(f"{column.name}__text") for column in columns)
    known = " AND ".join(f"{name} IS NOT NULL" for name in keys)
    join = f""" LEFT JOIN (
        SELECT _file, _row, count(DISTINCT hash({every})) OVER (PARTITION BY {key}) AS variants,
               row_number() OVER (PARTITION BY {every} ORDER BY _file, _row) AS copy
        FROM typed_{table}
        WHERE ({key}) IN (SELECT ({key}) FROM typed_{table} WHERE {known} GROUP BY {key} HAVING count(*) > 1)
    ) k ON t._file = k._file AND t._row = k._row"""
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
        return f"SELECT {keys[0]} AS id, _fate AS state FROM judged_{table} WHERE _fate <> 'quarantined' AND NOT _copy"
    return None
