"""Whether a test was fair: checks that come before any result; one that fails withholds the verdict."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from icp_lib import designs
from icp_lib.protocols import name_day, name_words
from icp_lib.studies import ANALYSED, FULL, Study, numeric_columns

PASSED, FAILED, NOTED, OPEN = "passed", "failed", "noted", "not made yet"
COLUMNS = ["experiment_id", "test", "check", "state", "found", "p_value", "todo"]
ALARM, MOST_CONTAMINATED, LEAST_EXPOSED = 0.01, 0.05, 0.80
#: Accounts of an arm whose window is over, from which on it can be said that nobody is worked.
MIN_JUDGED = 10
_TRAITS = ("employees", "annual_revenue")


def check_health(studies: Iterable[Study]) -> pd.DataFrame:
    """Check every test, line by line of its assignment list.

    Parameters
    ----------
    studies : iterable of Study

    Returns
    -------
    DataFrame
        experiment_id, test (its name), check, state (passed, failed, noted, not made yet), found (with its counts),
        p_value (NaN where nothing was tested), todo; in the order of the tests and of the checks. A
        test without a line in the list has its protocol checked only.
    """
    studies = list(studies)
    rows = []
    for study in studies:
        named = {"experiment_id": study.experiment_id, "test": study.title}
        rows += [named | row for row in _check_study(study, studies)]
    return pd.DataFrame(rows, columns=COLUMNS)


def list_withheld(health: pd.DataFrame) -> dict[str, str]:
    """Return, for every test with a failed check, why its result is withheld: the first failed check and its counts."""
    failed = health[health["state"] == FAILED].drop_duplicates("experiment_id")
    return {row.experiment_id: f"{row.check}: {row.found}" for row in failed.itertuples()}


def _row(check: str, state: str, found: str, todo: str = "", p_value: float = float("nan")) -> dict:
    return {"check": check, "state": state, "found": found, "todo": todo, "p_value": p_value}


def _check_study(study: Study, studies: list[Study]) -> list[dict]:
    rows = [_check_protocol(study)]
    if not len(study.lines):
        return rows
    rows.append(_check_lines(study))
    if study.protocol is None:
        return rows
    rows += [_check_arms(study), _check_loss(study), _check_ratio(study), _check_dates(study)]
    rows += [_check_exposure(study), _check_control(study), _check_overlap(study, studies), _check_metric(study)]
    return [row for row in [*rows, _check_balance(study)] if row]


def _check_protocol(study: Study) -> dict:
    """Whether there is a protocol, unchanged, written before the first account was assigned."""
    name, protocol = "Protocol before launch", study.protocol
    if protocol is None:
        return _row(name, FAILED, study.problem, "Without a protocol a result can mean anything. Mend the file.")
    if protocol.agreed and protocol.agreed != protocol.hash:
        found = f"its rules are not those agreed: {protocol.agreed} then, {protocol.hash} now."
        return _row(name, FAILED, found, "Put the old rules back and list the change under deviations.")
    first = study.lines["assigned_on"].min() if len(study.lines) else pd.NaT
    written = pd.Timestamp(protocol.written_on) if protocol.written_on else pd.NaT
    if pd.notna(written) and pd.notna(first) and written >= first:
        found = f"written on {name_day(written)}, the first account was assigned on {name_day(first)}."
        return _row(name, FAILED, found, "A protocol written later is no protocol. Repeat the test.")
    if not protocol.is_dated:
        found = "there is one; when it was written is not said, and no rules are agreed."
        return _row(name, NOTED, found, "Its result stays promising. Write written_on, and agreed from `make assign`.")
    known = f"written on {name_day(written)}" if pd.notna(written) else f"agreed as {protocol.agreed}"
    return _row(name, PASSED, f"{known}.")


def _check_lines(study: Study) -> dict:
    """Every line of the list is analysed, or named with its reason."""
    fates = study.lines["fate"].value_counts()
    n, lost = len(study.lines), fates.drop(ANALYSED, errors="ignore")
    found = f"{fates.get(ANALYSED, 0):,} of {n:,} lines of the list are analysed"
    found += "".join(f"; {count:,} {reason}" for reason, count in sorted(lost.items())) + "."
    if lost.get("in two groups"):
        first = sorted(study.lines.loc[study.lines["fate"] == "in two groups", "account_id"])[0]
        return _row("Assignment list", FAILED, f"{found} First: {first}.", "Say which group each was in.")
    if not fates.get(ANALYSED):
        return _row("Assignment list", FAILED, found, "Export the accounts of the list, or mend its ids.")
    return _row("Assignment list", NOTED if len(lost) else PASSED, found)


def _check_arms(study: Study) -> dict:
    """The arms of the list are those of the protocol, and every one has accounts."""
    protocol = study.protocol
    wanted = set(protocol.arms) if study.group == "arm" else {each.id for each in protocol.profiles}
    there = set(study.frame["group"].dropna())
    strange, empty = sorted(there - wanted), sorted(wanted - there)
    if strange or empty:
        found = "; ".join(
            [*(f"'{each}' is not in the protocol" for each in strange), *(f"'{each}' has no account" for each in empty)]
        )
        return _row("Groups", FAILED, f"{found}.", "Use the names of the protocol in assignments.")
    counts = study.frame["group"].value_counts()
    return _row("Groups", PASSED, f"{', '.join(f'{name_words(each)} {counts[each]:,}' for each in sorted(wanted))}.")


def _counts(study: Study, rows: pd.DataFrame, column: str = "account_id") -> dict[str, int]:
    """Lines of each arm, or families: these were assigned, so only their numbers follow the lot."""
    rows = rows if column == "account_id" else rows.drop_duplicates([study.group, column])
    return {str(name): int(n) for name, n in rows[study.group].value_counts().sort_index().items()}


def _check_loss(study: Study) -> dict | None:
    """As many families have lost an account in one arm as in another: Fisher's exact test."""
    assigned = _counts(study, study.lines)
    analysed = _counts(study, study.lines[study.lines["fate"] == ANALYSED])
    control = study.protocol.control
    if len(assigned) < 2 or control not in assigned:
        return None
    families = _counts(study, study.lines, "family_id")
    torn = _counts(study, study.lines[study.lines["fate"] != ANALYSED], "family_id")
    whole = {name: n - torn.get(name, 0) for name, n in families.items()}
    table = designs.check_loss(families, whole, control=control, alarm=ALARM)
    lost = "; ".join(f"{name_words(name)} {n - analysed.get(name, 0):,} of {n:,}" for name, n in assigned.items())
    p_value = table["p_adjusted"].min()
    if table["passes"].all():
        return _row("Loss by group", PASSED, f"lost: {lost}.", p_value=p_value)
    return _row("Loss by group", FAILED, f"the groups are uneven: lost {lost}.", "Find the lost accounts.", p_value)


