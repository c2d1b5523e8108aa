"""The as-of law and the account table: canonical tables + the quarter's end -> one row per account."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
from ibis import _

from icp_lib.moments import first_day
from icp_lib.schemas import DATED_BY, TABLES

FOUND_SHARE = 0.6


def cut(
    table: ir.Table, name: str, cutoff: datetime, *, types: Iterable[str] = ("new",), min_amount: float = 0.0
) -> ir.Table:
    """Return a canonical table as it was known at `cutoff`: nothing at or after it exists.

    Rows dated later are left out; later dates of earlier rows become missing; an opportunity closed later is open, and
    what is known only after the close (stage, loss reason) becomes missing with it.

    Parameters
    ----------
    table : ibis table
        With the columns of ``schemas.TABLES[name]``.
    name : str
    cutoff : datetime
        The first moment after as-of, UTC.
    types, min_amount :
        For opportunities: what is relevant; the column `is_relevant` says it. A type not given is new business, an
        amount not given is large enough where `min_amount` is 0.

    Returns
    -------
    ibis table
    """
    dated_by = DATED_BY.get(name)
    if dated_by:
        end = ibis.literal(cutoff if TABLES[name][dated_by].kind == "time" else first_day(cutoff).to_pydatetime())
        table = table.filter(table[dated_by].isnull() | (table[dated_by] < end))
    end = ibis.literal(cutoff)
    later = [c.name for c in TABLES[name].columns if c.kind == "time" and c.name not in (dated_by, "closed_at")]
    table = table.mutate(**{column: (table[column] < end).ifelse(table[column], ibis.null()) for column in later})
    if name == "leads":
        reason = table.rejected_at.isnull().ifelse(ibis.null(), table.rejection_reason)
        return table.mutate(rejection_reason=reason)
    if name == "opportunities":
        return _reopen(table, end).mutate(is_relevant=is_relevant(table, types, min_amount))
    return table


def is_relevant(opportunities: ir.Table, types: Iterable[str] = ("new",), min_amount: float = 0.0) -> ir.BooleanValue:
    """Return the condition that an opportunity is relevant by its type and amount.

    A type not given is new business; an amount not given is large enough where `min_amount` is 0.
    """
    enough = opportunities.amount.fill_null(np.inf if min_amount == 0 else -np.inf) >= min_amount
    return opportunities.type.fill_null("new").isin(list(types)) & enough


def _reopen(table: ir.Table, end: ir.Value) -> ir.Table:
    """Opportunities as they stood: closed later is open, and nothing is known of the close."""
    is_decided = table.status.isin(["won", "lost"])
    closed = is_decided & (table.closed_at < end).fill_null(False)
    return table.mutate(
        status=closed.ifelse(table.status, "open"),
        closed_at=closed.ifelse(table.closed_at, ibis.null()),
        stage=(is_decided & ~closed).ifelse(ibis.null(), table.stage),
        loss_reason=closed.ifelse(table.loss_reason, ibis.null()),
        is_timing_loss=closed.ifelse(table.is_timing_loss, ibis.null()),
    )


def count_visible(
    tables: dict[str, ir.Table], cutoff: datetime, *, types: Iterable[str] = ("new",), min_amount: float = 0.0
) -> pd.DataFrame:
    """Count the rows of each validated table that are dated by as-of.

    Returns
    -------
    DataFrame
        table, n_visible; for opportunities also n_relevant, n_won (of these), n_won_other (of the others), n_won_later
        (relevant, won after as-of, so open here) and n_won_ever (of all rows dated by as-of, whenever won).
    """
    rows = []
    for name, whole in tables.items():
        seen = cut(whole, name, cutoff, types=types, min_amount=min_amount)
        row = {"table": name, "n_visible": int(seen.count().execute())}
        if name == "opportunities":
            won, is_ever = seen.status == "won", (whole.status == "won") & (whole.created_at < cutoff)
            counts = seen.aggregate(
                n_relevant=seen.is_relevant.sum().fill_null(0),
                n_won=(won & seen.is_relevant).sum().fill_null(0),
                n_won_other=(won & ~seen.is_relevant).sum().fill_null(0),
            )
            row |= {count: int(n) for count, n in counts.to_pandas().iloc[0].items()}
            ever = whole.filter(is_ever)
            row["n_won_ever"] = int(ever.count().execute())
            n_relevant_ever = int(ever.filter(is_relevant(ever, types, min_amount)).count().execute())
            row["n_won_later"] = n_relevant_ever - row["n_won"]
        rows.append(row)
    return pd.DataFrame(rows)


def build(accounts: ir.Table, opportunities: ir.Table, history: ir.Table | None = None) -> pd.DataFrame:
    """Return the account table: one row per account, canonical columns plus derived ones, sorted by account_id.

    Parameters
    ----------
    accounts, opportunities, history : ibis tables
        Already cut at the quarter's end (`cut`); `history` is account_history.

    Returns
    -------
    DataFrame
        The columns of accounts as they were known then, and `family_id`, `first_opportunity_at`, `n_opportunities`,
        `n_won`, `n_lost`, `n_open`, `is_customer`, `first_won_at`, `buyer_role`, `lead_source`, `part`.
    """
    frame = accounts.order_by("account_id").to_pandas()
    if history is not None:
        frame = build_traits_as_of(frame, history)
    for derived in (_build_sums(opportunities), _build_first(opportunities)):
        frame = frame.merge(derived.to_pandas(), on="account_id", how="left", validate="one_to_one")
    frame["lead_source"] = frame.pop("first_lead_source").fillna(frame["lead_source"])
    for column in ("n_opportunities", "n_won", "n_lost", "n_open"):
        frame[column] = frame[column].fillna(0).astype(int)
    frame["is_customer"] = frame["n_won"] > 0
    frame["family_id"] = build_family(frame["account_id"], frame["parent_account_id"])
    frame["part"] = build_part(frame["family_id"], frame["first_opportunity_at"])
    return frame


def _build_sums(opportunities: ir.Table) -> ir.Table:
    """Counts and first dates of an account's relevant opportunities."""
    return (
        opportunities.filter(_.is_relevant)
        .group_by("account_id")
        .aggregate(
            first_opportunity_at=_.created_at.min(),
            n_opportunities=_.count(),
            n_won=(_.status == "won").sum(),
            n_lost=(_.status == "lost").sum(),
            n_open=(_.status == "open").sum(),
            first_won_at=_.closed_at.min(where=_.status == "won"),
        )
    )


