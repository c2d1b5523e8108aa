"""The demo company's touches: what accounts look at, open, answer and attend."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import demo_core as core

TOUCH_TYPES = ("Pricing page", "Product page", "Demo request", "E-mail open", "E-mail reply", "Call", "Meeting", "Demo",
               "Webinar", "Trial login", "Proposal view", "Careers page", "Guide download")
#: Rows: first, second, last third of a deal; a lead's first days; a quiet account. Columns: TOUCH_TYPES.
_TYPE_SHARE = np.array([
    [0.12, 0.17, 0.05, 0.24, 0.06, 0.21, 0.03, 0.02, 0.05, 0.00, 0.00, 0.00, 0.05],
    [0.11, 0.07, 0.03, 0.17, 0.10, 0.20, 0.07, 0.09, 0.03, 0.10, 0.01, 0.00, 0.02],
    [0.13, 0.03, 0.00, 0.12, 0.15, 0.21, 0.06, 0.02, 0.00, 0.14, 0.14, 0.00, 0.00],
    [0.12, 0.26, 0.09, 0.14, 0.02, 0.13, 0.00, 0.00, 0.08, 0.00, 0.00, 0.03, 0.13],
    [0.02, 0.13, 0.00, 0.62, 0.00, 0.04, 0.00, 0.00, 0.05, 0.00, 0.00, 0.09, 0.05],
])
_WON_FACTOR = np.array([1.5, 1.0, 1.5, 0.9, 1.2, 1.0, 1.2, 1.0, 1.0, 1.5, 1.2, 1.0, 1.0])  # no effect in null worlds
_CHANNELS = (*core.LEVELS["lead_source"], "E-mail", "Phone", "Field sales", "Webinar", "Product")
#: -1: the channel that brought them.
_CHANNEL_OF_TYPE = np.array([-1, -1, -1, 7, 7, 8, 9, 9, 10, 11, 7, 5, -1])
_CONTENT = (
    ("Pricing",),
    ("Delivery notes by phone", "Invoicing", "Dispatch board", "Driver app", "Interfaces"),
    ("Request a demo",),
    ("Invoice on the day of delivery", "What a lost delivery note costs", "Ten questions before you buy",
     "A carrier's Friday afternoon", "What is new this spring", "What is new this autumn"),
    ("Offer", "Dates for a demo", "Questions about the interface"),
    ("",),
    ("",),
    ("Standard demo", "Demo with their own orders"),
    ("Delivery notes without paper", "Disputed invoices: who pays?", "Ten tours, one dispatcher"),
    ("Trial",),
    ("Offer",),
    ("Careers",),
    ("Guide: from delivery note to invoice", "Checklist: dispatch software for small fleets"),
)


def build_touches(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the touches of deals, leads, quiet accounts and experiments, by time."""
    parts = [_of_deals(rng, world, null), _of_leads(rng, world), _of_quiet_accounts(rng, world), _of_trials(rng, world)]
    touches = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    keep = np.flatnonzero(touches["day"] < core.LAST_DAY)
    keep = keep[np.argsort(touches["day"][keep], kind="stable")]
    touches = {name: values[keep] for name, values in touches.items()}
    n, kind, at = len(keep), touches["type"], core.clock(touches["day"])
    brought = np.where(rng.random(n) < 0.6, touches["source"], core.pick_one(rng, (1, 3, 1, 1, 1, 3, 2), n))
    channel = np.where(_CHANNEL_OF_TYPE[kind] < 0, brought, _CHANNEL_OF_TYPE[kind])
    campaign = np.where(channel < 7, core.campaign_number(touches["day"], np.minimum(channel, 6)), -1)
    texts = [words for group in _CONTENT for words in group]
    starts = np.cumsum([0, *map(len, _CONTENT)])[:-1]
    content = starts[kind] + (rng.random(n) * np.array(list(map(len, _CONTENT)))[kind]).astype(int)
    content = np.where(np.isin(kind, (5, 6)), -1, content)
    return pd.DataFrame({
        "touch_id": core.ids("T", np.arange(1, n + 1)), "occurred_at": at, "touch_type": core.text(TOUCH_TYPES, kind),
        "account_id": _id("A", touches["account"]), "lead_id": _id("L", touches["lead"]),
        "contact_id": _contact(rng, world, touches["account"], at), "opportunity_id": _id("O", touches["deal"]),
        "channel": core.text(_CHANNELS, channel), "campaign_id": core.ids("K", core.hide(rng, campaign, 0.2), 3),
        "content": core.text(texts, content),
    })


