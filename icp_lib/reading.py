"""Raw files -> all-text tables in the engine: no cell is guessed, no row is lost."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

from icp_lib.checks import DataError, closest
from icp_lib.schemas import TABLES

SUFFIXES = (".csv", ".parquet")
DELIMITERS = (",", ";", "\t", "|")
HEAD_BYTES, LINE_BYTES, REJECTS = 1_000_000, 4_000_000, 1000


@dataclass(frozen=True)
class RawFile:
    """One file of the extract: its table, its header as written, and how it is read.

    `numeric` and `lists` name the columns that a Parquet file stores as numbers and as lists.
    """

    path: Path
    table: str
    header: tuple[str, ...]
    delimiter: str = ","
    numeric: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()

    @property
    def is_csv(self) -> bool:
        """Whether it has lines."""
        return self.path.suffix.lower() == ".csv"


def find_files(folder: Path) -> tuple[list[RawFile], list[str]]:
    """Return the files of the canonical tables, and what was seen but not read.

    A table is read from ``<table>.csv`` or ``<table>.parquet``, or from several such files
    ``<table>_<anything>``, one after another.

    Raises
    ------
    DataError
        A required table has no file; the closest file name is given.
    """
    files, unread = [], []
    for path in sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES and path.is_file()):
        table = _table_of(path.stem)
        if table:
            files.append(_open_parquet(path, table) if path.suffix.lower() == ".parquet" else _open_csv(path, table))
        elif path.stem not in ("feedback", "fx"):
            unread.append(path.name)
    found = {file.table for file in files}
    for table in ("accounts", "opportunities"):
        if table not in found:
            near = closest(table, [Path(name).stem for name in unread])
            also = f" '{near}' is there: is it the same?" if near else ""
            raise DataError(
                f"{table}: no {table}.csv or {table}.parquet in the extract.{also} "
                f"It needs the columns {', '.join(_required(table))}."
            )
    return files, unread


def _table_of(stem: str) -> str | None:
    stem = stem.lower()
    return next((name for name in TABLES if stem == name or stem.startswith((f"{name}_", f"{name}-"))), None)


def _required(table: str) -> list[str]:
    return [column.name for column in TABLES[table].columns if column.required]


def _open_parquet(path: Path, table: str) -> RawFile:
    """Read the schema; an id stored as a floating-point number has lost digits already."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        kind = type(error).__name__
        raise DataError(f"{path.name}: not a readable Parquet file ({kind}). Export it again.") from None
    header = _check_header(path, table, tuple(schema.names))
    for column in TABLES[table].columns:
        if column.kind == "id" and column.name in header and pa.types.is_floating(schema.field(column.name).type):
            raise DataError(
                f"{path.name}, column {column.name}: an id stored as a floating-point number loses digits. "
                "Write it as text and export again."
            )
    are = {field.name: field.type for field in schema}
    numeric = {name for name, kind in are.items() if pa.types.is_floating(kind) or pa.types.is_decimal(kind)}
    lists = {name for name, kind in are.items() if pa.types.is_list(kind) or pa.types.is_large_list(kind)}
    return RawFile(path, table, header, numeric=frozenset(numeric), lists=frozenset(lists))


