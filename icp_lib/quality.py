"""Can this extract be trusted, and for which questions? (notebook 00)"""

from __future__ import annotations

import pandas as pd

from icp_lib import stats
from icp_lib.checks import check_columns
from icp_lib.rules import is_comparable
from icp_lib.schemas import NEEDS, TABLES, WANTS

MIN_COVERAGE, MAX_GAP = 0.80, 0.10
STALE_DAYS = 365
_STATUS = {"error": "fail", "warning": "warn"}


def build_data_checks(checks: pd.DataFrame) -> pd.DataFrame:
    """Return every check that ran: `data_checks`, failures first.

    Parameters
    ----------
    checks : DataFrame
        `Extract.checks`.

    Returns
    -------
    DataFrame
        table, column, rule, status (pass / warn / fail), n_rows, n_checked, share, examples (up to five ids), message.
    """
    table = check_columns(checks, ["severity", "n_rows"], "checks").copy()
    table["status"] = table["severity"].map(_STATUS).where(table["n_rows"] > 0, "pass")
    table["share"] = table["n_rows"] / table["n_checked"].where(table["n_checked"] > 0)
    place = table["status"].map({"fail": 0, "warn": 1, "pass": 2})
    table = table.assign(_place=place).sort_values(
        ["_place", "table", "column", "rule"], kind="stable", ignore_index=True
    )
    return table[["table", "column", "rule", "status", "n_rows", "n_checked", "share", "examples", "message"]]


def build_population(population: pd.DataFrame, visible: pd.DataFrame) -> pd.DataFrame:
    """Follow the rows of every table from the file to the analysis: read = analysed + quarantined + excluded.

    Parameters
    ----------
    population : DataFrame
        `Extract.population`: table, step, reason, n_rows, n_won.
    visible : DataFrame
        `Run.visible`: table, n_visible (dated by as-of); for opportunities also the counts of deals.

    Returns
    -------
    DataFrame
        table, step (read, quarantined, excluded, analysed), reason, n_rows, n_won (opportunities only).
    """
    rows = []
    for table, steps in population.groupby("table", sort=False):
        seen = visible.set_index("table").loc[table]
        kept = int(steps.loc[steps["step"] == "kept", "n_rows"].sum())
        counted = steps[steps["step"] != "kept"].assign(
            _place=steps["step"].map({"read": 0, "quarantined": 1, "excluded": 2})
        )
        rows += counted.sort_values(["_place", "reason"]).drop(columns="_place").to_dict("records")
        rows += _after_reading(table, kept, steps.loc[steps["step"] == "kept", "n_won"].sum(), seen)
    return pd.DataFrame(rows, columns=["table", "step", "reason", "n_rows", "n_won"])


def _after_reading(table: str, kept: int, kept_won: float, seen: pd.Series) -> list[dict]:
    """What the quarter and icp.yml leave of the valid rows."""
    visible = int(seen["n_visible"])
    if table != "opportunities":
        later = [_row(table, "excluded", "dated after the quarter", kept - visible, None)] if kept > visible else []
        return [*later, _row(table, "analysed", "", visible, None)]
    relevant, won, other, later, ever = (
        int(seen[f"n_{name}"]) for name in ("relevant", "won", "won_other", "won_later", "won_ever")
    )
    steps = [
        _row(table, "excluded", "dated after the quarter", kept - visible, int(kept_won) - ever),
        _row(table, "excluded", "not relevant by icp.yml (type, amount)", visible - relevant, other),
    ]
    words = f"{later:,} won after the quarter count as open" if later else ""
    return [*(step for step in steps if step["n_rows"]), _row(table, "analysed", words, relevant, won)]


def _row(table: str, step: str, reason: str, n_rows: int, n_won) -> dict:
    return {"table": table, "step": step, "reason": reason, "n_rows": n_rows, "n_won": n_won}


def is_reconciled(population: pd.DataFrame) -> bool:
    """Return whether read = analysed + quarantined + excluded in every table."""
    signed = population["n_rows"].where(population["step"] != "read", -population["n_rows"])
    return bool((signed.groupby(population["table"]).sum() == 0).all())


def estimate_coverage(accounts: pd.DataFrame, traits: dict[str, dict]) -> pd.DataFrame:
    """How well each trait is filled in, and whether that depends on the outcome: `coverage`.

    A trait filled in more often for won than for other accounts may have been filled in after the sale.

    Returns
    -------
    DataFrame
        attribute, n_accounts, coverage_rate, n_won, coverage_won_rate, n_lost, coverage_lost_rate, gap_rate (won less
        lost), gap_rate_low, gap_rate_high (Newcombe), status (pass / warn), note; thinnest first.
    """
    won = accounts["n_won"] > 0
    others = ~won & (accounts["n_opportunities"] > 0)
    rows = []
    for attribute in traits:
        filled = (
            accounts[attribute].notna() if attribute in accounts.columns else pd.Series(False, index=accounts.index)
        )
        if attribute == "buyer_role":
            filled = filled[accounts["n_opportunities"] > 0]
        row = {
            "attribute": attribute,
            "n_accounts": len(filled),
            "coverage_rate": filled.mean() if len(filled) else float("nan"),
        }
        at = {"won": filled[won.reindex(filled.index)], "not_won": filled[others.reindex(filled.index)]}
        for name, part in at.items():
            row |= {f"n_{name}": len(part), f"coverage_{name}_rate": part.mean() if len(part) else float("nan")}
        gap = stats.estimate_difference(at["won"].sum(), len(at["won"]), at["not_won"].sum(), len(at["not_won"]))
        row |= {"gap_rate": gap.value, "gap_rate_low": gap.low, "gap_rate_high": gap.high}
        comparable = attribute not in accounts.columns or is_comparable(accounts, attribute)
        rows.append(row | _judge_coverage(row, comparable))
    columns = ["attribute", "n_accounts", "coverage_rate", "n_won", "coverage_won_rate", "n_not_won",
               "coverage_not_won_rate",
               "gap_rate", "gap_rate_low", "gap_rate_high", "status", "note"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["coverage_rate", "attribute"], kind="stable", ignore_index=True)


