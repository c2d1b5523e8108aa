"""The codebook and the template are what the command writes now, and the template is an extract without a fault."""

from __future__ import annotations

import csv
import re
import typing

import pytest
from pydantic import BaseModel

from icp_lib import __main__ as commands
from icp_lib import accounts, codebook, extract, protocols, run
from icp_lib.checks import DataError
from icp_lib.metrics import METRICS
from icp_lib.schemas import NEEDS, TABLES
from icp_lib.settings import Settings, load_settings
from icp_lib.template import ROWS


@pytest.fixture(scope="module")
def template(repo):
    return repo / "data" / "template"


@pytest.fixture(scope="module")
def opened(template, tmp_path_factory):
    """The template as a company's quarter, refused if more than nothing is quarantined."""
    return run.start_run("2026-Q3", str(template), str(tmp_path_factory.mktemp("out")))


def read_contents(folder) -> dict[str, str]:
    files = [folder / "README.md", *(folder / "template").iterdir()]
    return {str(path.relative_to(folder)): path.read_bytes().decode("utf-8") for path in files}


def test_what_is_committed_is_what_the_command_writes(repo, tmp_path):
    assert codebook.write_codebook(tmp_path) == tmp_path / "README.md"
    written, committed = read_contents(tmp_path), read_contents(repo / "data")
    assert written.keys() == committed.keys()
    stale = [name for name in written if written[name] != committed[name]]
    assert not stale, f"run `make codebook`: {stale} differ from the schemas and settings"


