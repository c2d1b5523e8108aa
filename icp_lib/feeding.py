"""Files, SQL or a database -> all-text canonical tables in the engine, each row with the file and row it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from icp_lib.checks import DataError, closest
from icp_lib.mapping import export_source, find_sql, run_sql
from icp_lib.opening import RawFile, open_file
from icp_lib.reading import hold, ident, quote, read_text
from icp_lib.recognition import Plan, recognise, table_of, why_not
from icp_lib.schemas import TABLES
from icp_lib.settings import Settings
from icp_lib.transforms import WORDS, Source, transform_sql, where_sql

LEFT_OUT = "left out by the source (deleted, superseded, not done, another field)"
LOCAL_TIME = r"\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?"
REQUIRED = ("accounts", "opportunities")


@dataclass(frozen=True)
class Feed:
    """One file as the source of one canonical table."""

    file: RawFile
    plan: Plan

    @property
    def columns(self) -> set[str]:
        """Canonical columns that it gives."""
        given = {source.column for source in self.plan.sources}
        more = {"wide stages": {"stage", "entered_at"}, "object history": {"attribute", "value"}}
        return given | (more.get(self.plan.shape, set()) if self.plan.details else set())

    @property
    def marks(self) -> dict[str, str]:
        """SQL of what is read besides: the account's name where it is of use, and words that a transform drops."""
        plan, marks = self.plan, {}
        refers = any(column.name == "account_id" for column in TABLES[plan.table].columns)
        is_of_use = plan.table == "accounts" or (refers and "account_id" not in self.columns)
        if plan.account_name and plan.shape == "table" and is_of_use:
            marks["_name"] = self.cell(plan.account_name)
        for source in plan.sources:
            if source.transform in WORDS and source.transform not in ("status", "attribute"):
                cell = self.cell(source.headers[0])
                marks[f"_other_{source.column}"] = (
                    f"{cell} IS NOT NULL AND ({transform_sql(source.transform, cell)}) IS NULL"
                )
        return marks

    @property
    def is_local(self) -> bool:
        """Whether times without an offset are those of the company's clocks, as people export them, not UTC."""
        spoken = self.plan.system == "HubSpot" and self.plan.dialect != "warehouse"
        return spoken or (self.plan.system, self.plan.dialect) == ("Salesforce", "report")

    def cell(self, header: str) -> str:
        """SQL of the text cell under a header."""
        return f"c{self.file.header.index(header.strip())}"


def find_feeds(
    data: Path, paths: list[Path], settings: Settings, scratch: Path
) -> tuple[dict[str, list[Feed]], dict[str, str]]:
    """Open every file and say which canonical table it feeds.

    Parameters
    ----------
    data : Path
        The company's folder, for ``<table>.sql`` and `source`.
    paths : list of Path
        Files that may belong to the extract.
    settings : Settings
    scratch : Path
        Folder for copies and databases, to be removed afterwards.

    Returns
    -------
    (dict, dict)
        Canonical table -> its feeds; name of a file that feeds none -> why.

    Raises
    ------
    DataError
        A file cannot be read without guessing, a required table has no file, or a column is missing.
    """
    sqls = find_sql(data)
    named_in_sql = "\n".join(path.read_text(encoding="utf-8", errors="replace") for path in sqls.values()).lower()

    def is_used(stem: str, header) -> bool:
        return bool(recognise(stem, header)) or stem.lower() in named_in_sql

    if settings.source:
        files = export_source(settings.source, data, scratch, is_used)
    else:
        files = [
            open_file(path, scratch, lambda row, path=path: _fits(path, row), settings.max_file_gb) for path in paths
        ]
    feeds: dict[str, list[Feed]] = {}
    for table, file in run_sql(sqls, files, scratch).items():
        sources = tuple(Source(name, (name,)) for name in file.header if _is_wanted(table, name))
        name = "account_name" if "account_name" in file.header else ""
        feeds[table] = [Feed(file, Plan(table, "SQL", "", sources, account_name=name, notes=file.notes))]
    unread = {}
    for file in files:
        stem = file.path.stem
        plans = recognise(stem, file.header)
        for plan in plans:
            if plan.table not in sqls:
                _check_ids(file, plan)
                feeds.setdefault(plan.table, []).append(Feed(file, plan))
        if not plans and stem.lower() not in named_in_sql:
            _check_named(file)
            unread[file.path.name] = why_not(stem, file.header)
    _check_required(feeds, unread)
    return feeds, unread