def _judge_coverage(row: dict, comparable: bool) -> dict:
    if not comparable:
        return {"status": "warn", "note": "Known only for won deals, so it cannot be compared"}
    notes = []
    if row["coverage_rate"] < MIN_COVERAGE:
        notes.append(f"Filled in for {row['coverage_rate']:.0%}" if row["coverage_rate"] else "Not in the extract")
    if row["gap_rate"] > MAX_GAP and row["gap_rate_low"] > 0:
        notes.append("Filled in more often for won deals: after the sale?")
    if row["gap_rate"] < -MAX_GAP and row["gap_rate_high"] < 0:
        notes.append("Filled in less often for won deals")
    return {"status": "warn" if notes else "pass", "note": ". ".join(notes)}


def build_readiness(
    notebooks: list[str], present: dict[str, list[str]], n_rows: dict[str, int], files: set[str] = frozenset()
) -> pd.DataFrame:
    """For every notebook, what it needs against what is there: `readiness`.

    Parameters
    ----------
    notebooks : list of str
        Names of the notebooks that this run has; those that need nothing known are ready.
    present : dict
        Table -> columns that the extract has.
    n_rows : dict
        Table -> rows analysed.
    files : set of str
        Other files of the company's folder (experiments.yml).

    Returns
    -------
    DataFrame
        notebook, status (ready / partly / not measured), missing, would_add.
    """

    def has(need: str) -> bool:
        table, _, column = need.partition(".")
        return (
            need in files
            if column == "yml"
            else bool(n_rows.get(table)) and (not column or column in present.get(table, []))
        )

    rows = []
    for notebook in notebooks:
        missing = [need for need in NEEDS.get(notebook, ()) if not has(need)]
        wanted = [want for want in WANTS.get(notebook, ()) if not has(want)]
        rows.append(
            {
                "notebook": notebook,
                "status": "not measured" if missing else "partly" if wanted else "ready",
                "missing": "; ".join(map(_need_words, missing)) or "nothing",
                "would_add": "; ".join(map(_need_words, wanted)) or "nothing",
            }
        )
    return pd.DataFrame(rows, columns=["notebook", "status", "missing", "would_add"])


def _need_words(need: str) -> str:
    if need in TABLES:
        return f"{need} ({', '.join(column.name for column in TABLES[need].columns if column.required)})"
    return need


def estimate_stale(opportunities: pd.DataFrame, cutoff, by: str = "owner_id") -> pd.DataFrame:
    """Open relevant opportunities older than 365 days, by owner or another column: `stale_pipeline`.

    Returns
    -------
    DataFrame
        `by`, n_open, n_stale, stale_rate with its Wilson interval, oldest_days; most stale first.
    """
    columns = [by, "n_open", "n_stale", "stale_rate", "stale_rate_low", "stale_rate_high", "oldest_days"]
    table = opportunities[opportunities["is_relevant"] & (opportunities["status"] == "open")]
    age = (pd.Timestamp(cutoff) - table["created_at"]).dt.total_seconds() / 86400
    rows = []
    for value, days in age.groupby(table[by].fillna("(none)")):
        share = stats.estimate_proportion(days > STALE_DAYS, range(len(days)))
        rows.append([value, len(days), int((days > STALE_DAYS).sum()), *share[:3], round(days.max())])
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(["n_stale", by], ascending=[False, True], kind="stable", ignore_index=True)


def summarise(population: pd.DataFrame, checks: pd.DataFrame, coverage: pd.DataFrame) -> pd.DataFrame:
    """Return one row of counts for the page's first sentences: deals by what became of them, checks, thin traits."""
    deals = population[population["table"] == "opportunities"].groupby("step")["n_rows"].sum()
    status = checks["status"].value_counts()
    steps = {f"n_{step}": [int(deals.get(step, 0))] for step in ("read", "quarantined", "excluded", "analysed")}
    return pd.DataFrame(
        steps
        | {
            "n_checks": [len(checks)],
            "n_fail": [int(status.get("fail", 0))],
            "n_warn": [int(status.get("warn", 0))],
            "n_traits": [len(coverage)],
            "n_thin": [int((coverage["coverage_rate"] < MIN_COVERAGE).sum())],
        }
    )


def pick_table(population: pd.DataFrame, table: str | None = None) -> pd.DataFrame:
    """Return one table's steps, or all, with a readable `what`: the step, and the reason where there is one."""
    steps = population[population["table"] == table] if table else population.drop(columns="n_won")
    what = steps["step"].where(steps["reason"] == "", steps["step"] + ": " + steps["reason"])
    return steps.assign(what=what)[["table", "what", "n_rows", *(["n_won"] if table else [])]]


def pick_findings(checks: pd.DataFrame) -> pd.DataFrame:
    """Return the checks that found something: the message, the status and the rows."""
    found = checks[checks["status"] != "pass"]
    return found[["rule", "status", "n_rows", "message"]].reset_index(drop=True)


def build_reading(facts: dict) -> pd.DataFrame:
    """Return what was assumed while reading: table, column or file, read_as; files that were not read last."""
    unread = [words.split(": ", 1) for words in facts["not_read"]]
    rows = [{"table": "", "column": name, "read_as": f"not read: {why}"} for name, why in unread]
    return pd.DataFrame([*facts["assumed"], *rows], columns=["table", "column", "read_as"])