def test_the_command_writes_where_the_repository_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "REPOSITORY", tmp_path)
    monkeypatch.chdir("/")
    assert commands.main(["codebook"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "data" / "README.md")
    assert (tmp_path / "data" / "template" / "accounts.csv").is_file()


def test_every_key_of_a_protocol_is_explained_once():
    of_plan = {f"assignment.{name}" for name in protocols.Plan.model_fields}
    assert set(codebook.PROTOCOL) == set(protocols.Protocol.model_fields) | of_plan


def test_a_default_of_nothing_is_shown_where_it_is_a_number(repo):
    text = (repo / "data" / "README.md").read_text(encoding="utf-8")
    for name in ("smallest_worth", "cost_per_account"):
        assert f"| `{name}` | `0` |" in text
    assert "| `why` |  |" in text and "| `expected_rate` |  |" in text


def test_notebooks_that_do_not_exist_are_marked(repo):
    assert set(codebook.NOT_BUILT) == set(NEEDS) - {path.stem for path in (repo / "notebooks").glob("*.ipynb")}
    text = (repo / "data" / "README.md").read_text(encoding="utf-8")
    assert text.count(codebook.NOT_YET) == len(codebook.NOT_BUILT)


def test_the_template_has_every_table_and_every_column(template):
    assert sorted(path.stem for path in template.glob("*.csv")) == sorted(TABLES)
    for name, table in TABLES.items():
        header, *rows = csv.reader((template / f"{name}.csv").open(encoding="utf-8", newline=""))
        assert header == [column.name for column in table.columns]
        assert len(rows) == 3 and all(len(row) == len(header) for row in rows)


def test_the_rows_name_known_columns_only():
    assert ROWS.keys() == TABLES.keys()
    for name, columns in ROWS.items():
        assert set(columns) <= {column.name for column in TABLES[name].columns}, name


def test_the_template_loads_without_an_error_and_without_a_warning(opened):
    checks = opened.extract.checks
    assert len(checks) > 100 and checks.query("n_rows > 0")["message"].tolist() == []
    counts = opened.extract.population.pivot_table(index="table", columns="step", values="n_rows", aggfunc="sum")
    assert set(counts.index) == set(TABLES)
    assert (counts["read"] == 3).all() and (counts["kept"] == 3).all()


@pytest.mark.parametrize("table", TABLES)
def test_every_link_of_the_template_joins(template, table):
    def cells(name, column):
        rows = csv.DictReader((template / f"{name}.csv").open(encoding="utf-8", newline=""))
        return {row[column] for row in rows} - {""}

    keys = {name: cells(name, TABLES[name].keys[0]) for name in ("accounts", "campaigns", "stages")}
    links = {column.name: column.references for column in TABLES[table].columns if column.references}
    unlisted = {"campaign_id": "campaigns", "parent_account_id": "accounts", "stage": "stages"}
    links |= {name: to for name, to in unlisted.items() if name in {column.name for column in TABLES[table].columns}}
    for column, to in links.items():
        assert cells(table, column) <= (keys.get(to) or cells(to, TABLES[to].keys[0])), f"{table}.{column}"


def test_every_allowed_status_stands_in_the_template(opened):
    assert opened.opportunities["status"].tolist() == ["won", "lost", "open"]
    assert opened.accounts.set_index("account_id")["family_id"].to_dict() == {"A1": "A1", "A2": "A2", "A3": "A1"}


def test_the_derived_columns_are_those_of_the_account_table(opened):
    canonical = {column.name for column in TABLES["accounts"].columns}
    assert set(opened.accounts.columns) - canonical | {"lead_source"} == set(codebook.DERIVED)
    assert f"{accounts.FOUND_SHARE:.0%}".replace("%", " %") in codebook.DERIVED["part"][1]
    assert {kind for kind, _ in codebook.DERIVED.values()} <= codebook.KINDS.keys()


def test_every_kind_is_explained():
    assert codebook.KINDS.keys() == {column.kind for table in TABLES.values() for column in table.columns}
    assert codebook.NOTES.keys() <= TABLES.keys()


def find_keys(model: type[BaseModel], stem: str = "") -> set[str]:
    """Every key of a model and its sub-models by another route than the JSON schema: its annotations."""
    keys = set()
    for name, field in model.model_fields.items():
        inner = [one for one in (field.annotation, *typing.get_args(field.annotation)) if isinstance(one, type)]
        models = [one for one in inner if issubclass(one, BaseModel)]
        is_mapping = typing.get_origin(field.annotation) is dict
        if is_mapping or not models:
            keys.add(f"{stem}{name}")
        for one in models:
            keys |= find_keys(one, f"{stem}{name}.<column>." if is_mapping else f"{stem}{name}.")
    return keys


def test_every_key_of_icp_yml_has_its_line_and_no_other():
    assert codebook.SETTINGS.keys() == find_keys(Settings) == {key for key, _ in codebook.list_settings()}


def test_a_key_has_a_default_or_an_example():
    without = {key for key, field in codebook.list_settings() if field.get("default") is None}
    assert codebook.EXAMPLES.keys() == without


def test_the_settings_of_the_template_are_the_defaults(template):
    assert load_settings(template).model_copy(update={"name": None}) == Settings()


def test_the_examples_of_the_settings_are_valid(template, tmp_path):
    text = (template / "icp.yml").read_text(encoding="utf-8")
    keys = "|".join(key for key in codebook.EXAMPLES if "." not in key)
    opened, n_opened = re.subn(rf"^# ((?:{keys}): )", r"\1", text, flags=re.M)
    bins, quantiles, kind = (codebook.EXAMPLES[f"traits.<column>.{name}"] for name in ("bins", "quantiles", "kind"))
    own = f"  own_size: {{bins: {bins}}}\n  own_price: {{quantiles: {quantiles}}}\n  own_tools: {{kind: {kind}}}\n"
    (tmp_path / "icp.yml").write_text(opened.replace("traits:\n", f"traits:\n{own}"), encoding="utf-8")
    settings = load_settings(tmp_path)
    assert n_opened == 7 and (settings.name, settings.decimal, settings.target_customers) == ("Acme", ",", 40)
    assert settings.traits["own_size"].bins == [1, 5, 21] and settings.traits["own_tools"].kind == "list"


def test_a_mistake_in_a_copy_of_the_template_is_told(template, tmp_path):
    for path in template.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes().replace(b"won,Won,9000", b"wonn,Won,9000"))
    with pytest.raises(DataError, match="status: 1 of 3 rows hold a word that is not one of open, won, lost"):
        extract.load(tmp_path, tmp_path / "out")


def test_the_codebook_names_every_table_column_metric_and_notebook(repo):
    text = (repo / "data" / "README.md").read_text(encoding="utf-8")
    for name, table in TABLES.items():
        section = text.partition(f"\n### {name}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.M) == [column.name for column in table.columns]
        assert all(column.definition in section for column in table.columns)
    assert all(f"| `{name}` |" in text for name in [*METRICS, *NEEDS])


def test_every_row_of_a_table_is_as_wide_as_its_head(repo):
    tables = re.findall(r"(?:^\|.*\n)+", (repo / "data" / "README.md").read_text(encoding="utf-8"), re.M)
    assert len(tables) == 2 + len(TABLES) + 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table[:80]


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"type": "number", "exclusiveMinimum": 0, "maximum": 1}, "number, above 0, at most 1"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text"),
        ({"type": "array", "items": {"type": "string", "enum": ["new", "renewal"]}}, "list of `new`, `renewal`"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "column: text"),
    ],
)
def test_a_type_is_said_in_words(field, words):
    assert codebook._type_words(field) == words


def test_an_empty_column_is_left_out_and_a_bar_is_escaped():
    table = codebook._markdown(["a", "b", "c"], [["1", "", "x|y"], ["", "", "2"]])
    assert list(table) == ["| a | c |", "|---|---|", "| 1 | x\\|y |", "|  | 2 |"]
