"""Credit by channel against enumeration, brute force, two other implementations, and laws."""

from __future__ import annotations

from itertools import chain, combinations, pairwise
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from icp_lib.credits import EQUAL, FIRST, LAST, W, credit_journeys, list_steps, measure_removal

CHANNELS = ["Fair", "Mail", "Phone", "Search"]
REFERENCE = Path(__file__).parent / "reference" / "attribution_channels.csv"


def draw_journeys(seed: int, n: int = 60, k: int = 4) -> pd.DataFrame:
    """Return random journeys, some with repeated visits."""
    rng = np.random.default_rng(seed)
    paths = [[CHANNELS[c] for c in rng.integers(0, k, 1 + rng.poisson(2))] for _ in range(n)]
    lengths = np.array([len(path) for path in paths])
    marks = {name: rng.integers(0, lengths + 1) for name in ("lead_visit", "deal_visit")}
    return pd.DataFrame({"path": paths, "is_won": rng.random(n) < 0.4, **marks})


def count_chain(journeys: pd.DataFrame, channels: list[str]) -> np.ndarray:
    k = len(channels)
    return np.bincount(list_steps(journeys, channels)[1], minlength=(k + 1) * (k + 2)).astype(float)


def enumerate_shapley(journeys: pd.DataFrame, channels: list[str]) -> np.ndarray:
    """The definition: the mean marginal worth over all orders, worth being customers whose channels all lie in S."""
    won = [set(path) for path in journeys.loc[journeys["is_won"], "path"]]

    def worth(coalition) -> int:
        return sum(path <= set(coalition) for path in won)

    n, values = len(channels), []
    for channel in channels:
        others = [each for each in channels if each != channel]
        subsets = chain.from_iterable(combinations(others, size) for size in range(n))
        values.append(sum(
            factorial(len(s)) * factorial(n - len(s) - 1) / factorial(n) * (worth({*s, channel}) - worth(s))
            for s in subsets
        ))  # fmt: skip
    return np.array(values)


def remove_by_force(journeys: pd.DataFrame, channels: list[str]) -> np.ndarray:
    """The definition: count every step, send every step to the channel to none instead, solve for the customers."""
    states = ["start", *channels, "won", "none"]
    counts = pd.DataFrame(0.0, states, states)
    for path, is_won in zip(journeys["path"], journeys["is_won"], strict=True):
        walk = ["start", *path, "won" if is_won else "none"]
        for before, after in pairwise(walk):
            counts.loc[before, after] += 1
    rates = counts.div(counts.sum(axis=1).replace(0, 1), axis=0)

    def convert(table: pd.DataFrame) -> float:
        inner = ["start", *channels]
        return np.linalg.solve(np.eye(len(inner)) - table.loc[inner, inner], table.loc[inner, "won"])[0]

    return np.array([1 - convert(rates.assign(**{channel: 0.0})) / convert(rates) for channel in channels])


