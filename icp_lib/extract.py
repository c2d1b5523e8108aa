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

from icp_lib import quarantine
from icp_lib.checks import DataError
from icp_lib.parsing import build_typed
from icp_lib.reading import RawFile, find_files, ident, quote, read_text
from icp_lib.schemas import TABLES, Column
from icp_lib.settings import Settings, load_settings
from icp_lib.validation import ORDER, PARENTS, build_checks, build_judged, build_state

_SQL_TYPE = {
    "time": "TIMESTAMP", "month": "TIMESTAMP", "integer": "DOUBLE", "number": "DOUBLE", "money": "DOUBLE",
    "flag": "BOOLEAN",
}  # fmt: skip
#: A day counts as an import from this many accounts and this share of all on, where accounts came on as many days.
IMPORT_ROWS, IMPORT_SHARE, IMPORT_DAYS = 20, 0.05, 20


@dataclass(frozen=True)
class Extract:
    """Validated tables in `cache`; `files` holds each input file's SHA-256, `unread` the files that were left alone."""

    settings: Settings
    cache: Path
    fingerprint: str
    files: dict[str, str]
    unread: tuple[str, ...] = ()

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
        """Columns present by table, assumptions made while reading (`assumed`), files that were `not_read`."""
        facts = json.loads((self.cache / "_facts.json").read_text(encoding="utf-8"))
        return facts | {"not_read": list(self.unread)}

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
    settings = load_settings(data)
    folder = Path(raw) if raw else Path(data) / (settings.raw or "")
    if not folder.is_dir():
        raise DataError(
            f"RAW: the folder '{folder.name}' does not exist. Say where the files lie, RAW=path/to/exports."
        )
    files, unread = find_files(folder)
    contents = {file.path.name: hash_file(file.path) for file in files}
    fingerprint = _fingerprint(contents, settings)
    extract = Extract(settings, Path(out) / ".cache" / fingerprint, fingerprint, contents, tuple(unread))
    if not (extract.cache / "_facts.json").exists():
        try:
            _fill_cache(extract, files, say)
        except (OSError, duckdb.IOException):
            raise DataError(
                f"OUT: the cache in '{Path(out).name}' cannot be written. Check that the folder is yours to write and "
                "that the disk has room, or give another one, OUT=path/to/reports."
            ) from None
    if strict:
        check_quarantined(extract)
    return extract


def _fill_cache(extract: Extract, files: list[RawFile], say: Callable[[str], None]) -> None:
    """Read into a folder beside the cache and rename it: a half-built cache is never visible."""
    building = extract.cache.with_name(f".building-{extract.fingerprint}-{os.getpid()}")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    try:
        _read(building, extract.settings, files, say)
        if extract.cache.exists() and not (extract.cache / "_facts.json").exists():
            shutil.rmtree(extract.cache)
        if not extract.cache.exists():  # else another run was faster, with the same contents
            building.rename(extract.cache)
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
    """One reading of one extract: the engine, where results go, and what has been found so far."""

    con: duckdb.DuckDBPyConnection
    folder: Path
    settings: Settings
    present: dict[str, list[str]] = field(default_factory=dict)
    assumed: list[dict] = field(default_factory=list)
    checks: list[dict] = field(default_factory=list)
    population: list[dict] = field(default_factory=list)


