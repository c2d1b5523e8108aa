"""Header of a raw file -> which canonical table it holds and which of its columns are read, and how. Opens nothing."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from icp_lib.aliases import ACTIVE, CONVERTED, DELETED, FORMS, LOCAL, STEM_WORDS, Form
from icp_lib.checks import DataError
from icp_lib.schemas import TABLES
from icp_lib.transforms import ASSUMED, FALSE_WORDS, TRUE_WORDS, Source, Where

_ENTERED = r"""^date entered\s*["“”](.+?)["“”]$"""
_ENTERED_ID = r"^(?:property_)?hs_(?:v2_)?date_entered_(?!current)(.+)$"
_BLANKS = "\ufeff \t\r\n\xa0"
_Found = dict[str, tuple[tuple[str, ...], str]]  # a column -> folded headers and transform
_BY_DEFAULT = {"type": "deal_type", "account_type": "account_type"}


@dataclass(frozen=True)
class Plan:
    """What one file gives to one canonical table.

    `shape` says how its rows become canonical rows; `details` are pairs that the shape needs:

    - ``table``: row by row; no details
    - ``wide stages``: one date column a stage; details (stage, header); an empty cell is no row
    - ``field history``: one row a change of one field; `where` picks the fields; no details
    - ``object history``: one row a change of anything. With details (attribute, header): unpivot them into attribute
      and value, and keep a value where it differs from the one before; without: keep a stage where it differs
    - ``link``: the file joins two ids; it fills the second source where the table's main file lacks it

    `missing` are required columns that the file lacks; `account_name` is the header of the account's name, read only to
    find test records and to join by name where account_id is missing. `notes` say what was assumed.
    """

    table: str
    system: str
    dialect: str
    sources: tuple[Source, ...]
    shape: str = "table"
    details: tuple[tuple[str, str], ...] = ()
    where: tuple[Where, ...] = ()
    missing: tuple[str, ...] = ()
    account_name: str = ""
    notes: tuple[str, ...] = ()
    n_unused: int = 0


def normalise(header: str) -> str:
    """Return the letters and digits of a header, folded: case, spacing, punctuation and byte-order marks drift.

    Examples
    --------
    >>> normalise(" Country/Region"), normalise("created_date"), normalise("CreatedDate")
    ('countryregion', 'createddate', 'createddate')
    """
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", header).casefold())
    return unicodedata.normalize("NFC", "".join(mark for mark in folded if mark.isalnum()))


def recognise(stem: str, header: Sequence[str]) -> tuple[Plan, ...]:
    """Return the plans of one file: usually one; () when its header fits nothing.

    Canonical headers win where they hold the required columns of the table that the file is named after. Else the form
    decides that fits with the most required columns, then the file's name, then the number of columns found.

    Parameters
    ----------
    stem : str
        The file's name without its ending.
    header : sequence of str
        As written in the file.

    Returns
    -------
    tuple of Plan
        A HubSpot deal export with one date column a stage gives opportunities and stage_history, a contact export with
        lifecycle dates contacts and leads.

    Raises
    ------
    DataError
        The header fits two tables equally well, or a column that is read stands twice.

    Examples
    --------
    >>> plan, = recognise("report", ["Account ID", "Account Name", "Created Date", "Industry"])
    >>> plan.table, plan.system, plan.dialect
    ('accounts', 'Salesforce', 'report')
    >>> plan.sources[0]
    Source(column='account_id', headers=('Account ID',), transform='sf18')
    """
    names = [name.strip(_BLANKS) for name in header]
    table = table_of(stem)
    if table and _required(table) <= set(names):
        return (_canonical_plan(table, header, names),)
    if _canonical_table(header):
        return ()
    lookup = _lookup(header)
    fitting = [form for form in FORMS if not _has_never(form, lookup) and not _unmet(form, lookup)]
    main = [form for form in fitting if not form.beside]
    if not main:
        return ()
    best = _best(stem, main, lookup)
    chosen = [best, *(form for form in fitting if form.beside == best.table)]
    plans = [_build_plan(stem, form, header, lookup) for form in chosen]
    if best.system == "HubSpot" and best.table == "opportunities" and (wide := _wide_stages(header)):
        plans.append(_wide_plan(plans[0], wide, len(header)))
    return tuple(plans)


def why_not(stem: str, header: Sequence[str]) -> str:
    """Return in one line why a file was not recognised: the nearest table, what is missing, the closest spelling.

    No header is repeated but for one that is close to a known one: a file without a header starts with data.

    Examples
    --------
    >>> why_not("companies", ["Recod ID", "Company name", "Create Date"])
    "nearest is accounts (HubSpot), which also needs 'Record ID'. Did you mean 'Recod ID'?"
    """
    if table := _canonical_table(header):
        return f"has the columns of {table}: if that is what it holds, rename it to {table}.csv."
    lookup = _lookup(header)
    ranked = []
    for form in FORMS:
        found, missing = _found(form, lookup), _unmet(form, lookup)
        n_found = sum(not column.startswith("_") for column in found)
        fits = _fits_stem(stem, form.table)
        near_enough = n_found + fits > 1 and n_found >= len(missing) > 0
        if near_enough and not form.beside and not _has_never(form, lookup):
            ranked.append((n_found - len(missing) + fits, form, missing))
    if not ranked:
        return "no table has such columns. Name it after a canonical table and use its columns, or write <table>.sql."
    _score, form, missing = max(ranked, key=lambda entry: entry[0])
    wanted = [_first_header(form, need) for need in missing]
    near = [name for word in wanted for name in get_close_matches(normalise(word), lookup, n=1, cutoff=0.85)]
    also = f" Did you mean '{lookup[near[0]][0].strip(_BLANKS)}'?" if near else ""
    return f"nearest is {form.table} ({form.system}), which also needs {_quoted(wanted)}.{also}"


def _canonical_table(header: Sequence[str]) -> str:
    """The table whose required columns a header has, whatever the file is called."""
    names = {name.strip(_BLANKS) for name in header}
    return next((table for table in TABLES if len(_required(table)) > 1 and _required(table) <= names), "")


def table_of(stem: str) -> str:
    """Return the canonical table that a file is named after (``accounts``, ``accounts_2025``), or ''."""
    name = stem.lower()
    return next((table for table in TABLES if name == table or name.startswith((f"{table}_", f"{table}-"))), "")


def _required(table: str) -> set[str]:
    return {column.name for column in TABLES[table].columns if column.required}


def _quoted(words: Sequence[str]) -> str:
    return " and ".join(f"'{word}'" for word in words)


def _lookup(header: Sequence[str]) -> dict[str, list[str]]:
    """Headers as written by their folded form."""
    lookup = {}
    for name in header:
        lookup.setdefault(normalise(name), []).append(name)
    return {folded: names for folded, names in lookup.items() if folded}


@cache
def _parse(alias: str, system: str) -> tuple[tuple[tuple[tuple[str, ...], ...], str], ...]:
    """Alternatives of an alias text: for each header the folded forms it may have, and the transform."""
    alternatives = []
    for text in alias.split(" | "):
        headers, _mark, transform = text.partition(" > ")
        folded = [normalise(header) for header in headers.split(" + ")]
        with_prefix = tuple((name, f"property{name}") if system == "HubSpot" else (name,) for name in folded)
        alternatives.append((with_prefix, transform))
    return tuple(alternatives)


def _aliases(form: Form, column: str) -> str:
    """The alias text of a column, with HubSpot's labels in other languages after it."""
    own = [form.columns[column]] if column in form.columns else []
    if form.system == "HubSpot" and form.shape == "table":
        own += [tables[form.table][column] for tables in LOCAL.values() if column in tables.get(form.table, {})]
    return " | ".join(own)