def _fits(path: Path, row) -> bool:
    try:
        return bool(recognise(path.stem, row))
    except DataError:
        return True


def _is_wanted(table: str, name: str) -> bool:
    return name == "currency" or name in {column.name for column in TABLES[table].columns}


def _check_ids(file: RawFile, plan: Plan) -> None:
    """An id that a Parquet file stores as a floating-point number has lost digits already."""
    kinds = {column.name: column.kind for column in TABLES[plan.table].columns}
    for source in plan.sources:
        if kinds.get(source.column) == "id" and set(source.headers) & file.numeric:
            raise DataError(
                f"{file.path.name}, column {source.column}: an id stored as a floating-point number loses digits. "
                "Write it as text and export again."
            )


def _check_named(file: RawFile) -> None:
    """A file named after a canonical table whose header does not fit is a mistake, not a stranger."""
    table = table_of(file.path.stem)
    if not table:
        return
    required = [column.name for column in TABLES[table].columns if column.required]
    known = {column.name for column in TABLES[table].columns}
    for name in required:
        if name not in file.header:
            near = closest(name, [column for column in file.header if column not in known])
            also = f"Did you mean '{near}'?" if near else f"It needs {', '.join(required)} in its first line."
            raise DataError(f"{file.path.name}, header: the column '{name}' is missing. {also}")


def _check_required(feeds: dict[str, list[Feed]], unread: dict[str, str]) -> None:
    for table in REQUIRED:
        if not any(feed.plan.shape != "link" for feed in feeds.get(table, [])):
            required = [column.name for column in TABLES[table].columns if column.required]
            near = closest(table, [Path(name).stem for name in unread])
            also = f" '{near}' is there: is it the same?" if near else ""
            also += "".join(f"\n  {name}: {why}" for name, why in unread.items())
            raise DataError(
                f"{table}: no {table}.csv or {table}.parquet in the extract.{also} "
                f"It needs the columns {', '.join(required)}."
            )


def create_text(con, table: str, feeds: list[Feed], extra: list[str], zone: str) -> tuple[list[str], int]:
    """Stack the feeds of a table as ``text_<table>``; `_file`, `_row` and `_part` say where a row came from.

    A row of a file that gives several canonical rows has several parts. What was read is only looked at, unless its
    rows had to be reshaped: whoever changes cells of ``text_<table>`` must `hold` it.

    Parameters
    ----------
    con : duckdb connection
    table : str
    feeds : list of Feed
    extra : list of str
        Headers that are read as they are (traits of icp.yml).
    zone : str
        The company's time zone, for exports whose times are local.

    Returns
    -------
    (list of str, int)
        The columns; how many rows the source itself marks as not to be read. Besides the columns the table may have
        `_name`, the account's name, and `_other_<column>`, whether a word was dropped that is not known.
    """
    main = [feed for feed in feeds if feed.plan.shape != "link"]
    columns = [column.name for column in TABLES[table].columns if any(column.name in feed.columns for feed in feeds)]
    columns += ["currency"] if any("currency" in feed.columns for feed in main) else []
    columns += [name for name in extra if any(name in feed.file.header for feed in main)]
    marks = sorted({mark for feed in main for mark in feed.marks})
    parts, n_out = [], 0
    for number, feed in enumerate(main):
        part, has = f"feed_{table}_{number}", feed.columns | set(extra) & set(feed.file.header)
        n_out += _create_part(con, feed, part, sorted(set(extra) & set(feed.file.header)), zone)
        cells = [ident(name) if name in has else f"CAST(NULL AS VARCHAR) AS {ident(name)}" for name in columns]
        cells += [mark if mark in feed.marks else f"NULL AS {mark}" for mark in marks]
        parts.append(f"SELECT {number} AS _file, _row, _part, {', '.join(cells)} FROM {part}")
    con.execute(f"CREATE VIEW text_{table} AS {' UNION ALL '.join(parts)}")
    if any(feed.plan.shape != "table" for feed in feeds):
        hold(con, f"text_{table}")
    for number, feed in enumerate(feed for feed in feeds if feed.plan.shape == "link"):
        _fill_link(con, table, feed, f"link_{table}_{number}", zone)
    return columns, n_out


