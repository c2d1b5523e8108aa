"""`Quarter` and `Run`: when the research stands, and a notebook's only door to disk."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path

import ibis
import pandas as pd
import yaml

from icp_lib import accounts as account_table
from icp_lib import extract as extracts
from icp_lib import journeys as touch_paths
from icp_lib import rules
from icp_lib.checks import DataError, hint
from icp_lib.moments import Cutoff
from icp_lib.reading import escape_path
from icp_lib.saved import check_name, read_table, write_table
from icp_lib.schemas import TABLES
from icp_lib.settings import load_settings

REPOSITORY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Quarter:
    """One quarter of a company's fiscal year: `[start, end)`, seen as of its last day.

    A fiscal year that does not start in January is named after the year in which it ends.
    """

    year: int
    number: int
    fiscal_year_start: int = 1

    @classmethod
    def parse(cls, text: str, fiscal_year_start: int = 1) -> Quarter:
        """Read '2026-Q3' (or '2026Q3'); anything else is refused.

        Examples
        --------
        >>> str(Quarter.parse("2026Q3"))
        '2026-Q3'
        """
        found = re.fullmatch(r"(20[0-9]{2})-?Q([1-4])", str(text), re.ASCII)
        if not found:
            raise DataError(f"quarter: {str(text)!r} is not a quarter. Write it as 2026-Q3.")
        return cls(int(found[1]), int(found[2]), fiscal_year_start)

    @classmethod
    def before(cls, day: date, fiscal_year_start: int = 1) -> Quarter:
        """Return the last quarter that has ended before `day`.

        Examples
        --------
        >>> str(Quarter.before(date(2026, 10, 1))), str(Quarter.before(date(2026, 9, 30)))
        ('2026-Q3', '2026-Q2')
        """
        months = day.year * 12 + day.month - fiscal_year_start
        year, quarter = divmod(months // 3 - 1, 4)
        return cls(year + (fiscal_year_start > 1), quarter + 1, fiscal_year_start)

    @classmethod
    def containing(cls, day: date, fiscal_year_start: int = 1) -> Quarter:
        """Return the quarter in which a day lies.

        Examples
        --------
        >>> str(Quarter.containing(date(2026, 10, 1)))
        '2026-Q4'
        """
        return cls.before(cls.before(day, fiscal_year_start).end + timedelta(days=93), fiscal_year_start)

    def __str__(self) -> str:
        return f"{self.year}-Q{self.number}"

    @property
    def start(self) -> date:
        """First day."""
        months = (self.year - (self.fiscal_year_start > 1)) * 12 + self.fiscal_year_start - 1 + 3 * (self.number - 1)
        return date(months // 12, months % 12 + 1, 1)

    @property
    def end(self) -> date:
        """First day after it."""
        months = self.start.year * 12 + self.start.month - 1 + 3
        return date(months // 12, months % 12 + 1, 1)

    @property
    def as_of(self) -> date:
        """Last day."""
        return self.end - timedelta(days=1)

    @property
    def previous(self) -> Quarter:
        """The quarter before."""
        return Quarter.before(self.start, self.fiscal_year_start)

    def cutoff(self, zone: str) -> Cutoff:
        """Return the first moment after as-of in a time zone, as naive UTC."""
        return Cutoff.at_end(self.as_of, zone)


@dataclass(frozen=True)
class Run:
    """One company in one quarter. `run.<table>` is a canonical table as it was known at the quarter's end."""

    quarter: Quarter
    data: Path
    out: Path
    extract: extracts.Extract
    _frames: dict = field(default_factory=dict, repr=False, compare=False)

    @property
    def settings(self):
        """The company's settings (`icp.yml`)."""
        return self.extract.settings

    @property
    def as_of(self) -> date:
        """The quarter's last day."""
        return self.quarter.as_of

    @property
    def cutoff(self) -> Cutoff:
        """The first moment that does not exist yet, naive UTC."""
        return self.quarter.cutoff(self.settings.timezone)

    @cached_property
    def before(self) -> Run:
        """The same extract as it stood a quarter earlier."""
        return Run(self.quarter.previous, self.data, self.out, self.extract)

    @property
    def cutoffs(self) -> list[datetime]:
        """The first moments after the last twelve quarters, this one last: when a report looked."""
        quarters = [self.quarter]
        while len(quarters) < 12:
            quarters.insert(0, quarters[0].previous)
        return [each.cutoff(self.settings.timezone) for each in quarters]

    @property
    def outcome_tables(self) -> tuple[pd.DataFrame, ...]:
        """Opportunities, touches, stage history and stages: what the outcomes of tests are made of."""
        return self.opportunities, self.touches, self.stage_history, self.stages

    def set_aside(self, name: str) -> pd.DataFrame:
        """Rows of a table that are in quarantine, as written, with file, line and reason; never published."""
        path = self.extract.cache / "quarantine" / f"{check_name(name)}.csv"
        return pd.read_csv(path, dtype="str", keep_default_na=False) if path.exists() else pd.DataFrame()

    @property
    def work(self) -> Path:
        """The working folder of this quarter."""
        return self.out / ".work" / str(self.quarter)

    @property
    def run_id(self) -> str:
        """Eight characters of the hash of contents, settings, quarter and code; never of paths or times."""
        return extracts.run_id(self.extract, str(self.quarter))

    def __getattr__(self, name: str) -> pd.DataFrame:
        if name.startswith("_") or name not in TABLES or hasattr(type(self), name):
            raise AttributeError(f"run has no '{name}'. {hint(name, [*TABLES, 'accounts', 'save', 'table', 'check'])}")
        if name not in self._frames:
            self._frames[name] = self._expression(name).to_pandas()
        return self._frames[name]

    def _expression(self, name: str):
        """The canonical table, cut at the quarter's end, still in the engine."""
        whole = self._engine.read_parquet(escape_path(self.extract.path(name)), table_name=name)
        return account_table.cut(whole, name, self.cutoff, **self._relevant)

    @property
    def _relevant(self) -> dict:
        """What counts as a relevant opportunity, as keywords."""
        return {"types": self.settings.relevant.types, "min_amount": self.settings.relevant.min_amount}

    @cached_property
    def _engine(self):
        return ibis.duckdb.connect()

    @cached_property
    def accounts(self) -> pd.DataFrame:
        """The account table: one row an account, canonical columns plus derived ones (`accounts.build`)."""
        return account_table.build(*map(self._expression, ("accounts", "opportunities", "account_history")))

    @cached_property
    def journeys(self) -> pd.DataFrame:
        """The channels that each account met until its deal was decided (`journeys.build_journeys`)."""
        tables = map(self._expression, touch_paths.TABLES)
        spend = sorted(self.spend["channel"].dropna().unique())
        channels = (*self.settings.channels, *self.settings.paid_channels, *spend)
        return touch_paths.build_journeys(*tables, cutoff=self.cutoff, channels=channels)

    @cached_property
    def contacted(self) -> pd.DataFrame:
        """Since when each account is touched, and when it was contacted (`journeys.build_contacted`)."""
        return touch_paths.build_contacted(*map(self._expression, touch_paths.TABLES), cutoff=self.cutoff)

    @cached_property
    def visible(self) -> pd.DataFrame:
        """Rows of each table dated by as-of: see `accounts.count_visible`."""
        tables = {name: self._engine.read_parquet(escape_path(self.extract.path(name))) for name in TABLES}
        return account_table.count_visible(tables, self.cutoff, **self._relevant)

    @cached_property
    def traits(self) -> dict[str, dict]:
        """Attribute -> how it is cut into levels, as declared in icp.yml; one set of edges for all pages."""
        declared = {name: trait.model_dump() for name, trait in self.settings.traits.items()}
        return rules.fix_edges(self.accounts[self.accounts["n_opportunities"] > 0], declared)

    @property
    def n_rows(self) -> dict[str, int]:
        """Table -> rows dated by as-of."""
        return dict(zip(self.visible["table"], self.visible["n_visible"], strict=True))

    @property
    def notebooks(self) -> list[str]:
        """Names of the notebooks of this company's report: the stock ones and its own."""
        folders = (REPOSITORY / "notebooks", self.data / "notebooks")
        return sorted({path.stem for folder in folders for path in folder.glob("[0-9]*.ipynb")})

    @property
    def files(self) -> set[str]:
        """Names of the settings files in the company's folder."""
        return {path.name for path in self.data.glob("*.yml")}

    def value_options(self, measure: pd.DataFrame) -> dict:
        """Return the keywords of the value measure: cutoff, measure, gross_margin_rate and, for retention, revenue.

        Parameters
        ----------
        measure : DataFrame
            The row of `value.choose_measure`.
        """
        used = measure["measure"].iloc[0]
        return {
            "cutoff": self.cutoff,
            "measure": used,
            "gross_margin_rate": self.settings.gross_margin_rate,
            "revenue": self.revenue if used == "retention" else None,
        }

    def save(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """Write a result table to ``tables/<name>.csv`` and return it.

        See `saved.write_table`.
        """
        check_name(name)
        (self.work / "tables").mkdir(parents=True, exist_ok=True)
        target = self.work / "tables" / f"{name}.csv"
        passing = target.with_suffix(".part")
        write_table(frame, passing)
        passing.replace(target)
        with (self.work / "saved.txt").open("a", encoding="utf-8") as note:  # whose table it is: `execution.list_saved`
            note.write(f"{os.getpid()} {name}\n")
        return frame

    @property
    def _tables_folder(self) -> Path:
        """The working folder's tables; the report's where nothing is being worked on. Never a mixture of two runs."""
        working = self.work / "tables"
        return working if any(working.glob("*.csv")) else self.out / str(self.quarter) / "tables"

    def table(self, name: str) -> pd.DataFrame:
        """Read a result table of this quarter: from the working folder, else from the report.

        Raises
        ------
        DataError
            No notebook has saved it yet.
        """
        path = self._tables_folder / f"{check_name(name)}.csv"
        if path.exists():
            return read_table(path)
        raise DataError(
            f"{name}: not there yet for {self.quarter}. Run `make report`, or the notebook that saves it, first."
        )

    def tables(self, prefix: str) -> pd.DataFrame:
        """Return the result tables of this quarter whose names start with `prefix`, stacked in their order."""
        names = sorted(path.stem for path in self._tables_folder.glob(f"{check_name(prefix)}*.csv"))
        frames = [frame for name in names if len(frame := self.table(name))]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def previous(self, name: str) -> pd.DataFrame:
        """Read a table that last quarter's report printed; without one, an empty frame."""
        path = self.out / str(self.quarter.previous) / "tables" / f"{check_name(name)}.csv"
        return read_table(path) if path.exists() else pd.DataFrame()

    def save_draws(self, frame: pd.DataFrame, name: str) -> pd.DataFrame:
        """Write the shared draws of a headline figure to ``draws/<name>.parquet`` and return them.

        One row a draw, one column a key (segment_id, "all" for the company): row b is draw b of `draws.draw_weights`
        in every file, so what is computed from two of them keeps their covariance.
        """
        folder = self.work / "draws"
        folder.mkdir(parents=True, exist_ok=True)
        passing = folder / f"{check_name(name)}.part"
        frame.to_parquet(passing, index=False)
        passing.replace(folder / f"{name}.parquet")
        return frame

    def draws(self, name: str) -> pd.DataFrame:
        """Read the shared draws of a headline figure from where `table` reads; without them, no rows."""
        path = self._tables_folder.parent / "draws" / f"{check_name(name)}.parquet"
        return pd.read_parquet(path) if path.exists() else pd.DataFrame()

    def save_profile(self, profile: dict) -> dict:
        """Write ``profile.yml`` and return the profile."""
        self.work.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(profile, allow_unicode=True, sort_keys=False, width=110)
        (self.work / "profile.yml").write_text(text, encoding="utf-8")
        return profile

    def check(self, passed: bool, words: str):
        """Raise if a check did not pass; else return it as a line with a tick."""
        if not passed:
            raise DataError(f"check failed: {words}")
        from icp_lib import display

        return display.passed(words)


def start_run(quarter: str, data: str, out: str) -> Run:
    """Open a company's quarter: the first line of every notebook.

    Parameters
    ----------
    quarter : str
        '2026-Q3'.
    data, out : str
        The company's folder and where reports go; relative paths mean from the repository root.

    Returns
    -------
    Run
    """
    from icp_lib import display

    data_folder, out_folder = REPOSITORY / Path(data).expanduser(), REPOSITORY / Path(out).expanduser()
    when = Quarter.parse(quarter, load_settings(data_folder).fiscal_year_start)
    extract = extracts.load(data_folder, out_folder, raw=_raw_of(out_folder, when, data_folder))
    display.set_currency(extract.settings.currency)
    return Run(when, data_folder, out_folder, extract)


def _raw_of(out: Path, quarter: Quarter, data: Path) -> str | None:
    """Where `make report` was told that the files lie, so that a notebook opened by hand reads the same ones."""
    note = out / ".work" / str(quarter) / "raw.json"
    said = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {}
    return said.get("raw") if said.get("data") == str(data) else None