def _present(alias: str, system: str, lookup: dict[str, list[str]]) -> list[tuple[tuple[str, ...], str]]:
    """Every alternative that the file has: folded headers and transform, best first."""
    found = []
    for headers, transform in _parse(alias, system):
        have = tuple(next((name for name in names if name in lookup), "") for names in headers)
        if all(have):
            found.append((have, transform))
    return found


def _found(form: Form, lookup: dict[str, list[str]]) -> _Found:
    """Columns of a form -> folded headers and transform, for those that the file has."""
    found = {}
    for column in form.columns:
        if present := _present(_aliases(form, column), form.system, lookup):
            found[column] = present[0]
    return found


def _unmet(form: Form, lookup: dict[str, list[str]]) -> list[str]:
    found = _found(form, lookup)
    return [need for need in form.needs if not any(column in found for column in need.split(" | "))]


def _has_never(form: Form, lookup: dict[str, list[str]]) -> bool:
    return bool(form.never and _present(form.never, form.system, lookup))


def _fits_stem(stem: str, table: str) -> bool:
    return any(word in normalise(stem) for word in STEM_WORDS.get(table, ()))


def _best(stem: str, forms: list[Form], lookup: dict[str, list[str]]) -> Form:
    """The form with the largest share of required columns; ties by the file's name, then by columns found."""

    def score(form: Form) -> tuple:
        found = _found(form, lookup)
        needed = _required(form.table) if form.shape == "table" else set()
        share = len(needed & found.keys()) / len(needed) if needed else 1.0
        n_found = sum(not column.startswith("_") for column in found)
        return share, table_of(stem) == form.table, _fits_stem(stem, form.table), n_found

    best = max(forms, key=score)
    for other in forms:
        if score(other) == score(best) and other.table != best.table:
            raise DataError(
                f"{stem}, header: fits {best.table} ({best.system}) and {other.table} ({other.system}) equally well. "
                f"Rename the file to {best.table}.csv or {other.table}.csv, or write <table>.sql."
            )
    return best