def _create_part(con, feed: Feed, target: str, extra: list[str], zone: str) -> int:
    """Read one file; `target` shows it in the shape of canonical rows. Return how many rows were left out."""
    plan = feed.plan
    times = {column.name for column in TABLES[plan.table].columns if column.kind == "time"} if feed.is_local else ()
    picks = []
    for each in plan.sources:
        cell = transform_sql(each.transform, *map(feed.cell, each.headers))
        picks.append((each.column, _with_offset(cell, zone) if each.column in times else cell))
    for number, (_, header) in enumerate(plan.details):
        cell = feed.cell(header)
        is_time = feed.is_local and plan.shape == "wide stages"
        picks.append((f"_detail{number}", _with_offset(cell, zone) if is_time else cell))
    picks += [(name, feed.cell(name)) for name in extra] + list(feed.marks.items())
    picks += [("_keep", f"({where_sql(plan.where, feed.cell)})")]
    read_text(con, feed.file, picks, f"whole_{target}")
    (n_out,) = con.execute(f"SELECT count(*) FROM whole_{target} WHERE NOT _keep").fetchone()
    rows = f"(SELECT rowid AS _row, 0 AS _part, * EXCLUDE (_keep) FROM whole_{target} WHERE _keep)"
    con.execute(f"CREATE VIEW {target} AS {_reshape(plan, rows)}")
    return n_out


def _with_offset(cell: str, zone: str) -> str:
    """SQL of a time: one of the clocks of `zone` is written in UTC; days and times with an offset stay."""
    utc = f"timezone('UTC', timezone({quote(zone)}, TRY_CAST({cell} AS TIMESTAMP)))"
    return (f"CASE WHEN regexp_full_match({cell}, '{LOCAL_TIME}') "
            f"THEN coalesce(strftime({utc}, '%Y-%m-%dT%H:%M:%SZ'), {cell}) ELSE {cell} END")  # fmt: skip


def _reshape(plan: Plan, rows: str) -> str:
    """SQL that turns rows of a file into canonical rows."""
    if plan.shape == "wide stages":
        key = plan.sources[0].column
        stages = [f"SELECT _row, {part} AS _part, {key}, {quote(stage)} AS stage, _detail{part} AS entered_at "
                  f"FROM {rows} WHERE _detail{part} IS NOT NULL"
                  for part, (stage, _) in enumerate(plan.details)]  # fmt: skip
        return " UNION ALL ".join(stages)
    if plan.shape == "object history" and plan.details:
        values = [f"SELECT _row, {part} AS _part, account_id, valid_from, '{name}' AS attribute, "
                  f"_detail{part} AS value FROM {rows}" for part, (name, _) in enumerate(plan.details)]  # fmt: skip
        return _changes(f"({' UNION ALL '.join(values)})", "account_id, attribute", "value", "valid_from")
    if plan.shape == "object history":
        return _changes(rows, "opportunity_id", "stage", "entered_at")
    return f"SELECT * FROM {rows}"


def _changes(rows: str, by: str, value: str, at: str) -> str:
    """SQL that keeps a row where its value is another than in the row before."""
    before = f"lag({value}) OVER (PARTITION BY {by} ORDER BY {at}, _row)"
    return f"SELECT * FROM {rows} WHERE {value} IS NOT NULL QUALIFY {value} IS DISTINCT FROM {before}"


def _fill_link(con, table: str, feed: Feed, target: str, zone: str) -> None:
    """Fill the column that a file of pairs of ids gives, where the table's own files lack it."""
    key, value = (source.column for source in feed.plan.sources[:2])
    _create_part(con, feed, target, [], zone)
    con.execute(
        f"UPDATE text_{table} SET {value} = l.{value} FROM (SELECT {key}, min({value}) AS {value} FROM {target} "
        f"GROUP BY {key}) l WHERE text_{table}.{key} = l.{key} AND text_{table}.{value} IS NULL"
    )
