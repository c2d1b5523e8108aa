"""What is done to a cell of a customer system's export before it is typed, as SQL over text."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from icp_lib.checks import check_in

#: Folded cells (letters and digits, lower case) -> canonical words, as patterns that must match the whole cell.
WORDS = {
    "deal_type": {
        "renewal": "renew.*|.*renewal|verlängerung|renovación|renouvellement",
        "new": "new|new(business|customer|logo|deal)|neu(geschäft|kunde)|nuevonegocio|nuevocliente|nouveauclient",
        "expansion": "existing.*|upsell.*|crosssell.*|upgrade|expansion|addon|bestands(geschäft|kunde)",
    },
    "account_type": {
        "customer": "(existing|current)?customers?|customer(direct|channel)|kunde|cliente?|client",
        "prospect": "prospects?|prospective(customer|client)|interessent|prospecto",
        "partner": ".*partner.*|resellers?|vendors?|integrators?",
        "competitor": "competitors?|wettbewerber|competidor|concurrent",
        "test": "test",
    },
    "status": {
        "won": "won|gewonnen|ganad[oa]|gagnée?",
        "lost": "lost|verloren|perdid[oa]|perdue?",
        "open": "open|offen|abiert[oa]|ouverte?|encours",
    },
    "attribute": {
        "industry": "industry",
        "employees": "numberofemployees|employees",
        "annual_revenue": "annualrevenue",
        "country": "country|billingcountry",
        "region": "state|billingstate|billingstateprovince",
        "city": "city|billingcity",
        "technologies": "webtechnologies",
        "lead_source": "hsanalyticssource|accountsource",
    },
}
#: Folded cells of a yes and a no; a task that is done counts as a yes.
TRUE_WORDS = ("true", "t", "yes", "y", "1", "ja", "wahr", "sí", "verdadero", "oui", "vrai", "done", "completed")
FALSE_WORDS = ("false", "f", "no", "n", "0", "nein", "falsch", "falso", "non", "faux")
#: A long number or a UUID is the system's id of a stage: it says nothing of the status.
STAGE_ID = r"\d{4,}|[0-9a-f]{8}-[0-9a-f-]{27}"
#: What a reader is told of a transform.
ASSUMED = {
    "stage_word": "status is read from {header}: a stage with the word won (or closedwon) is won, with lost (or "
    "closedlost) lost, any other open; where a cell is the system's id of a stage, status stays empty",
    "deal_type": "type: the words of {header} are read as new, expansion or renewal; others are left empty, and a deal "
    "without a type counts as new",
    "account_type": "account_type: the words of {header} are read as customer, prospect, partner, competitor or test; "
    "others are left empty",
    "first_id": "{column}: of several ids in {header} the first is used",
}
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


@dataclass(frozen=True)
class Source:
    """Where one canonical column comes from: the headers as written, and what is done to their cells.

    `transform` is a name that `transform_sql` knows; '' takes the cell of the only header as it is.
    """

    column: str
    headers: tuple[str, ...]
    transform: str = ""


@dataclass(frozen=True)
class Where:
    """A condition on rows: the cell, folded, is (or is not) one of the words; an empty cell is none of them."""

    header: str
    words: tuple[str, ...]
    is_kept: bool = True


def fold_sql(cell: str) -> str:
    """Return SQL of a cell's letters and digits in lower case, as `recognition.normalise` folds a header."""
    return rf"regexp_replace(lower(nfc_normalize({cell})), '[^\p{{L}}\p{{N}}]', '', 'g')"


