"""The demo company Northlane: a world with a known truth, in memory or as a folder of files.

>>> world = build_world(seed=1, n_accounts=300, tables=("accounts", "opportunities"))
>>> sorted(world)
['accounts', 'opportunities']
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from icp_lib import demo_core as core
from icp_lib.checks import DataError, check_in
from icp_lib.demo_core import TRUTH
from icp_lib.schemas import TABLES

__all__ = ["TRUTH", "build_world", "write_company"]

_STOP_SHARE = (0.20, 0.30, 0.20, 0.12, 0.18)  # the last stage that a lost opportunity reaches
_LOSS_SHARE = (0.22, 0.19, 0.27, 0.13, 0.10, 0.09)


def build_world(
    seed: int, n_accounts: int = 6000, null: bool | str = False, tables: Iterable[str] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the demo company's canonical tables, clean and typed.

    Parameters
    ----------
    seed : int
        Equal seeds give equal worlds. Each table has its own random stream: asking for fewer changes no other.
    n_accounts : int
        6,000 accounts bring about 5,000 new-business opportunities; everything else scales with it.
    null : bool or "late"
        False: the planted truth. True: the same shape without any truth; outcome, margin and cycle depend on nothing.
        "late": no truth, but one industry appears only in the last three quarters and losses close slower than wins.
    tables : iterable of str, optional
        Names of `icp_lib.schemas.TABLES`; all of them by default. Accounts and opportunities alone take milliseconds.

    Returns
    -------
    dict of str to DataFrame
        Ids and words are text, times naive UTC, money in EUR. Rows reach to 9 October 2026, after the last quarter.

    Examples
    --------
    >>> world = build_world(seed=1, n_accounts=300, tables=["opportunities"])
    >>> sorted(world["opportunities"]["status"].unique())
    ['lost', 'open', 'won']
    """
    names = list(TABLES) if tables is None else [check_in(name, TABLES, "tables") for name in tables]
    check_in(null, [False, True, "late"], "null")
    if n_accounts < 100:
        raise DataError(f"n_accounts: {n_accounts} is too few for a world. Give at least 100.")
    world = draw_core(seed, n_accounts, null)
    rest = [name for name in names if name not in world]
    if rest:
        from icp_lib import demo_tables

        world |= demo_tables.build_tables(seed, world, null, rest)
    return {name: world[name] for name in names}


def draw_core(seed: int, n_accounts: int, null: bool | str) -> dict:
    """Return accounts and opportunities, with the hidden arrays behind them under 'traits' and 'deals'."""
    rng = np.random.default_rng([seed, 0])
    traits = core.draw_accounts(rng, n_accounts, null)
    rng = np.random.default_rng([seed, 1])
    deals = _draw_deals(rng, traits, null)
    opportunities = _opportunity_frame(rng, traits, deals)
    accounts = _account_frame(np.random.default_rng([seed, 2]), traits, deals)
    return {"accounts": accounts, "opportunities": opportunities, "traits": traits, "deals": deals}


def _draw_deals(rng: np.random.Generator, traits: dict, null: bool | str) -> dict:
    """Draw new-business opportunities and what follows a win: renewals and expansions; sorted by day of opening."""
    account = np.repeat(np.arange(len(traits["count"])), traits["count"])
    later = np.append(False, account[1:] == account[:-1])
    waited = np.cumsum(np.where(later, 60 + rng.exponential(150.0, len(account)), 0.0))
    start = np.maximum.accumulate(np.where(later, 0, np.arange(len(account))))
    day = traits["first"][account] + waited - waited[start]
    inside = day < core.LAST_DAY
    account, day = account[inside], day[inside]
    deals = {"account": account, "day": day, **core.draw_outcomes(rng, traits, account, null)}
    n = len(day)
    deals |= {"kind": np.zeros(n, dtype=np.int64), "term": np.array([12, 24, 36])[core.pick_one(rng, (55, 25, 20), n)],
              "rate": np.round(0.70 + 0.15 * rng.random(n), 2)}
    follow = _draw_follow_ups(rng, deals)
    deals = {name: np.concatenate([values, follow[name]]) for name, values in deals.items()}
    order = np.argsort(deals["day"], kind="stable")
    deals = {name: values[order] for name, values in deals.items()}
    return deals | {"stop": np.where(deals["result"] == 1, 4, core.pick_one(rng, _STOP_SHARE, len(order))),
                    "pace": 0.8 + 0.45 * rng.random(len(order))}


