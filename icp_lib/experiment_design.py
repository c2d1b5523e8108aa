"""What a test can show before it starts: accounts, runtime, the smallest effect, and the effort that it takes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import pandas as pd
from scipy.stats import norm

from icp_lib import assignment, designs, differences, looks, outcomes, stats, studies
from icp_lib.checks import DataError
from icp_lib.outcomes import Sources
from icp_lib.protocols import Candidate, Protocol, Protocols, name_words
from icp_lib.studies import Study

COLUMNS = [
    "experiment_id", "candidate", "test", "n_available", "n_per_group", "control_rate", "rate_from", "mde",
    "detectable", "n_needed", "weeks_needed", "is_able", "share_of_new", "share_of_margin", "max_share",
    "is_within_cap", "metric", "note",
]  # fmt: skip
SIMULATED = ["experiment_id", "test", "metric", "with_effect", "n_per_group", "n_runs", "ship_rate", "ship_rate_low",
             "ship_rate_high", "expected_rate"]  # fmt: skip
CURVE_SIZES = (25, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1200)
#: The longest that anybody waits is a year: a window of 365 days is not longer.
LEAST_REACHED, _YEAR_WEEKS, _SURELY_NOT = 0.20, 366 / 7, 0.6


def build_design(
    tests: Iterable[Study], accounts: pd.DataFrame, sources: Sources, end: datetime, running: Iterable[str] = ()
) -> pd.DataFrame:
    """Return for every test and candidate whether it can ever answer: the table `experiment_design`.

    A test that has started is judged on the accounts that it has, one that has not on those planned as far as they are
    free today (on all that are free, where the protocol plans no number). The share of
    the control comes from the control itself, else from the protocol, else from what such accounts did by themselves.
    A protocol that names an attribute which accounts do not have cannot answer; its note says so, and the others stay.

    Parameters
    ----------
    tests : iterable of Study
    accounts, sources, end
        As of the quarter.
    running : iterable of str
        Accounts in a test whose window is open: not free.
    """
    running = set(running)
    rows = [
        _try_describe(test, candidate, accounts, sources, end, running)
        for test in tests
        if test.protocol is not None and not (test.protocol.concluded and not len(test.lines))
        for candidate in test.protocol.profiles
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def build_drawn(
    protocol: Protocol, drawn: pd.DataFrame, accounts: pd.DataFrame, sources: Sources, moment: datetime,
    taken: Iterable[str] = (),
) -> pd.DataFrame:  # fmt: skip
    """Return `build_design` of a test whose arms were just drawn: judged on the accounts that it has got."""
    known = Protocols({protocol.id: protocol}, {})
    tests = studies.build_studies(known, drawn, pd.DataFrame(), accounts, sources, [moment])
    return build_design(tests, accounts, sources, moment, taken)


def find_running(tests: Iterable[Study], end: datetime) -> set[str]:
    """Return the accounts of tests whose primary window is not over."""
    taken: set[str] = set()
    for test in tests:
        if test.protocol is not None and len(test.frame):
            over = test.frame["assigned_at"] + pd.Timedelta(days=test.protocol.primary.window_days)
            taken |= set(test.frame.loc[over > pd.Timestamp(end), "account_id"])
    return taken


def _try_describe(test: Study, candidate: Candidate, accounts, sources, end, running: set[str]) -> dict:
    try:
        return _describe(test, candidate, accounts, sources, end, running)
    except DataError as error:
        row = {"experiment_id": test.experiment_id, "candidate": candidate.id, "test": test.title}
        row |= {"mde": test.protocol.mde, "metric": test.protocol.primary.id, "is_able": False, "is_within_cap": True}
        return row | {"n_available": 0, "n_per_group": 0, "max_share": test.protocol.max_share, "note": str(error)}


def _describe(test: Study, candidate: Candidate, accounts, sources, end, running: set[str]) -> dict:
    protocol, primary = test.protocol, test.protocol.primary
    free = assignment.find_eligible(candidate, accounts, sources.opportunities, end, running)
    n_groups = count_groups(protocol)
    level, source = find_level(test, candidate, free, sources, end)
    here = test.frame["candidate"].fillna(candidate.id).eq(candidate.id) if len(test.frame) else pd.Series(dtype=bool)
    n_own = int(here.sum())
    n_available = n_own or len(free)
    n_split = len(protocol.arms) if protocol.design == "uplift" else 1
    planned, n_free = protocol.assignment.n_per_arm, n_available // n_split
    n_per_group = n_free if n_own or not planned else min(planned, n_free)
    name = test.title if len(protocol.profiles) == 1 else f"{test.title}: {name_words(candidate.id)}"
    spread = {"rate": level} if primary.is_rate else {"sd": level}
    row = {
        "experiment_id": test.experiment_id, "candidate": candidate.id, "test": name, "n_available": n_available,
        "n_per_group": n_per_group, "control_rate": level if primary.is_rate else np.nan, "rate_from": source,
        "mde": protocol.mde, "max_share": protocol.max_share, "metric": primary.id,
    }  # fmt: skip
    n_worked = n_per_group * (n_split - (protocol.design == "uplift"))
    n_eligible = len(set(free["account_id"]) | set(test.frame.loc[here[here].index, "account_id"] if n_own else ()))
    effort = n_worked, n_eligible, sources.gross_margin_rate
    flow = assignment.estimate_flow(candidate, accounts, sources.opportunities, end, *effort)
    row |= flow | {"is_within_cap": not any(share > protocol.max_share for share in flow.values())}
    if not np.isfinite(level) or level <= 0 or (primary.is_rate and level + protocol.mde >= 1):
        return row | {"is_able": False, "note": "nobody had the outcome: no size can be worked out."}
    plan = {"look_shares": protocol.looks, "power": protocol.power}
    is_set = bool(n_own or planned)  # accounts that come later are not in such a test
    weekly, n_all = 0.0 if is_set else _arrivals(candidate, accounts, end), n_available
    if protocol.design == "sample":  # as many of every candidate as of the one that has fewest
        sizes = [_count_own(test, each) or len(assignment.find_eligible(each, accounts, sources.opportunities, end,
                                                                        running)) for each in protocol.profiles]
        n_all = min(sizes) * n_groups
        weekly = 0.0 if is_set else n_groups * min(_arrivals(each, accounts, end) for each in protocol.profiles)
    rivals = {"n_comparisons": count_comparisons(protocol)}
    found = designs.can_answer(
        n_available=n_per_group * n_groups if is_set else n_all, mde=protocol.mde, n_arms=n_groups,
        accounts_per_week=weekly, window_days=primary.window_days, weeks_max=_YEAR_WEEKS, **rivals, **spread, **plan,
    ).iloc[0]  # fmt: skip
    detectable = designs.detectable_effect(n_per_group, n_per_group, **rivals, **spread, **plan)
    row |= {"detectable": detectable, "n_needed": int(found["n_needed"]), "weeks_needed": found["weeks_needed"]}
    words = _say(protocol, level, found, 0 if n_own else n_available, n_per_group, n_groups)
    if not row["is_within_cap"]:
        words.append(f"It takes more of the current effort than the {protocol.max_share:.0%} agreed.")
    return row | {"is_able": bool(found["answers"]), "note": " ".join(words)}


def count_groups(protocol: Protocol) -> int:
    """Return how many groups are compared: the arms, or in a sample test the candidates."""
    return len(protocol.arms) if protocol.design == "uplift" else len(protocol.profiles)


def count_comparisons(protocol: Protocol) -> int:
    """Return how many comparisons share the error of a test: arms x candidates, as `trials.adjust_arms` counts them."""
    return max(len(protocol.treated), 1) * (len(protocol.profiles) if protocol.design == "uplift" else 1)


def _count_own(test: Study, candidate: Candidate) -> int:
    """Accounts of a candidate that a test has; without a name in the list they are its own."""
    return int(test.frame["candidate"].fillna(candidate.id).eq(candidate.id).sum()) if len(test.frame) else 0


def _say(protocol: Protocol, level: float, found, n_free: int, n_per_group: int, n_groups: int) -> list[str]:
    """What a reader must know before anything starts; `n_free` is 0 once it has started."""
    planned, needed = protocol.assignment.n_per_arm, -(-int(found["n_needed"]) // n_groups)
    words = [str(found["note"])] if found["note"] and not planned and n_free else []
    if not found["answers"] and planned and n_free:
        words.append(f"Not as planned: {needed:,} in each group are needed, {planned:,} planned, {n_free:,} free.")
    elif not found["answers"] and not n_free:
        words.append(f"{n_per_group:,} in each group see only a larger effect than agreed: {needed:,} were needed.")
    if protocol.primary.is_rate and level < LEAST_REACHED and protocol.primary.metric == "win_rate":
        words.append(f"Few accounts reach it: a stage that {LEAST_REACHED:.0%} reach would answer sooner.")
    elif protocol.primary.is_rate and level < LEAST_REACHED:
        words.append(f"Fewer than {LEAST_REACHED:.0%} reach it: an earlier step would answer sooner.")
    return words


def find_level(test: Study, candidate: Candidate, free: pd.DataFrame, sources: Sources, end) -> tuple[float, str]:
    """Return the control's share (or the spread between accounts, for money and days) and where it comes from."""
    protocol, primary = test.protocol, test.protocol.primary
    if len(test.frame):
        usual = test.frame[test.frame["group"] == protocol.control]["m0_numerator"].dropna()
        if len(usual) > 1:
            return float(usual.mean() if primary.is_rate else usual.std()), "control"
    if primary.is_rate and protocol.expected_rate:
        return protocol.expected_rate, "protocol"
    moment = pd.Timestamp(end) - pd.Timedelta(days=primary.window_days)
    known = free[free["created_at"] < moment][["account_id"]].reset_index(drop=True)
    events = outcomes.build_events(primary, sources)
    got = outcomes.measure_accounts(known.assign(assigned_at=moment), primary, events, end)["numerator"]
    return (float(got.mean() if primary.is_rate else got.std()) if len(got) > 1 else np.nan), "such accounts"