def _build_first(opportunities: ir.Table) -> ir.Table:
    """Traits of an account's first relevant opportunity (by date, then id)."""
    order = ibis.window(group_by="account_id", order_by=["created_at", "opportunity_id"])
    ranked = opportunities.filter(_.is_relevant).mutate(rank=ibis.row_number().over(order))
    return ranked.filter(_.rank == 0).select("account_id", "buyer_role", first_lead_source="lead_source")


def build_traits_as_of(frame: pd.DataFrame, history: ir.Table) -> pd.DataFrame:
    """Put in the value that each trait had: the latest of account_history, where there is one by then.

    Only traits have a history here: an id, a date or an outcome stays as it is. A number that cannot be read leaves
    today's value.
    """
    roles = {column.name: column.role for column in TABLES["accounts"].columns}
    latest = history.group_by("account_id", "attribute").aggregate(value=_.value.argmax(_.valid_from)).to_pandas()
    frame = frame.copy()
    for attribute, values in latest.groupby("attribute"):
        if attribute in frame.columns and roles.get(attribute, "trait") == "trait":
            known = frame["account_id"].map(values.set_index("account_id")["value"])
            if pd.api.types.is_numeric_dtype(frame[attribute]):
                known = pd.to_numeric(known, errors="coerce")
            frame[attribute] = known.where(known.notna(), frame[attribute])
    return frame


def build_family(account_id: pd.Series, parent_account_id: pd.Series) -> pd.Series:
    """Ultimate parent of each account; accounts of one family are one cluster.

    A parent that is not among the accounts ends the chain and still names the family; a circle is named after its
    smallest id.

    Examples
    --------
    >>> ids, parents = pd.Series(["a", "b", "c"]), pd.Series([None, "a", "b"])
    >>> build_family(ids, parents).tolist()
    ['a', 'a', 'a']
    """
    parent = {
        child: up
        for child, up in zip(account_id, parent_account_id, strict=True)
        if isinstance(up, str) and up != child
    }

    def top(account: str) -> str:
        seen = [account]
        while seen[-1] in parent:
            up = parent[seen[-1]]
            if up in seen:
                return min(seen[seen.index(up) :])
            seen.append(up)
        return seen[-1]

    return account_id.map({account: top(account) for account in account_id}).rename("family_id")


def build_part(family_id: pd.Series, first_opportunity_at: pd.Series) -> pd.Series:
    """The one split in time: 'found' for the older 60 % of accounts with an opportunity, 'held_out' for the newer.

    A family is dated by its first opportunity and never stands on both sides; equal dates stay together. Accounts
    without a relevant opportunity have no part.
    """
    dated = first_opportunity_at.groupby(family_id).transform("min")
    with_one = dated[first_opportunity_at.notna()].sort_values()
    if with_one.empty:
        return pd.Series(None, index=family_id.index, dtype="str", name="part")
    border = with_one.iloc[int(np.ceil(FOUND_SHARE * len(with_one))) - 1]
    part = pd.Series(np.where(dated <= border, "found", "held_out"), index=family_id.index, dtype="str")
    return part.where(first_opportunity_at.notna()).rename("part")
