"""A company's `icp.yml`: every key has a default, an unknown key is an error that names the closest one."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from icp_lib.checks import DataError, hint
from icp_lib.schemas import TABLES, check_trait

MAX_BYTES = 1_000_000
#: Columns that the account table adds, and names that the engine needs: no trait may be called so.
RESERVED = (
    "family_id", "part", "first_opportunity_at", "first_won_at", "n_opportunities", "n_won", "n_lost", "n_open",
    "is_customer", "is_relevant", "currency", "account_name",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Trait(_Strict):
    """How one attribute is cut into levels: lower edges of bins, or quantiles of the older accounts."""

    bins: list[float] | None = None
    quantiles: Annotated[int, Field(ge=2, le=10)] | None = None
    kind: Literal["text", "number", "list"] | None = None

    @field_validator("bins")
    @classmethod
    def _rising(cls, bins):
        if bins is not None and sorted(set(bins)) != bins:
            raise ValueError("bins must rise: they are the lower edges of the levels")
        return bins


class Relevant(_Strict):
    """What counts as a relevant opportunity."""

    types: list[Literal["new", "expansion", "renewal"]] = ["new"]
    min_amount: Annotated[float, Field(ge=0)] = 0.0


class Exclude(_Strict):
    """Which accounts are left out of every analysis."""

    account_types: list[Literal["customer", "prospect", "partner", "competitor", "test"]] = [
        "partner",
        "competitor",
        "test",
    ]
    name_words: list[Annotated[str, Field(pattern=r"\w")]] = [
        "test",
        "demo",
        "dummy",
        "asdf",
        "example",
        "do not use",
    ]


DEFAULT_TRAITS = {
    "industry": Trait(),
    "employees": Trait(bins=[1, 10, 50, 200, 1000]),
    "annual_revenue": Trait(quantiles=4),
    "country": Trait(),
    "region": Trait(),
    "business_model": Trait(),
    "technologies": Trait(),
    "buyer_role": Trait(),
    "lead_source": Trait(),
}


class Settings(_Strict):
    """The settings of one company (the keys of `icp.yml`)."""

    name: str | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    timezone: str = "UTC"
    fiscal_year_start: Annotated[int, Field(ge=1, le=12)] = 1
    quarter: str | None = None
    raw: str | None = None
    source: str | None = None
    max_file_gb: Annotated[float, Field(gt=0)] = 4.0
    date_format: str | dict[str, str] | None = None
    decimal: Literal[".", ","] | None = None
    traits: dict[str, Trait] = DEFAULT_TRAITS
    relevant: Relevant = Relevant()
    exclude: Exclude = Exclude()
    measure: Literal["margin_per_day", "margin_per_opportunity", "win_rate", "retention"] = "margin_per_day"
    gross_margin_rate: Annotated[float, Field(gt=0, le=1)] = 1.0
    best_customers: list[str] = []
    max_quarantined: Annotated[float, Field(ge=0, le=1)] = 0.05
    paid_channels: list[str] = []
    channels: list[str] = []
    target_customers: Annotated[float, Field(gt=0)] | None = None
    payback_target_months: Annotated[float, Field(gt=0)] = 12.0
    holdback_share: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone):
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin or UTC") from None
        return zone

    @field_validator("date_format")
    @classmethod
    def _known_dates(cls, formats):
        dates = [(table, c.name) for table in TABLES.values() for c in table.columns if c.kind in ("time", "month")]
        known = {"*", *(name for _, name in dates), *(f"{table.name}.{name}" for table, name in dates)}
        for name in formats if isinstance(formats, dict) else ():
            if name not in known:
                raise ValueError(f"'{name}' is not a date column. {hint(name, sorted(known))}".removesuffix("."))
        return formats

    @field_validator("traits", mode="before")
    @classmethod
    def _empty_is_default(cls, traits):
        return (
            {name: {} if how is None else how for name, how in traits.items()} if isinstance(traits, dict) else traits
        )

    @field_validator("traits")
    @classmethod
    def _are_traits(cls, traits):
        for name in traits:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                raise ValueError(f"'{name}' is not a column name (letters, digits and _)")
            roles = trait_roles()
            if name in roles:
                check_trait(name, roles)
            elif name.lower() in RESERVED or "__" in name:
                raise ValueError(f"'{name}' is a column that the account table makes itself; rename yours")
            elif name.lower() in roles or len({other for other in traits if other.lower() == name.lower()}) > 1:
                raise ValueError(f"'{name}' and '{name.lower()}' differ only in capitals; rename one")
        return traits

    @property
    def date_formats(self) -> dict[str, str]:
        """Declared date formats, by column name or 'table.column'; the key '*' holds for every column."""
        return {"*": self.date_format} if isinstance(self.date_format, str) else dict(self.date_format or {})


def trait_roles() -> dict[str, str]:
    """Return column -> role of the columns that an account can be described by or must not be."""
    roles = {column.name: column.role for column in TABLES["opportunities"].columns}
    return roles | {column.name: column.role for column in TABLES["accounts"].columns}


def load_settings(folder: str | Path) -> Settings:
    """Read and validate ``<folder>/icp.yml``; without the file, the defaults.

    Raises
    ------
    DataError
        The folder is missing, the YAML cannot be read, a key is unknown (the closest is named) or a value is wrong.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"DATA: the folder '{folder.name}' does not exist. Give the company's folder, DATA=path/to/company."
        )
    path = folder / "icp.yml"
    values = load_yaml(path) if path.exists() else {}
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise DataError(explain(error, "icp.yml", _keys)) from None
    return settings if settings.name else settings.model_copy(update={"name": folder.resolve().name})


