"""The body of a raw file -> an all-text table in the engine: no cell is guessed, no row is lost."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path

from icp_lib.checks import DataError
from icp_lib.opening import BLANKS, BLOCK, LINE_BYTES, RawFile, name_delimiter

REJECTS = 1000


def read_text(con, file: RawFile, picks: list[tuple[str, str]], target: str) -> None:
    """Create the table `target` from one file, in file order.

    Parameters
    ----------
    con : duckdb connection
    file : RawFile
    picks : list of (str, str)
        Name of a column, and its SQL over the cleaned text cells ``c0, c1 ...`` of the file's columns.
    target : str
        As SQL.

    Raises
    ------
    DataError
        Rows with more or fewer fields than the header: how many, and the line of the first. A column that is read
        stands twice.
    """
    picked = ", ".join(f"{cell} AS {ident(name)}" for name, cell in picks)
    used = {int(number) for _, cell in picks for number in re.findall(r"\bc(\d+)\b", cell)}
    _check_once(file, used)
    if not file.is_text:
        _read_parquet(con, file, f"SELECT {picked} FROM", used, target)
        return
    ends = {f"{file.delimiter}{end}".encode() for end in "\n\r"}
    seen = find_bytes(file.body, ends | {blank.encode()[:1] for blank in BLANKS})
    _read_csv(con, file, f"SELECT {picked} FROM", used, target, [one for one in BLANKS if one.encode()[:1] in seen])
    _check_rejects(con, file)
    if seen & ends:
        _check_last_cells(con, file)


def _check_once(file: RawFile, used: set[int]) -> None:
    for number in sorted(used):
        if (n_times := file.header.count(name := file.header[number])) > 1:
            raise DataError(f"{file.path.name}, header: the column '{name}' stands {n_times} times. Keep one.")


def _read_parquet(con, file: RawFile, select: str, used: set[int], target: str) -> None:
    import duckdb

    cells = {number: f"array_to_string({ident(name)}, ';')" if name in file.lists else ident(name)
             for number, name in enumerate(file.header) if number in used}  # fmt: skip
    clean = ", ".join(f"{_clean(cell, BLANKS)} AS c{number}" for number, cell in cells.items())
    try:
        con.execute(
            f"CREATE TABLE {target} AS {select} (SELECT {clean} FROM read_parquet(?))", [escape_path(file.body)]
        )
    except duckdb.Error as error:  # its message may quote a cell
        raise DataError(f"{file.path.name}: damaged Parquet file ({type(error).__name__}). Export it again.") from None


def _read_csv(con, file: RawFile, select: str, used: set[int], target: str, blanks: list[str]) -> None:
    import duckdb

    spec = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(len(file.header)))
    clean = ", ".join(f"{_clean(f'c{number}', blanks)} AS c{number}" for number in sorted(used))
    blank = "WHERE c0 IS NOT NULL" if len(file.header) == 1 else ""
    try:
        con.execute(
            f"CREATE TABLE {target} AS {select} (SELECT {clean} FROM read_csv(?, auto_detect=false, header=true, "
            f"delim={quote(file.delimiter)}, quote='\"', escape='\"', columns={{{spec}}}, store_rejects=true, "
            f"rejects_limit={REJECTS * 10}, null_padding=false, strict_mode=true, max_line_size={LINE_BYTES}) {blank})",
            [escape_path(file.body)],
        )
    except duckdb.InvalidInputException:
        raise DataError(
            f"{file.path.name}: not one regular CSV (line ends of two kinds, or quotes that do not close). "
            "Export it again."
        ) from None


def _check_rejects(con, file: RawFile) -> None:
    """Raise if the engine could not split rows. Its messages quote rows, so only counts of columns are passed on."""
    rejects = con.execute(
        "SELECT line_byte_position, any_value(error_type), any_value(error_message) FROM reject_errors "
        "GROUP BY line_byte_position ORDER BY line_byte_position"
    ).fetchall()
    if not rejects:
        return
    start, kind, said = rejects[0]
    line, fields = line_at(file.body, start or 0) + file.line_offset, re.search(r"Found: (\d+)", said)
    if kind == "INVALID ENCODING":
        raise DataError(f"{file.path.name}, line {line:,}: not UTF-8 text. Save it as CSV UTF-8.")
    if kind == "LINE SIZE OVER MAXIMUM":
        raise DataError(f"{file.path.name}, line {line:,}: longer than {LINE_BYTES:,} bytes. Shorten its cells.")
    many = "1,000 rows or more" if len(rejects) >= REJECTS else f"{len(rejects):,} row{'s' * (len(rejects) > 1)}"
    what = "a quote that does not close, or text after one" if kind == "UNQUOTED VALUE" else kind.lower()
    raise _ragged(file, many, line, f"{fields[1]} cells" if fields else what)


def _check_last_cells(con, file: RawFile) -> None:
    """Raise if a row has one cell too many and that is empty: the engine drops it, though others may have moved."""
    width = len(file.header)
    if not _has_long_lines(con, file, width):
        return
    with file.body.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=file.delimiter, skipinitialspace=True)
        wide = [(reader.line_num + file.line_offset, len(cells)) for cells in reader if len(cells) > width]
    if wide:
        raise _ragged(
            file, f"{len(wide):,} row{'s' * (len(wide) > 1)}", wide[0][0], f"{wide[0][1]} cells, the last empty"
        )


def _has_long_lines(con, file: RawFile, width: int) -> bool:
    """Whether a line ends with the delimiter and has `width` of them; some of these may stand in quotes."""
    import duckdb

    mark = quote(file.delimiter)
    try:
        found = con.execute(
            "SELECT 1 FROM read_csv(?, auto_detect=false, header=false, delim='\x01', quote='', escape='', "
            f"columns={{'line': 'VARCHAR'}}, max_line_size={LINE_BYTES}) WHERE suffix(line, {mark}) "
            f"AND length(line) - length(replace(line, {mark}, '')) >= {width} LIMIT 1",
            [escape_path(file.body)],
        ).fetchone()
    except duckdb.Error:  # line ends of two kinds, inside quotes: not to be seen line by line
        return True
    return found is not None


def _ragged(file: RawFile, many: str, line: int, what: str) -> DataError:
    return DataError(
        f"{file.path.name}, line {line:,}: {many} cannot be split into the {len(file.header)} columns of the header "
        f"(first: line {line:,}; {what}). Quote cells that hold a {name_delimiter(file.delimiter)} or a quote, and "
        "export again."
    )


def line_at(path: Path, position: int) -> int:
    """Return the line number (from 1) of a byte position."""
    with path.open("rb") as stream:
        before = stream.read(position)
    return (before.count(b"\n") or before.count(b"\r")) + 1


def find_bytes(path: Path, wanted: set[bytes]) -> set[bytes]:
    """Return which strings of one or two bytes stand in a file, whose last line is given an end: a fast first look."""
    missing, last, block = wanted, b"", b"-"
    with path.open("rb") as stream:
        while missing and block:
            block = stream.read(BLOCK)
            seen = last + (block or b"\n")
            missing = {each for each in missing if each[-1:] not in seen or each not in seen}  # one is faster
            last = block[-1:]
    return wanted - missing


def lines_of(file: RawFile, rows: list[int]) -> dict[int, int]:
    """Return the file's line of each data row (rows from 0), quoted line breaks and blank lines counted.

    A row of a Parquet file has no line: its number from 1 is given.
    """
    if not file.is_text:
        return {row: row + 1 for row in rows}
    wanted, lines = set(rows), {}
    csv.field_size_limit(LINE_BYTES)
    with file.body.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=file.delimiter, skipinitialspace=True)
        next(reader)
        row, before = 0, reader.line_num
        for cells in reader:
            if cells:
                if row in wanted:
                    lines[row] = before + 1 + file.line_offset
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


def _clean(cell: str, blanks: Iterable[str]) -> str:
    """Text without outer white space and invisible marks (of which the file has `blanks`); only empty is missing."""
    text = f"CAST({cell} AS VARCHAR)"
    may_be_blank = [f"{text} < '!'", f"{text} > '~'", *(f"suffix({text}, {quote(blank)})" for blank in blanks)]
    trimmed = f"NULLIF(TRIM({text}, {quote(BLANKS)}), '')"  # so much slower that only cells which need it are trimmed
    return f"CASE WHEN {' OR '.join(may_be_blank)} THEN {trimmed} ELSE {text} END"


def hold(con, name: str) -> None:
    """Turn a view into a table of the same name, so that its cells can be changed; a table stays as it is."""
    if con.execute("SELECT 1 FROM duckdb_views() WHERE view_name = ?", [name]).fetchone():
        con.execute(f"CREATE TABLE held AS FROM {name}; DROP VIEW {name}; ALTER TABLE held RENAME TO {name}")


def ident(name: str) -> str:
    """Return a column's name as SQL."""
    return '"' + name.replace('"', '""') + '"'


def quote(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"
