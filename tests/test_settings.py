"""icp.yml: defaults hold, mistakes are named with the closest key, YAML's traps are refused."""

from __future__ import annotations

import pytest

from icp_lib.checks import DataError
from icp_lib.settings import RESERVED, Settings, load_settings, load_yaml


@pytest.fixture
def settle(tmp_path):
    def write(text):
        (tmp_path / "icp.yml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_settings(tmp_path)

    return write


def test_without_a_file_every_default_holds(tmp_path):
    settings = load_settings(tmp_path)
    assert settings.name == tmp_path.name
    assert settings.model_copy(update={"name": None}) == Settings()


def test_every_default_is_valid_when_written_out():
    written = Settings().model_dump()
    assert Settings(**written) == Settings()


def test_empty_file_and_byte_order_mark(settle):
    assert settle("").currency == "EUR"
    assert settle("\ufeffcurrency: USD\n").currency == "USD"


def test_whole_numbers_stand_for_decimals(settle):
    settings = settle(
        "target_customers: 40\ntraits: {employees: {bins: [1, 10]}, industry: }\nrelevant: {min_amount: 100}"
    )
    assert settings.target_customers == 40 and settings.relevant.min_amount == 100
    assert settings.traits["employees"].bins == [1.0, 10.0] and settings.traits["industry"].bins is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("curency: EUR", "icp.yml: the key 'curency' is not known. Did you mean 'currency'?"),
        ("relevant: {type: [new]}", "icp.yml: the key 'relevant.type' is not known. Did you mean 'types'?"),
        ("exclude: {account_type: [test]}", "Did you mean 'account_types'?"),
        (
            "traits: {employees: {bin: [1]}}",
            "icp.yml: the key 'traits.employees.bin' is not known. Did you mean 'bins'?",
        ),
        ("timezone: Europe/Berln", "icp.yml: timezone: must be a time zone such as Europe/Berlin or UTC."),
        ("timezone: ../../etc/passwd", "icp.yml: timezone: must be a time zone"),
        (
            "currency: no",
            "YAML reads no, off, yes, on as false and true, and digits as numbers: put the word in quotes.",
        ),
        ("currency: euro", "icp.yml: currency:"),
        ("fiscal_year_start: 13", "icp.yml: fiscal_year_start:"),
        ("max_quarantined: 5", "icp.yml: max_quarantined:"),
        ("traits: {employees: {bins: [10, 1]}}", "bins must rise"),
        (
            "traits: {loss_reason: }",
            "traits: 'loss_reason' is an outcome (known only after the sale) and cannot describe",
        ),
        ("traits: {owner_id: }", "traits: 'owner_id' is an identifier"),
        ("traits: {created_at: }", "traits: 'created_at' is a date"),
        ("traits: {n_won: }", "'n_won' is a column that the account table makes itself; rename yours"),
        ("traits: {industry__text: }", "makes itself"),
        ("traits: {Industry: }", "'Industry' and 'industry' differ only in capitals; rename one"),
        ("traits: {size: , Size: }", "differ only in capitals"),
        ("traits: {'a b': }", "is not a column name"),
        ("date_format: {accounts.creatd_at: '%d.%m.%Y'}", "'accounts.creatd_at' is not a date column. Did you mean"),
        ("decimal: ';'", "icp.yml: decimal:"),
    ],
)
def test_a_mistake_is_named(settle, text, said):
    with pytest.raises(DataError) as error:
        settle(text)
    assert said in str(error.value)


def test_every_mistake_is_told_at_once(settle):
    with pytest.raises(DataError) as error:
        settle("curency: EUR\nmeasur: win_rate")
    assert str(error.value).count("\n") == 1


@pytest.mark.parametrize("name", RESERVED)
def test_no_trait_takes_the_name_of_a_derived_column(name):
    with pytest.raises(ValueError, match="rename yours"):
        Settings(traits={name: {}})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &x [1]\nb: *x", "aliases (*name) are not allowed"),
        ("name: !!python/object/apply:os.system ['echo hi']", "line 1: not readable YAML"),
        ("name: a\nname: b", "line 2: not readable YAML (the key 'name' stands twice)"),
        ("name: [", "not readable YAML"),
        ("- a\n- b", "must be a list of 'key: value' lines"),
        ("just words", "must be a list of 'key: value' lines"),
        ("NO: 1", "the key False is not a word. YAML reads no"),
        ("day: 2026-13-01", "Put the value in quotes"),
        ("[" * 5000, "not readable YAML|nested too deep"),
        (b"name: \xff", "not UTF-8 text"),
        ("a: " + "x" * 1_000_000, "1,000,003 bytes is too large for a settings file (at most 1,000,000)"),
    ],
)
def test_traps_of_yaml_are_refused(tmp_path, text, said):
    path = tmp_path / "icp.yml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError) as error:
        load_yaml(path)
    assert str(error.value).startswith("icp.yml")
    assert any(words in str(error.value) for words in said.split("|"))


def test_missing_folder(tmp_path):
    with pytest.raises(DataError, match="DATA: the folder 'nowhere' does not exist"):
        load_settings(tmp_path / "nowhere")


def test_date_formats_by_column():
    assert Settings(date_format="%d.%m.%Y").date_formats == {"*": "%d.%m.%Y"}
    assert Settings(date_format={"closed_at": "%m/%d/%Y"}).date_formats == {"closed_at": "%m/%d/%Y"}
    assert Settings().date_formats == {}
