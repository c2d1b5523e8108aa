"""How long does an extract of a large company take, and how much memory, against the engine's own reading of the files?

Run: python bench/scale.py [share]   (default 1: 1,000,000 accounts, 2,000,000 opportunities, 10,000,000 touches)
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

ROWS = {"accounts": 1_000_000, "opportunities": 2_000_000, "touches": 10_000_000}
FIRST_DAY = "2019-01-01"
#: What the engine is told where types are given; every other column is text.
TYPES = {
    "accounts": {"created_at": "TIMESTAMPTZ", "employees": "DOUBLE", "annual_revenue": "DOUBLE"},
    "opportunities": {"created_at": "TIMESTAMPTZ", "closed_at": "TIMESTAMPTZ", "amount": "DOUBLE",
                      "term_months": "DOUBLE", "gross_margin": "DOUBLE"},
    "touches": {"occurred_at": "TIMESTAMPTZ"},
}  # fmt: skip
WAYS = {
    "load": "`extract.load`: text, types, checks, quarantine, Parquet",
    "cached": "`extract.load` again, from the cache",
    "auto": "DuckDB, types detected, into a database on disk",
    "typed": "DuckDB, types given, into a database on disk",
}


def _draw(salt: int, n: int | str) -> str:
    """SQL of a whole number from 0 to n - 1 that depends on the row alone."""
    return f"(hash(i * 31 + {salt}) % {n})"


def _word(salt: int, *words: str) -> str:
    """SQL of one of some words; an empty one is a missing cell."""
    listed = ", ".join(f"'{word}'" for word in words)
    return f"[{listed}][CAST({_draw(salt, len(words))} AS INTEGER) + 1]"


def _day(salt: int, per_row: str = "0") -> str:
    """SQL of a time within the years of the extract, ISO in UTC."""
    seconds = f"CAST({_draw(salt, 240_000_000)} + {per_row} AS BIGINT)"
    return f"strftime(TIMESTAMP '{FIRST_DAY}' + to_seconds({seconds}), '%Y-%m-%dT%H:%M:%SZ')"


def build_queries(n_accounts: int, n_opportunities: int) -> dict[str, str]:
    """Return for each table the SELECT list that makes its row number `i`; equal numbers give equal files."""
    account, deal = f"'A' || lpad(CAST({_draw(1, n_accounts)} AS VARCHAR), 7, '0')", _draw(2, n_opportunities)
    status = _word(13, "won", "lost", "lost", "lost", "open")
    sources = ("Website", "Partner", "Event", "Outbound", "Referral", "")
    return {
        "accounts": f"""'A' || lpad(CAST(i AS VARCHAR), 7, '0') AS account_id, {_day(3)} AS created_at,
            {_word(4, "Retail", "Energy", "Machine maker", "Software", "Logistics", "")} AS industry,
            {_draw(5, 5000)} AS employees, {_draw(6, 900000)} * 100 AS annual_revenue,
            {_word(7, "Germany", "France", "Spain", "Italy", "Poland")} AS country,
            'Region ' || {_draw(8, 40)} AS region, 'City ' || {_draw(9, 900)} AS city,
            {_word(10, "B2B", "B2C", "Both", "")} AS business_model, {_word(11, *sources)} AS lead_source""",
        "opportunities": f"""'O' || lpad(CAST(i AS VARCHAR), 8, '0') AS opportunity_id, {account} AS account_id,
            {_day(12)} AS created_at,
            CASE WHEN {status} <> 'open' THEN {_day(12, _draw(14, 15_000_000))} END AS closed_at,
            {status} AS status, {_word(15, "Qualified", "Demo", "Offer", "Contract")} AS stage,
            {_draw(16, 9000)} * 10 + 500 AS amount, {_word(17, "12", "24", "36")} AS term_months,
            round(({_draw(16, 9000)} * 10 + 500) * 0.7, 2) AS gross_margin,
            {_word(18, "new", "new", "expansion", "renewal")} AS type, {_word(19, *sources)} AS lead_source,
            'rep-' || {_draw(20, 60)} AS owner_id""",
        "touches": f"""'T' || lpad(CAST(i AS VARCHAR), 9, '0') AS touch_id, {_day(21)} AS occurred_at,
            {_word(22, "pricing page", "demo request", "e-mail open", "call", "webinar")} AS touch_type,
            {account} AS account_id, CASE WHEN i % 3 = 0 THEN 'O' || lpad(CAST({deal} AS VARCHAR), 8, '0') END
            AS opportunity_id, {_word(23, "search", "social", "e-mail", "phone", "")} AS channel,
            'Guide ' || {_draw(24, 300)} AS content""",
    }


def write_files(folder: Path, share: float) -> dict[str, int]:
    """Write the three tables as canonical CSV and `icp.yml`; return table -> rows."""
    rows = {table: max(1, round(n * share)) for table, n in ROWS.items()}
    folder.mkdir(parents=True)
    (folder / "icp.yml").write_text("name: Large\ncurrency: EUR\n", encoding="utf-8")
    with duckdb.connect() as con:
        for table, columns in build_queries(rows["accounts"], rows["opportunities"]).items():
            target = str(folder / f"{table}.csv").replace("'", "''")
            con.execute(f"COPY (SELECT {columns} FROM range({rows[table]}) r(i)) TO '{target}' (HEADER, DELIMITER ',')")
    return rows


def read_plainly(folder: Path, database: Path, given: bool) -> None:
    """Read the files as the engine does by itself: types detected, or told."""
    with duckdb.connect(str(database)) as con:
        for table, types in TYPES.items():
            told = f", types={types}" if given else ""
            path = str(folder / f"{table}.csv").replace("'", "''")
            con.execute(f"CREATE TABLE {table} AS SELECT * FROM read_csv('{path}'{told})")


def measure_here(way: str, folder: Path, scratch: Path) -> None:
    """Do one way in this process; print seconds and peak MB."""
    if way in ("load", "cached"):
        from icp_lib import extract

        started = time.perf_counter()
        extract.load(folder, scratch / "reports", say=lambda words: _tell(started, words))
    else:
        started = time.perf_counter()
        read_plainly(folder, scratch / f"{way}.duckdb", given=way == "typed")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    print(time.perf_counter() - started, peak)


def _tell(started: float, words: str) -> None:
    print(f"  {time.perf_counter() - started:6.1f} s  {words}", file=sys.stderr, flush=True)


def measure(way: str, folder: Path, scratch: Path) -> tuple[float, float]:
    """Return seconds and peak MB of one way, measured in a process of its own."""
    print(way, file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--here", way, str(folder), str(scratch)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds, peak = map(float, said.split())
    return seconds, peak


def run(share: float) -> list[str]:
    """Return the lines of the table."""
    with tempfile.TemporaryDirectory(prefix="icp-scale-") as name:
        scratch = Path(name)
        rows = write_files(scratch / "large", share)
        size = sum(path.stat().st_size for path in (scratch / "large").glob("*.csv")) / 1e6
        found = {way: measure(way, scratch / "large", scratch) for way in ("auto", "typed", "load", "cached")}
    total, base = sum(rows.values()), found["auto"][0]
    counts = ", ".join(f"{n:,} {table}" for table, n in rows.items())
    lines = [
        f"{counts}: {size:,.0f} MB of CSV. Ratio: seconds by those of DuckDB with types detected.",
        "",
        "| way | rows | seconds | ratio | peak MB |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| {words} | {total:,} | {found[way][0]:.1f} | {found[way][0] / base:.2f} | {found[way][1]:,.0f} |"
        for way, words in WAYS.items()
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["--here"]:
        measure_here(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        print("\n".join(run(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)))
