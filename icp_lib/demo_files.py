"""The demo company's folder: the clean world as an extract would look, with a little of the dirt that extracts have.

Every kind of dirt is counted in `truth.yml`, so that what the data check finds can be held against what was planted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from icp_lib import demo_words as words
from icp_lib.demo_core import TRUTH

_IMPORT_DAY = np.datetime64("2024-03-04T05:00:00", "us")


def write_folder(folder: Path, world: dict[str, pd.DataFrame], seed: int) -> Path:
    """Write the tables of `world` as CSV with dirt, the settings, the words and the truth; return the folder."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 100])
    dirt: list[dict] = []
    world = {name: frame.copy() for name, frame in world.items()}
    for name in ("accounts", "prospects"):
        world[name].insert(1, "account_name", draw_names(rng, world[name]))
    _soil_accounts(rng, world, dirt)
    texts = {name: to_text(frame) for name, frame in world.items()}
    soiled = _soil_opportunities(rng, texts, world["opportunities"], dirt)
    _soil_events(rng, texts, world["opportunities"], soiled, dirt)
    for name, frame in texts.items():
        frame.to_csv(folder / f"{name}.csv", index=False, lineterminator="\n", encoding="utf-8")
    feedback().to_csv(folder / "feedback.csv", index=False, lineterminator="\n", encoding="utf-8")
    truth = {"seed": seed, "n_accounts": len(world["accounts"]), **TRUTH, "dirt": dirt}
    for name, content in {
        "icp.yml": words.ICP_YML, "playbook.yml": words.PLAYBOOK_YML, "experiments.yml": words.EXPERIMENTS_YML,
        "truth.yml": "# What was planted when this company was made. No analysis reads it; tests do.\n"
                     + yaml.safe_dump(truth, sort_keys=False, allow_unicode=True, width=118),
    }.items():
        (folder / name).write_text(content, encoding="utf-8", newline="\n")
    return folder


def draw_names(rng: np.random.Generator, companies: pd.DataFrame) -> pd.Series:
    """Return an invented company name for each row, by country and industry."""
    country = companies["country"].fillna("Germany")
    industry = companies["industry"].fillna("Machine maker")
    surname, form = rng.random(len(companies)), rng.random(len(companies))
    names = []
    for place, trade, first, second in zip(country, industry, surname, form, strict=True):
        people, firms = words.SURNAMES[place], words.FIRMS[place][trade]
        names.append(firms[int(second * len(firms))].format(people[int(first * len(people))]))
    return pd.Series(names, index=companies.index, dtype="str")