def _canonical_plan(table: str, header: Sequence[str], names: list[str]) -> Plan:
    known = [column.name for column in TABLES[table].columns] + ["currency"]
    sources = tuple(Source(name, (header[names.index(name)],)) for name in known if name in names)
    name = header[names.index("account_name")] if "account_name" in names else ""
    n_unused = len(header) - len(sources) - bool(name)
    notes = tuple(_misspelt([one for one in names if one not in known], [one for one in known if one not in names]))
    return Plan(table, "canonical", "canonical", sources, account_name=name, notes=notes, n_unused=n_unused)


def _misspelt(unknown: Sequence[str], absent: Sequence[str]) -> Iterator[str]:
    """Tell of a column that is not read and looks like one that is missing."""
    for name in unknown:
        if near := get_close_matches(name.casefold(), absent, 1, 0.8):
            yield f"the column '{name}' is not read: is it '{near[0]}'?"


def _build_plan(stem: str, form: Form, header: Sequence[str], lookup: dict[str, list[str]]) -> Plan:
    found = _pair_currency(_found(form, lookup), lookup)
    schema = {column.name: column for column in TABLES[form.table].columns}
    sources, details = [], []
    for column in [*schema, "currency", *form.columns]:
        if column not in found or column.startswith("_") or column in [source.column for source in sources]:
            continue
        folded, transform = found[column]
        headers = tuple(_only(stem, f"{form.table}.{column}", lookup[name]) for name in folded)
        if column not in schema and column != "currency":
            details.append((column, headers[0]))
            continue
        is_id = form.system == "Salesforce" and column in schema and schema[column].kind == "id"
        by_default = "sf18" if is_id and column not in ("owner_id", "attribute") else _BY_DEFAULT.get(column, "")
        sources.append(Source(column, headers, transform or by_default))
    name = lookup[found["_account_name"][0][0]][0] if "_account_name" in found else ""
    where = _build_where(form, found, lookup)
    missing = tuple(column for column in schema if column in _required(form.table) - found.keys())
    missing = missing if form.shape == "table" else ()
    if form.table == "opportunities" and form.shape == "table" and not {"status", "stage"} & found.keys():
        missing += ("status",)
    used = {one for source in sources for one in source.headers} | {one for _column, one in details}
    used |= {part.header for part in where} | {name}
    notes = _build_notes(form, sources, missing, name, where, lookup)
    return Plan(
        form.table, form.system, _dialect(form, lookup), tuple(sources), form.shape, tuple(details), where, missing,
        account_name=name, notes=notes, n_unused=sum(one not in used for one in header),
    )  # fmt: skip


def _only(stem: str, read_as: str, names: list[str]) -> str:
    if len(names) > 1:
        raise DataError(
            f"{stem}, header: the column '{names[0]}' (read as {read_as}) stands {len(names)} times. Keep one."
        )
    return names[0]


def _pair_currency(found: _Found, lookup: dict[str, list[str]]) -> _Found:
    """A converted amount has its own currency, not the deal's."""
    converted = {normalise(amount): normalise(currency) for amount, currency in CONVERTED.items()}
    amount = found.get("amount", (("",), ""))[0][0].removeprefix("property")
    if amount not in converted:
        return found
    own = {"currency": ((converted[amount],), "")} if converted[amount] in lookup else {}
    return {column: source for column, source in found.items() if column != "currency"} | own


