"""The demo company's other tables: people, leads, stages, experiments, campaigns, prospects.

Each table draws from its own random stream; a table that refers to another is drawn after it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from icp_lib import demo_core as core
from icp_lib import demo_money as money
from icp_lib import demo_touches as touches

_DEPARTMENTS = ("Management", "Operations", "Administration", "IT", "Purchasing")
_SENIORITIES = ("Owner or managing director", "Head of department", "Employee")
_SENIORITY_SHARE = np.array([[1.0, 0.0, 0.0], [0.1, 0.7, 0.2], [0.0, 0.25, 0.75], [0.05, 0.45, 0.5], [0.0, 0.4, 0.6]])
_REASONS = ("No vehicles of their own", "Too small", "Job seeker or student", "No budget this year",
            "Wrong contact data", "Looks for warehouse software", "Bound to another supplier")
_REASON_SHARE = (24, 17, 12, 20, 9, 10, 8)
_IDLE_SOURCE_SHARE = (6, 28, 13, 4, 16, 15, 18)
_STRATA = ("Germany, smaller", "Germany, larger", "abroad, smaller", "abroad, larger")


def build_tables(seed: int, world: dict, null: bool | str, names: Iterable[str]) -> dict[str, pd.DataFrame]:
    """Return the tables `names`, and those that they refer to, for the accounts and opportunities of `world`."""
    builders = {
        "account_history": build_account_history, "stage_history": build_stage_history, "stages": build_stages,
        "contacts": build_contacts, "leads": build_leads, "assignments": build_assignments,
        "touches": touches.build_touches, "campaigns": build_campaigns, "revenue": money.build_revenue,
        "spend": money.build_spend, "referrals": money.build_referrals, "surveys": money.build_surveys,
        "prospects": build_prospects,
    }
    needs = {"leads": ("contacts",), "touches": ("contacts", "leads", "assignments"), "spend": ("revenue",),
             "referrals": ("revenue",), "surveys": ("revenue",)}
    wanted = {need for name in names for need in (name, *needs.get(name, ()))}
    drawn = dict(world)
    for number, (name, build) in enumerate(builders.items(), start=3):
        if name in wanted:
            drawn[name] = build(np.random.default_rng([seed, number]), drawn, null)
    return {name: drawn[name] for name in wanted}


def build_account_history(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return traits as they were: some companies grew, a few changed how they run their vehicles."""
    accounts = world["accounts"]
    chosen = accounts[rng.random(len(accounts)) < 0.06].reset_index(drop=True)
    n, since = len(chosen), chosen["created_at"].to_numpy()
    grew = rng.random(n) < 0.75
    now = np.where(grew, chosen["employees"].map("{:.0f}".format), chosen["business_model"].astype(object))
    smaller = np.maximum(np.floor(chosen["employees"].fillna(1) * rng.uniform(0.72, 0.95, n)), 1).map("{:.0f}".format)
    former = np.array(core.LEVELS["business_model"], dtype=object)[rng.integers(0, 3, n)]
    then = np.where(grew, smaller, former)
    span = (core.EXTRACT - since).astype("timedelta64[s]").astype(np.int64)
    changed = since + (span * rng.uniform(0.2, 0.95, n)).astype("timedelta64[s]")
    known = np.where(grew, chosen["employees"].notna(), chosen["business_model"].notna()) & (then != now)
    both = [
        pd.DataFrame({"account_id": chosen["account_id"], "attribute": np.where(grew, "employees", "business_model"),
                      "value": pd.array(value, dtype="str"), "valid_from": at})[known]
        for value, at in ((then, since), (now, changed))
    ]
    return pd.concat(both).sort_values(["account_id", "valid_from"], ignore_index=True).astype({"attribute": "str"})


