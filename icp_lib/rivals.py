"""What others call CAC, with its value here; and CAC by the quarter in which companies were first met."""

from __future__ import annotations

import numpy as np
import pandas as pd

from icp_lib import lags
from icp_lib.costs import LAGS, YEAR, Costs, Counted, build_costs, count_care, count_costs, describe_cost
from icp_lib.ledger import CARE, CATEGORIES, MARKETING, SHARED, Ledger

MATURE = 0.95


def group_payers(ledger: Ledger, paid_channels) -> tuple[pd.DataFrame, np.ndarray]:
    """Return two groups of accounts: those that ever became customers, and those that came by a paid channel."""
    winners = np.zeros(len(ledger.accounts), bool)
    winners[ledger.customers["account"]] = True
    paid = ledger.accounts["channel"].isin(list(paid_channels)).to_numpy()
    groups = pd.DataFrame({"segment_id": ["won", "paid"], "segment": ["Companies won", "Paid channels"]})
    return groups, np.column_stack([winners, paid])


def _amounts(costs: Costs, mask: pd.Series) -> np.ndarray:
    """Some entries' money by month, shape (n_months, 1)."""
    rows = costs.ledger.entries[mask]
    return np.bincount(rows["ago"] - 1, rows["amount"], costs.ledger.n_months)[:, None]


def compare_definitions(costs: Costs, paid_channels=(), period=YEAR) -> pd.DataFrame:
    """Return ways in which others count CAC, each with its value on the same period: `cac_definitions`.

    Parameters
    ----------
    costs : Costs
        Of the groups of `group_payers`.
    paid_channels : sequence of str
        Channels that cost media money; without any, what rests on them is missing.

    Returns
    -------
    DataFrame
        definition, counts (what is divided by what), estimate with its range, n (customers divided by), difference_rate
        (against ours), note. Ours comes first.
    """
    columns = ["definition", "counts", "metric", "estimate", "conf_low", "conf_high", "conf_level", "n",
               "difference_rate", "note"]  # fmt: skip
    entries = costs.ledger.entries
    if not len(entries):
        return pd.DataFrame(columns=columns)
    house, now, moved = (count_costs(costs, period, lag=lag) for lag in LAGS)
    everybody, paid, won = -1, 1, 0
    is_paid = entries["channel"].isin(list(paid_channels)) & entries["category"].isin(("media", "events"))
    share, known = lags.spread_lags(costs.lag.weights, period, costs.ledger.n_months)
    inside = np.isin(np.arange(costs.ledger.n_months) + 1, list(period))[:, None]
    existing = entries["audience"].eq("existing") & entries["category"].isin(SHARED)
    media = _only(now, paid, (_amounts(costs, is_paid) * inside).sum(axis=0))
    media_lagged = _only(house, paid, (_amounts(costs, is_paid) * share / np.maximum(known, 1e-9)).sum(axis=0))
    blended = now._replace(shared=now.shared | {"existing": now.shared["media"] * 0
                                                + (_amounts(costs, existing) * inside).sum(axis=0)})  # fmt: skip
    winners = house._replace(won=np.where(np.arange(len(house.won))[:, None] == won, house.won[-1:], house.won))
    no_support = tuple(name for name in CATEGORIES if name != "support")
    rows = [
        ("Ours: fully loaded, lag by category", "all cost of winning, when its customers come / new customers",
         house, everybody, CATEGORIES),
        ("Ours, without support until live", "the same, support left out / new customers", house, everybody,
         no_support),
        ("Sales and marketing only", "the same, onboarding and support left out / new customers", house, everybody,
         SHARED),
        ("Same-quarter spend", "the period's cost of winning / the period's new customers", now, everybody, CATEGORIES),
        ("Everything moved by the lead's lag", "all cost, moved from lead to win / new customers", moved, everybody,
         CATEGORIES),
        ("Blended", "the period's whole sales and marketing, existing customers too / new customers", blended,
         everybody, (*CATEGORIES, "existing")),
        ("Marketing only", "the period's media, events and tools / new customers", now, everybody, MARKETING),
        ("Deals won only", "what was charged to companies that were won / new customers", winners, won, CATEGORIES),
        ("Paid only", "the period's media and events in paid channels / customers from them", media, paid, ("media",)),
        ("Paid only, with the lag", "media and events in paid channels, moved / customers from them", media_lagged,
         paid, ("media",)),
    ]  # fmt: skip
    table = pd.DataFrame([
        {"definition": name, "counts": counts} | describe_cost(counted, group, "cac", parts)
        for name, counts, counted, group, parts in rows
    ])  # fmt: skip
    if not is_paid.any():
        lost = table["definition"].str.startswith("Paid")
        table.loc[lost, ["estimate", "conf_low", "conf_high"]] = np.nan
        table.loc[lost, "note"] = "needs paid_channels in icp.yml, named as the channels in spend"
    ours = table["estimate"].iloc[0]
    return table.assign(difference_rate=table["estimate"] / ours - 1)[columns]