def _arrivals(candidate: Candidate, accounts: pd.DataFrame, end) -> float:
    """New accounts of the profile a week, over the last year."""
    since = pd.Timestamp(end) - pd.Timedelta(days=365)
    return float((assignment.match_candidate(candidate, accounts) & (accounts["created_at"] >= since)).sum() / 52)


def build_curves(design: pd.DataFrame, tests: Iterable[Study]) -> pd.DataFrame:
    """Return the smallest effect that each number of accounts a group would show: experiment_id, n_per_group, mde."""
    by_id, rows = {test.experiment_id: test.protocol for test in tests}, []
    for row in design.itertuples():
        protocol = by_id[row.experiment_id]
        n_rivals = count_comparisons(protocol)
        if not protocol.primary.is_rate or not np.isfinite(row.control_rate) or row.control_rate <= 0:
            continue
        for size in CURVE_SIZES:
            effect = designs.detectable_effect(
                size, size, rate=row.control_rate, n_comparisons=n_rivals, look_shares=protocol.looks,
                power=protocol.power,
            )  # fmt: skip
            named = {"experiment_id": row.experiment_id, "candidate": row.candidate}
            rows.append(named | {"n_per_group": size, "effect": effect, "control_rate": row.control_rate})
    return pd.DataFrame(rows, columns=["experiment_id", "candidate", "n_per_group", "effect", "control_rate"])


