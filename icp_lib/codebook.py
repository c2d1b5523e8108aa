"""The codebook and a folder to start from: `data/README.md` and `data/template/`, written from schemas and settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from icp_lib.metrics import METRICS
from icp_lib.protocols import METRIC_NAMES, Plan, Protocol
from icp_lib.schemas import DATED_BY, NEEDS, TABLES, WANTS, Column
from icp_lib.settings import Settings
from icp_lib.template import build_template

FOLDER = {
    "`icp.yml`": "Settings. Every key has a default, so the file may be short or missing.",
    "`accounts.csv`, `opportunities.csv`": "The two tables that are always needed.",
    "`<table>.csv`, `<table>.parquet`": "Any other table below. Several files of one table, `touches_2025.csv` and "
    "`touches_2026.csv`, are read one after another.",
    "exports of HubSpot, Salesforce, Pipedrive": "As they are, under any name: recognised by their headers. The data "
    "check says how each was read, and why a file was not.",
    "`<table>.sql`": "One SELECT that yields a canonical table from all-text tables named after the files; it wins "
    "over recognition and cannot open a file itself. `data/olist/` is an example.",
    "`fx.csv`": "Rates for a column `currency`: currency and rate, the company's currency for one unit.",
    "`experiments.yml`": "Protocols of ICP tests, written before launch, for 06: its keys stand below.",
    "`playbook.yml`": "Words of the team (goals, problems, objections, personas). Not used yet.",
    "`feedback.csv`": "What sales predicted and said: quarter, segment_id or profile, rep_id, predicted, agrees, "
    "reason, recorded_at. Not used yet.",
    "`notebooks/`": "Your own notebooks. One with the name of a stock notebook replaces it; others run before 07.",
}

#: Notebooks of the method that do not exist yet.
NOT_BUILT, NOT_YET = ("04_buyer_journey", "05_fit_and_lead_scoring"), " (not built yet)"

#: How a cell of each kind is written.
KINDS = {
    "id": "Text; capitals and leading zeros count. An e-mail address, and a person's name in `owner_id` or "
    "`contact_id`, becomes a code that still joins.",
    "text": "Text as it stands; an e-mail address in it is replaced by `(e-mail)`. In allowed words, capitals do not "
    "count.",
    "list": "Several values, separated by `;`.",
    "flag": "`true` or `false`; also t, f, yes, no, y, n, 1, 0.",
    "integer": "A whole number.",
    "number": "A number. The decimal mark is a point or a comma, one for a column.",
    "money": "A number; it may carry the company's currency sign, separators of thousands, parentheses for minus.",
    "time": "`2026-09-30` (that day in the company's time zone) or `2026-09-30T14:05:00Z` (without an offset: UTC). "
    "Other ways to write a day are recognised, one for a column, or told by `date_format`.",
    "month": "Its first day, `2026-09-01`, or `2026-09`.",
}

#: What holds for a whole table and not for one column.
NOTES = {
    "accounts": "Any other column is read too where `icp.yml` names it under `traits`. A deleted account is left "
    "out of every analysis, with all that belongs to it; what belongs to a merged one goes to the account that "
    "remains. A name (`account_name`) may stand in the file: it finds test records, and the account of rows that give "
    "a name and no id. Nothing keeps or shows it.",
    "opportunities": "A won or lost deal needs `closed_at`. Without `status`, `stage` and the table stages say it. "
    "Without amounts the value measure is the win rate; without a term, 12 months; without a margin, "
    "`gross_margin_rate` of `icp.yml`.",
    "account_history": "Traits as they were. Without it, old quarters see the traits of today.",
    "contacts": "An account with a row here can be contacted.",
    "revenue": "An account is live from its first month with revenue. A customer without revenue for 3 months, after "
    "having had some, has left.",
    "prospects": "Any other column is read too where `icp.yml` names it under `traits`.",
}

#: Columns that `accounts.build` adds to the account table: kind, definition.
DERIVED = {
    "family_id": ("id", "The ultimate parent's account; without a parent, the account itself. Accounts of one family "
                  "count as one in every interval and test."),
    "first_opportunity_at": ("time", "When the first relevant opportunity was opened."),
    "n_opportunities": ("integer", "Relevant opportunities opened by as-of. Won, lost and open ones add up to it."),
    "n_won": ("integer", "Of these, won by as-of, however long it took (the metric `n_won`: within 365 days)."),
    "n_lost": ("integer", "Of these, lost by as-of."),
    "n_open": ("integer", "Of these, open at as-of; one that closed later is open."),
    "first_won_at": ("time", "When the first relevant opportunity was won."),
    "is_customer": ("flag", "Whether a relevant opportunity was won by as-of."),
    "buyer_role": ("text", "Role of the buyer in the first relevant opportunity."),
    "lead_source": ("text", "What brought the first relevant opportunity; else the account's own lead source."),
    "part": ("text", "found: the older 60 % of accounts with a relevant opportunity, by their family's first; "
             "held_out: the newer ones; empty: no relevant opportunity."),
}  # fmt: skip

#: One line for each key of icp.yml; `traits.<column>` stands for the keys of every trait.
SETTINGS = {
    "name": "Stands at the head of every page; without it, the folder's name.",
    "currency": "Money in the files is in this currency (three letters).",
    "timezone": "Decides when a day, and so a quarter, ends.",
    "fiscal_year_start": "Month in which the fiscal year starts; 1 is January.",
    "quarter": "The quarter to report when none is given; without it, the last that has ended.",
    "raw": "Where the files lie, seen from this folder; without it, here.",
    "source": "The address of a database whose tables are read instead of files.",
    "max_file_gb": "A larger file is refused: it is hardly meant.",
    "date_format": "How dates are written where they are not ISO: for all, or by column (closed_at, leads.created_at).",
    "decimal": "The decimal mark of numbers, where it cannot be told.",
    "traits": "Columns that describe a company; your list replaces the default. One that is known only after "
    "the sale is refused.",
    "traits.<column>.bins": "Lower edges of the levels: [1, 5, 21] is 1 to 4, 5 to 20, 21 or more.",
    "traits.<column>.quantiles": "Or so many groups of about equal size among the older accounts with a deal.",
    "traits.<column>.kind": "How a column of your own is read; without it, a number if it has bins or quantiles, else "
    "text.",
    "relevant.types": "Opportunities of these types count; one without a type is new.",
    "relevant.min_amount": "The smallest amount that counts; above 0, an opportunity without an amount does not.",
    "exclude.account_types": "Accounts of these types are left out of every analysis, and counted by the data check.",
    "exclude.name_words": "So are accounts whose name is one of these words, digits, marks and a noun aside (Test 1, "
    "demo account); several words count at its start. [] turns this off.",
    "measure": "What 'best' means.",
    "gross_margin_rate": "Share of the amount that stands for the margin of a deal that gives none.",
    "best_customers": "Account ids of the best customers, if you name them yourself; empty: the top fifth by margin.",
    "max_quarantined": "The run stops when more than this share of a table cannot be used.",
    "paid_channels": "Channels where money buys leads.",
    "channels": "More names of channels at touches. Beside these, usual words and the channels of leads and "
    "campaigns are shown; the rest together is 'Other channels', because people type names of persons there.",
    "target_customers": "New customers wanted next quarter.",
    "payback_target_months": "A customer should have paid back its cost by then.",
    "holdback_share": "Share of leads left without sales work, to learn what would happen anyway. Not used yet.",
}

#: Every key of a test in `experiments.yml`, in the order of `protocols.Protocol`; after a point, keys below it.
PROTOCOL = {
    "id": "Name of the test in files and commands: letters, digits, point, hyphen, underscore.",
    "question": "What the test asks, as a sentence for the page.",
    "why": "What made you ask.",
    "design": "`uplift`: within a profile, arms are drawn by lot, one is business as usual. `sample`: equal samples "
    "of several profiles get the same; what differs is the profiles, not what was done.",
    "unit": "`account`, and nothing else: leads of one account share its arm.",
    "candidate": "The profile that is tested, or `candidates` for several.",
    "conditions": "Rules that accounts of the profile meet: attribute, op (`is`, `in`, `between`, `missing`), value. "
    "`between` goes up to its second number without it: [5, 21] means 5 to 20 employees.",
    "candidates": "Several profiles, each with `id` and `conditions`.",
    "arms": "What is done; names as in `assignments.csv`.",
    "control": "The arm, or in a sample test the profile, that the others are compared with.",
    "written_on": "The day of writing: reports of earlier quarters do not show the test. Without it, and without "
    "`agreed`, that the protocol came before the launch cannot be seen: the check is noted, and the verdict stays at "
    "promising.",
    "assigned_on": "The day on which accounts get their arm.",
    "assignment": "How `make assign` draws.",
    "assignment.n_per_arm": "Accounts an arm; without it, every account that is free takes part.",
    "assignment.filled_by": "`strata` (equal numbers within each) or `coin` (then page 06 checks the arms' shares).",
    "assignment.stratify_by": "Traits whose levels are the strata.",
    "assignment.balance_on": "Numbers that must be alike in the arms: the lot is drawn again until they are.",
    "assignment.best_share": "The lot is drawn from this share of all lots, the best-balanced ones: 0.1 is the "
    "best-balanced tenth.",
    "assignment.seed": "Another seed, another lot.",
    "primary": "What decides: `metric` and `window_days`, with `stage` for a stage_rate and `touch_type` for a "
    "touch_rate. Best is something that a fifth of the accounts reach.",
    "secondary": "What is shown beside it, as a list. `winsorise: 0.95` caps a margin_per_account there.",
    "guardrails": "What must not get worse: a measure with `not_worse_than`, the loss that is still acceptable: "
    "below 0, such as -0.08; for cycle_days above 0, the days more.",
    "looks": "When it may be decided, as shares of the accounts whose window is over; the last one is 1. A look is "
    "taken at the end of a quarter, so where all accounts start on one day [0.5, 1.0] is one look. Of a list that "
    "grows, looks before the last need `assignment.n_per_arm`.",
    "expected_rate": "The primary rate with business as usual; without it, the rate seen so far.",
    "mde": "The smallest effect that the test should find, in the unit of the primary measure.",
    "smallest_worth": "The smallest effect that would be worth it: a range that ends below stops the test.",
    "power": "How often an effect of that size should be found.",
    "max_share": "The largest share of the current effort that the test may use: of the deals opened in the year "
    "before, and of the first-year margin won in it, the part that stands for the accounts worked. `make assign` "
    "refuses more.",
    "cost_per_account": "What the arm costs more than business as usual, an account.",
    "decision": "What each of ship, stop, continue and cannot answer needs, in the company's words.",
    "agreed": "The fingerprint that `make assign` prints: a later change of a rule shows.",
    "deviations": "What was done otherwise, a list of `day` and `what`.",
    "concluded": "`day`, `decision`, `what`, `afterwards`: the test goes to the archive.",
}

#: What a key without a default may look like, as YAML.
EXAMPLES = {
    "name": "Acme", "quarter": "2026-Q3", "raw": "exports", "date_format": "'%d.%m.%Y'", "decimal": "','", "source": "duckdb:///crm.duckdb",
    "target_customers": "40", "traits.<column>.bins": "[1, 5, 21]", "traits.<column>.quantiles": "4",
    "traits.<column>.kind": "list",
}  # fmt: skip


def write_codebook(folder: str | Path) -> Path:
    """Write ``README.md`` and ``template/`` into the folder of all companies' data and return the README.

    Parameters
    ----------
    folder : path
        `data/`; made if it does not exist, files of the same names are replaced.

    Returns
    -------
    Path
    """
    folder = Path(folder)
    (folder / "template").mkdir(parents=True, exist_ok=True)
    texts = {"README.md": build_codebook(), "template/icp.yml": build_settings_file()}
    texts |= {f"template/{name}.csv": build_template(table) for name, table in TABLES.items()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return folder / "README.md"


def build_settings_file() -> str:
    """Return an `icp.yml` of every key with its line: its default, or an example behind a #."""
    defaults = Settings().model_dump(exclude_none=True)
    text = ["# Settings of your company: every key, with its default. Keep the lines that you change; the rest may go.",
            "# A key that is not known stops the run and names the closest one."]  # fmt: skip
    for key in Settings.model_fields:
        text += ["", *(f"# {words}" for words in _said(key))]
        if key == "traits":
            text += ["traits:", *(f"  {name}: {_yaml(how)}" for name, how in defaults[key].items())]
        else:
            text.append(f"{key}: {_yaml(defaults[key])}" if key in defaults else f"# {key}: {EXAMPLES[key]}")
    return "\n".join(text) + "\n"


