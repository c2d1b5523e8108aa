"""A company's `experiments.yml`: the protocol of each ICP test, written before its first account is assigned."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from icp_lib.checks import DataError, hint
from icp_lib.settings import explain, load_yaml

FILE = "experiments.yml"
METRIC_NAMES = (
    "win_rate", "stage_rate", "opportunity_rate", "margin_per_account", "margin_per_opportunity", "cycle_days",
    "touch_rate",
)  # fmt: skip
DECISIONS = ("ship", "stop", "continue", "cannot answer")
#: What readers see for a decision.
DECISION_WORDS = {"ship": "use it", "stop": "stop", "continue": "go on", "cannot answer": "cannot tell",
                  "withheld": "withheld", "not started": "not started"}  # fmt: skip
#: Keys that are written after launch: not part of what was agreed.
_NOT_AGREED = ("agreed", "deviations", "concluded")
_LEADS = (
    "accounts were assigned, so all leads of an account share its arm. Analysed one by one, about a third of all tests "
    "without any effect would look like an effect. Write unit: account, or leave the line out"
)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Condition(_Strict):
    """One rule that the accounts of a candidate profile meet, as in `rules.Segment`."""

    attribute: str
    op: Literal["is", "in", "between", "missing"]
    value: str | float | list[str] | list[float | None] | None = None

    @model_validator(mode="after")
    def _fits(self):
        wanted = {"is": (str, float), "in": (list,), "between": (list,), "missing": (type(None),)}[self.op]
        if not isinstance(self.value, wanted) or (self.op == "between" and len(self.value) != 2):
            raise ValueError("value must be a word for is, a list for in, [low, high] for between, nothing for missing")
        return self


class Candidate(_Strict):
    """A candidate profile: its name, and which accounts match it."""

    id: Annotated[str, Field(min_length=1)]
    conditions: list[Condition] = []


class Measure(_Strict):
    """What is measured on an account: a metric within so many days after its assignment.

    `winsorise` caps the margin of an account at that quantile of the accounts with one, all arms together: what is
    left of a difference without the largest deals. It is told beside the mean and decides nothing.
    """

    metric: Literal[METRIC_NAMES]
    window_days: Annotated[int, Field(ge=1, le=1095)]
    stage: str | None = None
    touch_type: str | None = None
    winsorise: Annotated[float, Field(ge=0.5, lt=1)] | None = None

    @model_validator(mode="after")
    def _says_of_what(self):
        if self.winsorise and self.metric != "margin_per_account":
            raise ValueError("winsorise belongs to metric: margin_per_account, and only there")
        for metric, name in (("stage_rate", "stage"), ("touch_rate", "touch_type")):
            if (self.metric == metric) != (getattr(self, name) is not None):
                raise ValueError(f"{name} belongs to metric: {metric}, and only there")
        return self

    @property
    def id(self) -> str:
        """Name in result tables, such as touch_rate_meeting_45d; it starts with the metric."""
        of = "".join(letter if letter.isalnum() else "_" for letter in (self.stage or self.touch_type or "").lower())
        cap = f"w{100 * self.winsorise:g}" if self.winsorise else ""
        return "_".join(part for part in (self.metric, of, f"{self.window_days}d", cap) if part)

    @property
    def words(self) -> str:
        """Name for readers, such as Meeting within 45 days."""
        what = {
            "win_rate": "Won", "opportunity_rate": "Deal opened", "margin_per_account": "Margin per account",
            "margin_per_opportunity": "Margin per deal opened", "cycle_days": "Sales cycle of won deals",
        }.get(self.metric, self.stage or self.touch_type)  # fmt: skip
        capped = f", capped where {1 - self.winsorise:.0%} have more" if self.winsorise else ""
        return f"{what} within {self.window_days} days{capped}"

    @property
    def is_rate(self) -> bool:
        """Whether it is a share of accounts."""
        return self.metric.endswith("_rate")

    @property
    def is_ratio(self) -> bool:
        """Whether it is a ratio of two sums over accounts."""
        return self.metric in ("margin_per_opportunity", "cycle_days")

    @property
    def is_lower_better(self) -> bool:
        """Whether less is better."""
        return self.metric == "cycle_days"


class Guardrail(Measure):
    """A measure that must not get worse: the effect must lie beyond `not_worse_than`, in the measure's own unit."""

    not_worse_than: float

    @model_validator(mode="after")
    def _is_a_loss(self):
        if (self.not_worse_than < 0) == self.is_lower_better:
            sign = "above 0: days more" if self.is_lower_better else "below 0: the loss that is still acceptable"
            raise ValueError(f"not_worse_than must be {sign}")
        return self


