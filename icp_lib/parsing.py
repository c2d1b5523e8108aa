"""Text -> dates, numbers, flags: one way of writing for a column, and what was assumed is told."""

from __future__ import annotations

import re

from icp_lib.checks import DataError
from icp_lib.reading import ident, quote
from icp_lib.schemas import Column
from icp_lib.settings import Settings

ISO_DAY = r"\d{4}-\d{2}-\d{2}"
#: What most systems write: read by one cast, where the general road takes ten times as long.
PLAIN_UTC = r"(19|20|21)\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"
ISO_TIME = ISO_DAY + r"[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s?(Z|UTC|[+-]\d{2}(:?\d{2})?)?"
DAY_FORMATS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d")
YEARS = (1900, 2199)
#: Two ways of writing are in conflict where the rarer is used more than once in so many cells.
CONFLICT = 20
FLAGS = {"true": ("true", "t", "yes", "y", "1"), "false": ("false", "f", "no", "n", "0")}
SIGNS = {"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CAD": "$", "AUD": "$", "INR": "₹", "BRL": "R$"}
#: The sign of an e-mail address, as it is and as web addresses write it.
ADDRESS = "@|%40"
#: Ids that tell who a person is: white space in them, or no digit, means a name.
PERSON_IDS = ("owner_id", "contact_id")


def build_typed(
    con, source: str, table: str, column: Column, settings: Settings, stored: bool = False
) -> tuple[str, str]:
    """Return the SQL that types one text column, and in words what was assumed ('' where nothing was).

    Parameters
    ----------
    con : duckdb connection
    source : str
        The all-text table.
    table : str
    column : schemas.Column
    settings : Settings
        `timezone` (a date without a time is that day there), `date_formats`, `decimal`, `currency`.
    stored : bool
        The file stores the column as numbers, so there is nothing to guess about its decimal mark.

    Raises
    ------
    DataError
        A column of dates may be read with the day or with the month first, one of numbers with a comma or a point.
    """
    text = ident(column.name)
    if column.kind in ("time", "month"):
        return _typed_time(con, source, table, column, settings)
    if column.kind in ("integer", "number", "money"):
        return _typed_number(con, source, table, column, settings, stored)
    if column.kind == "flag":
        either = [
            f"WHEN lower({text}) IN ({', '.join(map(quote, words))}) THEN {value}" for value, words in FLAGS.items()
        ]
        return f"CASE {' '.join(either)} END", ""
    if column.one_of:
        return f"lower({text})", ""
    return _typed_text(con, source, table, column)


def _typed_text(con, source: str, table: str, column: Column) -> tuple[str, str]:
    """Text as it is, but for people: an id that is an address (or a person's name) becomes a code that still joins."""
    text = ident(column.name)
    if column.kind == "id":
        _check_digits(con, source, table, column)
        personal = rf"{ADDRESS}|\s|^\D*$" if column.name in PERSON_IDS else ADDRESS
        sql = (f"CASE WHEN regexp_matches({text}, '{personal}') THEN 'code-' || left(sha256({text}), 12) "
               f"ELSE {text} END")  # fmt: skip
    else:
        personal, sql = ADDRESS, f"regexp_replace({text}, '\\S+({ADDRESS})\\S+', '(e-mail)', 'g')"
    quick = " OR ".join(f"contains({text}, {quote(part)})" for part in ADDRESS.split("|"))
    n_personal = _count(con, source, quick if personal == ADDRESS else f"regexp_matches({text}, '{personal}')")
    if not n_personal:
        return text, ""
    return (
        sql,
        f"text; {n_personal:,} cells that name a person are replaced by a {'code' if column.kind == 'id' else 'mark'}",
    )


def _check_digits(con, source: str, table: str, column: Column) -> None:
    """Raise if a spreadsheet wrote ids as numbers: 1.23457E+15 may have been any of a million ids."""
    text = ident(column.name)
    is_cut = f"regexp_full_match({text}, '\\d([.,]\\d+)?E\\+\\d+')"
    n_cut, first = con.execute(f"SELECT count(*), any_value({text}) FROM {source} WHERE {is_cut}").fetchone()
    if n_cut:
        raise DataError(
            f"{table}, column {column.name}: {n_cut:,} id{'s' * (n_cut > 1)} lost digits in a spreadsheet (first: "
            f"{first}). Export again, and do not open the file in a spreadsheet before."
        )


