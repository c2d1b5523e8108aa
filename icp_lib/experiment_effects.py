"""The comparisons of every test: on each measure of its protocol, at the look that is due; guardrails; for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from icp_lib import heterogeneity, looks, studies, trials
from icp_lib.rules import build_levels
from icp_lib.studies import FULL, Measured, Study

RESULTS = [
    "experiment_id", "candidate", "metric", "role", "arm", "control", "n_arm", "n_control", "value_arm",
    "value_control", "effect", "effect_low", "effect_high", "effect_relative", "effect_relative_low",
    "effect_relative_high", "p_value", "p_adjusted", "adjustment", "note",
]  # fmt: skip
_SAYS = ["effect", "effect_low", "effect_high", "effect_relative", "effect_relative_low", "effect_relative_high",
         "p_value", "p_adjusted"]  # fmt: skip
GUARDED = ["experiment_id", "candidate", "arm", "control", "outcome", "metric", "effect", "effect_low", "effect_high",
           "not_worse_than", "state", "note"]  # fmt: skip
#: Traits that the account table takes from an account's first deal, which may be later than the assignment.
_LATER = ("buyer_role", "lead_source")
_LEAST_SIDE = 20


def find_look(shares: list[float], planned: list[float]) -> tuple[list[float], list[float], bool]:
    """Return the looks taken (as shares that they had), those to come, and whether now is one of them.

    A look is taken at the first quarter's end at which its share of the accounts is through; one that jumps over
    several takes them as one. Reading the same accounts again later is the same look.

    Examples
    --------
    >>> find_look([0.0, 0.6, 1.0], [0.5, 1.0])
    ([0.6, 1.0], [], True)
    >>> find_look([0.0, 0.3], [0.5, 1.0])
    ([], [0.5, 1.0], False)
    """
    taken, left, most = [], list(planned), 0.0
    for share in shares:
        due = [look for look in left if look < share + looks.LEAST_APART]
        if due and share > most:
            taken, left = [*taken, min(1.0, share)], [look for look in left if look not in due]
        most = max(most, share)
    return taken, left, bool(taken) and most - taken[-1] < looks.LEAST_APART


def compare_tests(tests: Iterable[Study], withheld: Mapping[str, str]) -> pd.DataFrame:
    """Compare what each test compares, on every measure of its protocol, at the look that is due.

    Parameters
    ----------
    tests : iterable of Study
    withheld : mapping
        Tests with a failed check -> why: their values by arm stay, effects and p-values are left out.

    Returns
    -------
    DataFrame
        RESULTS, and what later functions need: outcome (words), se, df, se_control, method, is_lower_better, is_look (a
        planned one), n_events (accounts with something).
    """
    frames = []
    for test in tests:
        parts = [_compare_group(test, name, part) for name, part in studies.list_groups(test)]
        parts = [part for part in parts if len(part)]
        if not parts:
            continue
        found = trials.adjust_arms(pd.concat(parts, ignore_index=True))
        if test.experiment_id in withheld:
            found[_SAYS], found["adjustment"] = np.nan, ""
            found["note"] = f"Result withheld. {withheld[test.experiment_id]}"
        frames.append(found)
    extra = ["outcome", "se", "df", "se_control", "method", "is_lower_better", "is_look", "n_events", "events_arm",
             "events_control"]  # fmt: skip
    table = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=[*RESULTS, *extra])
    return table[[*RESULTS, *extra]]


def _compare_group(test: Study, candidate: str, part: pd.DataFrame) -> pd.DataFrame:
    """Every measure of one candidate's arms (or of the candidates), adjusted for looks."""
    control = test.protocol.control
    if control not in set(part["group"]) or part["group"].nunique() < 2 or part["account_id"].duplicated().any():
        return pd.DataFrame()
    covariates = [name for name in test.covariates if part[name].std() > 0]
    options = {"control": control, "arm": "group", "covariates": covariates, "family": "family_id"}
    draws, frames = studies.draw_again(test, part), []
    for each in test.measured:
        level = _find_level(test, each)
        rows = trials.compare_arms(part, [each.columns], draws=draws, conf_level=level, **options)
        frames.append(_adjust(test, each, rows))
    found = pd.concat(frames, ignore_index=True).assign(experiment_id=test.experiment_id, candidate=candidate)
    top = {(each.role, each.measure.id): part[each.columns.numerator] > 0 for each in test.measured}
    inside = [part["group"].isin([row.arm, control]) & top[row.role, row.metric] for row in found.itertuples()]
    return found.assign(n_events=[int(each.sum()) for each in inside])


def _find_level(test: Study, measured: Measured) -> float:
    """The level of the look that is due, at which draws are read; guardrails and all else have 95 %."""
    is_looked = measured.role != "guardrail" and measured.measure.id == test.protocol.primary.id
    return _level_now(test) if is_looked else 0.95


def _level_now(test: Study) -> float:
    """The level of the interval at the planned look that is due, else 95 %."""
    taken, left, is_now = find_look(test.shares, test.protocol.looks)
    return looks.find_level([*taken, *left], len(taken)) if is_now else 0.95


