"""A test as it was carried out: every line of its assignment list, and one row an account that can be analysed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from icp_lib import outcomes, randomisation, trials
from icp_lib.moments import to_local
from icp_lib.outcomes import Sources
from icp_lib.protocols import Measure, Protocol, Protocols, name_words
from icp_lib.stats import MIN_OPPORTUNITIES

ANALYSED = "analysed"
_LIST = ["account_id", "arm", "candidate", "assigned_at", "exposed_at", "stratum", "fate"]
#: Accounts with something before their assignment that a covariate needs; share of the planned accounts that is all.
_MIN_BEFORE, _ALL = 10, 0.95
#: From this share on a test is through.
FULL = 0.999
#: With looks more, because the first boundary of several lies below a p-value of 1 in 1,000.
_N_DRAWS, _N_DRAWS_LOOKS = 999, 9999


class Measured(NamedTuple):
    """One measure of a protocol and the columns of `Study.frame` that hold it; `absent` says why nobody has it."""

    role: str
    measure: Measure
    columns: trials.Measure
    absent: str


class Study(NamedTuple):
    """A test as it was carried out.

    `lines` is the assignment list, a line an account, each with its fate; `frame` has the analysed ones with `group`
    (the arm, or in a sample test the candidate) and the columns of every measure; `shares` are the shares of the
    accounts whose primary window was over at each quarter's end, the last one now.
    """

    experiment_id: str
    protocol: Protocol | None
    problem: str
    lines: pd.DataFrame
    frame: pd.DataFrame
    measured: list[Measured]
    covariates: list[str]
    shares: list[float]

    @property
    def title(self) -> str:
        """Name for readers: that of the protocol, else the id in words."""
        return self.protocol.title if self.protocol else name_words(self.experiment_id).capitalize()

    @property
    def group(self) -> str:
        """What is compared: arm, or candidate in a sample test."""
        return "candidate" if self.protocol is not None and self.protocol.design == "sample" else "arm"


def build_studies(
    protocols: Protocols,
    assignments: pd.DataFrame,
    set_aside: pd.DataFrame,
    accounts: pd.DataFrame,
    sources: Sources,
    cutoffs: Sequence[datetime],
) -> list[Study]:
    """Return every test that has a protocol written by as-of or a line in the assignment list, in order of name.

    Parameters
    ----------
    protocols : Protocols
    assignments : DataFrame
        Lines that are valid, cut at the quarter's end.
    set_aside : DataFrame
        Lines that validation put in quarantine, as written, with `reason`.
    accounts : DataFrame
        The account table.
    sources : Sources
    cutoffs : sequence of datetime
        Ends of the quarters up to this one, oldest first: when a report looked.
    """
    end = pd.Timestamp(cutoffs[-1])
    if len(set_aside):
        dated = pd.to_datetime(set_aside["assigned_at"], errors="coerce", utc=True).dt.tz_localize(None)
        set_aside = set_aside[dated.isna() | (dated < end)]
    written = {name for name, each in protocols.by_id.items() if each.written_on is None or _begun(each, end)}
    listed = {str(name) for frame in (assignments, set_aside) if len(frame) for name in frame["experiment_id"]}
    names = sorted(written | set(protocols.problems) | listed)
    return [_build_study(name, protocols, assignments, set_aside, accounts, sources, cutoffs) for name in names]


def _begun(protocol: Protocol, end: pd.Timestamp) -> bool:
    return pd.Timestamp(protocol.written_on) < end


def _build_study(name, protocols, assignments, set_aside, accounts, sources, cutoffs) -> Study:
    protocol, problem = protocols.by_id.get(name), protocols.problems.get(name, "")
    lines = list_lines(name, assignments, set_aside, accounts)
    dated = pd.to_datetime(lines["assigned_at"])
    lines["assigned_on"] = to_local(dated.where(dated < pd.Timestamp(cutoffs[-1])), cutoffs[-1]).dt.normalize()
    if protocol is None:
        problem = problem or f"experiments.yml has no experiment '{name}': what was to be shown was not written down."
        return Study(name, None, problem, lines, lines[lines["fate"] == ANALYSED], [], [], [0.0])
    frame = lines[lines["fate"] == ANALYSED].drop(columns="fate").reset_index(drop=True)
    traits = [column for column in accounts.columns if column not in frame.columns or column == "account_id"]
    frame = frame.merge(accounts[traits], on="account_id", how="left", validate="many_to_one")
    frame["group"] = frame["candidate" if protocol.design == "sample" else "arm"]
    measured = []
    for slot, (role, measure) in enumerate(protocol.measures):
        events = outcomes.build_events(measure, sources)
        found = outcomes.measure_accounts(frame, measure, events, cutoffs[-1]).add_prefix(f"m{slot}_")
        frame = pd.concat([frame, found], axis=1)
        columns = _name_columns(frame, role, measure, slot, protocol.design)
        measured.append(Measured(role, measure, columns, outcomes.find_absent(measure, events, sources)))
    covariates = _add_covariates(frame, protocol)
    shares = find_shares(frame, protocol, cutoffs)
    return Study(name, protocol, problem, lines, frame, measured, covariates, shares)


def list_lines(name: str, assignments: pd.DataFrame, set_aside: pd.DataFrame, accounts: pd.DataFrame) -> pd.DataFrame:
    """Return the assignment list of one test, line by line, with what became of each: analysed, or why not.

    An account that is not among the accounts has no known family: `family_id` is its own id.
    """
    kept = assignments[assignments["experiment_id"] == name].reset_index(drop=True).assign(fate=ANALYSED)
    known = kept["account_id"].isin(accounts["account_id"])
    n_arms = kept.groupby("account_id")["arm"].transform("nunique")
    kept.loc[~known, "fate"] = "account not among the accounts"
    kept.loc[n_arms > 1, "fate"] = "in two groups"
    kept.loc[kept.duplicated("account_id") & (n_arms == 1), "fate"] = "listed twice"
    if len(set_aside):
        aside = set_aside[set_aside["experiment_id"] == name]
        aside = aside.reindex(columns=[*_LIST[:-1], "reason"]).replace("", None)
        is_torn = aside["reason"].str.contains("duplicate key") & (
            aside.groupby("account_id")["arm"].transform("nunique") > 1
        )
        is_unknown = aside["reason"].str.contains("unknown accounts")
        fate = np.select([is_torn, is_unknown], ["in two groups", "account not among the accounts"], aside["reason"])
        dates = {each: pd.to_datetime(aside[each], errors="coerce", utc=True).dt.tz_localize(None)
                 for each in ("assigned_at", "exposed_at")}  # fmt: skip
        kept = pd.concat([kept, aside.assign(fate=fate, **dates)], ignore_index=True)
    family = kept["account_id"].map(accounts.set_index("account_id")["family_id"]).fillna(kept["account_id"])
    return kept.reindex(columns=_LIST).assign(family_id=family)


def is_reconciled(tests: Sequence[Study]) -> bool:
    """Return whether every line of the lists is analysed once, or has a reason why not."""
    return all(
        len(test.frame) == (test.lines["fate"] == ANALYSED).sum()
        and test.lines["fate"].fillna("").ne("").all()
        and test.frame["account_id"].is_unique
        for test in tests
    )


def _name_columns(frame, role: str, measure: Measure, slot: int, design: str) -> trials.Measure:
    """The columns of one measure; what was there before the assignment is used where enough accounts had something."""
    head, is_ratio = f"m{slot}_", measure.is_ratio
    has_before = design == "uplift" and (frame[f"{head}before"] > 0).sum() >= _MIN_BEFORE
    return trials.Measure(
        measure.id,
        f"{head}numerator",
        f"{head}denominator" if is_ratio else None,
        f"{head}before" if has_before else None,
        f"{head}before_denominator" if has_before and is_ratio else None,
        role,
    )


def _add_covariates(frame: pd.DataFrame, protocol: Protocol) -> list[str]:
    """Add numeric columns of what the assignment was stratified and balanced on; none in a sample test."""
    if protocol.design == "sample" or not len(frame):
        return []
    columns = {}
    if frame["stratum"].nunique() > 1:
        levels = pd.get_dummies(frame["stratum"], dtype=float).iloc[:, 1:]
        columns |= {f"stratum_{i}": levels.iloc[:, i] for i in range(levels.shape[1])}
    for name in protocol.assignment.balance_on:
        if name in frame:
            columns |= numeric_columns(frame[name], name)
    for name, values in columns.items():
        frame[f"c_{name}"] = values.to_numpy(float)
    return [f"c_{name}" for name, values in columns.items() if values.std() > 0]


def numeric_columns(values: pd.Series, name: str) -> dict[str, pd.Series]:
    """Return a trait as numbers: a number by its log (its mean where missing), words by one column a common level."""
    if pd.api.types.is_numeric_dtype(values):
        logs = np.log1p(values.clip(lower=0).astype(float))
        return {name: logs.fillna(logs.mean() if logs.notna().any() else 0.0)}
    common = values.value_counts().index[:4]
    return {f"{name}_{i}": (values == level).astype(float) for i, level in enumerate(common[1:])}


def find_shares(frame: pd.DataFrame, protocol: Protocol, cutoffs: Sequence[datetime]) -> list[float]:
    """Return the share of the planned accounts whose primary window was over at each moment, from what was listed then.

    The accounts listed by then are all there are once nobody has been assigned for a quarter, and without a planned
    number also where nobody came after the day of the protocol. Otherwise nobody can say, without that number, what
    share those are that are through: 0 until all of them are. Once all of them, 50 or more, are through, the test is
    over: with those that come later the share is above 1.
    """
    n_groups = len(protocol.profiles) * (len(protocol.arms) if protocol.design == "uplift" else 1)
    planned, final, shares = (protocol.assignment.n_per_arm or 0) * n_groups, 0, []
    over = frame["assigned_at"] + pd.Timedelta(days=protocol.primary.window_days)
    is_later = to_local(frame["assigned_at"], cutoffs[-1]).dt.normalize() > pd.Timestamp(protocol.assigned_on)
    for cutoff in map(pd.Timestamp, cutoffs):
        listed, n_over = frame.loc[frame["assigned_at"] <= cutoff, "assigned_at"], int((over <= cutoff).sum())
        if planned:
            is_all = len(listed) >= _ALL * planned
        else:
            is_all = n_over >= FULL * len(listed) or not is_later[listed.index].any()
        is_all |= listed.max() <= cutoff - pd.DateOffset(months=3)
        total = final or (len(listed) if is_all else planned)
        shares.append(n_over / total if total else 0.0)
        final = total if shares[-1] >= FULL and total >= MIN_OPPORTUNITIES else 0
    return shares


def list_groups(study: Study) -> list[tuple[str, pd.DataFrame]]:
    """Return (candidate, its rows) for every comparison: a candidate's arms, or in a sample test all candidates."""
    if study.protocol is None or not len(study.frame):
        return []
    if study.group == "candidate":
        return [("all candidates", study.frame)]
    only = study.protocol.profiles[0].id if len(study.protocol.profiles) == 1 else None
    named = study.frame["candidate"].fillna(only or "no candidate")
    return [(str(name), part) for name, part in study.frame.groupby(named, sort=True)]