def transform_sql(transform: str, *cells: str) -> str:
    """Return DuckDB SQL over text that does a source's transform.

    Parameters
    ----------
    transform : str
        '' (the cell as it is), or

        - ``sf18``: a 15-character Salesforce id gets the three characters that make it safe to compare; any other text
          stays as it is; ``sf18:006`` keeps only ids that begin with these characters
        - ``first_id``: the first of several ids separated by ``;`` or ``,``
        - ``first_filled``: the first of several cells that is not empty
        - ``won_lost``, ``won_closed``: the status from two flags (won, lost) or (won, closed); empty if a flag is not
          understood or both won and lost are set
        - ``stage_word``: the status from a stage's name; a stage that says neither won nor lost is open; empty for ids
        - ``deal_type``, ``account_type``, ``attribute``: the canonical word of `WORDS`; unknown words become empty
        - ``status``: the same; unknown words stay, so that the checks report them
    cells : str
        SQL of each cell, in the order of the source's headers; an empty cell is NULL.

    Raises
    ------
    DataError
        No such transform.

    Examples
    --------
    >>> transform_sql("", '"Stage"')
    '"Stage"'
    >>> transform_sql("first_filled", '"a"', '"b"')
    'COALESCE("a", "b")'
    """
    name, _, prefix = transform.partition(":")
    cell = cells[0]
    if name == "sf18":
        return f"CASE WHEN starts_with({cell}, '{prefix}') THEN {_sf18(cell)} END" if prefix else _sf18(cell)
    if name in ("won_lost", "won_closed"):
        return _status_of_flags(name, *cells)
    if name in WORDS:
        cases = " ".join(f"WHEN regexp_full_match({fold_sql(cell)}, '(?:{words})') THEN '{word}'"
                         for word, words in WORDS[name].items())  # fmt: skip
        return f"CASE {cases} {f'ELSE lower({cell}) ' if name == 'status' else ''}END"
    simple = {
        "": cell,
        "first_id": f"NULLIF(trim(split_part(replace({cell}, ',', ';'), ';', 1)), '')",
        "first_filled": f"COALESCE({', '.join(cells)})",
        "stage_word": _status_of_stage(cell),
    }
    return simple[check_in(name, simple, "transform")]


def _sf18(cell: str) -> str:
    """Each suffix character counts the capitals of five characters, as bits."""
    suffix = []
    for block in (1, 6, 11):
        bits = " + ".join(
            f"CASE WHEN ascii(substr({cell}, {block + place}, 1)) BETWEEN 65 AND 90 THEN {1 << place} ELSE 0 END"
            for place in range(5)
        )
        suffix.append(f"substr('{_SUFFIX}', 1 + {bits}, 1)")
    is_short = f"regexp_full_match({cell}, '[0-9A-Za-z]{{15}}')"
    return f"CASE WHEN {is_short} THEN {cell} || {' || '.join(suffix)} ELSE {cell} END"


def _status_of_flags(name: str, won: str, other: str) -> str:
    is_won, is_other = is_in(won, TRUE_WORDS), is_in(other, TRUE_WORDS)
    odd = [f"({cell} IS NOT NULL AND NOT {is_in(cell, TRUE_WORDS + FALSE_WORDS)})" for cell in (won, other)]
    odd += [f"({is_won} AND {is_other})"] if name == "won_lost" else []
    cases = f"WHEN {is_won} THEN 'won' WHEN {is_other} THEN 'lost' ELSE 'open'"
    return f"CASE WHEN {' OR '.join(odd)} THEN NULL {cases} END"


def _status_of_stage(cell: str) -> str:
    text = f"lower(nfc_normalize({cell}))"
    won, lost = (
        rf"regexp_matches({text}, '(^|[^\p{{L}}])({WORDS['status'][word]}|closed{word})([^\p{{L}}]|$)')"
        for word in ("won", "lost")
    )
    nothing = f"{cell} IS NULL OR ({won} AND {lost}) OR regexp_full_match({text}, '{STAGE_ID}')"
    return f"CASE WHEN {nothing} THEN NULL WHEN {won} THEN 'won' WHEN {lost} THEN 'lost' ELSE 'open' END"


def is_in(cell: str, words: tuple[str, ...]) -> str:
    """Return SQL that says whether a cell, folded, is one of the words; an empty cell is none of them."""
    return f"COALESCE({fold_sql(cell)} IN ({', '.join(map(repr, words))}), false)"


def where_sql(conditions: Iterable[Where], to_cell: Callable[[str], str]) -> str:
    """Return SQL of conditions that all must hold ('true' if there are none); `to_cell` gives the SQL of a header.

    Examples
    --------
    >>> where_sql([], str)
    'true'
    """
    parts = [f"{'' if part.is_kept else 'NOT '}{is_in(to_cell(part.header), part.words)}" for part in conditions]
    return " AND ".join(parts) or "true"