def _typed_number(con, source: str, table: str, column: Column, settings: Settings, stored: bool) -> tuple[str, str]:
    """Numbers: the company's currency sign, thousands separators, parentheses for minus, a decimal point or comma."""
    cell = _plain_number(ident(column.name), settings.currency if column.kind == "money" else "")
    decimal = "." if stored else settings.decimal or _decimal_mark(con, source, table, column, cell)
    group = "," if decimal == "." else "."
    shape = rf"[+-]?(\d+|\d{{1,3}}(\{group}\d{{3}})+|)(\{decimal}\d*)?([eE][+-]?\d+)?"
    bare = f"replace(replace({cell}, '{group}', ''), '{decimal}', '.')"
    number = f"TRY_CAST({bare} AS DOUBLE)"
    whole = f" AND {number} = floor({number})" if column.kind == "integer" else ""
    sql = f"CASE WHEN regexp_full_match({cell}, '{shape}') AND isfinite({number}){whole} THEN {number} END"
    plain = r"\d{1,15}" if decimal == "," or whole else r"\d{1,15}(\.\d{1,15})?"  # read by one cast, as most cells are
    text, as_is = ident(column.name), f"TRY_CAST({ident(column.name)} AS DOUBLE)"
    if _count(con, source, f"NOT regexp_full_match({text}, '{plain}')"):
        as_is = f"CASE WHEN regexp_full_match({text}, '{plain}') THEN {as_is} ELSE {sql} END"
    return as_is, "numbers with a decimal comma" if decimal == "," else ""


def _plain_number(text: str, currency: str) -> str:
    """SQL of a number's text without currency, spaces between thousands, and parentheses."""
    cell = text
    if currency:
        signs = "|".join(re.escape(sign) for sign in (currency, SIGNS.get(currency)) if sign)
        for mark in (rf"^([+(-]?)(?:{signs})\s?([+-]?)", rf"\s?(?:{signs})(\)?)()$"):
            cell = f"regexp_replace({cell}, {quote(mark)}, '\\1\\2')"
    cell = f"regexp_replace({cell}, '^\\((.*)\\)$', '-\\1')"
    blank = "[ ''’\\x{A0}\\x{202F}]"
    is_grouped = f"regexp_full_match({cell}, '[+-]?\\d{{1,3}}({blank}\\d{{3}})+([.,]\\d*)?')"
    return f"CASE WHEN {is_grouped} THEN regexp_replace({cell}, '{blank}', '', 'g') ELSE {cell} END"


def _decimal_mark(con, source: str, table: str, column: Column, cell: str) -> str:
    """Return the mark that the column's cells give evidence for; '.' where nothing asks for one."""

    def shape(point: str, comma: str) -> str:
        parts = (
            rf"\d*\{point}(\d{{1,2}}|\d{{4,}})", rf"0?\{point}\d+", rf"\d{{4,}}\{point}\d+",
            rf"\d{{1,3}}(\{comma}\d{{3}})+\{point}\d+", rf"\d{{1,3}}(\{comma}\d{{3}}){{2,}}",
        )  # fmt: skip
        return rf"[+-]?({'|'.join(parts)})([eE][+-]?\d+)?"

    shapes = [shape(".", ","), shape(",", "."), r"[+-]?[1-9]\d{0,2}[.,]\d{3}"]
    counts = ", ".join(f"count(*) FILTER (WHERE regexp_full_match({cell}, '{words}'))" for words in shapes)
    has_mark = f"contains({ident(column.name)}, '.') OR contains({ident(column.name)}, ',')"
    n_point, n_comma, n_either = con.execute(f"SELECT {counts} FROM {source} WHERE {has_mark}").fetchone()
    if n_either and CONFLICT * min(n_point, n_comma) >= max(n_point, n_comma):
        raise DataError(
            f"{table}, column {column.name}: {n_either:,} numbers such as 1.234 or 1,234 may be thousands or decimals. "
            "Say in icp.yml which mark your decimals have: decimal: '.' or decimal: ','."
        )
    return "," if n_comma > n_point else "."


def _typed_time(con, source: str, table: str, column: Column, settings: Settings) -> tuple[str, str]:
    """ISO dates and times, else the one format of the column that reads most."""
    text, formats, zone = ident(column.name), settings.date_formats, settings.timezone
    declared = formats.get(f"{table}.{column.name}") or formats.get(column.name) or formats.get("*")
    iso = _iso(column, zone)
    as_iso = f"ISO dates; days in {zone}, times in UTC unless they give an offset"
    if column.kind == "month":
        as_iso = "months, ISO"
    if declared:
        _check_format(con, table, column, declared)
        return _parsed(column, declared, zone), f"dates written {declared}, as told in icp.yml"
    if not _count(con, source, f"NOT regexp_full_match({text}, '{PLAIN_UTC}')"):
        return f"TRY_CAST({text} AS TIMESTAMP)", as_iso
    other = f"{text} NOT LIKE '____-__%'"  # ISO alone starts so
    if not _count(con, source, other):
        return iso, as_iso
    if not _count(con, source, f"{text} IS NOT NULL AND ({iso}) IS NULL"):
        return iso, as_iso
    read = {way: _count(con, source, f"{other} AND ({_parsed(column, way, zone)}) IS NOT NULL") for way in DAY_FORMATS}
    best = max(read, key=read.get)
    n_iso = _count(con, source, f"({iso}) IS NOT NULL")
    if column.kind == "time" and _count(con, source, f"({_milliseconds(column)}) IS NOT NULL") > max(n_iso, read[best]):
        return _milliseconds(column), "times in milliseconds since 1970, UTC"
    if read[best] == 0 or read[best] <= n_iso:
        return iso, as_iso
    for way in DAY_FORMATS:
        if way != best and read[way]:
            _check_one_way(con, source, table, column, (best, way), zone)
    return _parsed(column, best, zone), f"dates written {best}"


