"""Can marketing reach enough companies of each kind? From matching companies to customers (notebook 03)."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats as distributions

from icp_lib.credits import sum_spend
from icp_lib.draws import draw_weights, sum_draws
from icp_lib.intervals import estimate_draws
from icp_lib.rules import Segment

EVERYBODY = "All companies"
#: Accounts contacted, and accounts that became a lead, that a group needs for its rates to be shown.
MIN_ACCOUNTS = 30
#: Below so many at the scarcest steps together, limits are those of a Poisson count.
FEW = 20
#: Days in which a lead must get further; contacts and leads younger than these are not counted.
RESPONSE_DAYS, FOLLOWED_DAYS = 90, 365
#: How far an account can come: as one contacted, and as a lead.
COUNTED = ("is_contacted", "is_response", "is_lead", "is_mql", "is_sql", "is_opportunity", "is_won")
RATES = ("contactable_rate", "contacted_rate", "response_rate", "mql_rate", "sql_rate", "opportunity_rate", "won_rate")
EXPECTED = ("expected_leads", "expected_mqls", "expected_customers")
COSTS = ("cost_per_lead", "cost_per_mql", "cost_per_customer")
LATER = "Only a deal tells the"


def _with_ends(*names: str) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


COLUMNS = ["segment_id", "segment", "n_matching", "n_prospects", "n_contactable", *RATES[:2], "n_contacted",
           *_with_ends("response_rate"), "n_leads", *RATES[3:], *_with_ends("customer_rate"), *_with_ends(*EXPECTED),
           "target", "target_met_rate", *_with_ends(*COSTS), "note"]  # fmt: skip


def build_steps(
    accounts: pd.DataFrame,
    opportunities: pd.DataFrame,
    leads: pd.DataFrame,
    contacts: pd.DataFrame,
    contacted: pd.DataFrame,
    *,
    cutoff: datetime,
) -> pd.DataFrame:
    """Return, for every account, how far it came: contacted, lead, MQL, SQL, deal, customer.

    The unit is the account, so several leads of one company are one. Two groups of accounts are followed, each long
    enough. *Contacted*: as one still to be won, in the year that ended 90 days before as-of; a response is a lead
    within 90 days after. *Leads*: whose first lead came in at least 365 days before as-of, while they were no
    customers; a step counts where it was taken within 365 days after.

    Parameters
    ----------
    accounts, opportunities, leads, contacts : DataFrame
        The account table, and tables cut at the quarter's end.
    contacted : DataFrame
        `journeys.build_contacted`.
    cutoff : datetime
        The first moment after as-of, naive UTC.

    Returns
    -------
    DataFrame
        The rows of `accounts`: account_id, family_id, is_customer, is_contactable, was_touched, is_contacted,
        is_response, is_lead, is_mql, is_sql, is_opportunity, is_won; a later step is False where the account is not a
        lead that was followed. An account that skipped a step has taken it: who has a deal was qualified.
    """
    table = accounts[["account_id", "family_id", "is_customer"]].reset_index(drop=True)
    ids = table["account_id"]
    follow, wait = timedelta(days=FOLLOWED_DAYS), timedelta(days=RESPONSE_DAYS)
    relevant = opportunities[opportunities["is_relevant"]]
    won_at = _date(ids, relevant[relevant["status"] == "won"].groupby("account_id")["closed_at"].min())
    start = _date(ids, contacted.set_index("account_id")["contacted_at"])
    after = _first_after(leads, "created_at", ids, start, strictly=True)
    table["is_contactable"] = ids.isin(contacts["account_id"])
    table["was_touched"] = ids.isin(contacted["account_id"])
    table["is_contacted"] = start.notna()
    table["is_response"] = after - start <= wait
    lead_at = _date(ids, leads.groupby("account_id")["created_at"].min())
    table["is_lead"] = (lead_at < cutoff - follow) & ~(won_at < lead_at)
    reached = {
        "is_mql": _first_after(leads, "mql_at", ids, lead_at),
        "is_sql": _first_after(leads, "sql_at", ids, lead_at),
        "is_opportunity": _first_after(relevant, "created_at", ids, lead_at),
        "is_won": won_at,
    }
    for name, moment in reached.items():
        table[name] = table["is_lead"] & (moment - lead_at <= follow)
    names = list(reached)[::-1]
    for later, sooner in pairwise(names):
        table[sooner] |= table[later]
    return table


def _first_after(frame: pd.DataFrame, column: str, ids: pd.Series, start: pd.Series, strictly=False) -> pd.Series:
    """The first moment of each account in `column` at or after its start."""
    moments = frame[["account_id", column]].dropna()
    begin = _date(moments["account_id"], pd.Series(start.to_numpy(), index=ids.to_numpy()))
    later = moments[moments[column] > begin] if strictly else moments[moments[column] >= begin]
    return _date(ids, later.groupby("account_id")[column].min())


def _date(ids: pd.Series, when: pd.Series) -> pd.Series:
    """The moment of each account; NaT where there is none, also where nobody has one."""
    return pd.Series(pd.to_datetime(when.reindex(ids).to_numpy()), ids.index)


def estimate_reach(
    steps: pd.DataFrame,
    accounts: pd.DataFrame,
    segments: pd.DataFrame,
    prospects: pd.DataFrame,
    *,
    target: float | None = None,
    paid: pd.DataFrame | None = None,
    has_contacts: bool = True,
    min_accounts: int = MIN_ACCOUNTS,
    n_draws: int = 1000,
) -> pd.DataFrame:
    """Customers to expect where every contactable company of a kind is contacted in the coming quarter.

    Matching companies are accounts that are no customers, and prospects; contactable are accounts with a contact on
    record. What only a deal tells (the buyer's role) is open until then: an account that may match counts as matching,
    leads are those of all accounts alike in everything else, customers those that turned out to match. Expected
    customers = contactable x response x customers per lead; MQL, SQL and deal are steps of the same leads, so their
    rates multiply to it. Customers per lead are those of all leads, also of companies that came by themselves.
    Responses are of accounts contacted so far (if the easy ones came first, others will answer less), caused or not.

    The lists are constant; rates vary in the shared draws of families. Where few came to the scarcest steps (below 20:
    1 / (1 / responses + 1 / customers)), limits are those of a Poisson count. `target_met_rate` is predictive: over the
    draws of the rate, the binomial chance that at least the target of the contactable companies become customers.

    Parameters
    ----------
    steps : DataFrame
        `build_steps`.
    accounts : DataFrame
        The account table, in the same order.
    segments : DataFrame
        segment_id, segment, conditions; may have no rows.
    prospects : DataFrame
        May have no rows.
    target : float, optional
        Customers wanted in a quarter.
    paid : DataFrame, optional
        `list_paid`: the leads that the spend of their months brought.
    has_contacts : bool
        Whether there is a table of contacts: without it nobody knows whom one could contact.
    min_accounts, n_draws : int
        A rate from fewer accounts is not shown; the note has the count.

    Returns
    -------
    DataFrame
        `reach`, one row a group: n_matching, n_prospects of them, n_contactable, contactable_rate, contacted_rate (of
        the matching ever touched), n_contacted and response_rate, n_leads and the rate of each step given the step
        before, customer_rate (customers per lead), expected_leads, expected_mqls, expected_customers with ranges,
        target, target_met_rate, cost_per_lead, cost_per_mql, cost_per_customer with ranges, note.
    """
    if accounts.empty:
        return pd.DataFrame(columns=COLUMNS)
    family, families = pd.factorize(steps["family_id"])
    weights = draw_weights(families, n_draws)
    groups = [_find_group(accounts, prospects, "", EVERYBODY, Segment("", ()))]
    for each in segments.itertuples():
        groups.append(
            _find_group(accounts, prospects, each.segment_id, each.segment, Segment.from_json(each.conditions))
        )
    unmet = [] if paid is None else paid.loc[paid["account"] < 0, "channel"].tolist()
    rows = []
    for group in groups:
        mine = steps.assign(is_won=steps["is_won"] & group.is_exact)
        counts = _count_draws(mine[group.is_alike], family[group.is_alike], weights)
        row = {
            "segment_id": group.segment_id,
            "segment": group.segment,
            "target": np.nan if target is None else float(target),
        }
        row |= _describe_list(mine[group.is_matching], group.n_prospects, has_contacts)
        row |= _describe_rates(counts, min_accounts)
        row |= _describe_expected(counts, row["n_contactable"], row["target"], min_accounts)
        if paid is not None and len(paid):
            row |= _describe_costs(paid, mine, group.is_alike, family, weights)
        rows.append(row | {"note": _note(row, group.later, has_contacts, min_accounts, unmet)})
    return pd.DataFrame(rows).reindex(columns=COLUMNS)


class _Group(NamedTuple):
    """Accounts of a segment: exactly; alike in all that is known before a deal; still to be won as far as is known."""

    segment_id: str
    segment: str
    is_exact: np.ndarray
    is_alike: np.ndarray
    is_matching: np.ndarray
    n_prospects: int
    later: list[str]


def _find_group(accounts: pd.DataFrame, prospects: pd.DataFrame, key: str, name: str, segment: Segment) -> _Group:
    """Find whom a segment's rules hold for, before and after a deal has told what is not known of others.

    Rates taken from accounts whose buyer is known would be those of accounts that came as far as a deal. What is known
    of fewer than 10 % of the accounts without a deal is known only by one (`Segment.list_unknown`).
    """
    later = segment.list_unknown(accounts[accounts["n_opportunities"] == 0])
    alike = Segment.of(*(rule for rule in segment.rules if rule["attribute"] not in later)).mask(accounts)
    is_open, n_prospects = segment.mask_open(accounts, later), int(segment.mask_prospects(prospects).sum())
    return _Group(key, name, segment.mask(accounts), alike, is_open, n_prospects, later)


def _count_draws(steps: pd.DataFrame, family: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Accounts at each step, as they are and in every draw."""
    row, place = np.nonzero(steps[list(COUNTED)].to_numpy(bool).T)
    return dict(zip(COUNTED, sum_draws(row, family[place], np.ones(len(row)), len(COUNTED), weights), strict=True))


def _describe_list(steps: pd.DataFrame, n_prospects: int, has_contacts: bool) -> dict:
    free = steps[~steps["is_customer"]]
    n, n_contactable = len(free) + n_prospects, int(free["is_contactable"].sum())
    return {
        "n_matching": n,
        "n_prospects": n_prospects,
        "n_contactable": n_contactable if has_contacts else np.nan,
        "contactable_rate": n_contactable / n if n and has_contacts else np.nan,
        "contacted_rate": free["was_touched"].sum() / n if n and steps["was_touched"].any() else np.nan,
    }


def _divide(above, below) -> np.ndarray:
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _describe_rates(counts: dict, min_accounts: int) -> dict:
    """The response, and the rate of each step given the one before; NaN where too few stand before it."""
    row = {"n_contacted": int(counts["is_contacted"][0]), "n_leads": int(counts["is_lead"][0])}
    for name, above, below in (("response_rate", *COUNTED[1::-1]), ("customer_rate", "is_won", "is_lead")):
        if counts[below][0] >= min_accounts:
            row |= _range(name, _divide(counts[above], counts[below]), [counts[above][0]], [counts[below][0]])
    for name, before, after in zip(RATES[3:], COUNTED[2:], COUNTED[3:], strict=False):
        enough = counts[before][0] > 0 and row["n_leads"] >= min_accounts
        row[name] = float(counts[after][0] / counts[before][0]) if enough else np.nan
    return row


def _count_scarce(events: list[float], trials: list[float]) -> tuple[float, float]:
    """How many events a product of rates rests on, and what one of them is worth: a step never seen counts as one."""
    value = float(np.prod(np.maximum(events, 1) / np.array(trials)))
    if min(events) <= 0:
        return 0.0, value
    scarce = 1 / sum(1 / event for event in events)
    return scarce, value / scarce


def _range(name: str, draws: np.ndarray, events: list[float], trials: list[float], times: float = 1.0) -> dict:
    """A rate, or a product of rates, times a constant, with its range."""
    scarce, unit = _count_scarce(events, trials)
    value, low, high, _ = estimate_draws(draws * times)
    if scarce < FEW:
        low, high = unit * times * np.array(_limit_few(scarce))
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _limit_few(count: float) -> tuple[float, float]:
    """Exact 95 % limits of the mean of a Poisson count, which need not be whole."""
    low = distributions.gamma.ppf(0.025, count) if count > 0 else 0.0
    return float(low), float(distributions.gamma.ppf(0.975, count + 1))


def _describe_expected(counts: dict, n: float, target: float, min_accounts: int) -> dict:
    """Leads, MQLs and customers from contacting everybody who can be contacted, and the chance of the target."""
    if np.isnan(n) or min(counts["is_contacted"][0], counts["is_lead"][0]) < min_accounts:
        return {}
    row, response = {}, _divide(counts["is_response"], counts["is_contacted"])
    for name, step in zip(EXPECTED, (None, "is_mql", "is_won"), strict=True):
        events, trials, rate = [counts["is_response"][0]], [counts["is_contacted"][0]], response
        if step:
            events, trials = [*events, counts[step][0]], [*trials, counts["is_lead"][0]]
            rate = response * _divide(counts[step], counts["is_lead"])
        row |= _range(name, rate, events, trials, n)
    if not np.isnan(target):
        scarce, unit = _count_scarce(events, trials)
        rates = rate[1:][~np.isnan(rate[1:])]
        if scarce < FEW:
            rates = unit * distributions.gamma.ppf((np.arange(1000) + 0.5) / 1000, scarce + 0.5)
        chance = distributions.binom.sf(np.ceil(target) - 1, int(n), np.minimum(rates, 1.0))
        row["target_met_rate"] = float(chance.mean())
    return row


def list_paid(
    steps: pd.DataFrame, leads: pd.DataFrame, campaigns: pd.DataFrame, spend: pd.DataFrame, *, cutoff: datetime
) -> pd.DataFrame:
    """List the leads of known accounts that came in while their channel's spend is on record, a year ago or longer.

    Parameters
    ----------
    steps : DataFrame
        `build_steps`.
    leads, campaigns, spend, cutoff
        Cut at the quarter's end; of spend what `credits.sum_spend` counts.

    Returns
    -------
    DataFrame
        account (its position in `steps`), channel (the campaign's, else `lead_source`), is_first (the account's first
        lead, followed in `steps`), spend (all of the channel in these months, on each of its rows; 0 where none is on
        record). A channel with spend that no lead has stands in a row of its own, account -1.
    """
    by_channel, since = sum_spend(spend, cutoff)
    if by_channel.empty or leads.empty:
        return pd.DataFrame(columns=["account", "channel", "is_first", "spend"])
    account = pd.Index(steps["account_id"]).get_indexer(leads["account_id"])
    ran = campaigns.drop_duplicates("campaign_id").set_index("campaign_id")["channel"]
    channel = pd.Series(ran.reindex(leads["campaign_id"]).to_numpy(), leads.index, dtype="object")
    first = leads["created_at"] == leads.groupby("account_id")["created_at"].transform("min")
    rows = pd.DataFrame({
        "account": account, "channel": channel.fillna(leads["lead_source"]).fillna("").astype(str),
        "is_first": first & ~leads[first].duplicated("account_id").reindex(leads.index, fill_value=False),
    })  # fmt: skip
    until = cutoff - timedelta(days=FOLLOWED_DAYS)
    rows = rows[(account >= 0) & (leads["created_at"] >= since) & (leads["created_at"] < until)]
    rows = rows.assign(is_first=rows["is_first"] & steps["is_lead"].to_numpy()[rows["account"]])
    unmet = pd.DataFrame({"channel": [name for name in by_channel.index if name not in set(rows["channel"])]})
    both = pd.concat([rows, unmet.assign(account=-1, is_first=False)], ignore_index=True)
    return both.assign(spend=both["channel"].map(by_channel).fillna(0.0))


def _describe_costs(paid: pd.DataFrame, steps: pd.DataFrame, mask: np.ndarray, family, weights) -> dict:
    """Cost of a lead, an MQL and a customer: each channel's spend is split over the leads that it brought."""
    paid = paid[paid["account"] >= 0]
    (code, names), account = pd.factorize(paid["channel"]), paid["account"].to_numpy(int)
    spent = paid.drop_duplicates("channel")["spend"].to_numpy(float)
    if not spent.sum():
        return {}  # no lead came by a channel with spend
    is_in, ones = mask[account], np.ones(len(account))
    every, mine = (
        sum_draws(code[some], family[account[some]], ones[some], len(names), weights) for some in (slice(None), is_in)
    )
    cost = spent @ np.nan_to_num(_divide(mine, every))
    who = account[is_in & paid["is_first"].to_numpy(bool)]
    counts = _count_draws(steps.iloc[who], family[who], weights)
    row = {}
    for name, step in zip(COSTS, ("is_lead", "is_mql", "is_won"), strict=True):
        count = counts[step]
        if count[0] > 0:
            row[name], low, high, _ = estimate_draws(np.where(count > 0, _divide(cost, np.maximum(count, 1)), np.inf))
            if count[0] < FEW:
                low, high = (cost[0] / limit for limit in _limit_few(count[0])[::-1])
            row |= {f"{name}_low": low, f"{name}_high": high}
    return row


def _note(row: dict, later: list[str], has_contacts: bool, min_accounts: int, unmet: list[str]) -> str:
    """What a reader must know of one row."""
    notes = []
    if row["n_contacted"] < min_accounts:
        notes = [f"{row['n_contacted']:,} contacted of the {min_accounts:,} needed"]
    elif row["n_leads"] < min_accounts:
        notes = [f"{row['n_leads']:,} leads of the {min_accounts:,} needed"]
    elif has_contacts:
        notes = ["Customers per lead are of all leads, also of those who came by themselves"]
    if not has_contacts:
        notes.append("Without contacts nobody knows whom one could contact")
    elif row["n_prospects"]:
        notes.append(f"{row['n_prospects']:,} prospects have no contact on record")
    if later:
        words = " and ".join(name.replace("_", " ") for name in later)
        notes.append(f"{LATER} {words}: rates are of all companies alike otherwise")
    if unmet and not row["segment_id"]:
        notes.append(f"No lead has the channel {' or '.join(unmet)}: its spend is left out")
    return ". ".join(notes)


def pick_reach(reach: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of `reach` that lead from companies to customers."""
    rates = _with_ends("response_rate", "customer_rate")
    return reach[["segment", "n_matching", "contacted_rate", "n_contactable", *rates, "note"]]


def pick_expected(reach: pd.DataFrame) -> pd.DataFrame:
    """Return what is to be expected of contacting everybody who can be contacted."""
    found = ["expected_leads", "expected_mqls", *_with_ends("expected_customers"), "target_met_rate"]
    return reach[["segment", *found]].round({"expected_leads": 0, "expected_mqls": 0})


def pick_costs(reach: pd.DataFrame) -> pd.DataFrame:
    """Return what a lead, an MQL and a customer cost, of the groups where that is known, and of whom it is taken."""
    costs = reach.loc[reach["cost_per_lead"].notna(), ["segment", *_with_ends(*COSTS), "n_leads"]]
    return costs.assign(note=reach["note"].astype(str).str.extract(rf"({LATER}[^.]*)", expand=False).fillna(""))
