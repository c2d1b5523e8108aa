"""A company's folder -> validated, typed tables as Parquet in a cache that is named after the contents."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pandas as pd

from icp_lib import linking, quarantine
from icp_lib.checks import DataError
from icp_lib.feeding import LEFT_OUT, REQUIRED, Feed, create_text, find_feeds
from icp_lib.fx import fx_sql, load_rates
from icp_lib.mapping import database_path, find_sql
from icp_lib.opening import find_candidates
from icp_lib.parsing import build_typed
from icp_lib.reading import hold, ident, quote
from icp_lib.schemas import TABLES, Column
from icp_lib.settings import Settings, load_settings
from icp_lib.validation import ORDER, PARENTS, build_checks, build_flagged, build_judged, build_state, find_facts

_SQL_TYPE = {
    "time": "TIMESTAMP", "month": "TIMESTAMP", "integer": "DOUBLE", "number": "DOUBLE", "money": "DOUBLE",
    "flag": "BOOLEAN",
}  # fmt: skip
CURRENCY = Column("currency", "text", "cost", "Currency of the row's amounts")
#: The steps of a table with so many rows are told.
LARGE = 1_000_000


@dataclass(frozen=True)
class Extract:
    """Validated tables in `cache`; `files` holds each input file's SHA-256."""

    settings: Settings
    cache: Path
    fingerprint: str
    files: dict[str, str]

    @property
    def checks(self) -> pd.DataFrame:
        """One row a check that ran: table, column, rule, severity, n_rows, n_checked, examples, message."""
        return pd.read_parquet(self.cache / "_checks.parquet")

    @property
    def population(self) -> pd.DataFrame:
        """Rows of each table by what became of them: read, quarantined, excluded (with the reason), kept."""
        return pd.read_parquet(self.cache / "_population.parquet")

    @property
    def facts(self) -> dict:
        """Columns present by table, assumptions made while reading (`assumed`), files `not_read` and why."""
        return json.loads((self.cache / "_facts.json").read_text(encoding="utf-8"))

    def path(self, table: str) -> Path:
        """Return the Parquet file of a canonical table; a table that the extract lacks has no rows."""
        return self.cache / f"{table}.parquet"


def load(
    data: str | Path,
    out: str | Path,
    raw: str | Path | None = None,
    *,
    strict: bool = True,
    say: Callable[[str], None] = lambda words: None,
) -> Extract:
    """Read, type and validate a company's extract, or open the cache if these contents were read before.

    Parameters
    ----------
    data : path
        The company's folder (`icp.yml`, files).
    out : path
        The folder of reports; the cache is ``<out>/.cache/<fingerprint>/``.
    raw : path, optional
        Where the files lie; default `raw` of icp.yml (relative to the company's folder), else `data`.
    strict : bool
        Refuse an extract with more than `max_quarantined` of a table in quarantine.
    say : callable
        Told what is being done.

    Returns
    -------
    Extract

    Raises
    ------
    DataError
        Something must be mended first.
    """
    settings, data = load_settings(data), Path(data)
    folder = Path(raw) if raw else data / (settings.raw or "")
    if not folder.is_dir():
        raise DataError(
            f"RAW: the folder '{folder.name}' does not exist. Say where the files lie, RAW=path/to/exports."
        )
    paths = [] if settings.source else find_candidates(folder)
    contents = _hash_inputs(data, paths, settings)
    fingerprint = _fingerprint(contents, settings)
    extract = Extract(settings, Path(out) / ".cache" / fingerprint, fingerprint, contents)
    if not (extract.cache / "_facts.json").exists():
        _fill_cache(extract, data, paths, say)
    if strict:
        check_quarantined(extract)
    return extract


def _hash_inputs(data: Path, paths: list[Path], settings: Settings) -> dict[str, str]:
    """SHA-256 of every file that the extract is made from, by name."""
    beside = [path for path in (data / "fx.csv", data / "experiments.yml") if path.exists()]
    inputs = [*paths, *find_sql(data).values(), *beside]
    if settings.source and settings.source.startswith("duckdb://"):
        inputs += [path for path in [database_path(settings.source, data)] if path.exists()]
    hashes = {}
    for path in inputs:
        try:
            hashes[path.name] = hash_file(path)
        except OSError as error:
            raise DataError(
                f"{path.name}: cannot be read ({error.strerror}). Check that it is yours to read."
            ) from None
    return hashes