def _said(key: str) -> Iterator[str]:
    """The lines of a key and of the keys under it, these after their name."""
    for name, words in SETTINGS.items():
        if name.split(".")[0] == key:
            yield words if name == key else f"{name.split('.')[-1]}: {words[0].lower()}{words[1:]}"


def build_codebook() -> str:
    """Return the codebook as Markdown: folder, tables, derived columns, metrics, notebooks, settings, protocols."""
    parts = (_build_head(), _build_tables(), _build_results(), _build_settings(), _build_protocol())
    return "\n".join(line for part in parts for line in part) + "\n"


def _build_head() -> list[str]:
    return [
        "# Codebook", "",
        "What a company's folder holds, what every column means, and what is made of it. `make codebook` writes this "
        "file and `template/` from `icp_lib/schemas.py`, `settings.py` and `codebook.py`.", "",
        "One folder a company. `template/` has every table with three invented rows: copy it, put your rows in their "
        "place, delete the files that you have not. `demo/` is generated by `make demo`. Your own folder may lie "
        "anywhere (`DATA=~/acme`); git ignores it in here.", "",
        "## A company's folder", "", *_markdown(["file", "what it holds"], FOLDER.items()), "",
        "`make check DATA=~/acme` says what is wrong with it, row by row.", "",
        "## How cells are written", "",
        "UTF-8, one header row, columns in any order. Only an empty cell is missing: `NA` is a text.", "",
        *_markdown(["kind", "a cell"], KINDS.items()), "",
    ]  # fmt: skip


