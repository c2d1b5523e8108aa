"""Who takes part in a test, and the lot: stratified, drawn again until it balances, with an audit of the draws."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from icp_lib import randomisation
from icp_lib.checks import DataError, hint
from icp_lib.protocols import Candidate, Protocol, Protocols
from icp_lib.rules import Segment
from icp_lib.studies import numeric_columns
from icp_lib.value import WINDOW_DAYS, first_year_margin

COLUMNS = ["experiment_id", "account_id", "arm", "candidate", "assigned_at", "exposed_at", "stratum"]
_LEAST_LEVEL = 20


def match_candidate(candidate: Candidate, accounts: pd.DataFrame) -> np.ndarray:
    """Return which accounts match a candidate profile; all of them where it has no conditions."""
    for rule in candidate.conditions:
        if rule.attribute not in accounts:
            near = hint(rule.attribute, list(accounts.columns))
            raise DataError(f"experiments.yml, {candidate.id}: no account has '{rule.attribute}'. {near}")
    rules = [rule.model_dump() for rule in candidate.conditions]
    return Segment.of(*rules).mask(accounts) if rules else np.ones(len(accounts), bool)


def find_eligible(
    candidate: Candidate, accounts: pd.DataFrame, opportunities: pd.DataFrame, moment: datetime, taken: Collection[str]
) -> pd.DataFrame:
    """Return the accounts of a profile that a test can have at a moment.

    Known by then, no customer, no open deal, not in another test (`taken`), and nobody of their family is.
    """
    moment, deals = pd.Timestamp(moment), opportunities[opportunities["created_at"] < pd.Timestamp(moment)]
    is_open = deals["closed_at"].isna() | (deals["closed_at"] >= moment)
    has_won = (deals["status"] == "won") & (deals["closed_at"] < moment)
    busy = set(deals.loc[is_open | has_won, "account_id"]) | set(taken)
    families = set(accounts.loc[accounts["account_id"].isin(busy), "family_id"])
    is_free = match_candidate(candidate, accounts) & (accounts["created_at"] < moment).to_numpy()
    return accounts[is_free & ~accounts["family_id"].isin(families).to_numpy()].sort_values("account_id")


def find_moment(protocol: Protocol, zone: str) -> pd.Timestamp:
    """Return when the day of the assignment begins in a time zone, as naive UTC."""
    return pd.Timestamp(protocol.assigned_on, tz=zone).tz_convert("UTC").tz_localize(None)


def read_lists(folder: Path, assignments: pd.DataFrame) -> pd.DataFrame:
    """Return the assignments of the extract and those drawn since, which its next export will hold."""
    paths = [path for path in sorted(folder.glob("*.csv")) if not path.stem.endswith("_audit")]
    drawn = [pd.read_csv(path, dtype="str", keep_default_na=False) for path in paths]
    times = [pd.to_datetime(each["assigned_at"], utc=True).dt.tz_localize(None) for each in drawn]
    newer = [each.assign(assigned_at=at) for each, at in zip(drawn, times, strict=True)]
    frames = [each[["experiment_id", "account_id", "assigned_at"]] for each in (assignments, *newer) if len(each)]
    return pd.concat(frames, ignore_index=True) if frames else assignments


def find_taken(assignments: pd.DataFrame, protocols: Protocols, moment: datetime) -> set[str]:
    """Return the accounts in a test whose primary window is open at a moment; without a protocol it never closes."""
    days = assignments["experiment_id"].map({name: each.primary.window_days for name, each in protocols.by_id.items()})
    over = assignments["assigned_at"] + pd.to_timedelta(days.astype(float), unit="D")
    return set(assignments.loc[over.isna() | (over > pd.Timestamp(moment)), "account_id"])


def estimate_flow(
    candidate: Candidate,
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    moment: datetime,
    n_worked: int,
    n_eligible: int,
    gross_margin_rate: float = 1.0,
) -> dict:
    """Return how much of the current effort a test would use.

    Of all deals opened in the year before, the share opened by accounts of the profile, times the share of the eligible
    ones that would be worked otherwise: customers and accounts in a deal are not there to be worked. The same for the
    first-year margin of deals won (amounts take the default rate where none is given); one without an amount takes the
    mean of the others.

    Returns
    -------
    dict
        share_of_new, share_of_margin (0 to 1; NaN where nothing was opened or won).
    """
    moment = pd.Timestamp(moment)
    members = set(accounts.loc[match_candidate(candidate, accounts), "account_id"])
    deals = opportunities[opportunities["is_relevant"]]
    since = moment - pd.Timedelta(days=WINDOW_DAYS)
    opened = deals[deals["created_at"].between(since, moment, inclusive="left")]
    won = deals[(deals["status"] == "won") & deals["closed_at"].between(since, moment, inclusive="left")]
    margin = first_year_margin(won, gross_margin_rate)
    margin = margin.fillna(margin.mean()).fillna(0.0)
    part = min(1.0, n_worked / max(n_eligible, 1))
    all_margin = margin.sum()
    return {
        "share_of_new": opened["account_id"].isin(members).mean() * part if len(opened) else np.nan,
        "share_of_margin": margin[won["account_id"].isin(members)].sum() / all_margin * part if all_margin else np.nan,
    }


def build_strata(eligible: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return each account's stratum in words: levels of words (rare ones together), numbers cut at their median."""
    parts = []
    for name in columns:
        if name not in eligible:
            raise DataError(f"stratify_by: no account has '{name}'. {hint(name, list(eligible.columns))}")
        values = eligible[name]
        if pd.api.types.is_numeric_dtype(values):
            halves = np.where(values > values.median(), f"{name} above the median", f"{name} up to the median")
            parts.append(pd.Series(np.where(values.isna(), f"{name} not known", halves), eligible.index))
        else:
            common = values.map(values.value_counts()).fillna(0) >= _LEAST_LEVEL
            parts.append(values.where(common, f"other {name}").astype(str))
    return pd.concat(parts, axis=1).agg(", ".join, axis=1) if parts else pd.Series("all", eligible.index)