def _id(prefix: str, index: np.ndarray):
    return core.ids(prefix, np.where(index >= 0, index + 1, -1))


def _part(day, kind, account, source, deal=None, lead=None) -> dict:
    """Return one part of the touches as arrays of equal length."""
    none = np.full(len(day), -1)
    return {"day": day, "type": kind, "account": account, "source": source,
            "deal": none if deal is None else deal, "lead": none if lead is None else lead}


def _of_deals(rng: np.random.Generator, world: dict, null: bool | str) -> dict:
    """Draw the touches while deals are open; in a planted world those that will be won are a little busier."""
    deals, traits = world["deals"], world["traits"]
    length = np.minimum(deals["cycle"], core.LAST_DAY - deals["day"])
    busier = np.where((deals["result"] == 1) & (not null), 1.15, 1.0)
    mean = np.where(deals["kind"] == 0, (5.0 + 9.0 * np.minimum(length / 60, 3)) * busier, 4.0)
    deal = np.repeat(np.arange(len(mean)), rng.poisson(mean))
    place = rng.random(len(deal))
    share = np.vstack([_TYPE_SHARE[:3], _TYPE_SHARE[:3] * _WON_FACTOR])
    row = np.floor(3 * place).astype(int) + 3 * ((deals["result"][deal] == 1) & (not null))
    return _part(deals["day"][deal] + 0.02 + place * (length[deal] - 0.02), core.pick(rng, share, row),
                 deals["account"][deal], traits["lead_source"][deals["account"][deal]], deal=deal)


def _of_leads(rng: np.random.Generator, world: dict) -> dict:
    """Draw the touches of a lead's first days."""
    leads = world["lead_arrays"]
    lead = np.repeat(np.arange(len(leads["day"])), 1 + rng.poisson(1.0, len(leads["day"])))
    is_first = np.append(True, lead[1:] != lead[:-1])
    day = leads["day"][lead] + np.where(is_first, 0.0, rng.exponential(2.5, len(lead)))
    kind = core.pick(rng, _TYPE_SHARE, np.full(len(lead), 3))
    account = np.where(leads["is_known"], leads["account"], -1)[lead]
    return _part(day, kind, account, leads["source"][lead], lead=lead)


def _of_quiet_accounts(rng: np.random.Generator, world: dict) -> dict:
    """Draw newsletters opened and pages seen outside any deal."""
    traits = world["traits"]
    account = np.repeat(np.arange(len(traits["created"])), rng.poisson(2.3, len(traits["created"])))
    since = np.maximum(traits["created"][account] + 0.03, 0.0)
    day = since + (core.LAST_DAY - since) * rng.random(len(account))
    return _part(day, core.pick(rng, _TYPE_SHARE, np.full(len(account), 4)), account, traits["lead_source"][account])


def _of_trials(rng: np.random.Generator, world: dict) -> dict:
    """Draw the calls of the experiments and the meetings that they brought, within six weeks of the assignment."""
    account = np.concatenate([trial["account"] for trial in world["trials"]])
    start = np.concatenate([np.full(len(trial["account"]), trial["day"]) for trial in world["trials"]])
    met = np.concatenate([trial["met"] for trial in world["trials"]])
    day = np.append(start + 2 + 4 * rng.random(len(start)), (start + 7 + 35 * rng.random(len(start)))[met])
    account = np.append(account, account[met])
    kind = np.append(np.full(len(start), TOUCH_TYPES.index("Call")), np.full(met.sum(), TOUCH_TYPES.index("Meeting")))
    return _part(day, kind, account, world["traits"]["lead_source"][account])


def _contact(rng: np.random.Generator, world: dict, account: np.ndarray, at: np.ndarray):
    """Return one of the account's contacts, where one was known at that time and was identified."""
    contacts = world["contacts"]
    owner = contacts["account_id"].str[1:].astype(np.int64).to_numpy() - 1
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], account)
    count = np.searchsorted(owner[order], account, side="right") - start
    drawn = np.minimum(start + np.floor(rng.random(len(account)) * count).astype(int), len(order) - 1)
    number = order[drawn]
    is_known = (count > 0) & (contacts["created_at"].to_numpy()[number] <= at) & (rng.random(len(account)) < 0.85)
    return contacts["contact_id"].array.take(np.where(is_known, number, -1), allow_fill=True)
