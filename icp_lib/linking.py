"""Rows find their account: a merged one leads to the one that remains, a name stands in where there is no id."""

from __future__ import annotations

import re
from collections.abc import Sequence

from icp_lib.reading import hold, ident, quote
from icp_lib.schemas import TABLES

#: Nouns that may follow a word such as test in the name of a record that is no company.
NOUNS = "accounts?|company|companies|customers?|organi[sz]ations?|records?|leads?"
#: What a month of two accounts that became one adds up to.
ADDED = ("revenue", "support_cost", "onboarding_cost", "seats")


def fold_name(cell: str) -> str:
    """Return SQL of a name to compare by: capitals and white space aside, as written."""
    return rf"regexp_replace(lower(nfc_normalize({cell})), '[\s\x{{A0}}]+', ' ', 'g')"


def named_test_sql(cell: str, words: Sequence[str]) -> str:
    """Return SQL that says whether a name is that of a test record.

    It is where it consists of one of the words, digits and marks aside, and at most a noun such as account after it;
    several words, such as do not use, count at the start of a name. So Test Valley Haulage remains a company.

    Examples
    --------
    >>> named_test_sql("name", [])
    'false'
    """
    if not words:
        return "false"
    gap, end = r"[^\p{L}]*", r"([^\p{L}\p{N}].*)?"
    parts = [[re.escape(part) for part in word.lower().split()] for word in words]
    single = "|".join(each[0] for each in parts if len(each) == 1)
    patterns = [rf"({single}){gap}(({NOUNS}){gap})?"] if single else []
    patterns += [r"[^\p{L}\p{N}]+".join(each) + end for each in parts if len(each) > 1]
    pattern = f"{gap}({'|'.join(patterns)})"
    return f"coalesce(regexp_full_match({fold_name(cell)}, {quote(pattern)}), false)"


def mark_rows(con, table: str, words: Sequence[str]) -> dict[str, str]:
    """Look at names in ``text_<table>``: mark test accounts, join rows without an id to their account.

    Parameters
    ----------
    con : duckdb connection
    table : str
    words : sequence of str
        Whose name is one of these is a test account.

    Returns
    -------
    dict
        Marks and their SQL: `_name` and `_test_name` of accounts, `_joined` where rows were joined by name,
        `_other_<column>`.
    """
    has = {row[0] for row in con.execute(f"DESCRIBE text_{table}").fetchall()}
    marks = {name: name for name in sorted(has) if name.startswith("_other_")}
    if table == "accounts":
        if "_name" in has:
            return marks | {"_name": "_name", "_test_name": named_test_sql("_name", words)}
        return marks | {"_name": "CAST(NULL AS VARCHAR)", "_test_name": "false"}
    if "_name" in has:
        _join_by_name(con, table)
        marks["_joined"] = "_joined"
    return marks


def find_survivors(con, columns: set[str]) -> int:
    """Create ``survivors`` (id, survivor) of the merged accounts whose last survivor is among the valid accounts.

    Parameters
    ----------
    con : duckdb connection
        With ``judged_accounts`` and ``state_accounts``.
    columns : set of str
        The columns of the accounts.

    Returns
    -------
    int
        How many merged accounts have one. A circle has none.
    """
    merged = "SELECT '' AS id, '' AS target WHERE false"
    if "merged_into_account_id" in columns:
        merged = ("SELECT account_id AS id, merged_into_account_id AS target FROM judged_accounts "
                  "WHERE merged_into_account_id IS NOT NULL AND _fate <> 'quarantined' AND NOT _copy")  # fmt: skip
    con.execute(
        f"CREATE TABLE main.survivors AS WITH RECURSIVE merged AS ({merged}), "
        "chain AS (SELECT id, target FROM merged UNION "
        "SELECT chain.id, merged.target FROM chain JOIN merged ON chain.target = merged.id) "
        "SELECT id, target AS survivor FROM chain WHERE target IN (SELECT id FROM state_accounts) "
        "AND target NOT IN (SELECT id FROM merged)"
    )
    (n_found,) = con.execute("SELECT count(*) FROM survivors").fetchone()
    if n_found and "parent_account_id" in columns:
        hold(con, "judged_accounts")
        con.execute(
            "UPDATE judged_accounts SET parent_account_id = nullif(survivor, account_id) FROM survivors "
            "WHERE parent_account_id = survivors.id"
        )
    return n_found


def follow_merges(con, table: str, columns: set[str]) -> list[dict]:
    """Give the rows of merged accounts to the account that remains; return table, column, read_as (what was done).

    Where the account is part of a row's key and the remaining account has such a row already, the row stays; the money
    of a month of `revenue` is added to the remaining account's row.

    Parameters
    ----------
    con : duckdb connection
        With ``typed_<table>`` and ``survivors``.
    table : str
    columns : set of str
        The columns of the table.
    """
    done = []
    if not con.execute("SELECT count(*) FROM survivors").fetchone()[0]:
        return done
    hold(con, f"typed_{table}")
    for column in TABLES[table].columns:
        if column.references != "accounts" or column.name not in columns:
            continue
        said = (_follow_key if column.key else _follow)(con, table, column.name, columns)
        if said:
            done.append({"table": table, "column": column.name, "read_as": said})
    return done


