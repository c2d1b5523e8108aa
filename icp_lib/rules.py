"""Segments as rules over account attributes, and the levels that attributes are cut into."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from icp_lib.checks import check_columns, check_in

#: Filled in for more than the first share of accounts won, and among the others for less than the second of that.
ONLY_WINNERS = (0.10, 0.10)
#: What is known of a smaller share of some companies is not known of them.
_KNOWN = 0.1
_UNNAMED = {
    "missing", "unknown", "n/a", "#n/a", "none", "null", "other", "others", "-", "?", "tbd", "(not set)", "not set",
    "not specified", "undefined", "miscellaneous",
}  # fmt: skip
#: What an attribute says of companies; a segment's name has them in this order, after its industry.
_PHRASES = {
    "employees": "with {value} employees", "annual_revenue": "with annual revenue {value}",
    "technologies": "that use {value}", "country": "in {value}", "region": "in {value}", "city": "in {value}",
    "buyer_role": "where {who} buys", "lead_source": "that come by {lower}",
}  # fmt: skip
#: Buyers that are no person, so that no article stands before them.
_DEPARTMENTS = {"purchasing", "procurement", "marketing", "finance", "accounting", "sales", "operations", "IT"}


@dataclass(frozen=True)
class Segment:
    """A group of accounts as rules that all hold: each `{attribute, op, value}`, op is / in / between / missing.

    `between` holds [low, high), with None for an open end.
    """

    name: str
    rules: tuple[dict, ...]

    @classmethod
    def of(cls, *rules: dict) -> Segment:
        """Make a segment that is named after its rules; the order in which they are given does not matter."""
        ordered = sorted(rules, key=lambda rule: (rule["attribute"], rule["op"], str(rule.get("value"))))
        return cls(describe_rules(ordered), tuple(ordered))

    @classmethod
    def from_json(cls, text: str) -> Segment:
        """Make the segment whose rules `to_json` wrote."""
        return cls.of(*json.loads(text))

    @property
    def segment_id(self) -> str:
        """Eight characters of the hash of the normalised rules: the same in every quarter."""
        return "s" + hashlib.sha256(self.to_json().encode()).hexdigest()[:8]

    def to_json(self) -> str:
        """Return the rules as JSON, keys sorted."""
        return json.dumps(list(self.rules), sort_keys=True, ensure_ascii=False)

    @property
    def is_list(self) -> bool:
        """Whether a rule is about one item of a list, of which a company can have several."""
        return any(rule["attribute"] == "technologies" or rule.get("of_list") for rule in self.rules)

    def describe(self) -> dict:
        """Return the columns by which a result table names it."""
        return {"segment_id": self.segment_id, "segment": self.name, "conditions": self.to_json()}

    def mask(self, accounts: pd.DataFrame) -> np.ndarray:
        """Return which rows of `accounts` the rules hold for, shape (n_accounts,)."""
        mask = np.ones(len(accounts), bool)
        for rule in self.rules:
            mask &= _rule_mask(check_columns(accounts, [rule["attribute"]], "segment")[rule["attribute"]], rule)
        return mask

    def list_unknown(self, companies: pd.DataFrame) -> list[str]:
        """Return the attributes of the rules that are known of fewer than 10 % of some companies; of nobody, none."""
        names = list(dict.fromkeys(rule["attribute"] for rule in self.rules))
        known = companies.reindex(columns=names).notna().mean()
        return [name for name in names if known[name] < _KNOWN]

    def mask_open(self, companies: pd.DataFrame, unknown: Sequence[str]) -> np.ndarray:
        """Return which rows the rules hold for as far as is known, shape (n_companies,).

        A rule on an attribute in `unknown` (`list_unknown`) holds also where that attribute is missing.
        """
        mask = np.ones(len(companies), bool)
        for rule in self.rules:
            values = companies.reindex(columns=[rule["attribute"]])[rule["attribute"]]
            mask &= _rule_mask(values, rule) | (values.isna().to_numpy() & (rule["attribute"] in unknown))
        return mask

    def mask_prospects(self, prospects: pd.DataFrame) -> np.ndarray:
        """Return which of a list of companies may be won for it (`mask_open`): none where all it asks is unknown."""
        unknown = self.list_unknown(prospects)
        is_known = not self.rules or {rule["attribute"] for rule in self.rules} > set(unknown)
        return self.mask_open(prospects, unknown) & is_known

    def __str__(self) -> str:
        return self.name


def _rule_mask(values: pd.Series, rule: dict) -> np.ndarray:
    op, value = check_in(rule["op"], ("is", "in", "between", "missing"), "op"), rule.get("value")
    if op == "missing":
        return values.isna().to_numpy()
    if op == "between":
        low, high = value
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(float)
        return (numbers >= (-np.inf if low is None else low)) & (numbers < (np.inf if high is None else high))
    wanted = {value} if op == "is" else set(value)
    code, cells = pd.factorize(values)
    if values.name == "technologies" or rule.get("of_list"):
        holds = [bool(wanted & set(split_list(cell))) for cell in cells]
    else:
        holds = [cell in wanted for cell in cells]
    return np.array([*holds, False], bool)[code]


def is_among(ids: pd.Series, wanted) -> np.ndarray:
    """Return which of some texts are among others, shape (n,); many times faster than ``isin`` of many texts.

    Examples
    --------
    >>> is_among(pd.Series(["a", "b"]), ["b", "c", "b"])
    array([False,  True])
    """
    return pd.Index(wanted).unique().get_indexer(pd.Index(ids)) >= 0


def split_list(cell) -> list[str]:
    """Return the items of a ``;`` list.

    Examples
    --------
    >>> split_list("ERP; Telematics")
    ['ERP', 'Telematics']
    """
    return [item.strip() for item in cell.split(";") if item.strip()] if isinstance(cell, str) else []


def describe_rules(rules: Sequence[dict]) -> str:
    """Say in words which companies all rules hold for.

    Examples
    --------
    >>> describe_rules(({"attribute": "buyer_role", "op": "is", "value": "Owner"},
    ...                 {"attribute": "employees", "op": "between", "value": [5, 21]}))
    'Companies with 5 to 20 employees where the owner buys'
    """
    places = {attribute: place for place, attribute in enumerate(_PHRASES)}
    ordered = sorted(rules, key=lambda rule: places.get(rule["attribute"], places["country"] - 0.5))
    nouns = [f"{_value_words(rule)} companies" for rule in ordered if _is_industry(rule)]
    phrases = [_describe_rule(rule) for rule in ordered if not _is_industry(rule)]
    return " ".join([nouns[0] if nouns else "Companies", *_join_alike(phrases)])


def _join_alike(phrases: list[str]) -> list[str]:
    """Say 'with A, B' in place of 'with A with B'."""
    joined: list[str] = []
    for phrase in phrases:
        for start in ("that use ", "that ", "with "):
            if joined and joined[-1].startswith(start) and phrase.startswith(start):
                joined[-1] += f", {phrase.removeprefix(start)}"
                break
        else:
            joined.append(phrase)
    return joined


def _is_industry(rule: dict) -> bool:
    return rule["attribute"] == "industry" and rule["op"] != "missing"


def _value_words(rule: dict) -> str:
    if rule["op"] == "between":
        return level_label(*rule["value"])
    return " or ".join(map(str, rule["value"])) if rule["op"] == "in" else str(rule["value"])


def _describe_rule(rule: dict) -> str:
    """One rule as a phrase after 'companies'."""
    attribute = rule["attribute"].replace("_", " ")
    if rule["op"] == "missing":
        return f"with no {attribute} filled in"
    value = _value_words(rule)
    plain = "with {attribute} {value}" if rule["op"] == "between" else "with {attribute}: {value}"
    lower = value if (value.split() or [""])[0].isupper() else value[:1].lower() + value[1:]
    who = lower if lower in _DEPARTMENTS else f"the {lower}"
    return _PHRASES.get(rule["attribute"], plain).format(value=value, lower=lower, who=who, attribute=attribute)


def level_label(low: float | None, high: float | None) -> str:
    """Name a bin [low, high); whole numbers are named by their last value.

    Examples
    --------
    >>> level_label(5, 21), level_label(251, None), level_label(None, 1)
    ('5 to 20', '251 or more', 'under 1')
    """
    if low is None:
        return f"under {high:,g}"
    if high is None:
        return f"{low:,g} or more" if low < 1e6 else f"{low:,.0f} or more"
    if float(low).is_integer() and float(high).is_integer():
        return f"{low:,.0f}" if high - low == 1 else f"{low:,.0f} to {high - 1:,.0f}"
    return f"{low:,g} to under {high:,g}"


def is_named(level: str) -> bool:
    """Return whether a level says something of a company: neither missing nor a word for nothing or for the rest.

    Examples
    --------
    >>> is_named("Road freight"), is_named("unknown"), is_named("Missing")
    (True, False, False)
    """
    return level.casefold() not in _UNNAMED


def is_comparable(accounts: pd.DataFrame, attribute: str) -> bool:
    """Return whether a trait is known for accounts that were not won too: if only winners have it, it cannot compare.

    Parameters
    ----------
    accounts : DataFrame
        The account table (`n_won`, `n_opportunities`).
    attribute : str
    """
    filled, tried = accounts[attribute].notna(), accounts["n_opportunities"] > 0
    won = tried & (accounts["n_won"] > 0)
    others = tried & ~won
    return not ONLY_WINNERS[0] < filled[won].mean() > filled[others].mean() / ONLY_WINNERS[1]


def build_levels(accounts: pd.DataFrame, traits: dict[str, dict]) -> list[tuple[str, str, Segment]]:
    """Return every level of every trait: (attribute, level, segment). Bins never look at an outcome.

    Parameters
    ----------
    accounts : DataFrame
        The account table.
    traits : dict
        Attribute -> {'bins': lower edges or None, 'quantiles': int or None, 'kind': ...}, and 'edges' of `fix_edges`.
    """
    levels = []
    for attribute, how in fix_edges(accounts, traits).items():
        if attribute not in accounts.columns or accounts[attribute].isna().all():
            continue
        values = accounts[attribute]
        if how.get("kind") == "list" or attribute == "technologies":
            items = sorted({item for cell in values.dropna() for item in split_list(cell)})
            rules = [
                (item, {"attribute": attribute, "op": "is", "value": item, **_list_mark(attribute)}) for item in items
            ]
        elif _is_number(values, how):
            rules = [
                (level_label(low, high), {"attribute": attribute, "op": "between", "value": [low, high]})
                for low, high in _bins(values, how)
            ]
        else:
            rules = [
                (str(value), {"attribute": attribute, "op": "is", "value": value})
                for value in sorted(values.dropna().unique())
            ]
        if values.isna().any():
            rules.append(("Missing", {"attribute": attribute, "op": "missing"}))
        levels += [(attribute, label, Segment.of(rule)) for label, rule in rules]
    return levels


def _list_mark(attribute: str) -> dict:
    return {} if attribute == "technologies" else {"of_list": True}


def fix_edges(accounts: pd.DataFrame, traits: dict[str, dict]) -> dict[str, dict]:
    """Return the traits with the edges of groups of equal size (`edges`), so that all levels built later share them.

    Parameters
    ----------
    accounts : DataFrame
        Their older part (`part` is found) sets the edges: quantiles rounded to two digits.
    traits : dict
        As in `build_levels`; edges that are there stay.
    """
    fixed = {}
    for name, how in traits.items():
        fixed[name] = how
        if name not in accounts or how.get("bins") or how.get("edges") or not _is_number(accounts[name], how):
            continue
        values, n = accounts[name].dropna(), how.get("quantiles") or 4
        older = accounts.loc[accounts["part"] == "found", name].dropna()
        cut = (older if len(older) else values).quantile(np.arange(1, n) / n).dropna()
        fixed[name] = how | {"edges": sorted({float(f"{edge:.2g}") for edge in cut})}
    return fixed


def _bins(values: pd.Series, how: dict) -> list[tuple[float | None, float | None]]:
    """Intervals [low, high) that cover all values."""
    if not how.get("bins"):
        return list(zip([None, *how["edges"]], [*how["edges"], None], strict=True))
    edges = [int(edge) if float(edge).is_integer() else edge for edge in how["bins"]]
    below = [(None, edges[0])] if (values < edges[0]).any() else []
    return below + list(zip(edges, [*edges[1:], None], strict=True))


def _is_number(values: pd.Series, how: dict) -> bool:
    return (
        how.get("kind") != "list" and pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    )