def draw_again(study: Study, part: pd.DataFrame, n_draws: int | None = None) -> np.ndarray | None:
    """Draw the arms of these accounts again by the rule of the protocol; None for a sample test (no lot there)."""
    if study.group == "candidate":
        return None
    n_draws = n_draws or (_N_DRAWS_LOOKS if len(study.protocol.looks) > 1 else _N_DRAWS)
    plan, counts = study.protocol.assignment, part["arm"].value_counts().sort_index()
    strata = pd.factorize(part["stratum"].fillna(""))[0]
    balanced = [name for name in study.covariates if not name.startswith("c_stratum")]
    covariates = part[balanced].to_numpy(float) if balanced else None
    rule = {"family": part["family_id"].to_numpy() if "family_id" in part else None, "seed": plan.seed}
    threshold = np.inf
    if covariates is not None:
        accept = {"accept": plan.best_share}
        threshold = randomisation.find_threshold(strata, dict(counts), covariates, **rule, **accept)[0]
        codes = pd.factorize(part["arm"], sort=True)[0]
        if randomisation.balance(codes[None, :], covariates, len(counts))[0] > threshold:
            threshold = np.inf  # this list was not drawn again until it balanced
    return randomisation.draw_arms(strata, dict(counts), covariates, threshold=threshold, n_draws=n_draws, **rule)
