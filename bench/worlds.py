"""Simulated worlds as the notebooks would see them: cut at the quarter's end, one row an account."""

from __future__ import annotations

import ibis
import numpy as np
import pandas as pd

from icp_lib import accounts, demo
from icp_lib.run import Quarter

CUTOFF = Quarter.parse("2026-Q3").cutoff("Europe/Berlin")
LATE = {"attribute": "industry", "op": "is", "value": demo.TRUTH["late"]["value"]}
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
    world = demo.build_world(seed, n_accounts, null, tables=("accounts", "opportunities"))
    return cut_tables(world["accounts"], world["opportunities"])


def cut_tables(account_rows: pd.DataFrame, opportunity_rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the account table and the opportunities of canonical rows, as of 2026-Q3."""
    rows = {"accounts": account_rows, "opportunities": opportunity_rows.astype({"is_timing_loss": "boolean"})}
    con = ibis.duckdb.connect()
    cuts = [accounts.cut(con.create_table(name, ibis.memtable(frame)), name, CUTOFF) for name, frame in rows.items()]
    table, opportunities = accounts.build(*cuts), cuts[1].to_pandas()
    con.disconnect()
    return table, opportunities


def simulation_error(values: np.ndarray) -> float:
    """Return the standard error of a mean over worlds."""
    values = np.asarray(values, float)
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def share(values) -> str:
    """Return the share of worlds as text, with their number."""
    values = np.asarray(values, float)
    return f"{values.mean():.1%} (of {len(values):,})" if len(values) else "none"
