"""A company's own SQL and database: both become Parquet files, so that every source takes the same road."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from icp_lib.checks import DataError, hint
from icp_lib.opening import RawFile, open_file
from icp_lib.reading import ident, quote, read_text
from icp_lib.schemas import TABLES

MAX_SQL_BYTES = 1_000_000


def find_sql(folder: Path) -> dict[str, Path]:
    """Return canonical table -> its ``<table>.sql`` in a company's folder.

    Raises
    ------
    DataError
        A file whose name is no canonical table; the closest is named.
    """
    found = {path.stem: path for path in sorted(Path(folder).glob("*.sql"))}
    for name in found:
        if name not in TABLES:
            raise DataError(f"{name}.sql: '{name}' is not a canonical table. {hint(name, TABLES)}")
    return found


def run_sql(sqls: dict[str, Path], files: list[RawFile], scratch: Path) -> dict[str, RawFile]:
    """Run each SELECT over all-text tables named after the files; return table -> its result as a file.

    The SQL sees the text of the files and nothing else: it cannot open a file or a connection.

    Parameters
    ----------
    sqls : dict
        Canonical table -> file with one SELECT.
    files : list of RawFile
    scratch : Path
        Folder for the database and the results.
    """
    if not sqls:
        return {}
    texts = {table: _read_sql(path) for table, path in sqls.items()}
    database = scratch / "mapping.duckdb"
    used = [file for file in files if any(_names(text, file.path.stem) for text in texts.values())]
    with duckdb.connect(str(database)) as con:
        for file in used:
            picks = [(name, ident(f"c{number}")) for number, name in enumerate(file.header) if name]
            read_text(con, file, picks, ident(file.path.stem))
        con.execute("SET enable_external_access=false; SET lock_configuration=true")
        columns = {table: _select(con, table, sqls[table], text, used) for table, text in texts.items()}
    results = {}
    with duckdb.connect(str(database)) as con:
        for table, path in sqls.items():
            body = scratch / f"{table}.sql.parquet"
            con.execute(f"COPY result_{table} TO {quote(str(body))} (FORMAT parquet)")
            results[table] = RawFile(path, body, columns[table], notes=("made by SQL",))
    database.unlink()
    return results


def _read_sql(path: Path) -> str:
    if path.stat().st_size > MAX_SQL_BYTES:
        raise DataError(f"{path.name}: {path.stat().st_size:,} bytes is too large for a mapping.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: not UTF-8 text. Save it as UTF-8.") from None
    try:
        statements = duckdb.extract_statements(text)
    except duckdb.ParserException as error:
        raise DataError(f"{path.name}: {_first_line(error)}") from None
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise DataError(f"{path.name}: must hold one SELECT and nothing else; it holds {len(statements)} statements.")
    return statements[0].query.strip().rstrip(";")


def _names(sql: str, stem: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(stem)}(?!\w)", sql, re.IGNORECASE) is not None


def _select(con, table: str, path: Path, sql: str, files: list[RawFile]) -> tuple[str, ...]:
    """Create ``result_<table>`` as text and return its columns."""
    try:
        con.execute(f"CREATE TABLE result_{table} AS SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({sql})")
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.PermissionException) as error:
        views = ", ".join(file.path.stem for file in files) or "none"
        raise DataError(f"{path.name}: {_first_line(error)} The files it names: {views}.") from None
    except duckdb.Error as error:  # its message may quote a cell
        raise DataError(
            f"{path.name}: {type(error).__name__}. A cell could not be converted: use TRY_CAST or TRY_STRPTIME."
        ) from None
    names = tuple(row[0] for row in con.execute(f"DESCRIBE result_{table}").fetchall())
    for column in TABLES[table].columns:
        if column.required and column.name not in names:
            raise DataError(f"{path.name}: the column '{column.name}' is missing. {hint(column.name, names)}")
    return names


def _first_line(error: duckdb.Error) -> str:
    return str(error).split("\n")[0].rstrip(".") + "."


def database_path(url: str, folder: Path) -> Path:
    """Return the file of a ``duckdb:///<path>`` address; a relative path starts at the company's folder.

    Examples
    --------
    >>> database_path("duckdb:///crm.duckdb", Path("acme")).as_posix()
    'acme/crm.duckdb'
    """
    return folder / url.removeprefix("duckdb://").removeprefix("/")


def export_source(url: str, folder: Path, scratch: Path, fits: Callable[[str, Sequence[str]], bool]) -> list[RawFile]:
    """Copy the tables of a database that are of use to Parquet, and return them as files.

    Parameters
    ----------
    url : str
        ``duckdb:///crm.duckdb`` (a path from the company's folder) or what ``ibis.connect`` takes.
    folder : Path
        The company's folder.
    scratch : Path
    fits : callable
        Tells from a table's name and columns whether it is of use.
    """
    import ibis

    try:
        if url.startswith("duckdb://"):
            path = database_path(url, folder)
            if not path.exists():
                raise DataError(f"icp.yml: source: the database '{path.name}' does not exist.")
            con = ibis.duckdb.connect(path, read_only=True)
        else:
            con = ibis.connect(url)
        files = []
        for name in sorted(con.list_tables()):
            table = con.table(name)
            if fits(name, table.columns):
                body = scratch / f"{name}.parquet"
                table.to_parquet(body)
                files.append(open_file(body, scratch, lambda header: True, max_gb=float("inf")))
        con.disconnect()
    except DataError:
        raise
    except Exception as error:  # drivers raise their own classes, whose messages may hold the password
        kind = type(error).__name__
        raise DataError(f"icp.yml: source: cannot be read ({kind}). Check the address and rights.") from None
    return files
