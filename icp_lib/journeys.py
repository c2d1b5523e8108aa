"""Journeys: the channels that an account met, in order, until its deal was decided; and who was contacted when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pandas as pd
from ibis import _

#: Only deals opened so long before as-of are followed: younger ones may still be decided.
FOLLOWED_DAYS = 365
#: Days in which an account that was contacted must become a lead to count as a response.
RESPONSE_DAYS = 90
#: The tables that both functions need, in the order of their arguments.
TABLES = ("opportunities", "touches", "leads", "contacts", "campaigns")
_ORDER = ["occurred_at", "touch_id"]
#: What else people typed as a touch's channel may be a person's name: it is shown together, as one channel.
OTHER = "Other channels"
#: Channels that are shown wherever they come from, with or without capitals.
USUAL = (
    "Ads", "Advertising", "Affiliate", "Audio", "Call", "Chat", "Conference", "Content", "Content syndication",
    "Direct", "Direct mail", "Direct traffic", "Display", "E-mail", "Email", "Email marketing", "Event",
    "Events", "Fair", "Field sales", "Form", "Inbound", "Inside sales", "Letter", "Mail", "Meeting",
    "Newsletter", "Offline", "Online", "Organic", "Organic search", "Organic social", "Other", "Outbound",
    "Paid search", "Paid social", "Partner", "Phone", "Podcast", "Post", "Print", "Product", "Referral",
    "Referrals", "Search", "SMS", "Social", "Social media", "Telephone", "Trade fair", "Trade show", "Video",
    "Visit", "Web", "Webinar", "Website",
)  # fmt: skip


def build_journeys(
    opportunities: ir.Table,
    touches: ir.Table,
    leads: ir.Table,
    contacts: ir.Table,
    campaigns: ir.Table,
    *,
    cutoff: datetime,
    channels: Sequence[str] = (),
    followed_days: int = FOLLOWED_DAYS,
) -> pd.DataFrame:
    """Return one row an account: the channels that it met up to the end of its journey, in order.

    The journeys are those of accounts with a relevant deal opened at least `followed_days` before as-of, and of
    accounts without any deal that were touched by then; what happens to be decided sooner is not preferred. Accounts
    whose first relevant deal is younger are left out: nobody knows yet what becomes of it. A journey ends with the
    account's first win of such a deal; without one, with its last loss, or at as-of where a deal is open; without a
    deal, `followed_days` before as-of. Touches after the end never count.

    So a journey without a deal may end with its last touch: in the `followed_days` since then no deal was opened, and
    one that still comes is not seen. Of accounts touched shortly before the end those with a deal are left out and
    those without one stay, so the chance of becoming a customer comes out a little low in a Markov chain. Where that
    holds for all channels alike it cancels in the removal effects; a channel met mostly by such late accounts, one
    that is new, gets too little.

    A touch's channel is its own, else its campaign's, else its lead's (the campaign's, else `lead_source`). What only
    touches call a channel does not count as one, unless it is a usual word (`USUAL`): it could be the name or the
    number of a person; without a campaign and a lead such a touch is in `OTHER`. Capitals do not matter. A lead
    without a touch of its own is a touch when it came in. Touches that follow each other in one channel are one visit.

    Parameters
    ----------
    opportunities, touches, leads, contacts, campaigns : ibis tables
        Cut at the quarter's end (`accounts.cut`); `opportunities` with `is_relevant`.
    cutoff : datetime
        The first moment after as-of, naive UTC.
    channels : sequence of str
        More channels that touches may name, in the way to write them.
    followed_days : int

    Returns
    -------
    DataFrame
        account_id; is_won; has_deal; deal_at, when the deal was opened that was won, else the first one; ended_at;
        path, the list of channels visited (empty where none is known); lead_visit and deal_visit, the visit (from 1)
        that the account was in when its first lead came in and when that deal was opened, 0 where there was none by
        then or the lead came after the end; n_touches; n_touches_unnamed, of these without a channel. Sorted by
        account_id.
    """
    entry = ibis.literal(cutoff - timedelta(days=followed_days))
    relevant = opportunities.filter(_.is_relevant)
    ends = _build_ends(relevant.filter(_.created_at < entry), ibis.literal(cutoff))
    young = relevant.anti_join(ends, "account_id")
    named = name_touches(opportunities, touches, leads, contacts, campaigns).anti_join(young, "account_id")
    named = _spell(named, _list_spellings(leads, campaigns, channels))
    first_lead = leads.group_by("account_id").aggregate(lead_at=_.created_at.min())
    seen = (
        named.left_join(ends, "account_id")
        .drop("account_id_right")
        .left_join(first_lead, "account_id")
        .drop("account_id_right")
        .mutate(ended_at=_.ended_at.coalesce(entry))
        .filter(_.occurred_at <= _.ended_at)
        .cache()  # two questions are put to it
    )
    counts = seen.group_by("account_id").aggregate(n_touches=_.count(), n_touches_unnamed=_.channel.isnull().sum())
    steps = ibis.window(group_by="account_id", order_by=_ORDER)
    visits = (
        seen.filter(_.channel.notnull())
        .mutate(before=_.channel.lag().over(steps))
        .filter(_.before.isnull() | (_.before != _.channel))
    )
    paths = visits.group_by("account_id").aggregate(
        path=_.channel.collect(order_by=_ORDER),
        lead_visit=((_.occurred_at <= _.lead_at) & (_.lead_at <= _.ended_at)).fill_null(False).sum(),
        deal_visit=(_.occurred_at <= _.deal_at).fill_null(False).sum(),
    )
    frame = ends.to_pandas()
    for found in (counts, paths):
        frame = frame.merge(found.to_pandas(), on="account_id", how="outer", validate="one_to_one")
    return _fill(frame, cutoff - timedelta(days=followed_days))


def _build_ends(deals: ir.Table, end: ir.Value) -> ir.Table:
    """When and how the followed deals of each account ended, and when the one that counts was opened."""
    won, is_open = deals.status == "won", deals.status == "open"
    sums = deals.group_by("account_id").aggregate(
        won_at=deals.closed_at.min(where=won),
        won_deal_at=deals.created_at.argmin(deals.closed_at, where=won),
        first_deal_at=deals.created_at.min(),
        last_closed_at=deals.closed_at.max(),
        is_open=is_open.any(),
    )
    without = sums.is_open.ifelse(end, sums.last_closed_at)
    return sums.select(
        "account_id",
        is_won=sums.won_at.notnull(),
        deal_at=sums.won_deal_at.coalesce(sums.first_deal_at),
        ended_at=sums.won_at.coalesce(without, end),
    )


def name_touches(
    opportunities: ir.Table, touches: ir.Table, leads: ir.Table, contacts: ir.Table, campaigns: ir.Table
) -> ir.Table:
    """Return every touch with its account and its channel as far as they are known, and leads without a touch.

    Returns
    -------
    ibis table
        account_id (never missing), touch_id, occurred_at, own (the touch's channel as typed), channel (that of its
        campaign or lead), is_outside (belongs to no lead and no deal).
    """
    ran = campaigns.select(campaign_id="campaign_id", campaign_channel="channel")
    came = (
        leads.left_join(ran, "campaign_id")
        .mutate(lead_channel=_.campaign_channel.coalesce(_.lead_source))
        .select("lead_id", "lead_channel", "created_at", lead_account="account_id")
    )
    whose = opportunities.select(opportunity_id="opportunity_id", deal_account="account_id")
    known = contacts.select(contact_id="contact_id", contact_account="account_id")
    joined = touches
    for other, key in ((ran, "campaign_id"), (came.drop("created_at"), "lead_id"), (whose, "opportunity_id"),
                       (known, "contact_id")):  # fmt: skip
        joined = joined.left_join(other, key).drop(f"{key}_right")
    of_touches = joined.select(
        "touch_id",
        "occurred_at",
        account_id=_.account_id.coalesce(_.deal_account, _.lead_account, _.contact_account),
        own=_.channel,
        channel=_.campaign_channel.coalesce(_.lead_channel),
        is_outside=_.lead_id.isnull() & _.opportunity_id.isnull(),
    )
    alone = came.anti_join(touches, "lead_id").select(
        touch_id="lead_id",
        occurred_at="created_at",
        account_id="lead_account",
        own=ibis.null("string"),
        channel="lead_channel",
        is_outside=ibis.literal(False),
    )
    return of_touches.union(alone).filter(_.account_id.notnull())


def _list_spellings(leads: ir.Table, campaigns: ir.Table, channels: Sequence[str]) -> pd.DataFrame:
    """Return every known channel without capitals (`key`) and how it is written: as in `channels`, campaigns, leads."""
    known = list(USUAL)
    for table, name in ((leads, "lead_source"), (campaigns, "channel")):
        known += sorted(table.filter(table[name].notnull()).select(name).distinct().to_pandas()[name], reverse=True)
    spelled = {each.strip().lower(): each for each in (*known, *channels)}
    return pd.DataFrame({"key": list(spelled), "spelled": list(spelled.values())})


def _spell(named: ir.Table, spellings: pd.DataFrame) -> ir.Table:
    """Give every touch one channel in one spelling: its own where it is known, else its campaign's or lead's."""
    table = ibis.memtable(spellings)
    for name in ("own", "channel"):
        named = (
            named.mutate(key=named[name].strip().lower())
            .left_join(table.rename({f"{name}_spelled": "spelled"}), "key")
            .drop("key", "key_right")
        )
    other = ibis.cases((_.own.notnull(), OTHER))
    return named.mutate(channel=_.own_spelled.coalesce(_.channel_spelled, other)).drop("own_spelled", "channel_spelled")


def _fill(frame: pd.DataFrame, entry: datetime) -> pd.DataFrame:
    """Put in what the absence of a deal, a touch or a channel means."""
    frame["has_deal"] = frame["deal_at"].notna()
    frame["is_won"] = frame["is_won"].fillna(False).astype(bool)
    frame["ended_at"] = frame["ended_at"].fillna(pd.Timestamp(entry))
    frame["path"] = [list(path) if isinstance(path, list) or hasattr(path, "shape") else [] for path in frame["path"]]
    for name in ("n_touches", "n_touches_unnamed", "lead_visit", "deal_visit"):
        frame[name] = frame[name].fillna(0).astype(int)
    columns = ["account_id", "is_won", "has_deal", "deal_at", "ended_at", "path", "lead_visit", "deal_visit",
               "n_touches", "n_touches_unnamed"]  # fmt: skip
    return frame[columns].sort_values("account_id", ignore_index=True)


def build_contacted(
    opportunities: ir.Table,
    touches: ir.Table,
    leads: ir.Table,
    contacts: ir.Table,
    campaigns: ir.Table,
    *,
    cutoff: datetime,
    response_days: int = RESPONSE_DAYS,
    followed_days: int = FOLLOWED_DAYS,
) -> pd.DataFrame:
    """Return one row an account that was ever touched: since when, and when it was contacted as one still to be won.

    Such a contact is a touch that belongs to no lead and no deal, while the account was no customer and had no deal
    open, in the `followed_days` that ended `response_days` before as-of; the first one counts.

    Parameters
    ----------
    opportunities, touches, leads, contacts, campaigns, cutoff
        See `build_journeys`.

    Returns
    -------
    DataFrame
        account_id, first_touch_at, contacted_at (NaT where never so). Sorted by account_id.
    """
    until = cutoff - timedelta(days=response_days)
    since = until - timedelta(days=followed_days)
    named = name_touches(opportunities, touches, leads, contacts, campaigns)
    taken = opportunities.filter(_.is_relevant).select(
        "account_id",
        taken_at="created_at",
        free_at=(_.status == "lost").ifelse(_.closed_at, ibis.literal(cutoff)),
    )
    cold = named.filter(_.is_outside & (_.occurred_at >= ibis.literal(since)) & (_.occurred_at < ibis.literal(until)))
    busy = [
        cold.account_id == taken.account_id,
        taken.taken_at <= cold.occurred_at,
        taken.free_at > cold.occurred_at,
    ]
    ever = named.group_by("account_id").aggregate(first_touch_at=_.occurred_at.min()).to_pandas()
    first = cold.anti_join(taken, busy).group_by("account_id").aggregate(contacted_at=_.occurred_at.min())
    both = ever.merge(first.to_pandas(), on="account_id", how="left", validate="one_to_one")
    return both.sort_values("account_id", ignore_index=True)