def _only(counted: Counted, group: int, amount: np.ndarray) -> Counted:
    """A counted period in which one group has one amount of media and nothing else."""
    shape = counted.won.shape
    nothing = {name: np.zeros(shape) for name in (*SHARED, *CARE)}
    media = nothing["media"].copy()
    media[group] = amount
    return counted._replace(shared={name: nothing[name] for name in SHARED} | {"media": media},
                            care={name: nothing[name] for name in CARE}, n_live=counted.won)  # fmt: skip


def group_cohorts(ledger: Ledger, quarter_names) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the quarters in which companies were first met as groups of accounts, newest first.

    First met: the first lead, without leads the first deal.

    Parameters
    ----------
    quarter_names : sequence of str
        Names of the quarters, the last one first.
    """
    first = ledger.keys["direct"].groupby("account")["ago"].max().reindex(range(len(ledger.accounts)))
    back = ((first - 1) // 3).to_numpy(float)
    masks = np.column_stack([back == number for number in range(len(quarter_names))])
    names = list(quarter_names)
    return pd.DataFrame({"segment_id": names, "segment": names}, dtype=object), masks


def estimate_cohorts(ledger: Ledger, quarter_names) -> pd.DataFrame:
    """Return CAC by the quarter in which companies were first met: `cac_cohorts`.

    What marketing cost in the quarter, the salaries for all deals of its companies so far, onboarding and support until
    live of its customers so far / customers so far. Not known, with a note, while none of them is live.

    Returns
    -------
    DataFrame
        cohort, metric, estimate, conf_low, conf_high, conf_level, n (customers so far), maturity_rate (share of the
        cohort's wins that should have come by as-of, by the lag curve), is_mature (at least 95 %), note.
    """
    columns = ["cohort", "metric", "estimate", "conf_low", "conf_high", "conf_level", "n", "maturity_rate", "is_mature",
               "note"]  # fmt: skip
    names = list(quarter_names)[: ledger.n_months // 3]
    if not names:
        return pd.DataFrame(columns=columns)
    costs = build_costs(ledger, *group_cohorts(ledger, names))
    done = np.cumsum(costs.lag.weights[:, 0])
    monthly = {name: costs.by_month["direct"][name][:, -1] for name in SHARED}
    salaries = _charge_all(costs, monthly["salaries"])
    won, live = costs.won.sum(axis=0), costs.live.sum(axis=0)
    rows = []
    for number, name in enumerate(names):
        months = [3 * number + 1, 3 * number + 2, 3 * number + 3]
        shared = {each: _place(monthly[each][[month - 1 for month in months]].sum(axis=0), number, won.shape)
                  for each in MARKETING} | {"salaries": salaries}  # fmt: skip
        care = {each: count_care(costs.care_won[each].sum(axis=0), live, won, costs.care_won[each]) for each in CARE}
        row = describe_cost(Counted(shared, care, won, live, 1.0), number, "cac")
        maturity = float(np.mean([done[min(month - 1, len(done) - 1)] for month in months]))
        rows.append({"cohort": name, "maturity_rate": maturity, "is_mature": maturity >= MATURE} | row)
        if maturity < MATURE:
            share = f"{maturity:.0%}" if round(maturity, 2) < MATURE else f"just under {MATURE:.0%}"
            words = f"too young: {share} of its wins should be in"
            rows[-1]["note"] = ". ".join(each for each in (words, row["note"]) if each)
    return pd.DataFrame(rows)[columns]


def _charge_all(costs: Costs, salaries: np.ndarray) -> np.ndarray:
    """Salaries charged to each group by the open days of all its deals, ended or not, shape (n_groups, n_columns)."""
    days = costs.days.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(days[:, -1:] > 0, days / days[:, -1:], 0.0)
    return np.einsum("mgd,md->gd", share, salaries)


def _place(amount: np.ndarray, group: int, shape) -> np.ndarray:
    """One amount in one group's row."""
    out = np.zeros(shape)
    out[group] = amount
    return out
