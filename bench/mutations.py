"""1,000 random damages to a good export: each is refused by name, or read as exactly what the damaged file says."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import sys
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from icp_lib import extract
from icp_lib.checks import DataError

N_MUTATIONS = 1000
KINDS = {
    "accounts": {
        "account_id": "id", "created_at": "day", "industry": "text", "employees": "whole", "country": "text",
        "is_deleted": "flag", "account_type": "word", "city": "text",
    },
    "opportunities": {
        "opportunity_id": "id", "account_id": "id", "created_at": "day", "closed_at": "day", "status": "word",
        "amount": "number", "term_months": "number", "type": "word", "campaign_id": "id", "loss_reason": "text",
    },
}  # fmt: skip
JUNK = (
    "", "junk", "12abc", "NA", "2024-13-45", "2023-05-06", "1,5", "-7", "TRUE", "#REF!", " 17 ", '"', 'a"b', "a,b",
    "a;b", "a\nb", "\n", "ann@example.com", "x" * 70_000, "Ünïcode €", "\u00a0", "0", "1e3", "A1",
    "Total", "lost", "=1+1", "'",
)  # fmt: skip
#: Mutations that leave nothing to doubt: a refusal would be a failure.
HARMLESS = ("columns reordered", "delimiter", "encoding", "row dropped", "row doubled", "row moved")
TRUE, FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")


def build_export() -> dict[str, list[list[str]]]:
    """Return a good export: header and rows of 12 accounts and 15 opportunities."""
    industries = ("Küche", "Öl & Gas", "Handel, groß", "“Labor” 5 €", "", "NA")
    accounts = [
        [
            f"A{n}",
            f"2024-01-{n + 9}",
            industries[n % 6],
            f"{n * 130}",
            "DE" if n % 2 else "",
            "false",
            "customer",
            "Köln",
        ]
        for n in range(1, 13)
    ]
    deals = []
    for n in range(1, 16):
        status, closed = (("won", f"2024-05-{n + 9}"), ("lost", f"2024-06-{n + 9}"), ("open", ""))[n % 3]
        deals.append([f"O{n}", f"A{(n * 5) % 12 + 1}", f"2024-03-{n + 9}", closed, status, f"{n * 700.25:,.2f}", "12.0",
                      "new", f"C{n % 3}", "Preis" if status == "lost" else ""])  # fmt: skip
    return {"accounts": [list(KINDS["accounts"]), *accounts], "opportunities": [list(KINDS["opportunities"]), *deals]}


def write(rows: list[list[str]], mark: str = ",") -> str:
    """Return rows as CSV text."""
    target = io.StringIO(newline="")
    csv.writer(target, delimiter=mark, lineterminator="\n").writerows(rows)
    return target.getvalue()


def mutate(rng: np.random.Generator, rows: list[list[str]]) -> tuple[str, bytes, str]:
    """Return the name of a mutation, the damaged file, and its delimiter."""
    rows, mark = [list(row) for row in rows], ","
    at, column = int(rng.integers(1, len(rows))), int(rng.integers(len(rows[0])))
    names = ("cell", "raw cell", "header", "columns reordered", "delimiter", "raw delimiter", "encoding", "no encoding",
             "cut off", "row dropped", "row doubled", "row moved", "byte", "byte", "cell", "raw cell")  # fmt: skip
    name = names[int(rng.integers(len(names)))]
    if name == "cell":
        rows[at][column] = str(rng.choice(JUNK))
    elif name == "header":
        rows[0][column] = str(
            rng.choice([*rows[0], "city", "stage", "", rows[0][column][:-1], rows[0][column].upper(), "x"])
        )
    elif name == "columns reordered":
        order = rng.permutation(len(rows[0]))
        rows = [[row[number] for number in order] for row in rows]
    elif name == "row dropped":
        rows.pop(at)
    elif name in ("row doubled", "row moved"):
        row = rows[at] if name == "row doubled" else rows.pop(at)
        rows.insert(int(rng.integers(1, len(rows) + 1)), row)
    mark = str(rng.choice([";", "\t", "|"])) if "delimiter" in name else ","
    text = write(rows, mark) if name != "raw delimiter" else write(rows).replace(",", mark)
    if name == "raw cell":
        place, cell = int(rng.integers(len(text))), str(rng.choice([*JUNK, ",", ",", "\n", '"', "\r", "\t"]))
        text = text[:place] + cell + text[place + int(rng.integers(3)) :]
    data = text.encode("utf-8")
    if name == "encoding":
        data = text.encode(str(rng.choice(["utf-16", "cp1252", "utf-8-sig"])))
    elif name == "no encoding":
        data = text.encode(str(rng.choice(["utf-16-le", "utf-16-be", "utf-32", "cp437"])), errors="replace")
    elif name == "cut off":
        data = data[: int(rng.integers(len(data)))]
    elif name == "byte":
        place = int(rng.integers(len(data)))
        data = data[:place] + bytes([data[place] ^ (1 << int(rng.integers(8)))]) + data[place + 1 :]
    return name, data, mark


def read_literally(data: bytes, mark: str) -> list[dict[str, str]] | None:
    """Return the rows of a file by Python's csv, or None where it is not one regular table."""
    encodings = ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    else:
        return None
    try:
        rows = [
            row
            for row in csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True, skipinitialspace=True)
            if row
        ]
    except csv.Error:
        return None
    if not rows or any(len(row) != len(rows[0]) for row in rows):
        return None
    header = [name.strip() for name in rows[0]]
    return [dict(zip(header, row, strict=True)) for row in rows[1:]]


