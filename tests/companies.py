"""Small companies for tests: every trait and every deal is given, or drawn from a seed; folders without some pages."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import accounts, execution, space

CUTOFF = pd.Timestamp("2026-10-01")
Frames = tuple[pd.DataFrame, pd.DataFrame]


def leave_out(monkeypatch) -> None:
    """Run no notebook but 00, 01 and 07: the others are pages that a test does not need, each a kernel."""
    find = execution.find_notebooks
    needed = (execution.FIRST, execution.SECOND, execution.LAST)
    monkeypatch.setattr(execution, "find_notebooks", lambda data: [p for p in find(data) if p.stem in needed])


def build_frames(traits: dict, deals: pd.DataFrame) -> Frames:
    """Return the account table and the opportunities.

    `traits` has account_id and, where accounts have parents, family_id; `deals` has account_id, days_ago (opened,
    before as-of), days (open), status, amount and, where wanted, owner_id and lead_source.
    """
    created = CUTOFF - pd.to_timedelta(deals["days_ago"], unit="D")
    closed = created + pd.to_timedelta(deals["days"], unit="D")
    blank = dict.fromkeys(("gross_margin", "gross_margin_rate", "term_months"), np.nan)
    rest = deals.drop(columns=["days_ago", "days"])
    opportunities = rest.assign(
        created_at=created, closed_at=closed.where(deals["status"] != "open"), is_relevant=True, **blank
    )
    return count_deals(pd.DataFrame(traits), opportunities), opportunities


def count_deals(table: pd.DataFrame, opportunities: pd.DataFrame) -> pd.DataFrame:
    """Return the account table with what its deals say of it."""
    by_account, won = opportunities.groupby("account_id"), opportunities[opportunities["status"] == "won"]
    table = table.assign(family_id=table.get("family_id", table["account_id"]))
    table["first_opportunity_at"] = by_account["created_at"].min().reindex(table["account_id"]).to_numpy()
    for name, counts in (("n_opportunities", by_account.size()), ("n_won", won.groupby("account_id").size())):
        table[name] = counts.reindex(table["account_id"], fill_value=0).to_numpy()
    table["is_customer"] = table["n_won"] > 0
    return table.assign(part=accounts.build_part(table["family_id"], table["first_opportunity_at"]))


def cut(frames: Frames, cutoff: pd.Timestamp) -> Frames:
    """Return both as they were known at an earlier moment."""
    table, opportunities = frames
    seen = opportunities[opportunities["created_at"] < cutoff]
    is_later = seen["closed_at"] >= cutoff
    seen = seen.assign(status=seen["status"].mask(is_later, "open"), closed_at=seen["closed_at"].mask(is_later))
    return count_deals(table, seen), seen


def simulate(traits: dict, win_rate, seed: int = 1, margin=1.0, **columns) -> Frames:
    """Return one deal an account, opened at any time of the last 900 days and open for 20 to 90.

    `win_rate` and `margin` (times the usual) are one an account, or one for all; `columns` go to the deals.
    """
    rng, n = np.random.default_rng(seed), len(next(iter(traits.values())))
    ids = np.array([f"a{number:05d}" for number in range(n)], object)
    columns = {"days_ago": rng.uniform(1, 900, n)} | columns
    days, drawn, money = rng.uniform(20, 90, n), rng.random(n), rng.lognormal(7, 0.5, n)
    status = np.where(columns["days_ago"] < days, "open", np.where(drawn < win_rate, "won", "lost"))
    deals = pd.DataFrame({"account_id": ids, "days": days, "status": status, "amount": money * margin, **columns})
    return build_frames({"account_id": ids, **traits}, deals)


def build_space(frames: Frames, traits, **options) -> space.Space:
    """Return the space of the named traits, or of a mapping of trait to how it is cut."""
    how = traits if isinstance(traits, dict) else {name: {} for name in traits}
    return space.build_space(*frames, how, **({"cutoff": CUTOFF} | options))