def _follow(con, table: str, column: str, columns: set[str]) -> str:
    (n_rows,) = con.execute(
        f"SELECT count(*) FROM typed_{table} WHERE {column} IN (SELECT id FROM survivors)"
    ).fetchone()
    if n_rows:
        con.execute(f"UPDATE typed_{table} SET {column} = survivor FROM survivors WHERE {column} = survivors.id")
    return _given(n_rows) if n_rows else ""


def _given(n_rows: int) -> str:
    return f"{_rows(n_rows)} of merged accounts {_are(n_rows)} given to the account that remains"


def _rows(number: int) -> str:
    return f"{number:,} row{'s' * (number != 1)}"


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _follow_key(con, table: str, column: str, columns: set[str]) -> str:
    """Of the rows that would share a key, those of one account move: the survivor's own, else the first id's."""
    key = [name for name in TABLES[table].keys if name in columns]
    rest = "".join(f", {ident(name)}" for name in key if name != column)
    target = f"coalesce(survivor, {column})"
    con.execute(
        f"CREATE TABLE moving AS SELECT t.rowid AS place, t.*, survivor, {target} AS target, dense_rank() OVER "
        f"(PARTITION BY {target}{rest} ORDER BY {column} <> {target}, {column}) AS turn "
        f"FROM typed_{table} t LEFT JOIN survivors s ON t.{column} = s.id "
        f"WHERE {target} IN (SELECT survivor FROM survivors)"
    )
    moved, left = con.execute(
        "SELECT count(*) FILTER (WHERE turn = 1), count(*) FILTER (WHERE turn > 1) FROM moving "
        "WHERE survivor IS NOT NULL"
    ).fetchone()
    con.execute(
        f"UPDATE typed_{table} t SET {column} = m.survivor FROM moving m "
        "WHERE t.rowid = m.place AND m.turn = 1 AND m.survivor IS NOT NULL"
    )
    if table == "revenue" and left:
        _add_months(con, columns)
    con.execute("DROP TABLE moving")
    said = [_given(moved)] if moved else []
    if left:
        what = "added to" if table == "revenue" else "left out beside"
        same = " and ".join(name for name in key if name != column)
        said.append(f"{_rows(left)} {_are(left)} {what} its own for the same {same}")
    return ", ".join(said)


def _add_months(con, columns: set[str]) -> None:
    """Add what did not move; a margin that one of the two lacks stays unknown."""
    amounts = [name for name in (*ADDED, "gross_margin") if name in columns]
    sums = ", ".join(f"sum({name}) AS {name}, count(*) = count({name}) AS has_{name}" for name in amounts)
    to = {name: f"coalesce(typed_revenue.{name} + m.{name}, typed_revenue.{name}, m.{name})" for name in amounts}
    to |= {"revenue": "typed_revenue.revenue + coalesce(m.revenue, 0)"}
    to |= {"gross_margin": "typed_revenue.gross_margin + CASE WHEN m.has_gross_margin THEN m.gross_margin END"}
    con.execute(
        f"UPDATE typed_revenue SET {', '.join(f'{name} = {to[name]}' for name in amounts)} FROM (SELECT target, month, "
        f"{sums} FROM (SELECT DISTINCT account_id, target, month, {', '.join(amounts)} FROM moving WHERE turn > 1) "
        "GROUP BY target, month) m WHERE typed_revenue.account_id = m.target AND typed_revenue.month = m.month"
    )


def keep_names(con) -> None:
    """Create ``names_accounts`` (name, id, n_accounts) from the valid accounts; a merged one has its survivor's id.

    An account that is left out shares its name only with others that are.
    """
    con.execute(
        f"CREATE TABLE main.names_accounts AS SELECT {fold_name('_name')} AS name, min(s.id) AS id, "
        "count(DISTINCT s.id) AS n_accounts, s.state = 'kept' AS is_kept "
        "FROM judged_accounts j LEFT JOIN survivors m ON j.account_id = m.id "
        "JOIN state_accounts s ON s.id = coalesce(m.survivor, j.account_id) "
        "WHERE _name IS NOT NULL AND j._fate <> 'quarantined' AND NOT j._copy GROUP BY ALL"
    )
    con.execute(
        "DELETE FROM names_accounts WHERE NOT is_kept AND name IN (SELECT name FROM names_accounts WHERE is_kept)"
    )


def _join_by_name(con, table: str) -> None:
    """Fill the account's id of ``text_<table>`` by name, and mark in `_joined` how that went: one, none, several."""
    hold(con, f"text_{table}")
    con.execute(f"ALTER TABLE text_{table} ADD COLUMN IF NOT EXISTS account_id VARCHAR")
    con.execute(f"ALTER TABLE text_{table} ADD COLUMN _joined VARCHAR")
    waiting = "account_id IS NULL AND _name IS NOT NULL"
    con.execute(f"UPDATE text_{table} SET _joined = 'none' WHERE {waiting}")
    con.execute(
        f"UPDATE text_{table} SET _joined = CASE WHEN n.n_accounts = 1 THEN 'one' ELSE 'several' END, "
        f"account_id = CASE WHEN n.n_accounts = 1 THEN n.id END FROM names_accounts n "
        f"WHERE {waiting} AND {fold_name('_name')} = n.name"
    )