def interpret(kind: str, cell: str | None):
    """Return what a cell says, None for an empty or unreadable one."""
    cell = (cell or "").strip(" \t\r\n\u00a0")
    if kind == "id":
        return "code-" + hashlib.sha256(cell.encode()).hexdigest()[:12] if "@" in cell else cell or None
    if kind in ("text", "word"):
        return (cell.lower() if kind == "word" else re.sub(r"\S+@\S+", "(e-mail)", cell)) or None
    if kind == "flag":
        return True if cell.lower() in TRUE else False if cell.lower() in FALSE else None
    if kind == "day":
        try:
            return datetime.strptime(cell, "%Y-%m-%d") if re.fullmatch(r"\d{4}-\d\d-\d\d", cell) else None
        except ValueError:
            return None
    grouped = re.fullmatch(r"[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d*)?([eE][+-]?\d+)?", cell)
    return float(cell.replace(",", "")) if grouped else None


def judge(folder: Path, name: str, table: str, data: bytes, mark: str, export: dict) -> str:
    """Return what became of a mutation: refused, read, read in part; or 'WRONG: why'."""
    for other, rows in export.items():
        (folder / f"{other}.csv").write_bytes(data if other == table else write(rows).encode())
    try:
        loaded = extract.load(folder, folder / "out", strict=False)
    except DataError as error:
        if table not in str(error) or name in HARMLESS:
            return f"WRONG: refused without need or name: {error}"
        return "refused"
    literal = {other: read_literally(write(rows).encode(), ",") for other, rows in export.items()}
    original = {other: [tuple(sorted(row.items())) for row in rows] for other, rows in literal.items()}
    literal[table] = read_literally(data, mark)
    if literal[table] is None:
        return "WRONG: read, though it is no regular table"
    kept = {other: pd.read_parquet(loaded.path(other)) for other in KINDS}
    wrong = [why for other in KINDS for why in _compare(loaded, other, kept, literal[other], set(original[other]))]
    n_kept, n_rows = (sum(map(len, frames.values())) for frames in (kept, original))
    return f"WRONG: {wrong[0]}" if wrong else "read" if n_kept == n_rows else "read, rows set aside or gone"


def _compare(loaded, table: str, kept: dict, literal: list[dict], original: set[tuple]):
    """Yield every way in which the rows kept are not what the file says."""
    counts = loaded.population.query("table == @table").groupby("step")["n_rows"].sum()
    if counts["read"] != counts.drop("read").sum() or counts["read"] != len(literal):
        yield f"{table}: {len(literal)} rows in the file, counted {counts.to_dict()}"
    key = next(iter(KINDS[table]))
    said = [{name: interpret(kind, row.get(name)) for name, kind in KINDS[table].items()} for row in literal]
    for row in kept[table].to_dict("records"):
        row = {name: None if pd.isna(row[name]) else row[name] for name in KINDS[table]}
        if row not in said:
            near = [{n: (v, row[n]) for n, v in one.items() if v != row[n]} for one in said if one[key] == row[key]]
            yield f"{table}: {row[key]} is kept with cells that the file does not hold: {str(near)[:200]}"
    known = set(kept["accounts"]["account_id"])
    for row, cells in zip(said, literal, strict=True):
        is_gone = row[key] not in set(kept[table][key])
        is_alone = sum(one[key] == row[key] for one in said) == 1
        if (
            is_gone
            and is_alone
            and tuple(sorted(cells.items())) in original
            and row["account_id"] in known | {row[key]}
        ):
            yield f"{table}: {row[key]} is gone, though neither it nor its account was touched"


def run(n_mutations: int, seed: int, folder: Path) -> list[tuple[str, str]]:
    """Return (mutation, what became of it) of a number of random mutations."""
    rng, export, found = np.random.default_rng(seed), build_export(), []
    (folder / "icp.yml").write_text("max_quarantined: 1\n", encoding="utf-8")
    for _ in range(n_mutations):
        table = str(rng.choice(list(export)))
        name, data, mark = mutate(rng, export[table])
        found.append((name, judge(folder, name, table, data, mark, export)))
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = run(N_MUTATIONS, 7, Path(folder))
    outcomes = ("read", "read, rows set aside or gone", "refused", "WRONG")
    counts = Counter((name, outcome.partition(":")[0]) for name, outcome in found)
    print(f"| mutation | {' | '.join(outcomes)} |\n|---|{'---|' * len(outcomes)}")
    for name in sorted({name for name, _ in found}):
        print(f"| {name} | {' | '.join(str(counts[name, outcome]) for outcome in outcomes)} |")
    for name, outcome in found:
        if outcome.startswith("WRONG"):
            print(name, outcome, file=sys.stderr)


if __name__ == "__main__":
    main()