def _build_tables() -> Iterator[str]:
    yield from (
        "## Tables", "",
        "A *key* tells rows apart (several key columns do so together) and is required. A column that is not needed "
        "may be missing. Used as: an *id* joins and sorts rows, a *trait* describes a company, an *outcome* is known "
        "only after the sale; of accounts and opportunities only traits may stand under `traits` in `icp.yml`. What is "
        "dated after the reported quarter is not seen. Money is in the company's `currency`; where a file has a column "
        "`currency`, each of its rows must say the same.", "",
    )  # fmt: skip
    for table in TABLES.values():
        dated = f" Dated by `{DATED_BY[table.name]}`." if table.name in DATED_BY else ""
        yield from (f"### {table.name}", "", f"A row is {table.row}.{dated}", "")
        heads = ["column", "kind", "used as", "needed", "unit", "words or range", "definition", "refers to"]
        yield from _markdown(heads, map(_column_cells, table.columns))
        yield ""
        if table.name in NOTES:
            yield from (NOTES[table.name], "")


def _column_cells(column: Column) -> list[str]:
    """One column as the cells of its row."""
    needed = "key" if column.key else "required" if column.required else ""
    allowed = ", ".join(f"`{word}`" for word in column.one_of) or _range_words(column)
    unit = "" if column.unit == allowed else column.unit
    return [f"`{column.name}`", column.kind, column.role, needed, unit, allowed, column.definition, column.references]