def _fill_cache(extract: Extract, data: Path, paths: list[Path], say: Callable[[str], None]) -> None:
    """Read into a folder beside the cache and rename it: a half-built cache is never visible."""
    building = extract.cache.with_name(f".building-{extract.fingerprint}-{os.getpid()}")
    try:
        shutil.rmtree(building, ignore_errors=True)
        (building / "scratch").mkdir(parents=True)
        say("opening files")
        feeds, unread = find_feeds(data, paths, extract.settings, building / "scratch")
        _read(building, data, extract.settings, feeds, unread, say)
        shutil.rmtree(building / "scratch")
        if extract.cache.exists() and not (extract.cache / "_facts.json").exists():
            shutil.rmtree(extract.cache)
        if not extract.cache.exists():  # else another run was faster, with the same contents
            building.rename(extract.cache)
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException):
        raise DataError(
            f"OUT: the cache in '{extract.cache.parent.parent.name}' cannot be written. Check that the folder is yours "
            "to write and that the disk has room, or give another one, OUT=path/to/reports."
        ) from None
    finally:
        shutil.rmtree(building, ignore_errors=True)


def check_quarantined(extract: Extract) -> None:
    """Raise where more than `max_quarantined` of a table cannot be used."""
    counts = extract.population.pivot_table(index="table", columns="step", values="n_rows", aggfunc="sum", fill_value=0)
    for table, row in counts.iterrows():
        share = row.get("quarantined", 0) / row["read"] if row["read"] else 0.0
        if share > extract.settings.max_quarantined:
            bad = extract.checks.query("table == @table and severity == 'error' and n_rows > 0")
            said = "\n".join(f"  {words}" for words in bad["message"])
            raise DataError(
                f"{table}: {row['quarantined']:,.0f} of {row['read']:,.0f} rows ({share:.1%}) cannot be used, more "
                f"than max_quarantined in icp.yml ({extract.settings.max_quarantined:.0%}):\n{said}"
            )


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def code_hash() -> str:
    """Return the hash of this package's source: results depend on it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*")):
        if path.suffix in (".py", ".css", ".js", ".j2"):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def run_id(extract: Extract, quarter: str) -> str:
    """Return the first eight characters of the hash of contents, settings, code and quarter."""
    return hashlib.sha256(f"{extract.fingerprint} {quarter}".encode()).hexdigest()[:8]


def _fingerprint(contents: dict[str, str], settings: Settings) -> str:
    """Hash of contents, settings and code; where the files lie and what the company is called are no part of it."""
    values = settings.model_dump(mode="json", exclude={"name", "raw", "quarter"})
    whole = json.dumps([contents, values, code_hash()], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Reading:
    """One reading of one extract: the engine, where results go, and what has been found so far.

    What belongs to one table lives in the schema `now`, and goes with it; in `main` is what later tables ask for.
    """

    con: duckdb.DuckDBPyConnection
    folder: Path
    settings: Settings
    rates: dict[str, float]
    say: Callable[[str], None]
    present: dict[str, list[str]] = field(default_factory=dict)
    assumed: list[dict] = field(default_factory=list)
    checks: list[dict] = field(default_factory=list)
    population: list[dict] = field(default_factory=list)


def _read(
    folder: Path,
    data: Path,
    settings: Settings,
    feeds: dict[str, list[Feed]],
    unread: dict[str, str],
    say: Callable[[str], None],
) -> None:
    """Fill `folder`: one Parquet file a table, checks, population, facts, quarantine."""
    con = duckdb.connect()
    con.execute(f"SET temp_directory={quote(str(folder / 'scratch'))}; SET memory_limit='3GB'")
    con.execute("SET TimeZone='UTC'; SET preserve_insertion_order=true")
    reading = _Reading(con, folder, settings, load_rates(data / "fx.csv", settings.currency), say)
    try:
        for table in ORDER:
            if table in feeds:
                say(f"reading {table}")
            _read_table(reading, table, feeds.get(table, []))
    finally:
        con.close()
    pd.DataFrame(reading.checks).to_parquet(folder / "_checks.parquet")
    pd.DataFrame(reading.population).to_parquet(folder / "_population.parquet")
    not_read = [f"{name}: {why}" for name, why in unread.items()]
    facts = {"present": reading.present, "assumed": reading.assumed, "not_read": not_read}
    (folder / "_facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _read_table(reading: _Reading, table: str, feeds: list[Feed]) -> None:
    """Text, types, checks, fates, report, Parquet: the one road of every table; only its text is held in memory."""
    con, main = reading.con, [feed for feed in feeds if feed.plan.shape != "link"]
    reading.present[table] = []
    if not main:
        _write_table(reading, table, [], "SELECT 1 WHERE false")
        return
    con.execute("CREATE SCHEMA now; SET search_path = 'now,main'")
    own = _own_traits(table, reading.settings)
    names, n_out = create_text(con, table, feeds, list(own), reading.settings.timezone)
    _note_feeds(reading, table, main)
    n_rows = _count_rows(con, table, main, n_out)
    say = reading.say if n_rows >= LARGE else lambda words: None
    say(f"checking {table}, {n_rows:,} rows")
    marks = linking.mark_rows(con, table, reading.settings.exclude.name_words)
    names += ["account_id"] if "_joined" in marks and "account_id" not in names else []
    known = {column.name: column for column in (*TABLES[table].columns, CURRENCY, *own.values())}
    columns = [known[name] for name in names]
    if table == "opportunities":
        columns = _add_status(reading, columns)
    _check_columns(main, columns, table)
    reading.present[table] = [column.name for column in columns]
    files = [feed.file for feed in main]
    _create_typed(reading, table, main, columns, marks)
    if table != "accounts":
        reading.assumed.extend(linking.follow_merges(con, table, set(names)))
    parents = {name for name in PARENTS if reading.present.get(name)}
    facts = {"parents": parents, "marks": marks, "currencies": [reading.settings.currency, *reading.rates]}
    facts |= {"has_stages": bool(reading.present.get("stages"))} | find_facts(con, table, columns)
    checks = build_checks(table, columns, facts)
    flagged = build_flagged(table, columns, checks, parents, reading.settings.exclude.account_types)
    con.execute(f"CREATE TABLE flagged_{table} AS {flagged}; CREATE VIEW judged_{table} AS {build_judged(table)}")
    if state := build_state(table, columns):
        con.execute(f"CREATE TABLE main.state_{table} AS {state}")
    if table == "accounts":
        linking.find_survivors(con, set(names))
        linking.keep_names(con)
    reading.checks.extend(quarantine.count_checks(con, table, files, columns, checks))
    reading.population.extend(quarantine.count_fates(con, table, {LEFT_OUT: n_out}))
    quarantine.write_quarantine(con, reading.folder, table, files, columns, checks)
    say(f"writing {table}")
    _write_table(reading, table, columns, f"SELECT * FROM judged_{table} WHERE _fate = 'kept'")
    con.execute("DROP SCHEMA now CASCADE")


def _own_traits(table: str, settings: Settings) -> dict[str, Column]:
    """The traits of icp.yml that no canonical table knows: they may stand in accounts and prospects."""
    if table not in ("accounts", "prospects"):
        return {}
    known = {column.name for name in (table, "opportunities") for column in TABLES[name].columns}
    return {
        name: Column(name, _kind(trait), "trait", "A trait declared in icp.yml")
        for name, trait in settings.traits.items()
        if name not in known
    }


def _kind(trait) -> str:
    return trait.kind or ("number" if trait.bins or trait.quantiles else "text")


def _note_feeds(reading: _Reading, table: str, feeds: list[Feed]) -> None:
    """Tell how each file was read, where that was not plainly as it is named."""
    for feed in feeds:
        said = [*feed.file.notes, *feed.plan.notes]
        if feed.plan.system not in ("canonical", "SQL"):
            said.insert(0, f"as {table} of {feed.plan.system} ({feed.plan.dialect})")
        if feed.is_local:
            said.append(f"times without an offset are those of {reading.settings.timezone}")
        for words in dict.fromkeys(said):
            reading.assumed.append({"table": table, "column": feed.file.path.name, "read_as": words})


def _count_rows(con, table: str, feeds: list[Feed], n_out: int) -> int:
    n_rows = con.execute(f"SELECT count(*) FROM text_{table}").fetchone()[0]
    if not n_rows and table in REQUIRED:
        what = f"all {n_out:,} rows are {LEFT_OUT}" if n_out else "a header and no rows"
        raise DataError(f"{feeds[0].file.path.name}: {what}. Export it again with its rows.")
    return n_rows


def _check_columns(feeds: list[Feed], columns: list[Column], table: str) -> None:
    """A recognised file may lack what its table requires: say so by file, before row after row fails."""
    has = {column.name for column in columns}
    for column in TABLES[table].columns:
        if column.required and column.name not in has:
            feed = feeds[0]
            raise DataError(
                f"{feed.file.path.name}: read as {table} of {feed.plan.system}, but nothing gives '{column.name}' "
                f"({column.definition.lower()}). Add that column to the export, or write {table}.sql."
            )


def _add_status(reading: _Reading, columns: list[Column]) -> list[Column]:
    """Where `status` is not given, the stage says it."""
    has = {column.name for column in columns}
    if "stage" not in has or not reading.present.get("stages"):
        if "status" in has:
            return columns
        raise DataError(
            "opportunities: needs 'status' (open, won, lost), or 'stage' and a table stages "
            "(stage, stage_order, is_closed, is_won)."
        )
    hold(reading.con, "text_opportunities")
    if "status" not in has:
        reading.con.execute("ALTER TABLE text_opportunities ADD COLUMN status VARCHAR")
        reading.assumed.append({"table": "opportunities", "column": "status", "read_as": "from stage and stages"})
    reading.con.execute(
        "UPDATE text_opportunities SET status = CASE WHEN s.is_won THEN 'won' WHEN s.is_closed THEN 'lost' "
        "ELSE 'open' END FROM state_stages s WHERE text_opportunities.stage = s.stage AND status IS NULL"
    )
    return columns if "status" in has else [*columns, TABLES["opportunities"]["status"]]


def _create_typed(
    reading: _Reading, table: str, feeds: list[Feed], columns: list[Column], marks: dict[str, str]
) -> None:
    """Type every column, keeping its text as ``<column>__text``, and the marks: a view."""
    picked = ["_file", "_row", "_part", *(f"{sql} AS {mark}" for mark, sql in marks.items())]
    rate = fx_sql(reading.rates, reading.settings.currency) if CURRENCY in columns else ""
    for column in columns:
        holders = [feed for feed in feeds if column.name in feed.columns]
        headers = [{h for s in feed.plan.sources if s.column == column.name for h in s.headers} for feed in holders]
        stored = bool(holders) and all(each <= feed.file.numeric for each, feed in zip(headers, holders, strict=True))
        sql, read_as = build_typed(reading.con, f"text_{table}", table, column, reading.settings, stored)
        if column.kind == "money" and rate:
            sql = f"({sql}) * {rate}"
        picked += [f"{sql} AS {ident(column.name)}", f"{ident(column.name)} AS {ident(column.name + '__text')}"]
        if read_as:
            reading.assumed.append({"table": table, "column": column.name, "read_as": read_as})
    reading.con.execute(f"CREATE VIEW typed_{table} AS SELECT {', '.join(picked)} FROM text_{table}")


def _write_table(reading: _Reading, table: str, columns: list[Column], rows: str) -> None:
    """Write the rows with every documented column, in a stated order, so that equal contents give equal bytes."""
    has, documented = {column.name for column in columns}, {column.name for column in TABLES[table].columns}
    own = [column for column in columns if column.name not in documented and column.name != "currency"]
    picked = ", ".join(
        ident(column.name)
        if column.name in has
        else f"CAST(NULL AS {_SQL_TYPE.get(column.kind, 'VARCHAR')}) AS {ident(column.name)}"
        for column in [*TABLES[table].columns, *own]
    )
    order = ", ".join(ident(name) for name in TABLES[table].keys if name in has) or "ALL"
    target = quote(str(reading.folder / f"{table}.parquet"))
    options = "FORMAT parquet, DICTIONARY_SIZE_LIMIT 5000"  # a dictionary of ids takes long and saves nothing
    reading.con.execute(f"COPY (SELECT {picked} FROM ({rows}) ORDER BY {order}) TO {target} ({options})")