def _open_csv(path: Path, table: str) -> RawFile:
    """Read the header; refuse what cannot be read without guessing."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
    if not head.strip(b"\xef\xbb\xbf \t\r\n"):
        raise DataError(f"{path.name}: the file is empty. Export it again, or remove it.")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4 or len(head) < HEAD_BYTES:
            raise DataError(f"{path.name}: not UTF-8 text (byte {error.start + 1:,}). Save it as CSV UTF-8.") from None
        text = head[: error.start].decode("utf-8-sig")
    if "\0" in text:
        raise DataError(f"{path.name}: holds zero bytes, so it is not UTF-8 text. Save it as CSV UTF-8.")
    if not text.splitlines()[0].strip():
        raise DataError(f"{path.name}, line 1: blank. The header must stand in the first line.")
    known = {column.name for column in TABLES[table].columns}
    csv.field_size_limit(LINE_BYTES)
    headers = [(next(csv.reader(io.StringIO(text, newline=""), delimiter=mark)), mark) for mark in DELIMITERS]
    header, delimiter = max(headers, key=lambda pair: (len(known & {name.strip() for name in pair[0]}), len(pair[0])))
    return RawFile(path, table, _check_header(path, table, tuple(header)), delimiter)


def _check_header(path: Path, table: str, header: tuple[str, ...]) -> tuple[str, ...]:
    """Return the header. A file without one may hold people in its first line, so only a near miss is shown."""
    names = [name.strip() for name in header]
    known = [column.name for column in TABLES[table].columns]
    for name in _required(table):
        if name not in names:
            near = closest(name, [column for column in names if column not in known])
            also = f"Did you mean '{near}'?" if near else f"It needs {', '.join(_required(table))} in its first line."
            raise DataError(f"{path.name}, header: the column '{name}' is missing. {also}")
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(f"{path.name}, header: the column '{twice[0]}' stands {names.count(twice[0])} times. Keep one.")
    return header


def read_text(con, file: RawFile, columns: list[str], target: str) -> None:
    """Create the table `target` with the wanted `columns` of one file as text, in file order.

    Raises
    ------
    DataError
        Rows with more or fewer fields than the header: how many, and the line of the first.
    """
    import duckdb

    path = escape_path(file.path)
    if not file.is_csv:
        cells = {name: f"array_to_string({ident(name)}, ';')" if name in file.lists else ident(name)
                 for name in file.header if name.strip() in columns}  # fmt: skip
        picked = ", ".join(f"{_clean(cell)} AS {ident(name.strip())}" for name, cell in cells.items())
        con.execute(f"CREATE TABLE {target} AS SELECT {picked} FROM read_parquet(?)", [path])
        return
    spec = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(file.header)))
    picked = ", ".join(
        f"{_clean(f'c{number}')} AS {ident(name.strip())}"
        for number, name in enumerate(file.header)
        if name.strip() in columns
    )
    blank = "WHERE c0 IS NOT NULL" if len(file.header) == 1 else ""
    try:
        con.execute(
            f"CREATE TABLE {target} AS SELECT {picked} FROM read_csv(?, auto_detect=false, header=true, "
            f"delim={quote(file.delimiter)}, quote='\"', escape='\"', columns={{{spec}}}, store_rejects=true, "
            f"rejects_limit={REJECTS * 10}, null_padding=false, strict_mode=true, max_line_size={LINE_BYTES}) {blank}",
            [path],
        )
    except duckdb.InvalidInputException:
        raise DataError(
            f"{file.path.name}: not one regular CSV (line ends of two kinds, or quotes that do not close). "
            "Export it again."
        ) from None
    _check_rejects(con, file)
    _check_last_cells(file)


def _check_rejects(con, file: RawFile) -> None:
    """Raise if the engine could not split rows. Its messages quote rows, so only counts of columns are passed on."""
    rejects = con.execute(
        "SELECT line_byte_position, any_value(error_type), any_value(error_message) FROM reject_errors "
        "GROUP BY line_byte_position ORDER BY line_byte_position"
    ).fetchall()
    if not rejects:
        return
    start, kind, said = rejects[0]
    line, fields = line_at(file.path, start or 0), re.search(r"Found: (\d+)", said)
    if kind == "INVALID ENCODING":
        raise DataError(f"{file.path.name}, line {line:,}: not UTF-8 text. Save it as CSV UTF-8.")
    many = "1,000 rows or more" if len(rejects) >= REJECTS else f"{len(rejects):,} row{'s' * (len(rejects) > 1)}"
    raise _ragged(file, many, line, f"{fields[1]} cells" if fields else kind.lower())


def _check_last_cells(file: RawFile) -> None:
    """Raise if a row has one cell too many and that is empty: the engine drops it, though others may have moved."""
    mark, width = file.delimiter.encode(), len(file.header)
    with file.path.open("rb") as stream:
        if not any(line.rstrip(b"\r\n").endswith(mark) for line in stream):
            return
    with file.path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=file.delimiter)
        wide = [(reader.line_num, len(cells)) for cells in reader if len(cells) > width]
    if wide:
        raise _ragged(
            file, f"{len(wide):,} row{'s' * (len(wide) > 1)}", wide[0][0], f"{wide[0][1]} cells, the last empty"
        )


def _ragged(file: RawFile, many: str, line: int, what: str) -> DataError:
    return DataError(
        f"{file.path.name}, line {line:,}: {many} cannot be split into the {len(file.header)} columns of the header "
        f"(first: line {line:,}; {what}). Quote cells that hold '{file.delimiter}' and export again."
    )


def line_at(path: Path, position: int) -> int:
    """Return the line number (from 1) of a byte position."""
    with path.open("rb") as stream:
        before = stream.read(position)
    return (before.count(b"\n") or before.count(b"\r")) + 1


def lines_of(file: RawFile, rows: list[int]) -> dict[int, int]:
    """Return the file's line of each data row (rows from 0), quoted line breaks and blank lines counted.

    A row of a Parquet file has no line: its number from 1 is given.
    """
    if not file.is_csv:
        return {row: row + 1 for row in rows}
    wanted, lines = set(rows), {}
    csv.field_size_limit(LINE_BYTES)
    with file.path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=file.delimiter)
        next(reader)
        row, before = 0, reader.line_num
        for cells in reader:
            if cells:
                if row in wanted:
                    lines[row] = before + 1
                    if len(lines) == len(wanted):
                        break
                row += 1
            before = reader.line_num
    return lines


def escape_path(path: Path | str) -> str:
    """Return a path for the engine, which would take * ? [ for a pattern.

    Examples
    --------
    >>> escape_path("acme [2026]/accounts.csv")
    'acme [[]2026]/accounts.csv'
    """
    return re.sub(r"([*?[])", r"[\1]", str(path))


def _clean(cell: str) -> str:
    """Text without outer white space; only an empty cell is missing."""
    return f"NULLIF(TRIM(CAST({cell} AS VARCHAR), ' ' || chr(9) || chr(10) || chr(13) || chr(160)), '')"


def ident(name: str) -> str:
    """Return a column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
