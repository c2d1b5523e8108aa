"""Small tests of customer profiles in memory: protocols, lists and what the accounts did, all given or drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import studies
from icp_lib.outcomes import Sources
from icp_lib.protocols import Protocol, Protocols

CUTOFFS = list(pd.date_range("2024-01-01", "2026-10-01", freq="QS"))
DAY = pd.Timestamp("2026-03-02")
DECISION = {"ship": "better", "stop": "not better", "continue": "open", "cannot answer": "closed"}


def write_protocol(**changes) -> Protocol:
    """A protocol: one arm against as_usual, a meeting within 45 days."""
    values = {
        "id": "letter", "question": "Does a letter help?", "candidate": "makers", "arms": ["letter", "as_usual"],
        "control": "as_usual", "written_on": (DAY - pd.Timedelta(days=9)).date(), "assigned_on": DAY.date(),
        "primary": {"metric": "touch_rate", "touch_type": "Meeting", "window_days": 45}, "mde": 0.12,
        "decision": DECISION,
    }  # fmt: skip
    return Protocol(**values | changes)


def build_list(n: int, arms=("letter", "as_usual"), name: str = "letter", first: int = 0, **columns) -> pd.DataFrame:
    """An assignment list of n accounts, the arms in turn, all worked as their arm says."""
    arm = np.resize(np.array(arms, object), n)
    exposed = pd.Series(DAY + pd.Timedelta(days=1), range(n)).where(arm != "as_usual")
    base = {
        "experiment_id": name, "account_id": [f"A{first + i:05d}" for i in range(n)], "arm": arm, "candidate": "makers",
        "assigned_at": DAY, "exposed_at": exposed, "stratum": None,
    }  # fmt: skip
    return pd.DataFrame(base | columns)


def build_accounts(n: int, **columns) -> pd.DataFrame:
    """The account table of n accounts, each its own family."""
    ids = [f"A{i:05d}" for i in range(n)]
    size = np.arange(n) % 50 + 1.0
    base = {"account_id": ids, "family_id": ids, "created_at": pd.Timestamp("2024-01-05"), "employees": size}
    return pd.DataFrame(base | columns)


def meet(account_ids, days: float = 10.0, kind: str = "Meeting") -> pd.DataFrame:
    """One touch of each account, so many days after the assignment."""
    when = DAY + pd.to_timedelta(np.broadcast_to(days, len(account_ids)), unit="D")
    return pd.DataFrame({"account_id": list(account_ids), "occurred_at": when, "touch_type": kind})


def build_deals(rows=()) -> pd.DataFrame:
    """Opportunities from (account_id, opened, closed or None, status, margin), days counted from the assignment."""
    table = pd.DataFrame(rows, columns=["account_id", "opened", "closed", "status", "gross_margin"])
    created, closed = (DAY + pd.to_timedelta(table[each].astype(float), unit="D") for each in ("opened", "closed"))
    blank = {"amount": np.nan, "gross_margin_rate": np.nan, "term_months": 12.0, "is_relevant": True}
    table = table.assign(created_at=created, closed_at=closed, **blank)
    table["opportunity_id"] = [f"O{i}" for i in range(len(table))]
    return table.astype({"gross_margin": float, "is_relevant": bool})


def build_sources(touches=None, deals=None, history=None, stages=None) -> Sources:
    """The tables that outcomes are made of; empty ones have their columns."""
    empty = {
        "touches": pd.DataFrame({"account_id": pd.Series(dtype="str"), "occurred_at": pd.Series(dtype="datetime64[us]"),
                                 "touch_type": pd.Series(dtype="str")}),
        "history": pd.DataFrame({"opportunity_id": pd.Series(dtype="str"), "stage": pd.Series(dtype="str"),
                                 "entered_at": pd.Series(dtype="datetime64[us]")}),
        "stages": pd.DataFrame({"stage": pd.Series(dtype="str"), "stage_order": pd.Series(dtype="int64"),
                                "is_closed": pd.Series(dtype="boolean"), "is_won": pd.Series(dtype="boolean")}),
    }  # fmt: skip
    given = {"touches": touches, "history": history, "stages": stages}
    tables = {name: empty[name] if given[name] is None else given[name] for name in empty}
    return Sources(build_deals() if deals is None else deals, tables["touches"], tables["history"], tables["stages"])


def build_tests(protocols, assignments, touches=None, accounts=None, set_aside=None, deals=None, cutoffs=CUTOFFS):
    """The studies of some protocols (one, or a list) on a list of accounts."""
    listed = protocols if isinstance(protocols, list) else [protocols]
    accounts = build_accounts(len(assignments)) if accounts is None else accounts
    known = Protocols({each.id: each for each in listed}, {})
    sources = build_sources(touches, deals)
    aside = pd.DataFrame() if set_aside is None else set_aside
    return studies.build_studies(known, assignments, aside, accounts, sources, cutoffs), accounts, sources