def _range_words(column: Column) -> str:
    if column.low is None:
        return f"{column.high:g} or less" if column.high is not None else ""
    return f"{column.low:g} or more" if column.high is None else f"{column.low:g} to {column.high:g}"


def _build_results() -> list[str]:
    """The derived columns, the metrics, and what each notebook needs."""
    derived = [[f"`{name}`", kind, words] for name, (kind, words) in DERIVED.items()]
    metrics = [[f"`{m.id}`", m.name, m.sentence, m.formula, m.unit, m.window] for m in METRICS.values()]
    needs = [
        [f"`{name}`", ", ".join(needs) + NOT_YET * (name in NOT_BUILT), ", ".join(WANTS.get(name, ()))]
        for name, needs in NEEDS.items()
    ]
    return [
        "## The account table", "",
        "`run.accounts`: one row an account, the columns of accounts as they were known at the end of the quarter "
        "(*as-of*), and these. A relevant opportunity is one that `relevant` in `icp.yml` lets count.", "",
        *_markdown(["column", "kind", "definition"], derived), "",
        "## Metrics", "",
        "m: first-year gross margin of a deal won within 365 days of being opened, else 0. e: what the days spent on "
        "the deal bring on average, over all deals opened in its quarter.", "",
        *_markdown(["metric", "name", "definition", "formula", "unit", "counted over"], metrics), "",
        "## What each notebook needs", "",
        "Without what it needs, a page says what is missing and what it would take.", "",
        *_markdown(["notebook", "needs", "says more with"], needs), "",
    ]  # fmt: skip