def to_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return every column as text: times as ISO in UTC, months as dates, whole numbers without a point."""
    columns = {}
    for name, values in frame.items():
        if values.dtype.kind == "M":
            times = values.dt.strftime("%Y-%m-%d" if name == "month" else "%Y-%m-%dT%H:%M:%SZ")
            columns[name] = times.astype(object)
        elif str(values.dtype) in ("bool", "boolean"):
            columns[name] = values.map({True: "true", False: "false"}).astype(object)
        elif values.dtype.kind in "fi":
            known = values.dropna()
            written = values.map("{:.0f}".format if (known == np.floor(known)).all() else "{:.2f}".format)
            columns[name] = written.astype(object).where(values.notna(), None)
        else:
            columns[name] = values.astype(object).where(values.notna(), None)
    return pd.DataFrame(columns)


def _note(dirt: list[dict], table: str, kind: str, severity: str, keys: np.ndarray, rows: int | None = None) -> None:
    """Add one kind of dirt, with the keys of its rows, to the account of what was planted."""
    dirt.append({"table": table, "kind": kind, "severity": severity, "n_rows": len(keys) if rows is None else rows,
                 "first": sorted(map(str, keys))[:3]})


def _soil_accounts(rng: np.random.Generator, world: dict, dirt: list[dict]) -> None:
    """Plant test accounts, deleted and merged ones, an import day, and one id used twice."""
    accounts = world["accounts"]
    n = len(accounts)
    sold_to = accounts["account_id"].isin(world["opportunities"]["account_id"])
    used = sold_to | accounts["account_id"].isin(accounts["parent_account_id"]) | accounts["parent_account_id"].notna()
    used |= accounts["account_id"].isin(world["assignments"]["account_id"]) | (accounts["account_type"] != "prospect")
    free = rng.permutation(np.flatnonzero(~used))
    test, deleted, merged, twice = np.split(free[: _few(6, n) + _few(15, n) + _few(10, n) + 1],
                                            np.cumsum([_few(6, n), _few(15, n), _few(10, n)]))
    accounts.loc[test, "account_type"] = "test"
    accounts.loc[test, "account_name"] = [f"Test account {number}" for number in range(1, len(test) + 1)]
    accounts.loc[deleted, "is_deleted"] = True
    target = rng.permutation(np.flatnonzero(sold_to))[: len(merged)]
    accounts.loc[merged, "merged_into_account_id"] = accounts["account_id"].to_numpy()[target]
    early = np.flatnonzero((accounts["created_at"] < _IMPORT_DAY).to_numpy())
    imported = np.sort(rng.permutation(np.setdiff1d(early, twice))[: round(0.08 * n)])
    accounts.loc[imported, "created_at"] = _IMPORT_DAY
    _not_before(world, accounts["account_id"].iloc[imported])
    copy = accounts.iloc[twice].assign(employees=accounts["employees"].iloc[twice].fillna(0) + 40, city="Hamm")
    world["accounts"] = pd.concat([accounts, copy], ignore_index=True)
    key = accounts["account_id"].to_numpy()
    _note(dirt, "accounts", "test account", "excluded", key[test])
    _note(dirt, "accounts", "deleted", "excluded", key[deleted])
    _note(dirt, "accounts", "merged into another account", "excluded", key[merged])
    _note(dirt, "accounts", "many created on one day", "warning", key[imported])
    _note(dirt, "accounts", "one id, different contents", "error", key[twice], rows=2)


def _not_before(world: dict, imported: pd.Series) -> None:
    """Move what was recorded in the imported accounts to the import day, as an import does."""
    for table, column in (("contacts", "created_at"), ("account_history", "valid_from")):
        frame = world[table]
        moved = frame["account_id"].isin(imported) & (frame[column] < _IMPORT_DAY)
        frame.loc[moved, column] = _IMPORT_DAY
    history = world["account_history"]
    world["account_history"] = history.drop_duplicates(["account_id", "attribute", "valid_from"], keep="last",
                                                       ignore_index=True)


def _few(count: int, n: int) -> int:
    """Return how many dirty rows a company of `n` accounts gets: `count` for 6,000, at least one."""
    return max(1, round(count * n / 6000))


def _soil_opportunities(rng: np.random.Generator, texts: dict, clean: pd.DataFrame, dirt: list[dict]) -> set[str]:
    """Plant in the opportunities what a CRM lets people type; return the ids of the deals touched."""
    table, n = texts["opportunities"], len(texts["accounts"])
    status, key = clean["status"].to_numpy(), clean["opportunity_id"].to_numpy()
    order = rng.permutation(len(table))
    won, lost, open_ = (order[status[order] == word] for word in ("won", "lost", "open"))
    middling = clean["amount"].between(1.3 * clean["amount"].median(), 2 * clean["amount"].median()).to_numpy()
    big = won[middling[won]][:1]
    won = np.setdiff1d(won, big, assume_unique=True)
    lost, unknown = lost[_few(12, n):], lost[: _few(12, n)]
    lost, days = lost[_few(9, n):], lost[: _few(9, n)]
    lost, hours = lost[_few(7, n):], lost[: _few(7, n)]
    lost, bad_date = lost[_few(3, n):], lost[: _few(3, n)]
    lost, bad_amount = lost[_few(4, n):], lost[: _few(4, n)]
    copied, zero = lost[: _few(8, n)], won[: _few(6, n)]
    created = clean["created_at"].to_numpy()
    table.loc[unknown, "account_id"] = [f"A9{number:05d}" for number in rng.integers(0, 99999, len(unknown))]
    table.loc[days, "closed_at"] = _iso(created[days] - _seconds(rng, 3 * 86400, 40 * 86400, len(days)))
    table.loc[hours, "closed_at"] = _iso(created[hours] - _seconds(rng, 3600, 20 * 3600, len(hours)))
    table.loc[bad_date, "closed_at"] = np.resize(["tbd", "n/a", "next week"], len(bad_date))
    table.loc[bad_amount, "amount"] = np.resize(["n/a", "tbd", "ask Petra's team", "?"], len(bad_amount))
    table.loc[zero, ["amount", "gross_margin"]] = ["0", "0.00"]
    table.loc[big, "amount"] = [f"{1000 * value:.0f}" for value in clean["amount"].to_numpy()[big]]
    expected = open_[rng.random(len(open_)) < 0.55]
    hoped = np.datetime64("2026-10-12T10:00:00", "us") + _seconds(rng, 0, 150 * 86400, len(expected))
    table.loc[expected, "closed_at"] = _iso(hoped)
    texts["opportunities"] = pd.concat([table, table.loc[copied]], ignore_index=True)
    for kind, severity, rows in (
        ("account not in accounts", "error", unknown), ("closed before created, by days", "error", days),
        ("closed before created, by hours", "warning", hours), ("unreadable date", "error", bad_date),
        ("unreadable amount", "error", bad_amount), ("won with an amount of zero", "warning", zero),
        ("amount 1,000 times too large", "warning", big), ("identical copy", "excluded", copied),
        ("open with an expected closing date", "none", expected),
    ):
        _note(dirt, "opportunities", kind, severity, key[rows])
    return set(key[np.concatenate([unknown, days, hours, bad_date, bad_amount, zero, big, copied])])


def _soil_events(
    rng: np.random.Generator, texts: dict, deals: pd.DataFrame, soiled: set[str], dirt: list[dict],
) -> None:
    """Plant touches that belong to nobody and stages entered before the deal was opened."""
    n, touches, stages = len(texts["accounts"]), texts["touches"], texts["stage_history"]
    alone = np.flatnonzero(touches["opportunity_id"].isna())
    unknown, empty = np.split(rng.permutation(alone)[: 2 * _few(40, n)], 2)
    touches.loc[unknown, "account_id"] = [f"A8{number:05d}" for number in rng.integers(0, 99999, len(unknown))]
    touches.loc[empty, ["account_id", "lead_id", "contact_id"]] = None
    _note(dirt, "touches", "account not in accounts", "warning", touches["touch_id"].to_numpy()[unknown])
    _note(dirt, "touches", "neither account nor lead", "none", touches["touch_id"].to_numpy()[empty])
    second = np.flatnonzero((stages["stage"] == "Qualified") & ~stages["opportunity_id"].isin(soiled))
    early = np.sort(rng.permutation(second)[: _few(10, n)])
    opened = deals.set_index("opportunity_id")["created_at"].loc[stages["opportunity_id"].iloc[early]]
    stages.loc[early, "entered_at"] = _iso(opened.to_numpy() - _seconds(rng, 5 * 86400, 30 * 86400, len(early)))
    _note(dirt, "stage_history", "entered before the opportunity was created", "error",
          stages["opportunity_id"].to_numpy()[early])


def _seconds(rng: np.random.Generator, low: int, high: int, size: int) -> np.ndarray:
    return rng.integers(low, high, size).astype("timedelta64[s]")


def _iso(times: np.ndarray) -> list[str]:
    return [f"{text}Z" for text in np.datetime_as_string(times, unit="s")]


def feedback() -> pd.DataFrame:
    """Return what the reps predicted before they saw the result, and what they said after."""
    rows = []
    for quarter, profile, predicted, reps, agrees, reasons in words.FEEDBACK:
        month = {"2026-Q2": "2026-07", "2026-Q3": "2026-10"}[quarter]
        for place, (rep, reason) in enumerate(zip(reps.split(), reasons, strict=True)):
            at = f"{month}-{2 + place // 3:02d}T{7 + place % 3 * 3:02d}:{11 + 3 * place:02d}:00Z"
            rows.append((quarter, "", profile, rep, predicted, agrees, reason, at))
    names = ["quarter", "segment_id", "profile", "rep_id", "predicted", "agrees", "reason", "recorded_at"]
    return pd.DataFrame(rows, columns=names).sort_values(["quarter", "profile", "rep_id"], ignore_index=True)
