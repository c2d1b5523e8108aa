"""The lists are consistent: every column exists, every transform is known, no list contradicts itself."""

from __future__ import annotations

import pytest

from icp_lib.aliases import CONVERTED, FORMS, LOCAL, STEM_WORDS
from icp_lib.recognition import normalise
from icp_lib.schemas import TABLES
from icp_lib.transforms import transform_sql

NAMES = [f"{form.system}-{form.table}-{form.shape}-{number}" for number, form in enumerate(FORMS)]


def alternatives(alias: str) -> list[tuple[list[str], str]]:
    parts = [text.partition(" > ") for text in alias.split(" | ")]
    return [(headers.split(" + "), transform) for headers, _mark, transform in parts]


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_every_column_of_a_form_exists(form):
    known = {column.name for column in TABLES[form.table].columns} | {"currency"}
    read = {column for column in form.columns if not column.startswith("_")}
    if form.shape == "object history" and form.table == "account_history":
        known |= {column.name for column in TABLES["accounts"].columns if column.role == "trait"}
    assert read <= known
    assert {column for need in form.needs for column in need.split(" | ")} <= set(form.columns) | {
        column for tables in LOCAL.values() for column in tables.get(form.table, {})
    }
    assert set(form.keep) <= set(form.columns)
    assert form.table in STEM_WORDS


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_every_alias_has_a_header_and_a_known_transform(form):
    for alias in form.columns.values():
        for headers, transform in alternatives(alias):
            assert all(normalise(header) for header in headers)
            assert transform_sql(transform, *map(repr, headers))


@pytest.mark.parametrize("form", FORMS, ids=NAMES)
def test_no_form_forbids_what_alone_identifies_it(form):
    never = {normalise(headers[0]) for headers, _transform in alternatives(form.never or "-") if len(headers) == 1}
    for need in form.needs:
        wanted = {normalise(headers[0]) for column in need.split(" | ") if column in form.columns
                  for headers, _transform in alternatives(form.columns[column])}  # fmt: skip
        assert not wanted <= never


def test_names_and_addresses_are_never_read():
    personal = ("name", "email", "phone", "title", "vorname", "nachname", "nombre", "prénom")
    for form in FORMS:
        for column, alias in form.columns.items():
            if column.startswith("_") or column in ("stage", "status", "owner_id", "attribute"):
                continue
            read = [normalise(header) for headers, _transform in alternatives(alias) for header in headers]
            assert not [header for header in read if any(word in header for word in personal)], (form.table, column)


def test_local_labels_belong_to_companies_and_deals():
    for tables in LOCAL.values():
        assert set(tables) == {"accounts", "opportunities"}
        for table, columns in tables.items():
            own = next(form for form in FORMS if (form.system, form.table, form.shape) == ("HubSpot", table, "table"))
            assert set(columns) <= set(own.columns)


def test_converted_amounts_are_aliases_of_amount():
    texts = [form.columns["amount"] for form in FORMS if "amount" in form.columns]
    texts += [tables["opportunities"]["amount"] for tables in LOCAL.values()]
    assert set(CONVERTED) <= {
        header for text in texts for headers, _transform in alternatives(text) for header in headers
    }