@pytest.mark.parametrize("seed", range(8))
def test_equal_split_is_the_enumerated_shapley_value(seed):
    journeys = draw_journeys(seed)
    got = credit_journeys(journeys, CHANNELS)[EQUAL].sum(axis=0)
    np.testing.assert_allclose(got, enumerate_shapley(journeys, CHANNELS), rtol=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_removal_is_removal_by_force_repeated_visits_included(seed):
    journeys = draw_journeys(seed)
    got = measure_removal(count_chain(journeys, CHANNELS))
    np.testing.assert_allclose(got, remove_by_force(journeys, CHANNELS), rtol=1e-9)  # two ways through one matrix


def test_removal_of_many_chains_at_once_is_that_of_each():
    chains = np.array([count_chain(draw_journeys(seed), CHANNELS) for seed in range(5)])
    np.testing.assert_array_equal(measure_removal(chains), [measure_removal(each) for each in chains])


@pytest.mark.parametrize("seed", range(4))
def test_every_rule_gives_each_customer_away_once_and_nothing_else(seed):
    journeys = draw_journeys(seed)
    for rule, credit in credit_journeys(journeys, CHANNELS).items():
        np.testing.assert_allclose(credit.sum(axis=1), journeys["is_won"], rtol=1e-12, err_msg=rule)
        assert (credit >= 0).all()


def test_channels_are_only_names():
    journeys, back = draw_journeys(3), CHANNELS[::-1]
    for rule, credit in credit_journeys(journeys, back).items():
        np.testing.assert_allclose(credit[:, ::-1], credit_journeys(journeys, CHANNELS)[rule], err_msg=rule)
    there, here = (measure_removal(count_chain(journeys, names)) for names in (back, CHANNELS))
    np.testing.assert_allclose(there[::-1], here)


def test_a_channel_that_every_customer_met_has_removal_one_and_one_that_none_met_zero():
    journeys = pd.DataFrame({"path": [["Fair", "Mail"], ["Mail"], ["Phone"]], "is_won": [True, True, False]})
    np.testing.assert_allclose(measure_removal(count_chain(journeys, CHANNELS)), [0.5, 1, 0, 0])


def test_no_customer_no_removal_effect():
    assert np.isnan(measure_removal(count_chain(draw_journeys(1).assign(is_won=False), CHANNELS))).all()


@pytest.mark.parametrize(
    ("path", "lead_visit", "deal_visit", "wanted"),
    [
        ("Fair Mail Phone Search", 2, 3, [0.3, 0.3, 0.3, 0.1]),
        ("Fair Mail Phone Mail Search", 2, 3, [0.3, 0.35, 0.3, 0.05]),  # a second visit to Mail is one of the rest
        ("Fair Mail Phone", 2, 3, [1 / 3, 1 / 3, 1 / 3, 0]),  # no rest: the three share its tenth
        ("Fair Mail Phone", 0, 3, [3 / 7, 1 / 7, 3 / 7, 0]),  # no lead: in proportion 3 : 1 : 3
        ("Fair Mail", 1, 1, [0.9, 0.1, 0, 0]),  # lead and deal in the first visit
        ("Mail", 0, 0, [0, 1, 0, 0]),
    ],
)
def test_w_by_arithmetic(path, lead_visit, deal_visit, wanted):
    one = pd.DataFrame(
        {"path": [path.split()], "is_won": [True], "lead_visit": [lead_visit], "deal_visit": [deal_visit]}
    )
    np.testing.assert_allclose(credit_journeys(one, CHANNELS)[W][0], wanted, atol=1e-12)


@pytest.fixture(scope="module")
def public(shared_data):
    """The public channel paths as journeys, how often each was taken, and its channels."""
    path = shared_data / "channel_paths" / "data.csv.gz"
    if not path.exists():
        pytest.skip("no channel_paths in the real data")
    table = pd.read_csv(path)
    paths = table["path"].str.split(" > ").tolist()
    journeys = pd.DataFrame({"path": paths * 2, "lead_visit": 0, "deal_visit": 0})
    journeys["is_won"] = np.repeat([True, False], len(paths))
    return journeys, np.append(table["total_conversions"], table["total_null"]), pd.read_csv(REFERENCE)


def test_removal_equals_two_other_implementations_on_public_paths(public):
    journeys, n, wanted = public
    channels = wanted["channel"].tolist()
    journey, step = list_steps(journeys, channels)
    removal = measure_removal(np.bincount(step, n[journey], minlength=13 * 14))
    np.testing.assert_allclose(removal, wanted["removal_effect"], rtol=1e-10)  # frozen with 12 digits
    np.testing.assert_allclose(removal, wanted["removal_simulated"], atol=0.004)  # it simulates: 0.003 between seeds
    assert (removal / removal.sum() * 19_785).sum() == pytest.approx(19_785)


def test_first_and_last_equal_another_implementation_on_public_paths(public):
    journeys, n, wanted = public
    credit = credit_journeys(journeys, wanted["channel"].tolist())
    np.testing.assert_allclose(n @ credit[FIRST], wanted["first_touch"])
    np.testing.assert_allclose(n @ credit[LAST], wanted["last_touch"])
    assert (n @ credit[EQUAL]).sum() == pytest.approx(19_785)