def _build_settings() -> list[str]:
    rows = []
    for key, field in list_settings():
        given = f"`{_yaml(field['default'])}`" if key not in EXAMPLES else f"none; such as `{EXAMPLES[key]}`"
        rows.append([f"`{key}`", _type_words(field), given, SETTINGS[key]])
    return [
        "## icp.yml", "",
        "A key that is not known stops the run and names the closest one. `template/icp.yml` has every key.", "",
        *_markdown(["key", "type", "default", "what it says"], rows),
    ]  # fmt: skip


def _build_protocol() -> list[str]:
    given = {"": Protocol.model_fields, "assignment": Plan.model_fields}
    rows = []
    for key, words in PROTOCOL.items():
        stem, _, name = key.rpartition(".")
        field = given[stem][name]
        default = field.get_default(call_default_factory=True)
        has_default = (default or isinstance(default, float)) and key not in given
        shown = "needed" if field.is_required() else f"`{_yaml(default)}`" if has_default else ""
        rows.append([f"`{key}`", shown, words])
    return [
        "", "## experiments.yml", "",
        "`experiments:` lists the tests; `data/demo/experiments.yml` is an example. Metrics: "
        + ", ".join(f"`{name}`" for name in METRIC_NAMES) + ".", "",
        *_markdown(["key", "default", "what it says"], rows),
    ]  # fmt: skip


def list_settings() -> list[tuple[str, dict]]:
    """Return every key of `icp.yml` as (dotted name, JSON schema with its default), in the order of the settings."""
    schema = Settings.model_json_schema()
    models = {f"#/$defs/{name}": model["properties"] for name, model in schema["$defs"].items()}
    keys = []
    for key, field in schema["properties"].items():
        each = field.get("additionalProperties", {}).get("$ref")
        if each:
            keys.append((key, field))
        inner = models.get(each or field.get("$ref"))
        stem = f"{key}.<column>" if each else key
        keys += [(f"{stem}.{name}", one) for name, one in inner.items()] if inner else [(key, field)]
    return keys


def _type_words(field: dict) -> str:
    """A field's JSON schema in words.

    Examples
    --------
    >>> _type_words({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 12}})
    'list of whole number, 1 to 12'
    """
    if "anyOf" in field:
        return ", or ".join(_type_words(one) for one in field["anyOf"] if one["type"] != "null")
    if "enum" in field:
        return "one of " + ", ".join(f"`{word}`" for word in field["enum"])
    if field["type"] == "array":
        return f"list of {_type_words(field['items'])}".replace("of one of", "of")
    if field["type"] == "object":
        each = field["additionalProperties"]
        return f"column: {'how it is cut' if '$ref' in each else _type_words(each)}"
    words = {"string": "text", "integer": "whole number", "number": "number"}[field["type"]]
    return ", ".join([words, *_bounds(field)])


def _bounds(field: dict) -> Iterator[str]:
    if "minimum" in field and "maximum" in field:
        yield f"{field['minimum']} to {field['maximum']}"
        return
    marks = {"minimum": "{} or more", "exclusiveMinimum": "above {}", "maximum": "at most {}",
             "exclusiveMaximum": "below {}"}  # fmt: skip
    yield from (words.format(field[mark]) for mark, words in marks.items() if mark in field)


def _yaml(value) -> str:
    """A value as YAML on one line, without what is none; whole numbers without a point."""
    return yaml.safe_dump(_plain(value), default_flow_style=True, sort_keys=False, width=10_000).split("\n")[0]


def _plain(value):
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _markdown(heads: list[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """A Markdown table without the columns that have no cell filled."""
    rows = [list(row) for row in rows]
    used = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    yield "| " + " | ".join(heads[place] for place in used) + " |"
    yield "|" + "---|" * len(used)
    for row in rows:
        yield "| " + " | ".join(row[place].replace("|", "\\|") for place in used) + " |"
