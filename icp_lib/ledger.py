"""The ledger of acquisition: every amount spent, and the leads, deals and customers that it can be charged to.

Months are counted back from as-of: 1 is the last month; quarter -1 is the last quarter.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import draws
from icp_lib.customers import build_customers
from icp_lib.moments import first_day, months_ago, months_before, to_local
from icp_lib.value import WINDOW_DAYS

MARKETING = ("media", "events", "tools")
SHARED = (*MARKETING, "salaries")
CARE = ("onboarding", "support")
CATEGORIES = (*SHARED, *CARE)
#: How a shared cost is charged to accounts: "direct" is the house rule.
RULES = ("direct", "opportunities", "touches", "open days")


class Ledger(NamedTuple):
    """What CAC is made of; `account` is a position in `accounts` everywhere.

    entries: ago, category, amount, channel, campaign_id, audience, one row an amount of `spend`, in its order.
    keys: rule -> account, ago, amount, and for leads channel, campaign_id: what a rule splits a cost by.
    spans: account, ago, opened (month), days, is_won: open days of deals by month.
    deals: account, opened and won (months; won NaN: not won).
    customers: account, ago and quarter of the win, live (month; 0: not yet), is_live.
    care: account, ago, category, amount, is_before (counts for winning: onboarding, and support until live).
    accounts: account_id, family (row of `weights`), is_open (a deal is), channel. weights: shared draws of families.
    notes: what was assumed.
    """

    entries: pd.DataFrame
    keys: dict[str, pd.DataFrame]
    spans: pd.DataFrame
    deals: pd.DataFrame
    customers: pd.DataFrame
    care: pd.DataFrame
    accounts: pd.DataFrame
    weights: np.ndarray
    notes: tuple[str, ...]
    cutoff: datetime

    @property
    def n_months(self) -> int:
        """Months back to the first one with spend; what was spent before is not known."""
        return int(self.entries["ago"].max()) if len(self.entries) else 0


def build_ledger(
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    spend: pd.DataFrame,
    *,
    cutoff: datetime,
    leads: pd.DataFrame | None = None,
    touches: pd.DataFrame | None = None,
    revenue: pd.DataFrame | None = None,
    n_draws: int = 1000,
) -> Ledger:
    """Lay out what was spent beside what it can be charged to.

    Parameters
    ----------
    accounts : DataFrame
        The account table.
    opportunities, spend, leads, touches, revenue : DataFrame
        Cut at the quarter's end; all but opportunities may have no rows.
    cutoff : datetime
        The first moment after as-of, naive UTC.
    n_draws : int
        Shared draws of families (`draws.draw_weights`).

    Returns
    -------
    Ledger
        Without spend its entries have no rows, and every cost that is computed from it is missing.
    """
    known = pd.Index(accounts["account_id"])
    family, families = pd.factorize(accounts["family_id"])
    deals = opportunities[opportunities["is_relevant"]]
    deals = deals[known.get_indexer(deals["account_id"]) >= 0]
    revenue = revenue if revenue is not None else pd.DataFrame(columns=["account_id", "month", "revenue"])
    won = build_customers(accounts, deals, revenue, cutoff)
    won_at = won.set_index("account_id")["won_at"]
    still = deals.loc[deals["status"] == "open", "account_id"]
    entries = _build_entries(spend, cutoff)
    customers = _build_winners(won, revenue, known, cutoff)
    notes: list[str] = []
    spans = _build_spans(deals, known, cutoff)
    keys = {
        "direct": _build_leads(leads, deals, known, won_at, cutoff, notes),
        "opportunities": _count(deals, "created_at", known, cutoff),
        "touches": _count(_before_win(touches, "occurred_at", known, won_at), "occurred_at", known, cutoff),
        "open days": spans.rename(columns={"days": "amount"})[["account", "ago", "amount"]],
    }
    return Ledger(
        entries=entries,
        keys=keys,
        spans=spans,
        deals=_build_deals(deals, known, cutoff),
        customers=customers,
        care=_build_care(entries, customers, revenue, known, cutoff, notes),
        accounts=pd.DataFrame({
            "account_id": known, "family": family,
            "is_open": np.isin(np.arange(len(known)), known.get_indexer(still)),
            "channel": accounts["lead_source"].to_numpy() if "lead_source" in accounts else None,
        }),
        weights=draws.draw_weights(families, n_draws),
        notes=tuple(notes),
        cutoff=cutoff,
    )


def _build_entries(spend: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    """Rows of `spend` by month counted back; media and the like for existing customers keep their audience."""
    columns = ["category", "amount", "channel", "campaign_id", "audience"]
    table = spend.reindex(columns=columns).reset_index(drop=True)
    ago = months_ago(spend["month"], cutoff).to_numpy(int) if len(spend) else np.zeros(0, int)
    return table.assign(amount=table["amount"].astype(float)).assign(ago=ago)[["ago", *columns]]


def _build_winners(won: pd.DataFrame, revenue: pd.DataFrame, known: pd.Index, cutoff: datetime) -> pd.DataFrame:
    """One row a customer; without any revenue nobody knows who is live, so all are taken to be."""
    paid = pd.Index(revenue.loc[revenue["revenue"] > 0, "account_id"].unique() if len(revenue) else won["account_id"])
    ago = months_before(won["won_at"], cutoff).to_numpy(int) if len(won) else np.zeros(0, int)
    live = months_before(won["live_at"], cutoff).to_numpy(int) if len(won) else ago
    is_live = paid.get_indexer(won["account_id"]) >= 0
    return pd.DataFrame({"account": known.get_indexer(won["account_id"]), "ago": ago, "quarter": ago // -3,
                         "live": np.where(is_live, live, 0), "is_live": is_live})  # fmt: skip


def _build_spans(deals: pd.DataFrame, known: pd.Index, cutoff: datetime) -> pd.DataFrame:
    """Days on which each deal was open, by month, the first and the last day included.

    A deal that is not won has its first 365 days: then it counts as ended, whatever the pipeline says.
    """
    end = first_day(cutoff)
    first = to_local(deals["created_at"], cutoff).to_numpy("datetime64[D]")
    closed = to_local(deals["closed_at"], cutoff).to_numpy("datetime64[D]")
    is_won, as_of = (deals["status"] == "won").to_numpy(bool), np.datetime64(end, "D") - 1
    given_up = first + (WINDOW_DAYS - 1)
    is_late = ~is_won & ~(closed <= given_up)
    last = np.where(is_late, given_up, closed)
    is_open = last > as_of
    last = np.maximum(np.where(is_open, as_of, last), first)
    month = np.datetime64(end, "M")
    oldest, newest = ((month - day.astype("datetime64[M]")).astype(int) for day in (first, last))
    n = oldest - newest + 1
    deal = np.repeat(np.arange(len(deals)), n)
    ago = oldest[deal] - (np.arange(len(deal)) - np.repeat(np.cumsum(n) - n, n))
    starts = (month - ago).astype("datetime64[D]")
    ends = (month - ago + 1).astype("datetime64[D]") - 1
    days = (np.minimum(last[deal], ends) - np.maximum(first[deal], starts)).astype(int) + 1
    account = known.get_indexer(deals["account_id"])
    return pd.DataFrame({"account": account[deal], "ago": ago, "opened": oldest[deal], "days": days.astype(float),
                         "is_won": is_won[deal]})  # fmt: skip


def _build_deals(deals: pd.DataFrame, known: pd.Index, cutoff: datetime) -> pd.DataFrame:
    """Months in which each deal was opened and won."""
    won_at = deals["closed_at"].where(deals["status"] == "won")
    return pd.DataFrame({
        "account": known.get_indexer(deals["account_id"]),
        "opened": months_before(deals["created_at"], cutoff).to_numpy(float) if len(deals) else np.zeros(0),
        "won": months_before(won_at, cutoff).to_numpy(float) if len(deals) else np.zeros(0),
    })


def _before_win(events: pd.DataFrame | None, moment: str, known: pd.Index, won_at: pd.Series) -> pd.DataFrame:
    """Events of known accounts that were not customers yet: after the win nothing acquires them."""
    if events is None or not len(events):
        return pd.DataFrame({"account_id": pd.Series([], dtype=str), moment: pd.Series([], dtype="datetime64[us]")})
    place = known.get_indexer(events["account_id"])
    won = won_at.reindex(known).to_numpy()[place]
    return events[(place >= 0) & ~(events[moment].to_numpy() > won)]


def _count(events: pd.DataFrame, moment: str, known: pd.Index, cutoff: datetime) -> pd.DataFrame:
    """Number of events by account and month."""
    ago = months_before(events[moment], cutoff) if len(events) else pd.Series([], dtype=int)
    account = pd.Series(known.get_indexer(events["account_id"]), index=events.index, dtype=int)
    counts = pd.DataFrame({"account": account, "ago": ago}).value_counts(sort=False)
    return counts.rename("amount").astype(float).reset_index()


def _build_leads(leads, deals, known, won_at, cutoff, notes: list[str]) -> pd.DataFrame:
    """Leads of known accounts with their channel and campaign; without leads, the deals that were opened."""
    table = _before_win(leads, "created_at", known, won_at)
    if not len(table):
        notes.append("No lead belongs to an account, so media follow the deals that were opened.")
        table = deals
    return pd.DataFrame({
        "account": known.get_indexer(table["account_id"]), "amount": 1.0,
        "ago": months_before(table["created_at"], cutoff).to_numpy(int) if len(table) else np.zeros(0, int),
        "channel": table["lead_source"].to_numpy(), "campaign_id": table["campaign_id"].to_numpy(),
    })  # fmt: skip


def _build_care(entries, customers, revenue, known, cutoff, notes: list[str]) -> pd.DataFrame:
    """Onboarding and support until live by customer and month, brought to what `spend` says of the month.

    The month of going live counts as before it: no extract knows the day. A month of `spend` without any customer's
    row is split evenly over the customers who go live then. Months before the category's first spend stay as they are.
    """
    account = known.get_indexer(revenue["account_id"])
    ago = months_ago(revenue["month"], cutoff).to_numpy(int) if len(revenue) else np.zeros(0, int)
    going = customers.loc[customers["is_live"], ["account", "live"]].rename(columns={"live": "ago"})
    live = pd.Series(customers["live"].to_numpy(), index=customers["account"])
    parts = []
    for category in CARE:
        cost = revenue.get(f"{category}_cost", pd.Series(0.0, index=revenue.index)).fillna(0.0).to_numpy(float)
        rows = pd.DataFrame({"account": account, "ago": ago, "amount": cost})[(cost > 0) & (account >= 0)]
        spent = entries[entries["category"] == category].groupby("ago")["amount"].sum()
        if not len(spent) and len(rows):
            notes.append(f"No {category} in spend: the customers' own {category} cost stands for it.")
        if category == "onboarding":
            bare = going[going["ago"].isin(spent.index) & ~going["ago"].isin(rows["ago"])]
            rows = pd.concat([rows, bare.assign(amount=1.0)], ignore_index=True)
        known_months = rows["ago"] <= (spent.index.max() if len(spent) else -1)
        of_month = rows["amount"] / rows.groupby("ago")["amount"].transform("sum")
        rows["amount"] = np.where(known_months, of_month * rows["ago"].map(spent).fillna(0.0), rows["amount"])
        from_then = rows["account"].map(live).fillna(np.inf)
        from_then = from_then.where(np.isinf(from_then) | (category == "support"), 0)
        parts.append(rows.assign(category=category, is_before=rows["ago"] >= from_then))
    return pd.concat(parts, ignore_index=True)


def pick_pools(ledger: Ledger, rule: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return which pool each shared amount is split in, and the accounts' keys in each pool.

    A pool is a month of the rule's keys. In the direct rule an amount with a campaign goes to the leads of that
    campaign, one with a channel to the channel's leads of that quarter, other media to all leads of the month; tools
    and salaries to the days on which deals were open that month.

    Returns
    -------
    entries : DataFrame
        The ledger's entries for winning customers (not of `CARE`, not for existing ones), with `pool` (code; -1 where
        nothing can be charged).
    keys : DataFrame
        account, pool, amount.
    """
    entries = ledger.entries[ledger.entries["category"].isin(SHARED) & (ledger.entries["audience"] != "existing")]
    if rule != "direct":
        keys = ledger.keys[rule]
        keys = keys.assign(name="month " + keys["ago"].astype(str))
        chain = [pd.Series("month " + entries["ago"].astype(str), index=entries.index)]
    else:
        keys, chain = _direct_pools(ledger, entries)
    names = pd.Index(keys["name"].dropna().unique())
    pool = np.full(len(entries), -1)
    for candidates in chain:
        code = names.get_indexer(candidates)
        pool = np.where((pool < 0) & candidates.notna().to_numpy(), code, pool)
    keys = keys[keys["name"].notna()]
    keys = pd.DataFrame({"account": keys["account"], "pool": names.get_indexer(keys["name"]), "amount": keys["amount"]})
    return entries.assign(pool=pool), keys[keys["pool"].isin(pool)]