def _build_where(form: Form, found: _Found, lookup: dict[str, list[str]]) -> tuple[Where, ...]:
    """Rows of the fields that are wanted, not deleted (accounts say so in a column), not replaced by a later row."""
    where = [Where(lookup[found[column][0][0]][0], words) for column, words in form.keep.items() if column in found]
    if form.shape == "object history":
        return tuple(where)
    if form.table != "accounts":
        deleted = _present(DELETED, form.system, lookup)
        where += [Where(lookup[folded[0]][0], TRUE_WORDS, is_kept=False) for folded, _transform in deleted]
    if form.table not in ("stage_history", "account_history"):
        active = _present(ACTIVE, form.system, lookup)
        where += [Where(lookup[folded[0]][0], FALSE_WORDS, is_kept=False) for folded, _transform in active]
    return tuple(where)


def _build_notes(form, sources, missing, name, where, lookup) -> tuple[str, ...]:
    """What was assumed, in words: choices between headers, transforms, rows left out, columns missing."""
    notes = [form.note] if form.note else []
    for source in sources:
        present = _present(_aliases(form, source.column), form.system, lookup) if source.column != "status" else []
        others = [lookup[folded[0]][0] for folded, _transform in present if len(folded) == 1]
        others = [other for other in others if other not in source.headers]
        if others:
            notes.append(f"{source.column}: '{source.headers[0]}' is used, not {_quoted(others)}")
        if source.transform in ASSUMED:
            notes.append(ASSUMED[source.transform].format(column=source.column, header=f"'{source.headers[0]}'"))
    columns = {source.column for source in sources}
    if form.table == "opportunities" and "stage" in columns and "status" not in columns:
        notes.append("status is not in this file: it needs the table stages")
    for part in where:
        if part.words in (TRUE_WORDS, FALSE_WORDS):
            said = "true" if part.words == TRUE_WORDS else "false"
            notes.append(f"rows are {'kept only' if part.is_kept else 'left out'} where '{part.header}' is {said}")
    for column in missing:
        wanted = _first_header(form, column)
        linked = " or a file that joins the two ids" if (form.system, column) == ("HubSpot", "account_id") else ""
        notes.append(f"{column} is not in this file: add '{wanted}' to the export{linked}")
    if "account_id" in missing and name:
        notes.append(f"accounts are joined by name ('{name}'): accounts that share a name cannot be told apart")
    return tuple(notes)


def _first_header(form: Form, need: str) -> str:
    """The header to ask for: the best single one of the first column of a need."""
    alias = next((form.columns[column] for column in need.split(" | ") if column in form.columns), need)
    single = [headers.partition(" > ")[0] for headers in alias.split(" | ") if " + " not in headers]
    return single[0]


def _dialect(form: Form, lookup: dict[str, list[str]]) -> str:
    """In which of its spellings a system wrote the header."""
    languages = LOCAL if form.system == "HubSpot" and form.shape == "table" else {}
    for language, tables in languages.items():
        local = [alias for alias in tables.get(form.table, {}).values() if _present(alias, form.system, lookup)]
        if len(local) > 1:
            return f"{language} labels"
    if any(name.startswith(("property", "fivetran", "pipelinestage", "dealpipelinestage")) for name in lookup):
        return "warehouse"
    if form.shape != "table" and form.system == "HubSpot":
        return "warehouse"
    if form.system == "HubSpot":
        is_internal = any(name.startswith("hs") or name in ("hubspotownerid", "id") for name in lookup)
        return "internal names" if is_internal else "labels"
    if form.system == "Salesforce":
        return "API names" if {"id", "stagename", "ownerid", "isdeleted"} & lookup.keys() else "report"
    return "labels"


def _wide_stages(header: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Pairs (stage, header) of HubSpot's date columns; the newer of two columns of one stage id is taken."""
    pairs, by_id = [], {}
    for name in header:
        bare = name.strip(_BLANKS)
        if label := re.match(_ENTERED, bare, re.IGNORECASE):
            pairs.append((re.sub(r"\s*\([^()]*\)$", "", label[1]) or label[1], name))
        elif (entered := re.match(_ENTERED_ID, bare, re.IGNORECASE)) and (
            entered[1] not in by_id or "hs_v2_" in bare.lower()
        ):
            by_id[entered[1]] = name
    return (*pairs, *by_id.items())


def _wide_plan(deals: Plan, wide: tuple[tuple[str, str], ...], n_headers: int) -> Plan:
    key = next(source for source in deals.sources if source.column == "opportunity_id")
    return Plan(
        "stage_history", deals.system, deals.dialect, (key,), "wide stages", wide, deals.where,
        notes=(f"{len(wide)} columns hold the date a stage was entered: a stage entered twice shows one date, and the "
               "pipeline's name after it is left out",),
        n_unused=n_headers - len(wide) - 1,
    )  # fmt: skip