def simulate_designs(
    tests: Iterable[Study], design: pd.DataFrame, n_runs: int = 200, seed: int = 0
) -> pd.DataFrame:
    """Run simulated tests of each size, with its looks, through the same comparison: without an effect, and with.

    Accounts and arms are those of the test (as planned, where nobody is assigned); each account reaches the outcome
    with the control's share of `design`, and in the treated arms of the second row with that plus the effect agreed. A
    run says ship where a look crosses its boundary on the better side; arms and candidates share the error by
    Bonferroni, and the arms of one candidate are run.

    Returns
    -------
    DataFrame
        experiment_id, test (its name), with_effect (0, and the effect agreed), n_per_group, n_runs, ship_rate with its
        Wilson range, expected_rate (half of 5 %, or the candidate's part of it, without an effect, and the power agreed
        with it; the power of accounts planned too few is lower). Shares of accounts only.
    """
    rows, by_id = [], {test.experiment_id: test for test in tests}
    for row in design.drop_duplicates("experiment_id").itertuples():
        protocol = by_id[row.experiment_id].protocol
        if not np.isfinite(row.control_rate) or row.control_rate <= 0 or row.n_per_group < 2:
            continue
        names = [*protocol.treated, protocol.control]
        limits, luck = looks.plan_looks(protocol.looks, alpha=0.05 / count_comparisons(protocol)), 0.025
        luck *= max(len(protocol.treated), 1) / count_comparisons(protocol)
        rng = np.random.default_rng(seed)
        for effect, expected in ((0.0, luck), (protocol.mde, protocol.power)):
            shares = {name: min(row.control_rate + effect * (name != protocol.control), 1.0) for name in names}
            shipped = [_run_once(int(row.n_per_group), shares, protocol.control, limits, rng) for _ in range(n_runs)]
            found = stats.estimate_proportion(np.array(shipped), np.arange(n_runs))
            named = [row.experiment_id, row.test, row.metric]
            rows.append([*named, effect, row.n_per_group, n_runs, *found[:3], expected])
    return pd.DataFrame(rows, columns=SIMULATED)


def _run_once(n: int, shares: dict[str, float], control: str, limits: pd.DataFrame, rng) -> bool:
    """One simulated test: whether any arm crosses the boundary of a look on the better side."""
    order = {name: rng.random(n) < share for name, share in shares.items()}
    for share, p_nominal in zip(limits["share"], limits["p_nominal"], strict=True):
        size = max(round(share * n), 2)
        counts = {name: (int(reached[:size].sum()), size) for name, reached in order.items()}
        usual, best = counts[control][0] / size, max(got for got, _ in counts.values()) / size
        spread = np.sqrt((usual * (1 - usual) + best * (1 - best)) / size)
        if best - usual <= _SURELY_NOT * norm.isf(p_nominal / 2) * spread:
            continue  # far from the boundary: the comparison is costly
        rows = compare_counts(counts, control)
        if any(row["p_value"] <= p_nominal and row["effect"] > 0 for row in rows):
            return True
    return False


def compare_counts(counts: dict[str, tuple[int, int]], control: str) -> list[dict]:
    """Compare arms known by how many of how many reached the outcome: the comparison of every test."""
    from tea_tasting.aggr import Aggregates

    moments = {}
    for name, (got, n) in counts.items():
        share = got / n
        moments[name] = Aggregates(
            count_=n, mean_={"reached": share}, var_={"reached": share * (1 - share) * n / (n - 1)}, cov_={}
        )
    return differences.compare_moments(moments, differences.Measure("reached_rate", "reached"), control=control)