def _direct_pools(ledger: Ledger, entries: pd.DataFrame) -> tuple[pd.DataFrame, list[pd.Series]]:
    """Keys and the pools that an amount tries in turn: campaign, channel and quarter, month; days for the rest."""
    leads, days = ledger.keys["direct"], ledger.keys["open days"]

    def name(frame, by):
        if by == "campaign":
            return ("campaign " + frame["campaign_id"].astype("str")).where(frame["campaign_id"].notna())
        if by == "channel":
            text = "channel " + frame["channel"].astype("str") + " " + (frame["ago"] // -3).astype("str")
            return text.where(frame["channel"].notna())
        return f"{by} " + frame["ago"].astype("str")

    keys = pd.concat(
        [*(leads.assign(name=name(leads, by)) for by in ("campaign", "channel", "lead")),
         days.assign(name=name(days, "day"))],
        ignore_index=True,
    )  # fmt: skip
    is_bare = entries["channel"].isna() & entries["campaign_id"].isna()
    is_media = entries["category"].isin(("media", "events"))
    chain = [name(entries, "campaign"), name(entries, "channel"), name(entries, "lead").where(is_bare & is_media),
             name(entries, "day").where(is_bare & ~is_media)]  # fmt: skip
    return keys, chain


def list_uncharged(ledger: Ledger) -> pd.DataFrame:
    """Return what the house rule could not charge to anybody: category, channel, amount, note; largest first."""
    entries, _ = pick_pools(ledger, "direct")
    rest = entries[entries["pool"] < 0]
    table = rest.groupby(["category", "channel"], dropna=False)["amount"].agg(["sum", "size"]).reset_index()
    table = table.rename(columns={"sum": "amount", "size": "n"}).sort_values("amount", ascending=False)
    named = [f"no lead came by '{channel}'" if isinstance(channel, str) else "nothing to charge it to that month"
             for channel in table["channel"]]  # fmt: skip
    return table.assign(note=named)[["category", "channel", "amount", "n", "note"]].reset_index(drop=True)


def charge_accounts(ledger: Ledger, rule: str = "direct") -> pd.DataFrame:
    """Charge every shared amount to accounts, in the month in which it was spent.

    Returns
    -------
    DataFrame
        account (position), category, amount; an amount of a pool is split in proportion to the keys in it.
    """
    entries, keys = pick_pools(ledger, rule)
    keys = keys.groupby(["account", "pool"], as_index=False)["amount"].sum()
    keys["share"] = keys["amount"] / keys.groupby("pool")["amount"].transform("sum")
    put = entries.groupby(["category", "pool"], as_index=False)["amount"].sum()
    table = put.merge(keys[["account", "pool", "share"]], on="pool")
    table["amount"] = table["amount"] * table["share"]
    return table.groupby(["account", "category"], as_index=False)["amount"].sum()


def reconcile(ledger: Ledger, rule: str = "direct") -> pd.DataFrame:
    """Return, for every category, where each amount of `spend` went: `cac_reconciliation`.

    Returns
    -------
    DataFrame
        category, spend, spend_charged (to accounts), spend_on_existing, spend_uncharged, spend_missing: the first less
        the others, 0 to the cent.
    """
    entries, _ = pick_pools(ledger, rule)
    charged = charge_accounts(ledger, rule).groupby("category")["amount"].sum()
    by_category = ledger.entries.groupby("category")["amount"].sum()
    existing = ledger.entries[ledger.entries["audience"] == "existing"].groupby("category")["amount"].sum()
    uncharged = entries[entries["pool"] < 0].groupby("category")["amount"].sum()
    spent = ledger.entries.groupby(["category", "ago"])["amount"].sum()
    placed = ledger.care.groupby(["category", "ago"])["amount"].sum().reindex(spent.index, fill_value=0.0)
    for category in CARE:
        existing[category] = 0.0
        charged[category] = placed.get(category, pd.Series(dtype=float)).sum()
        without_rows = (placed == 0) & (placed.index.get_level_values("category") == category)
        uncharged[category] = spent[without_rows].sum()
    table = pd.DataFrame({"spend": by_category, "spend_charged": charged, "spend_on_existing": existing,
                          "spend_uncharged": uncharged}).reindex(list(CATEGORIES)).fillna(0.0)  # fmt: skip
    table["spend_missing"] = table["spend"] - table[table.columns[1:]].sum(axis=1)
    return table.rename_axis("category").reset_index()
