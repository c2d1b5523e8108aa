"""Simulated worlds as the notebooks would see them: cut at the quarter's end, one row an account."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ibis
import numpy as np
import pandas as pd

from icp_lib import accounts, demo
from icp_lib.run import Quarter

CUTOFF = Quarter.parse("2026-Q3").cutoff("Europe/Berlin")
LATE = {"attribute": "industry", "op": "is", "value": demo.TRUTH["late"]["value"]}
IDS, PREFIX = ("account_id", "parent_account_id", "family_id", "opportunity_id"), 4
STRONG = tuple(demo.TRUTH["segments"][0]["conditions"])


def build_frames(seed: int, n_accounts: int = 6000, null: bool | str = False) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the account table and the opportunities of one world as of 2026-Q3.

    Parameters
    ----------
    seed : int
    n_accounts : int
        6,000 accounts have about 5,000 relevant opportunities.
    null : bool or "late"
        See `demo.build_world`.
    """
    return next(build_many([seed], n_accounts, null))


def cut_tables(account_rows: pd.DataFrame, opportunity_rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the account table and the opportunities of canonical rows, as of 2026-Q3."""
    rows = {"accounts": account_rows, "opportunities": opportunity_rows.astype({"is_timing_loss": "boolean"})}
    con = ibis.duckdb.connect()
    con.raw_sql("SET enable_progress_bar = false")  # a process without a file of its own looks like a terminal to it
    cuts = [accounts.cut(con.create_table(name, ibis.memtable(frame)), name, CUTOFF) for name, frame in rows.items()]
    table, opportunities = accounts.build(*cuts), cuts[1].to_pandas()
    con.disconnect()
    return table, opportunities


def build_many(
    seeds: Sequence[int], n_accounts: int = 6000, null: bool | str = False
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Yield what `build_frames` returns for each seed; the engine sees all worlds at once, which is faster.

    Ids are made distinct by a prefix that is as long for every world, and taken off again; the split into parts is made
    in each world.
    """
    drawn = [demo.build_world(seed, n_accounts, null, tables=("accounts", "opportunities")) for seed in seeds]
    whole = [
        pd.concat([_prefix(world[name], number) for number, world in enumerate(drawn)], ignore_index=True)
        for name in ("accounts", "opportunities")
    ]
    frames = cut_tables(*whole)
    worlds = [frame["account_id"].str[:PREFIX].astype(int).to_numpy() for frame in frames]
    for number in range(len(drawn)):
        table, opportunities = (
            _strip(frame[world == number]) for frame, world in zip(frames, worlds, strict=True)
        )
        part = accounts.build_part(table["family_id"], table["first_opportunity_at"])
        yield table.assign(part=part), opportunities


def _prefix(frame: pd.DataFrame, number: int) -> pd.DataFrame:
    return frame.assign(**{name: f"{number:0{PREFIX}d}" + frame[name] for name in IDS if name in frame})


def _strip(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{name: frame[name].str[PREFIX:] for name in IDS if name in frame}).reset_index(drop=True)


def simulation_error(values: np.ndarray) -> float:
    """Return the standard error of a mean over worlds."""
    values = np.asarray(values, float)
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def share(values) -> str:
    """Return the share of worlds as text, with their number."""
    values = np.asarray(values, float)
    return f"{values.mean():.1%} (of {len(values):,})" if len(values) else "none"
