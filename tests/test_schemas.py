"""The canonical tables hold together: names, roles, references, definitions."""

from __future__ import annotations

import pytest

from icp_lib.checks import DataError
from icp_lib.metrics import METRICS
from icp_lib.schemas import DATED_BY, NEEDS, ROLES, TABLES, WANTS, check_trait
from icp_lib.validation import ORDER

KINDS = {"id", "text", "list", "flag", "integer", "number", "money", "time", "month"}
COLUMNS = [(table, column) for table in TABLES.values() for column in table.columns]


def test_every_column_has_a_known_kind_and_role_and_a_definition():
    for table, column in COLUMNS:
        assert column.kind in KINDS and column.role in ROLES and column.definition, (table.name, column.name)
        assert column.required or not column.key, f"{table.name}.{column.name}: a key is required"


def test_names_stand_once():
    for table in TABLES.values():
        names = [column.name for column in table.columns]
        assert len(names) == len(set(names)), table.name
        assert table[names[0]].name == names[0]


def test_references_point_to_a_key_and_are_checked_later_than_what_they_point_to():
    for table, column in COLUMNS:
        if column.references:
            assert len(TABLES[column.references].keys) == 1
            assert ORDER.index(column.references) < ORDER.index(table.name)


def test_every_table_is_read_once():
    assert sorted(ORDER) == sorted(TABLES)


def test_rows_are_dated_by_a_date():
    for table, name in DATED_BY.items():
        assert TABLES[table][name].kind in ("time", "month")


def test_needs_and_wants_name_tables_and_columns():
    for need in [need for needs in (*NEEDS.values(), *WANTS.values()) for need in needs]:
        table, _, column = need.partition(".")
        assert column == "yml" or (table in TABLES and (not column or TABLES[table][column]))


def test_metrics_are_named_after_themselves():
    assert all(METRICS[name].id == name and METRICS[name].sentence.endswith(".") for name in METRICS)


@pytest.mark.parametrize(
    ("role", "why"),
    [
        ("outcome", "an outcome (known only after the sale)"),
        ("id", "an identifier"),
        ("cost", "a cost"),
        ("time", "a date"),
    ],
)
def test_only_a_trait_describes_an_ideal_customer(role, why):
    with pytest.raises(DataError) as error:
        check_trait("first_response_days", {"first_response_days": role})
    assert str(error.value) == (
        f"traits: 'first_response_days' is {why} and cannot describe an ideal customer. Use a column with role 'trait'."
    )
    assert check_trait("industry", {"industry": "trait"}) == "industry"