def _draw_follow_ups(rng: np.random.Generator, deals: dict) -> dict:
    """Draw the expansions (kind 1) and renewals (kind 2) of customers."""
    won_on = deals["day"] + deals["cycle"]
    won = np.flatnonzero((deals["result"] == 1) & (won_on < core.LAST_DAY))
    expansion = won[rng.random(len(won)) < 0.40]
    renewal = won[(deals["term"][won] == 12) & (rng.random(len(won)) < 0.75)]
    parent = np.concatenate([expansion, renewal])
    kind = np.repeat([1, 2], [len(expansion), len(renewal)])
    wait = np.where(kind == 1, 90 + rng.exponential(260.0, len(parent)), 310 + 30 * rng.random(len(parent)))
    day = won_on[parent] + wait
    keep = day < core.LAST_DAY
    parent, kind, day = parent[keep], kind[keep], day[keep]
    n = len(parent)
    size = np.where(kind == 1, 0.25 + 0.3 * rng.random(n), 1.0 + 0.1 * rng.random(n))
    return {"account": deals["account"][parent], "day": day,
            "result": (rng.random(n) < np.where(kind == 1, 0.62, 0.86)).astype(np.int64),
            "cycle": np.maximum(25 * np.exp(0.5 * rng.standard_normal(n)), 2.0),
            "margin": deals["margin"][parent] * size, "kind": kind, "term": np.full(n, 12),
            "rate": deals["rate"][parent]}


def _opportunity_frame(rng: np.random.Generator, traits: dict, deals: dict) -> pd.DataFrame:
    """Return the opportunities as a CRM shows them on the day of the extract; adds what is known to `deals`."""
    n, account, text = len(deals["day"]), deals["account"], core.text
    created = core.clock(deals["day"])
    closed = np.maximum(core.clock(deals["day"] + deals["cycle"]), created + np.timedelta64(1, "h"))
    is_closed = (deals["result"] < 2) & (closed <= core.EXTRACT)
    closed[~is_closed] = np.datetime64("NaT")
    won, lost = is_closed & (deals["result"] == 1), is_closed & (deals["result"] == 0)
    stage = np.where(won, 5, np.where(lost, 6, core.stage_reached(deals)))
    amount = np.round(deals["margin"] / deals["rate"] * deals["term"] / 12)
    source = traits["lead_source"][account]
    source = np.where(rng.random(n) < 0.8, source, core.pick_one(rng, (1, 2, 1, 1, 2, 1, 1), n))
    reason = np.where(lost, core.pick_one(rng, _LOSS_SHARE, n), -1)
    reason = core.hide(rng, reason, 0.06)
    campaign = core.campaign_number(deals["day"], source)
    deals |= {"is_closed": is_closed, "won": won, "lost": lost, "source": source, "created_at": created,
              "closed_at": closed, "campaign": core.hide(rng, campaign, 0.3)}
    role = core.hide(rng, traits["buyer_role"], core.MISSING["buyer_role"])
    return pd.DataFrame({
        "opportunity_id": core.ids("O", np.arange(1, n + 1)), "account_id": core.ids("A", account + 1),
        "created_at": created, "closed_at": closed, "status": text(("open", "lost", "won"), lost + 2 * won),
        "stage": text(core.LEVELS["stage"], stage), "amount": amount, "term_months": deals["term"],
        "gross_margin": np.where(won, np.round(amount * deals["rate"], 2), np.nan),
        "gross_margin_rate": np.where(won, deals["rate"], np.nan),
        "type": text(("new", "expansion", "renewal"), deals["kind"]),
        "lead_source": text(core.LEVELS["lead_source"], core.hide(rng, source, core.MISSING["lead_source"])),
        "campaign_id": core.ids("K", deals["campaign"], 3),
        "buyer_role": text(core.LEVELS["buyer_role"], role[account]),
        "loss_reason": text(core.LEVELS["loss_reason"], reason),
        "is_timing_loss": pd.array(reason == core.LEVELS["loss_reason"].index("Bad timing"), dtype="boolean"),
        "owner_id": text(core.LEVELS["owner_id"], traits["owner"][account]),
    }, copy=False)


