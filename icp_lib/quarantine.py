"""What the checks found: counts and messages, what became of the rows, and the rows set aside, with their reasons."""

from __future__ import annotations

from pathlib import Path

from icp_lib.opening import RawFile
from icp_lib.reading import ident, lines_of
from icp_lib.schemas import Column
from icp_lib.validation import Check, message, show_key


def count_checks(con, table: str, files: list[RawFile], columns: list[Column], checks: list[Check]) -> list[dict]:
    """Return one row a check: table, column, rule, severity, n_rows, n_checked, examples (up to five ids), message."""
    total = con.execute(f"SELECT count(*) FROM judged_{table}").fetchone()[0]
    counts = dict(
        con.execute(
            f"SELECT c, count(*) FROM (SELECT unnest(_errors || _warnings) AS c FROM judged_{table}) GROUP BY c"
        ).fetchall()
    )
    rows = []
    for number, check in enumerate(checks):
        row = {
            "table": table,
            "column": check.column,
            "rule": rule_name(check),
            "severity": check.severity,
            "n_rows": counts.get(number, 0),
            "n_checked": total,
        }
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
    hit = f"FROM judged_{table} WHERE list_contains(_errors || _warnings, {number})"
    file, at, text, *first = con.execute(
        f"SELECT _file, _row, {cell}, {shown} {hit} ORDER BY _file, _row LIMIT 1"
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
        f"SELECT _file, _row, _errors, {names} FROM judged_{table} WHERE _fate = 'quarantined' ORDER BY _file, _row"
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
