"""What the checks found: counts and messages, what became of the rows, and the rows set aside, with their reasons."""

from __future__ import annotations

import re
from pathlib import Path

from icp_lib.checks import closest
from icp_lib.opening import RawFile
from icp_lib.reading import ident, lines_of
from icp_lib.schemas import Column
from icp_lib.validation import RULES, Check

#: Words that stand for "nothing": shown in messages as they are.
PLACEHOLDERS = ("n/a", "na", "nan", "none", "null", "tbd", "tbc", "unknown", "?", "x", "#n/a", "#ref!", "#value!")


def count_checks(con, table: str, files: list[RawFile], columns: list[Column], checks: list[Check]) -> list[dict]:
    """Return one row a check: table, column, rule, severity, n_rows, n_checked, examples (up to five ids), message."""
    total = con.execute(f"SELECT count(*) FROM typed_{table}").fetchone()[0]
    found = f"SELECT unnest(_errors || _warnings) AS number FROM flagged_{table}"
    counts = dict(con.execute(f"SELECT number, count(*) FROM ({found}) GROUP BY number").fetchall())
    rows = []
    for number, check in enumerate(checks):
        row = {
            "table": table, "column": check.column, "rule": rule_name(check), "severity": check.severity,
            "n_rows": counts.get(number, 0), "n_checked": total,
        }  # fmt: skip
        shown = _build_example(con, table, files, columns, check, number, row) if row["n_rows"] else {}
        rows.append(row | {"examples": "", "message": ""} | shown)
    return rows


def rule_name(check: Check) -> str:
    """Return the rule as a reader sees it."""
    return check.rule.format(parent=check.parent)


def _build_example(con, table, files, columns: list[Column], check: Check, number: int, row: dict) -> dict:
    """The message with the first bad row, and up to five ids."""
    keys = [column for column in columns if column.key]
    shown = ", ".join(ident(f"{column.name}__text") for column in keys) or "NULL"
    column = next((column for column in columns if column.name == check.column), None)
    is_given = column is not None and check.rule != "closed without a date" and not (column.key and len(keys) == 1)
    cell = ident(f"{column.name}__text") if is_given else "NULL"
    hit = f"FROM flagged_{table} WHERE list_contains(_errors || _warnings, {number})"
    file, at, text, *first = con.execute(
        f"SELECT _file, _row, {cell}, {shown} {hit} ORDER BY _file, _row, _part LIMIT 1"
    ).fetchone()
    examples = con.execute(f"SELECT DISTINCT {shown} {hit} ORDER BY ALL LIMIT 5").fetchall() if keys else []
    name = keys[0].name if len(keys) == 1 else ""
    found = {
        "file": files[file].path.name,
        "place": f"{'line' if files[file].is_text else 'row'} {lines_of(files[file], [at])[at]:,}",
        "key": show_key(keys, first[: len(keys)]),
        "cell": text,
    } | {count: row[count] for count in ("n_rows", "n_checked")}
    ids = "; ".join(show_key(keys, cells).removeprefix(name).strip() for cells in examples)
    return {"examples": ids, "message": message(check, column, found)}


def count_fates(con, table: str, left_out: dict[str, int] | None = None) -> list[dict]:
    """Return what became of the rows: table, step (read, quarantined, excluded, kept), reason, n_rows, n_won."""
    is_dealt = table == "opportunities"
    won = "count(*) FILTER (WHERE status = 'won')" if is_dealt else "NULL"
    fates = con.execute(
        f"SELECT _fate, CASE WHEN _fate = 'excluded' THEN _excluded ELSE '' END AS reason, count(*), {won} "
        f"FROM judged_{table} GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    fates += [("excluded", reason, n, 0 if is_dealt else None) for reason, n in (left_out or {}).items() if n]
    read = ("read", "", sum(fate[2] for fate in fates), sum(fate[3] for fate in fates) if is_dealt else None)
    return [
        {"table": table, "step": step, "reason": reason, "n_rows": n_rows, "n_won": n_won}
        for step, reason, n_rows, n_won in [read, *fates]
    ]


def write_quarantine(
    con, folder: Path, table: str, files: list[RawFile], columns: list[Column], checks: list[Check]
) -> None:
    """Write ``quarantine/<table>.csv``: file, line, reason and the cells as written. It is never published."""
    names = ", ".join(f"{ident(f'{column.name}__text')} AS {ident(column.name)}" for column in columns)
    bad = con.execute(
        f"SELECT _file, _row, _errors, {names} FROM flagged_{table} WHERE _fate = 'quarantined' "
        "ORDER BY _file, _row, _part"
    ).df()
    if bad.empty:
        return
    reasons = [f"{check.column}: {rule_name(check)}" for check in checks]
    rows = bad.groupby("_file")["_row"].agg(list)
    lines = {number: lines_of(files[number], wanted) for number, wanted in rows.items()}
    bad.insert(0, "reason", ["; ".join(reasons[number] for number in found) for found in bad["_errors"]])
    bad.insert(0, "line", [lines[file][row] for file, row in zip(bad["_file"], bad["_row"], strict=True)])
    bad.insert(0, "file", [files[file].path.name for file in bad["_file"]])
    (folder / "quarantine").mkdir(exist_ok=True)
    bad.drop(columns=["_file", "_row", "_errors"]).to_csv(folder / "quarantine" / f"{table}.csv", index=False)


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
    "time": "a date", "month": "a month", "number": "a number", "integer": "a whole number",
    "money": "an amount of money", "flag": "true or false",
}  # fmt: skip


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