def _check_ratio(study: Study) -> dict | None:
    """Arms filled by a coin have the sizes that the coin gives; a list made by strata has its sizes by design."""
    if study.group != "arm" or study.protocol.assignment.filled_by != "coin":
        return None
    counts = _counts(study, study.lines)
    shares = dict.fromkeys(study.protocol.arms, 1 / len(study.protocol.arms))
    if len(counts) < 2:
        return None
    families = _counts(study, study.lines, "family_id")
    found = designs.check_ratio({name: families.get(name, 0) for name in shares}, shares, alarm=ALARM).iloc[0]
    sizes, what = " against ".join(f"{n:,} {name_words(name)}" for name, n in counts.items()), "accounts"
    if families != counts:
        what = "families"
        sizes += f", in {' and '.join(f'{n:,}' for n in families.values())} families"
    words = f"{sizes}; a shift of {found['detectable_share']:.0%} of the {what} would show."
    if found["passes"]:
        return _row("Sizes of the groups", PASSED, words, p_value=found["p_value"])
    todo = "Something after the coin decided who is in the list. Find it before anything else."
    return _row("Sizes of the groups", FAILED, f"the groups are uneven: {words}", todo, found["p_value"])


def _check_dates(study: Study) -> dict:
    """Nobody was worked as the arm says before the assignment."""
    frame = study.frame
    early = frame[frame["exposed_at"] < frame["assigned_at"]]
    if len(early):
        found = f"{len(early):,} accounts were worked before they were assigned (first: {early['account_id'].min()})."
        return _row("Assigned first", FAILED, found, "What they did was seen before the lot: give the true dates.")
    return _row("Assigned first", PASSED, "no account was worked before it was assigned.")


def _over(study: Study) -> pd.DataFrame:
    """Accounts whose primary window is over."""
    return study.frame[study.frame["m0_is_mature"].astype(bool)]