def _read(folder: Path, settings: Settings, files: list[RawFile], say: Callable[[str], None]) -> None:
    """Fill `folder`: one Parquet file a table, checks, population, facts, quarantine."""
    con = duckdb.connect(str(folder / "reading.duckdb"))
    con.execute("SET TimeZone='UTC'; SET preserve_insertion_order=true")
    reading = _Reading(con, folder, settings)
    try:
        for table in ORDER:
            say(f"reading {table}")
            _read_table(reading, table, [file for file in files if file.table == table])
    finally:
        con.close()
    (folder / "reading.duckdb").unlink()
    pd.DataFrame(reading.checks).to_parquet(folder / "_checks.parquet")
    pd.DataFrame(reading.population).to_parquet(folder / "_population.parquet")
    facts = {"present": reading.present, "assumed": reading.assumed}
    (folder / "_facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _read_table(reading: _Reading, table: str, files: list[RawFile]) -> None:
    """Text, types, checks, fates, report, Parquet: the one road of every table."""
    con, columns = reading.con, _columns(table, files, reading.settings)
    reading.present[table] = [column.name for column in columns]
    if not files:
        _write_table(reading, table, [], "SELECT 1 WHERE false")
        return
    _create_text(reading, table, files, columns)
    if table == "opportunities" and "status" not in reading.present[table]:
        columns = _add_status(reading, columns)
    _create_typed(reading, table, files, columns)
    parents = {name for name in PARENTS if reading.present.get(name)}
    checks = build_checks(table, columns, {"parents": parents} | _facts(reading, table, columns))
    exclude = list(reading.settings.exclude.account_types)
    con.execute(f"CREATE TABLE judged_{table} AS {build_judged(table, columns, checks, parents, exclude)}")
    if state := build_state(table, columns):
        con.execute(f"CREATE TABLE state_{table} AS {state}")
    reading.checks.extend(quarantine.count_checks(con, table, files, columns, checks))
    reading.population.extend(quarantine.count_fates(con, table))
    quarantine.write_quarantine(con, reading.folder, table, files, columns, checks)
    _write_table(reading, table, columns, f"SELECT * FROM judged_{table} WHERE _fate = 'kept'")


def _columns(table: str, files: list[RawFile], settings: Settings) -> list[Column]:
    """The canonical columns, and the traits of icp.yml, that any of the files has."""
    has = {name.strip() for file in files for name in file.header}
    columns = [column for column in TABLES[table].columns if column.name in has]
    if table in ("accounts", "prospects"):
        known = {column.name for name in (table, "opportunities") for column in TABLES[name].columns}
        columns += [
            Column(name, _kind(trait), "trait", "A trait declared in icp.yml")
            for name, trait in settings.traits.items()
            if name in has - known
        ]
    if "currency" in has and any(column.kind == "money" for column in columns):
        columns.append(Column("currency", "text", "cost", "Currency of the row's amounts"))
    return columns


def _kind(trait) -> str:
    return trait.kind or ("number" if trait.bins or trait.quantiles else "text")


def _create_text(reading: _Reading, table: str, files: list[RawFile], columns: list[Column]) -> None:
    """Stack the files of a table as text; `_file` and `_row` say where a row came from."""
    con, wanted, parts = reading.con, [column.name for column in columns], []
    for number, file in enumerate(files):
        part = f"file_{table}_{number}"
        read_text(con, file, wanted, part)
        has = {name.strip() for name in file.header}
        cells = [ident(name) if name in has else f"CAST(NULL AS VARCHAR) AS {ident(name)}" for name in wanted]
        parts.append(f"SELECT {number} AS _file, rowid AS _row, {', '.join(cells)} FROM {part}")
    con.execute(f"CREATE TABLE text_{table} AS {' UNION ALL '.join(parts)}")
    for number in range(len(files)):
        con.execute(f"DROP TABLE file_{table}_{number}")
    n_rows = con.execute(f"SELECT count(*) FROM text_{table}").fetchone()[0]
    if not n_rows and table in ("accounts", "opportunities"):
        raise DataError(f"{files[0].path.name}: a header and no rows. Export it again with its rows.")


def _add_status(reading: _Reading, columns: list[Column]) -> list[Column]:
    """Where `status` is not given, the stage says it."""
    if "stage" not in {column.name for column in columns} or not reading.present.get("stages"):
        raise DataError(
            "opportunities: needs 'status' (open, won, lost), or 'stage' and a table stages "
            "(stage, stage_order, is_closed, is_won)."
        )
    reading.con.execute("ALTER TABLE text_opportunities ADD COLUMN status VARCHAR")
    reading.con.execute(
        "UPDATE text_opportunities SET status = CASE WHEN s.is_won THEN 'won' WHEN s.is_closed THEN 'lost' "
        "ELSE 'open' END FROM state_stages s WHERE text_opportunities.stage = s.stage"
    )
    reading.assumed.append({"table": "opportunities", "column": "status", "read_as": "from stage and stages"})
    return [*columns, TABLES["opportunities"]["status"]]


def _create_typed(reading: _Reading, table: str, files: list[RawFile], columns: list[Column]) -> None:
    """Type every column, keeping its text as ``<column>__text``; note what was assumed."""
    picked = ["_file", "_row"]
    for column in columns:
        holders = [file for file in files if column.name in {name.strip() for name in file.header}]
        stored = bool(holders) and all(column.name in file.numeric for file in holders)
        sql, read_as = build_typed(reading.con, f"text_{table}", table, column, reading.settings, stored)
        picked += [f"{sql} AS {ident(column.name)}", f"{ident(column.name)} AS {ident(column.name + '__text')}"]
        if read_as:
            reading.assumed.append({"table": table, "column": column.name, "read_as": read_as})
    reading.con.execute(f"CREATE TABLE typed_{table} AS SELECT {', '.join(picked)} FROM text_{table}")


def _facts(reading: _Reading, table: str, columns: list[Column]) -> dict:
    """What the checks of a table need to know of its rows and of other tables."""
    facts = {"currency": reading.settings.currency, "has_stages": bool(reading.present.get("stages"))}
    facts |= {"median_amount": None, "import_day": None}
    if table == "opportunities" and "amount" in {column.name for column in columns}:
        median = "SELECT median(amount) FROM typed_opportunities WHERE amount > 0"
        facts["median_amount"] = reading.con.execute(median).fetchone()[0]
    if table == "accounts":
        busiest = reading.con.execute(
            "SELECT date_trunc('day', created_at) AS day, count(*) AS n, sum(count(*)) OVER () AS total, "
            "count(*) OVER () AS days FROM typed_accounts WHERE created_at IS NOT NULL GROUP BY 1 "
            "ORDER BY n DESC, day LIMIT 1"
        ).fetchone()
        if busiest and busiest[1] >= max(IMPORT_ROWS, IMPORT_SHARE * busiest[2]) and busiest[3] >= IMPORT_DAYS:
            facts["import_day"] = busiest[0]
    return facts


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
    reading.con.execute(f"COPY (SELECT {picked} FROM ({rows}) ORDER BY {order}) TO {target} (FORMAT parquet)")