def _check_one_way(con, source: str, table: str, column: Column, ways: tuple[str, str], zone: str) -> None:
    """Raise where cells that two ways of writing read differently cannot be told to be of either."""
    best, other = (f"({_parsed(column, way, zone)}) IS NOT NULL" for way in ways)
    n_best, n_other = (_count(con, source, f"{one} AND NOT ({two})") for one, two in ((best, other), (other, best)))
    n_both = _count(con, source, f"{best} AND {other}")
    if n_both and not n_best and not n_other:
        why = f"no day is above 12, so {' and '.join(ways)} both read all {n_both:,} dates"
    elif (n_both and CONFLICT * n_other >= n_best) or n_other == n_best:
        why = f"dates are written in two ways ({ways[0]}: {n_best:,}, {ways[1]}: {n_other:,}, either: {n_both:,})"
    else:
        return
    raise DataError(
        f"{table}, column {column.name}: {why}. Say which in icp.yml: "
        f"date_format: {{{table}.{column.name}: '{ways[0]}'}}."
    )


def _iso(column: Column, zone: str) -> str:
    """SQL that reads ISO days in the company's time zone and ISO times with their offset, UTC without one."""
    text = ident(column.name)
    if column.kind == "month":
        text = f"regexp_replace({text}, '^(\\d{{4}}-\\d{{2}})$', '\\1-01')"
    time = f"regexp_replace({text}, '[T ](\\d:)', ' 0\\1')"
    time = f"regexp_replace({time}, '[T ](\\d\\d:\\d\\d)(\\s?[UZ+-]|$)', ' \\1:00\\2')"
    time = f"regexp_replace(regexp_replace({time}, '\\s?(UTC|Z)$', 'Z'), '\\s([+-])', '\\1')"
    day = _in_zone(f"TRY_CAST({text} AS TIMESTAMP)", column, zone)
    general = _sensible(
        f"CASE WHEN regexp_full_match({text}, '{ISO_DAY}') THEN {day} WHEN regexp_full_match({text}, '{ISO_TIME}') "
        f"THEN timezone('UTC', TRY_CAST({time} AS TIMESTAMPTZ)) END"
    )
    return f"CASE WHEN regexp_full_match({text}, '{PLAIN_UTC}') THEN TRY_CAST({text} AS TIMESTAMP) ELSE {general} END"


def _milliseconds(column: Column) -> str:
    """SQL that reads 13 digits as HubSpot writes times."""
    text = ident(column.name)
    return _sensible(f"CASE WHEN regexp_full_match({text}, '\\d{{13}}') THEN epoch_ms(TRY_CAST({text} AS BIGINT)) END")


def _parsed(column: Column, way: str, zone: str) -> str:
    """SQL that reads one written format: with an offset as such, with a time as UTC, else a day in the time zone."""
    value = f"TRY_STRPTIME({ident(column.name)}, {quote(way)})"
    if "%z" in way or "%Z" in way:
        return _sensible(f"timezone('UTC', {value})")
    return _sensible(value if "%H" in way or "%I" in way else _in_zone(value, column, zone))


def _in_zone(value: str, column: Column, zone: str) -> str:
    return f"timezone('UTC', timezone({quote(zone)}, {value}))" if column.kind == "time" else value


def _sensible(value: str) -> str:
    """A year such as 26 or 9999 is a mistake of writing, not a date."""
    return f"CASE WHEN year({value}) BETWEEN {YEARS[0]} AND {YEARS[1]} THEN {value} END"


def _check_format(con, table: str, column: Column, declared: str) -> None:
    import duckdb

    try:
        con.execute(f"SELECT TRY_STRPTIME('', {quote(declared)}) IS NULL")
    except duckdb.InvalidInputException:
        raise DataError(
            f"icp.yml: date_format: '{declared}' for {table}.{column.name} is not a date format. "
            "Write it like '%d.%m.%Y'."
        ) from None


def _count(con, source: str, condition: str) -> int:
    return con.execute(f"SELECT count(*) FROM {source} WHERE {condition}").fetchone()[0]