class Plan(_Strict):
    """How accounts are assigned: how many an arm, by strata, balanced on what, filled by strata or by a coin."""

    n_per_arm: Annotated[int, Field(ge=2)] | None = None
    filled_by: Literal["strata", "coin"] = "strata"
    stratify_by: list[str] = []
    balance_on: list[str] = []
    best_share: Annotated[float, Field(gt=0, le=1)] = 0.1
    seed: Annotated[int, Field(ge=0)] = 1


class Deviation(_Strict):
    """Something that was done otherwise than agreed, and when."""

    day: date
    what: str


class Conclusion(_Strict):
    """How a test was concluded: when, what was decided, and what happened afterwards."""

    day: date
    decision: Literal[DECISIONS]
    what: str = ""
    afterwards: str = ""


class Protocol(_Strict):
    """One ICP test as agreed before launch (an item of `experiments.yml`)."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    question: str
    why: str = ""
    design: Literal["uplift", "sample"] = "uplift"
    unit: str = "account"
    candidate: str | None = None
    conditions: list[Condition] = []
    candidates: list[Candidate] = []
    arms: Annotated[list[str], Field(min_length=1)]
    control: str
    written_on: date | None = None
    assigned_on: date
    assignment: Plan = Plan()
    primary: Measure
    secondary: list[Measure] = []
    guardrails: list[Guardrail] = []
    looks: list[Annotated[float, Field(gt=0, le=1)]] = [1.0]
    expected_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    mde: Annotated[float, Field(gt=0)]
    smallest_worth: Annotated[float, Field(ge=0)] = 0.0
    power: Annotated[float, Field(gt=0.5, lt=1)] = 0.8
    max_share: Annotated[float, Field(gt=0, le=1)] = 0.2
    cost_per_account: Annotated[float, Field(ge=0)] = 0.0
    decision: dict[Literal[DECISIONS], str]
    agreed: str | None = None
    deviations: list[Deviation] = []
    concluded: Conclusion | None = None

    @field_validator("unit")
    @classmethod
    def _is_the_account(cls, unit):
        if unit != "account":
            raise ValueError(f"'{unit}' is refused: {_LEADS}")
        return unit

    @field_validator("looks")
    @classmethod
    def _rise_to_the_end(cls, looks):
        if sorted(set(looks)) != looks or looks[-1:] != [1.0]:
            raise ValueError("looks must rise and end at 1.0: shares of the accounts whose window is over")
        return looks

    @field_validator("decision")
    @classmethod
    def _is_whole(cls, decision):
        missing = [word for word in DECISIONS if word not in decision]
        if missing:
            raise ValueError(f"must say what each decision needs; missing: {', '.join(missing)}")
        return decision

    @model_validator(mode="after")
    def _decides_in_full(self):
        if any(each.winsorise for role, each in self.measures if role != "secondary"):
            raise ValueError("winsorise belongs to secondary: what decides or must not get worse counts in full")
        return self

    @model_validator(mode="after")
    def _names_fit(self):
        if bool(self.candidate) == bool(self.candidates):
            raise ValueError("give candidate: (one profile) or candidates: (several), not both and not neither")
        names = [each.id for each in self.profiles]
        compared = names if self.design == "sample" else self.arms
        what = "candidates" if self.design == "sample" else "arms"
        for listed, kind in ((names, "candidates"), (self.arms, "arms")):
            if len(set(listed)) < len(listed):
                raise ValueError(f"{kind}: a name stands twice")
        if self.control not in compared:
            raise ValueError(f"control: '{self.control}' is none of the {what}. {hint(self.control, compared)}")
        if len(compared) < 2:
            raise ValueError(f"{what}: a {self.design} test compares at least two")
        return self

    @property
    def profiles(self) -> list[Candidate]:
        """The candidate profiles, one or several."""
        return self.candidates or [Candidate(id=str(self.candidate), conditions=self.conditions)]

    @property
    def treated(self) -> list[str]:
        """What is compared with the control: arms (uplift) or candidates (sample)."""
        names = self.arms if self.design == "uplift" else [each.id for each in self.profiles]
        return [name for name in names if name != self.control]

    @property
    def title(self) -> str:
        """Name for readers, such as Owner message for small carriers."""
        who = ", ".join(name_words(each.id) for each in self.profiles)
        if self.design == "sample":
            others = ", ".join(map(name_words, self.treated))
            return f"{others[0].upper()}{others[1:]} against {name_words(self.control)}"
        arms = " or ".join(map(name_words, self.treated))
        return f"{arms[0].upper()}{arms[1:]} for {who}"

    @property
    def measures(self) -> list[tuple[str, Measure]]:
        """Role and measure, in the order of the file: primary, secondary, guardrail."""
        roles = [("primary", [self.primary]), ("secondary", self.secondary), ("guardrail", self.guardrails)]
        return [(role, measure) for role, measures in roles for measure in measures]

    @property
    def is_dated(self) -> bool:
        """Whether anything says that it was written before the test: a day, or the fingerprint agreed then."""
        return bool(self.written_on or self.agreed)

    @property
    def hash(self) -> str:
        """Twelve characters of the hash of what was agreed: any later change of a rule changes it."""
        agreed = self.model_dump(mode="json", exclude=set(_NOT_AGREED), exclude_none=True)
        text = json.dumps(agreed, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class Protocols(NamedTuple):
    """The protocols that can be read, and for each of the others what is wrong with it."""

    by_id: dict[str, Protocol]
    problems: dict[str, str]


def name_words(name: str) -> str:
    """Return the id of an arm, candidate or test as readers see it.

    Examples
    --------
    >>> name_words("as_usual"), name_words("small-carriers")
    ('as usual', 'small carriers')
    """
    return str(name).replace("_", " ").replace("-", " ")


def name_day(day: date) -> str:
    """Return a day as readers see it.

    Examples
    --------
    >>> name_day(date(2026, 3, 2))
    '2 Mar 2026'
    """
    return f"{day.day} {day:%b %Y}"


def load_protocols(folder: str | Path) -> Protocols:
    """Read and validate ``<folder>/experiments.yml``; without the file there is no protocol.

    One protocol with a mistake does not take the others with it: its mistakes stand under its id in `problems`.

    Raises
    ------
    DataError
        The file is not YAML, or is not a list of experiments.
    """
    path = Path(folder) / FILE
    values = load_yaml(path) if path.exists() else {"experiments": []}
    unknown = [key for key in values if key != "experiments"]
    if unknown:
        raise DataError(f"{FILE}: the key '{unknown[0]}' is not known. {hint(unknown[0], ['experiments'])}")
    items = values.get("experiments") or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DataError(f"{FILE}: experiments must be a list, each item with 'id:' and what was agreed.")
    found: dict[str, Protocol] = {}
    problems: dict[str, str] = {}
    for number, item in enumerate(items, 1):
        name = str(item.get("id", f"number {number}"))
        if name in found or name in problems:
            found.pop(name, None)
            problems[name] = f"{FILE}: '{name}' stands twice. Which was agreed? Give each its own id."
            continue
        try:
            found[name] = Protocol(**{str(key): value for key, value in item.items()})
        except ValidationError as error:
            problems[name] = explain(error, f"{FILE}, {name}", _keys).replace("\n", " ")
    return Protocols(found, problems)


def check_protocol(protocols: Protocols, experiment_id: str) -> Protocol:
    """Return one protocol, or say what is wrong with it."""
    if experiment_id in protocols.problems:
        raise DataError(protocols.problems[experiment_id])
    if experiment_id not in protocols.by_id:
        known = list(protocols.by_id) or ["none yet"]
        raise DataError(f"{FILE}: no experiment '{experiment_id}'. {hint(experiment_id, known)}")
    return protocols.by_id[experiment_id]


_MODELS = {
    "primary": Measure, "secondary": Measure, "guardrails": Guardrail, "candidates": Candidate,
    "conditions": Condition, "assignment": Plan, "deviations": Deviation, "concluded": Conclusion,
}  # fmt: skip


def _keys(location: tuple) -> list[str]:
    """Return the keys that are known at one place of a protocol."""
    names = [part for part in location if isinstance(part, str)]
    return list(_MODELS.get(names[-1] if names else "", Protocol).model_fields)