def _account_frame(rng: np.random.Generator, traits: dict, deals: dict) -> pd.DataFrame:
    """Return the accounts as a CRM shows them on the day of the extract."""
    n = len(traits["created"])
    created = core.clock(traits["created"])
    np.minimum.at(created, deals["account"], deals["created_at"] - np.timedelta64(1, "h"))
    kind = np.ones(n, dtype=np.int64)
    kind[(traits["count"] == 0) & (rng.random(n) < 0.04)] = 2
    kind[(kind == 2) & (rng.random(n) < 0.3)] = 3
    kind[deals["account"][deals["won"]]] = 0
    columns = core.trait_columns(rng, traits)
    lead_source = columns.pop("lead_source")
    extra = {name: columns.pop(name) for name in ("dispatch_method", "web_shop")}
    return pd.DataFrame({
        "account_id": core.ids("A", np.arange(1, n + 1)), "created_at": created, **columns,
        "account_type": core.text(core.LEVELS["account_type"], kind),
        "parent_account_id": core.ids("A", _draw_families(rng, traits["industry"])), "lead_source": lead_source,
        **_draw_scores(rng, traits), "is_deleted": np.zeros(n, dtype=bool),
        "merged_into_account_id": core.text(("",), np.full(n, -1)), **extra,
    }, copy=False)


def _draw_families(rng: np.random.Generator, industry: np.ndarray) -> np.ndarray:
    """Return each account's parent's number (-1: none): families of two to four, mostly of one industry."""
    n = len(industry)
    members = rng.permutation(n)[: int(0.09 * n)]
    members = members[np.argsort(industry[members], kind="stable")]
    starts = np.cumsum(2 + core.pick_one(rng, (6, 3, 1), len(members)))
    root = np.append(0, starts)[np.searchsorted(starts, np.arange(len(members)), side="right")]
    parent = np.full(n, -1)
    parent[members] = np.where(root == np.arange(len(members)), -1, members[np.minimum(root, len(members) - 1)] + 1)
    return parent


def _draw_scores(rng: np.random.Generator, traits: dict) -> dict:
    """Draw ready, willing, able and the six fits (0 to 5) for some accounts; only two fits tell about retention."""
    n = len(traits["created"])
    columns = {}
    for name in ("ready", "willing", "able"):
        columns[name] = np.clip(np.round(2.6 + 1.2 * rng.standard_normal(n)), 0, 5)
    asked = rng.random(n) < 0.36
    fits = ("technical", "functional", "resource", "competence", "experience", "cultural")
    for fit in fits:
        columns[f"fit_{fit}"] = np.clip(np.round(2.8 + 1.2 * rng.standard_normal(n)), 0, 5)
    traits["fit"] = columns["fit_functional"] + columns["fit_competence"] - 5.6
    scored = rng.random(n) < 0.26
    return {name: np.where(scored if name.startswith("fit_") else asked, values, np.nan)
            for name, values in columns.items()}


def write_company(folder: str | Path, seed: int = 20260930, n_accounts: int = 6000) -> Path:
    """Write the demo company's folder: CSV files with a little dirt, settings, words and the planted truth.

    Parameters
    ----------
    folder : str or Path
        Made if it does not exist; files of the same names are replaced.
    seed, n_accounts
        As for `build_world`.

    Returns
    -------
    Path
        The folder. Equal arguments give equal bytes.
    """
    from icp_lib import demo_files

    return demo_files.write_folder(Path(folder), build_world(seed, n_accounts), seed)