def _check_exposure(study: Study) -> dict:
    """Accounts of an arm were worked as it says."""
    over, protocol = _over(study), study.protocol
    if not len(over):
        return _row("Worked as planned", OPEN, "no window is over yet.")
    treated = over if study.group == "candidate" else over[over["arm"] != protocol.control]
    shares = treated["exposed_at"].notna().groupby(treated["group"]).agg(["sum", "size"])
    words = ", ".join(f"{int(n):,} of {int(size):,} in {name_words(name)}" for name, n, size in shares.itertuples())
    is_idle = shares["sum"] == 0
    if is_idle.any() and (shares.loc[is_idle, "size"] < MIN_JUDGED).all() and study.shares[-1] < FULL:
        return _row("Worked as planned", OPEN, f"{words}; from {MIN_JUDGED} on it can be judged.")
    if is_idle.any():
        todo = "Record exposed_at, or the group was never worked and nothing was tested."
        return _row("Worked as planned", FAILED, f"a group has nobody worked: {words}.", todo)
    is_low = (shares["sum"] < LEAST_EXPOSED * shares["size"]).any()
    todo = "All are counted as assigned, so the effect is that of trying." if is_low else ""
    return _row("Worked as planned", NOTED if is_low else PASSED, f"{words}.", todo)


def _check_control(study: Study) -> dict | None:
    """Accounts left alone were left alone."""
    if study.group == "candidate":
        return None
    control = study.frame[study.frame["arm"] == study.protocol.control]
    n_worked = int(control["exposed_at"].notna().sum())
    name, n = name_words(study.protocol.control), len(control)
    found = f"{n_worked:,} of {n:,} accounts in the group {name} were worked as the others."
    if n_worked > MOST_CONTAMINATED * len(control):
        return _row("Control left alone", FAILED, found, "The groups differ too little. Repeat with the list locked.")
    todo = "They stay where they were assigned: the effect shown is a little too small." if n_worked else ""
    return _row("Control left alone", NOTED if n_worked else PASSED, found, todo)


def _check_overlap(study: Study, studies: list[Study]) -> dict:
    """No account was in another test at the same time."""
    own, shared = _spans(study), set()
    for other in studies:
        if other is not study and other.protocol is not None and len(other.frame):
            both = own.merge(_spans(other), on="account_id", suffixes=("", "_other"))
            at_once = (both["start"] < both["end_other"]) & (both["start_other"] < both["end"])
            shared |= set(both.loc[at_once, "account_id"])
    found = f"{len(shared):,} of {len(own):,} accounts were in another test at the same time."
    if len(shared) > MOST_CONTAMINATED * len(own):
        return _row("One test at a time", FAILED, found, "Two treatments cannot be told apart.")
    return _row("One test at a time", NOTED if shared else PASSED, found)


def _spans(study: Study) -> pd.DataFrame:
    start = study.frame["assigned_at"]
    end = start + pd.Timedelta(days=study.protocol.primary.window_days)
    return pd.DataFrame({"account_id": study.frame["account_id"], "start": start, "end": end})


def _check_metric(study: Study) -> dict:
    """Somebody can have the primary metric."""
    primary = study.measured[0]
    if primary.absent:
        todo = "Correct the name in the protocol (under deviations), or add the table."
        return _row("Metric", FAILED, f"{primary.measure.words}: {primary.absent}.", todo)
    other = [f"{each.measure.words}: {each.absent}" for each in study.measured[1:] if each.absent]
    return _row("Metric", NOTED if other else PASSED, "; ".join([*other, f"{primary.measure.words} is recorded"]) + ".")


def _check_balance(study: Study) -> dict | None:
    """The arms were alike before, in means of families: the primary metric in the days before, and size."""
    frame, control = study.frame, study.protocol.control
    if study.group == "candidate" or control not in set(frame["arm"]) or frame["arm"].nunique() < 2:
        return None
    columns = {"the same metric before": frame["m0_before"].astype(float)}
    for name in (*_TRAITS, *study.protocol.assignment.balance_on):
        if name in frame and frame[name].notna().any():
            columns |= numeric_columns(frame[name], name)
    columns = {name: values for name, values in columns.items() if values.std() > 0}
    if not columns:
        return _row("Alike before", OPEN, "nothing is known of the accounts before the test.")
    by_family = frame[["arm", "family_id"]].assign(**columns).groupby(["arm", "family_id"], as_index=False).mean()
    table = designs.check_balance(by_family, list(columns), arm="arm", control=control)
    worst = table.loc[table["p_adjusted"].fillna(1.0).idxmin()]
    words = f"{worst['covariate'].replace('_', ' ')}, {abs(worst['difference_in_sd']):.2f} standard deviations"
    found = f"largest difference: {words}, of {len(columns):,} things compared."
    if worst["p_adjusted"] < ALARM:
        todo = "Not by lot, or very bad luck: find out how the list was made."
        return _row("Alike before", FAILED, found, todo, worst["p_adjusted"])
    return _row("Alike before", PASSED, found, p_value=worst["p_adjusted"])