def _adjust(test: Study, measured: Measured, rows: pd.DataFrame) -> pd.DataFrame:
    """Adjust the rows of one measure for the looks taken, or say why there is nothing to read."""
    name, slot = measured.measure.id, test.measured.index(measured)
    rows = rows.assign(outcome=measured.measure.words, is_lower_better=measured.measure.is_lower_better, is_look=True)
    if measured.absent:
        nothing = [*_SAYS, "value_arm", "value_control"]
        return rows.assign(note=f"{measured.absent}.", **dict.fromkeys(nothing, np.nan))
    share = float(test.frame[f"m{slot}_is_mature"].mean())
    if measured.role == "primary" or test.protocol.primary.id == name:
        taken, left, is_now = find_look(test.shares, test.protocol.looks)
        if is_now:
            return looks.adjust_look(rows, [*taken, *left], len(taken))
    elif share >= FULL:
        return looks.adjust_look(rows, [1.0], 1)
    if share == 0:
        return rows.assign(is_look=False, note="No window is over yet.")
    if rows["se"].isna().all():
        return rows.assign(is_look=False)
    mde = test.protocol.mde if measured.measure.is_rate else 2.8 * float(rows["se"].median()) * np.sqrt(share)
    return looks.always_valid(rows, mde).assign(is_look=False)


def check_guardrails(tests: Iterable[Study], compared: pd.DataFrame) -> pd.DataFrame:
    """Return every guardrail of every arm: holds, fails, or cannot tell (non-inferiority, at the level of the look).

    With one look that is one-sided 97.5 %. Several looks are as many chances to hold by luck, so each has the level
    that the decision has.

    experiment_id, candidate, arm, outcome, metric, effect, effect_low, effect_high (one at a time), not_worse_than,
    state, note.
    """
    frames = []
    for test in tests:
        rows = compared[(compared["experiment_id"] == test.experiment_id) & (compared["role"] == "guardrail")]
        if test.protocol is None or not len(rows):
            continue
        guards = test.protocol.guardrails
        lower = [each.id for each in guards if each.is_lower_better]
        margins = {each.id: each.not_worse_than for each in guards}
        level = (1 - _level_now(test)) / 2
        judged = trials.check_guardrails(rows.reset_index(drop=True), margins, lower_is_better=lower, level=level)
        state = np.select([judged["passes"], judged["is_worse"]], ["holds", "fails"], "cannot tell")
        rows = rows.reset_index(drop=True)
        named = rows[["experiment_id", "candidate", "arm", "control", "outcome", "metric", "effect", "note"]]
        state = np.where(rows["effect"].isna(), "not judged", state)
        ends = judged[["effect_low", "effect_high"]]
        frames.append(named.assign(**ends, not_worse_than=judged["not_worse_than"], state=state))
    return pd.concat(frames, ignore_index=True)[GUARDED] if frames else pd.DataFrame(columns=GUARDED)


def compare_within(tests: Iterable[Study], withheld: Mapping[str, str], traits: Mapping[str, dict]) -> pd.DataFrame:
    """Search for kinds of accounts in which an arm does better or worse than in the others, adjusted for the search.

    Only where a planned look is due; families whole, within the strata of the lot. `n_searches`
    is how many tests (and candidates) were searched: p_adjusted is multiplied by it, and the note says so.
    """
    frames, traits = [], {name: how for name, how in traits.items() if name not in _LATER}
    for test in tests:
        if test.group == "candidate" or test.experiment_id in withheld or test.protocol is None:
            continue
        if not find_look(test.shares, test.protocol.looks)[2]:
            continue
        for candidate, part in studies.list_groups(test):
            over = part[part["m0_is_mature"].astype(bool)].reset_index(drop=True)
            masks = _build_masks(over, build_levels(over, dict(traits)) if len(over) else [])
            if masks.shape[1] and test.protocol.control in set(over["arm"]) and over["arm"].nunique() > 1:
                found = heterogeneity.search_effects(
                    over, test.measured[0].columns, masks, control=test.protocol.control, mde=test.protocol.mde,
                    family="family_id", strata=pd.factorize(over["stratum"].fillna(""))[0],
                )  # fmt: skip
                frames.append(found.assign(experiment_id=test.experiment_id, candidate=candidate,
                                           metric=test.protocol.primary.id))  # fmt: skip
    if not frames:
        return pd.DataFrame()
    table, n = pd.concat(frames, ignore_index=True), len(frames)
    said = np.where(table["is_refused"].astype(bool) | (n == 1), "", f"adjusted for searches in {n} tests")
    note = np.where(table["note"] != "", table["note"], said)
    return table.assign(n_searches=n, p_adjusted=np.minimum(1.0, table["p_adjusted"] * n), note=note)


def _build_masks(part: pd.DataFrame, levels: list) -> pd.DataFrame:
    """Levels with at least 20 accounts of every arm, inside and outside; of two that are the same, one."""
    masks: dict[str, np.ndarray] = {}
    for _, _, segment in levels:
        mask = segment.mask(part)
        sizes = [part.loc[side, "arm"].value_counts().reindex(part["arm"].unique(), fill_value=0).min()
                 for side in (mask, ~mask)]  # fmt: skip
        is_known = any((mask == other).all() or (mask == ~other).all() for other in masks.values())
        if min(sizes) >= _LEAST_SIDE and not is_known:
            masks[segment.name] = mask
    return pd.DataFrame(masks, index=part.index)