def build_stage_history(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the stages that each opportunity entered; some skip the trial, a few go back to the demo."""
    deals, table = world["deals"], world["opportunities"]
    days, reached = core.stage_days(deals), core.stage_reached(deals)
    entered = np.arange(5) <= np.where(deals["is_closed"], deals["stop"], reached)[:, None]
    entered[:, 3] &= (rng.random(len(reached)) > 0.28) | (reached == 3)
    row, stage = np.nonzero(entered)
    again = np.flatnonzero(deals["is_closed"] & (deals["stop"] == 4) & (rng.random(len(reached)) < 0.06))
    proposed = days[again, 4]
    left = deals["day"][again] + deals["cycle"][again] - proposed
    closed = np.flatnonzero(deals["is_closed"])
    at = np.concatenate([core.clock(days[row, stage]), core.clock(proposed + 0.3 * left),
                         core.clock(proposed + 0.6 * left), deals["closed_at"][closed]])
    row = np.concatenate([row, again, again, closed])
    stage = np.concatenate([stage, np.full(len(again), 2), np.full(len(again), 4), 6 - deals["won"][closed]])
    order = np.lexsort((stage, at, row))
    return pd.DataFrame({"opportunity_id": table["opportunity_id"].array.take(row[order]),
                         "stage": core.text(core.LEVELS["stage"], stage[order]), "entered_at": at[order]})


def build_stages(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the stages of the pipeline."""
    names = core.LEVELS["stage"]
    return pd.DataFrame({"stage": core.text(names, np.arange(7)), "stage_order": np.arange(1, 8),
                         "is_closed": [name in ("Won", "Lost") for name in names],
                         "is_won": [name == "Won" for name in names]})


def build_contacts(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the people known in each account: the one who buys first, others later."""
    traits = world["traits"]
    n, busy = len(traits["created"]), traits["count"] > 0
    account = np.repeat(np.arange(n), np.where(busy, 1 + rng.poisson(0.9, n), rng.random(n) < 0.5))
    is_first = np.append(True, account[1:] != account[:-1])
    role = np.where(is_first, traits["buyer_role"][account], rng.integers(0, 5, len(account)))
    created = traits["created"][account]
    met = np.where(busy, traits["first"], traits["created"])[account] - 5 + rng.exponential(28.0, len(account))
    day = np.where(is_first, created + 0.02, np.maximum(met, created + 0.03))
    keep = np.flatnonzero(day < core.LAST_DAY)
    keep = keep[np.argsort(day[keep], kind="stable")]
    account, role = account[keep], role[keep]
    return pd.DataFrame({
        "contact_id": core.ids("C", np.arange(1, len(keep) + 1)), "account_id": core.ids("A", account + 1),
        "buyer_role": core.text(core.LEVELS["buyer_role"], core.hide(rng, role, 0.06)),
        "seniority": core.text(_SENIORITIES, core.hide(rng, core.pick(rng, _SENIORITY_SHARE, role), 0.08)),
        "department": core.text(_DEPARTMENTS, core.hide(rng, role, 0.10)), "created_at": core.clock(day[keep]),
    })


def first_contact(world: dict, account: np.ndarray, at: np.ndarray):
    """Return the id of each account's first contact where it was known at that time, else missing."""
    contacts = world["contacts"]
    owner = contacts["account_id"].str[1:].astype(np.int64).to_numpy() - 1
    first = np.full(len(world["traits"]["created"]), -1)
    first[owner[::-1]] = np.arange(len(owner))[::-1]
    number = np.where(account >= 0, first[account], -1)
    is_known = (number >= 0) & (contacts["created_at"].to_numpy()[number] <= at)
    return contacts["contact_id"].array.take(np.where(is_known, number, -1), allow_fill=True)


def build_leads(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the leads: one before each new-business opportunity, and more that never became one."""
    traits, deals = world["traits"], world["deals"]
    deal = np.flatnonzero(deals["kind"] == 0)
    account = deals["account"][deal]
    before = 9 * np.exp(0.9 * rng.standard_normal(len(deal)))
    day = np.maximum(traits["created"][account] + 0.03, deals["day"][deal] - before)
    idle = rng.integers(0, len(traits["created"]), round(1.19 * len(traits["created"])))
    since = np.maximum(0.0, traits["created"][idle] + 0.03)
    later = since + np.minimum(rng.exponential(120.0, len(idle)), 0.98 * (core.LAST_DAY - since))
    source = core.pick_one(rng, _IDLE_SOURCE_SHARE, len(idle))
    leads = {
        "deal": np.append(deal, np.full(len(idle), -1)), "account": np.append(account, idle),
        "day": np.append(day, later), "source": np.append(deals["source"][deal], source),
    }
    order = np.argsort(leads["day"], kind="stable")
    leads = {name: values[order] for name, values in leads.items()}
    leads["is_known"] = (leads["deal"] >= 0) | (rng.random(len(order)) > 0.14)
    leads["campaign"] = core.hide(rng, core.campaign_number(leads["day"], leads["source"]), 0.1)
    world["lead_arrays"] = leads
    return _lead_frame(rng, world, leads)


def _lead_frame(rng: np.random.Generator, world: dict, leads: dict) -> pd.DataFrame:
    """Draw what marketing and sales did with each lead: qualified, accepted or rejected, first contacted."""
    n, day, sold = len(leads["day"]), leads["day"], leads["deal"] >= 0
    opened = np.where(sold, world["deals"]["day"][leads["deal"]], np.inf)
    room = np.where(sold, opened - day, 30.0)
    mql = day + room * 0.3 * rng.random(n)
    sal = mql + np.where(sold, 0.35 * room, 6.0) * rng.random(n)
    sql = np.where(sold, sal + 0.3 * room, sal + 20 * rng.random(n))
    is_mql = sold | (rng.random(n) < 0.46)
    is_sal = is_mql & (sold | (rng.random(n) < 0.36))
    is_sql = is_sal & (sold | (rng.random(n) < 0.22))
    rejected_at = _at(mql + 1.5 + 4 * rng.random(n), is_mql & ~is_sal & (rng.random(n) < 0.80))
    reason = core.hide(rng, core.pick_one(rng, _REASON_SHARE, n), 0.10)
    contacted = np.minimum(mql + 0.35 * np.exp(1.1 * rng.standard_normal(n)), opened)
    is_contacted = sold | (is_mql & (rng.random(n) < 0.82))
    known = np.where(leads["is_known"], leads["account"], -1)
    created = core.clock(day)
    return pd.DataFrame({
        "lead_id": core.ids("L", np.arange(1, n + 1)), "created_at": created,
        "account_id": core.ids("A", np.where(known < 0, -1, known + 1)),
        "contact_id": first_contact(world, known, created),
        "lead_source": core.text(core.LEVELS["lead_source"], leads["source"]),
        "campaign_id": core.ids("K", leads["campaign"], 3),
        "mql_at": _at(mql, is_mql), "sal_at": _at(sal, is_sal), "sql_at": _at(sql, is_sql), "rejected_at": rejected_at,
        "rejection_reason": core.text(_REASONS, np.where(np.isnat(rejected_at), -1, reason)),
        "first_contacted_at": _at(contacted, is_contacted),
        "opportunity_id": core.ids("O", np.where(sold, leads["deal"] + 1, -1)),
    })


def _at(days: np.ndarray, happened: np.ndarray) -> np.ndarray:
    """Return timestamps where something happened before the extract, else NaT."""
    times = core.clock(days)
    times[~happened | (times > core.EXTRACT)] = np.datetime64("NaT")
    return times


def build_assignments(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the arms of the experiments: accounts without a sale or an open deal, halved within strata."""
    traits, deals = world["traits"], world["deals"]
    n = len(traits["created"])
    taken, frames = world["accounts"]["account_type"].isin(["partner", "competitor"]).to_numpy(copy=True), []
    world["trials"] = []
    for planted in core.TRUTH["experiments"]:
        day = float((np.datetime64(planted["assigned_on"]) - core.START).astype(int))
        is_on = (deals["day"] < day) & ((deals["day"] + deals["cycle"] > day) | (deals["result"] > 0))
        taken[deals["account"][is_on]] = True
        free = core.matches(traits, planted["conditions"]) & (traits["created"] < day) & ~taken
        chosen = rng.permutation(np.flatnonzero(free))[: 2 * round(0.0295 * n)]
        taken[chosen] = True
        employees = traits["employees"][chosen]
        stratum = 2 * (traits["country"][chosen] != 0) + (employees > np.median(employees))
        order = np.argsort(stratum, kind="stable")
        chosen, stratum, size = chosen[order], stratum[order], len(order)
        is_arm = np.arange(size) % 2 == 0
        exposed = rng.random(size) < np.where(is_arm, 0.95, 0.02)
        rate = planted["control_rate"] + (0.0 if null else planted["effect"]) * is_arm
        world["trials"].append({"account": chosen, "day": day, "met": rng.random(size) < rate})
        assigned = np.full(size, np.datetime64(planted["assigned_on"] + "T08:00:00", "us"))
        frames.append(pd.DataFrame({
            "experiment_id": core.text((planted["id"],), np.zeros(size, int)), "account_id": core.ids("A", chosen + 1),
            "arm": core.text((planted["control"], planted["arm"]), is_arm.astype(int)),
            "candidate": core.text((planted["candidate"],), np.zeros(size, int)),
            "assigned_at": assigned, "exposed_at": _at(day + 0.5 + 6 * rng.random(size), exposed),
            "stratum": core.text(_STRATA, stratum),
        }))
    return pd.concat(frames).sort_values(["experiment_id", "account_id"], ignore_index=True)


def build_campaigns(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return the campaigns: one for each paid channel and quarter, and one letter a quarter to customers."""
    n = len(core.QUARTER_STARTS)
    first = core.START + core.QUARTER_STARTS.astype(int)
    last = np.append(first[1:], np.datetime64("2027-01-01")) - 1
    channels = (*core.CAMPAIGN_CHANNELS, "E-mail")
    number, channel = np.divmod(np.arange(4 * n), 4)
    number, channel = np.append(number, np.arange(n)), np.append(channel, np.full(n, 4))
    return pd.DataFrame({
        "campaign_id": core.ids("K", np.arange(1, 5 * n + 1), 3), "channel": core.text(channels, channel),
        "started_at": first[number].astype("datetime64[us]"), "ended_at": last[number].astype("datetime64[us]"),
        "audience": core.text(("new", "existing"), (channel == 4).astype(int)),
    })


def build_prospects(rng: np.random.Generator, world: dict, null: bool | str) -> pd.DataFrame:
    """Return companies of the market that are not in the accounts yet, with the same traits."""
    n = round(len(world["traits"]["created"]) * 2500 / 6000)
    industry = core.pick_one(rng, core.INDUSTRY_SHARE, n)
    size, employees = core.draw_sizes(rng, industry)
    columns = core.trait_columns(rng, core.draw_traits(rng, industry, size, employees))
    columns.pop("lead_source")
    declared = {name: columns.pop(name) for name in ("dispatch_method", "web_shop")}
    columns["domain_hash"] = pd.array([f"{value:016x}" for value in rng.integers(0, 2**63, n)], dtype="str")
    return pd.DataFrame({"prospect_id": core.ids("P", np.arange(1, n + 1)), **columns, **declared})