def assign_accounts(
    protocol: Protocol,
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    taken: Collection[str] = (),
    assigned_at: datetime | None = None,
    gross_margin_rate: float = 1.0,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Draw the arms of a test.

    Within every candidate the eligible accounts are stratified, families kept whole, and the arms drawn again until
    their balance is among the best `best_share` of draws: not the best of many, so that the analysis can draw again by
    the same rule. A sample test takes equal random samples of the candidates.

    Parameters
    ----------
    protocol : Protocol
    accounts : DataFrame
        The account table.
    opportunities : DataFrame
        With `is_relevant`.
    taken : collection of str
        Accounts in a test that is not over.
    assigned_at : datetime, optional
        Naive UTC; default the protocol's day.
    gross_margin_rate : float
        Of deals that give no margin.

    Returns
    -------
    assignments : DataFrame
        The columns of the table assignments, exposed_at empty; sorted by account_id.
    audit : DataFrame
        One row a candidate: n_eligible, n_assigned, n_draws, threshold, balance, best_share, share_of_new,
        share_of_margin, seed, hash, note.

    Raises
    ------
    DataError
        Too few accounts, an attribute that accounts do not have, or more of the current effort than `max_share`.
    """
    moment = pd.Timestamp(assigned_at or protocol.assigned_on)
    pools = {each.id: find_eligible(each, accounts, opportunities, moment, taken) for each in protocol.profiles}
    lists, audits, used = [], [], set()
    for number, candidate in enumerate(protocol.profiles):
        pool = pools[candidate.id]
        pool = pool[~pool["account_id"].isin(used)]
        found, audit = _assign_candidate(protocol, candidate, pool, number, pools)
        used |= set(found["account_id"])
        n_worked = len(found) if protocol.design == "sample" else int((found["arm"] != protocol.control).sum())
        effort = n_worked, audit["n_eligible"], gross_margin_rate
        flow = estimate_flow(candidate, accounts, opportunities, moment, *effort)
        audits.append(audit | flow)
        lists.append(found)
    audit = pd.DataFrame(audits)
    _check_cap(protocol, audit)
    frame = pd.concat(lists).assign(experiment_id=protocol.id, assigned_at=moment, exposed_at=pd.NaT)
    return frame.sort_values("account_id", ignore_index=True)[COLUMNS], audit


def _check_cap(protocol: Protocol, audit: pd.DataFrame) -> None:
    for column, what in (("share_of_new", "new opportunities"), ("share_of_margin", "new margin")):
        share = audit[column].sum()
        if share > protocol.max_share:
            raise DataError(
                f"{protocol.id}: the test would use {share:.0%} of the effort, counted by the {what} of the year "
                f"before; max_share is {protocol.max_share:.0%}. Lower n_per_arm, or take a narrower candidate."
            )


def _assign_candidate(protocol, candidate, pool, number: int, pools) -> tuple[pd.DataFrame, dict]:
    """The list of one candidate and the audit of its draws."""
    plan, seed = protocol.assignment, [protocol.assignment.seed, number]
    is_sample = protocol.design == "sample"
    arms = protocol.arms[:1] if is_sample else sorted(protocol.arms)
    smallest = min(len(each) for each in pools.values()) if is_sample else len(pool)
    wanted = (plan.n_per_arm or smallest) * len(arms)
    if len(pool) < 2 * len(arms) or (is_sample and len(pool) < min(wanted, smallest)):
        raise DataError(f"{protocol.id}: {len(pool):,} accounts of {candidate.id} are free, too few to assign.")
    chosen = _take_families(pool, wanted, np.random.default_rng(seed))
    note = "" if len(pool) >= wanted or not plan.n_per_arm else f"{wanted:,} were planned, {len(pool):,} are free."
    audit = {
        "candidate": candidate.id, "n_eligible": len(pool), "n_assigned": len(chosen), "n_draws": 0,
        "threshold": np.nan, "balance": np.nan, "best_share": plan.best_share, "seed": plan.seed,
        "hash": protocol.hash, "note": note,
    }  # fmt: skip
    strata = build_strata(chosen, plan.stratify_by)
    base = pd.DataFrame({"account_id": chosen["account_id"], "candidate": candidate.id, "stratum": strata})
    if is_sample:
        return base.assign(arm=arms[0]), audit
    codes, drawn = _draw(protocol, chosen, strata, number)
    return base.assign(arm=np.array(arms, object)[codes]), audit | drawn


def _take_families(pool: pd.DataFrame, wanted: int, rng) -> pd.DataFrame:
    """Accounts by lot, whole families, until there are as many as wanted (never more)."""
    families = pool["family_id"].drop_duplicates().to_numpy()
    place = dict(zip(families[rng.permutation(len(families))], range(len(families)), strict=True))
    order = pool.assign(_place=pool["family_id"].map(place)).sort_values(["_place", "account_id"])
    ends = order.groupby("_place")["account_id"].transform("size").groupby(order["_place"]).first().cumsum()
    kept = ends.index[ends <= wanted]
    return order[order["_place"].isin(kept)].drop(columns="_place").sort_values("account_id")


def _draw(protocol: Protocol, chosen: pd.DataFrame, strata: pd.Series, number: int) -> tuple[np.ndarray, dict]:
    """The arms as positions in their sorted names, and how they were drawn."""
    plan, shares = protocol.assignment, dict.fromkeys(sorted(protocol.arms), 1.0)
    family, seed = pd.factorize(chosen["family_id"])[0], plan.seed + 1000 * number
    if plan.filled_by == "coin":
        coin = np.random.default_rng([seed, 1]).integers(0, len(shares), family.max() + 1)
        return coin[family], {"note": "Filled by a coin."}
    codes, columns = pd.factorize(strata)[0], {}
    for name in plan.balance_on:
        if name not in chosen:
            raise DataError(f"balance_on: no account has '{name}'. {hint(name, list(chosen.columns))}")
        columns |= numeric_columns(chosen[name], name)
    table = np.column_stack([values for values in columns.values() if values.std() > 0]) if columns else None
    rule = {"family": family, "seed": seed}
    if table is None:
        return randomisation.draw_arms(codes, shares, n_draws=1, **rule)[0], {"n_draws": 1}
    threshold, distances = randomisation.find_threshold(codes, shares, table, accept=plan.best_share, **rule)
    drawn = randomisation.draw_arms(codes, shares, table, threshold=threshold, n_draws=1, **rule)
    got = float(randomisation.balance(drawn, table, len(shares))[0])
    return drawn[0], {"n_draws": len(distances), "threshold": threshold, "balance": got}