class _Loader(yaml.SafeLoader):
    """The safe loader, refusing a key that stands twice."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key.value}' stands twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load_yaml(path: Path) -> dict:
    """Return the mapping in a YAML file (safe loader, at most 1 MB, no aliases, no key twice).

    Raises
    ------
    DataError
        The file cannot be read so, with the line.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise DataError(f"{path.name}: {size:,} bytes is too large for a settings file (at most {MAX_BYTES:,}).")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text, Loader=yaml.SafeLoader)):
            raise DataError(f"{path.name}: aliases (*name) are not allowed. Write the value out.")
        values = yaml.load(text, Loader=_Loader)
    except UnicodeDecodeError:
        raise DataError(f"{path.name}: not UTF-8 text. Save it as UTF-8.") from None
    except RecursionError:
        raise DataError(f"{path.name}: brackets are nested too deep. Write it as 'key: value' lines.") from None
    except ValueError as error:  # a date such as 2026-13-01 without quotes
        raise DataError(f"{path.name}: not readable YAML ({error}). Put the value in quotes.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        what = getattr(error, "problem", None) or "not plain text"
        raise DataError(f"{path.name}{where}: not readable YAML ({what}).") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise DataError(f"{path.name}: must be a list of 'key: value' lines.")
    for key in values:
        if not isinstance(key, str):
            raise DataError(f"{path.name}: the key {key!r} is not a word. {_YAML_WORDS}")
    return values


_YAML_WORDS = "YAML reads no, off, yes, on as false and true, and digits as numbers: put the word in quotes."


def explain(error: ValidationError, file: str, keys: Callable[[tuple], list[str]]) -> str:
    """Turn pydantic's errors into lines that name the file, the key, what is wrong, and the closest of the keys."""
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        if item["type"] == "extra_forbidden":
            lines.append(f"{file}: the key '{where}' is not known. {hint(item['loc'][-1], keys(item['loc'][:-1]))}")
        else:
            said = item["msg"].removeprefix("Value error, ").removesuffix(".")
            trap = f" {_YAML_WORDS}" if isinstance(item["input"], bool) else ""
            lines.append(f"{file}: {where}: {said[0].lower()}{said[1:]}.{trap}")
    return "\n".join(lines)


def _keys(location: tuple) -> list[str]:
    """Return the keys that are known at one place of icp.yml."""
    models = {(): Settings, ("relevant",): Relevant, ("exclude",): Exclude}
    return list(models.get(tuple(location), Trait).model_fields)
