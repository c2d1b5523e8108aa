"""The smallest lift that would have been confirmed: planted, it is, in about the share of worlds asked for."""

from __future__ import annotations

import numpy as np
import pytest

from icp_lib import power
from icp_lib.checks import DataError

FOUND_AT = 4.0


def build_world(seed: int, n: int = 4000, share: float = 0.0, lift: float = 1.0, more: float = 0.3):
    """Accounts in twelve quarters with 1 + Poisson(more) opportunities; a random set wins `lift` times as often as the
    rest, together they win as often as without it. Values and expectations as in the method, by quarter and part.

    Returns r, is_found, m, account, in_set.
    """
    rng = np.random.default_rng(seed)
    account = np.repeat(np.arange(n), 1 + rng.poisson(more, n))
    quarter, is_found = np.sort(rng.integers(0, 12, n))[account], np.arange(n) < 0.6 * n
    in_set = rng.random(n) < share
    won = rng.random(len(account)) < 0.22 * np.where(in_set[account], lift, 1) / (1 + share * (lift - 1))
    days = rng.gamma(2, 70, len(account)).clip(1, 365)
    m = np.where(won, rng.lognormal(9, 0.6, len(account)), 0.0)
    m = np.minimum(m, np.quantile(m[won], 0.95))
    group = 2 * quarter + is_found[account]
    got, spent = (np.bincount(group, weights=x, minlength=24) for x in (m, days))
    r = m - days * (got / np.maximum(spent, 1))[group]
    return np.bincount(account, weights=r, minlength=n), is_found, m, account, in_set


def is_confirmed(world) -> bool:
    r, is_found, _, _, in_set = world
    parts = [r[in_set & is_found], r[in_set & ~is_found]]
    found, held_out = (each.sum() / np.sqrt(np.square(each).sum()) for each in parts)
    return found >= FOUND_AT and held_out >= power.HELD_OUT


@pytest.mark.parametrize(
    ("share", "n", "more"), [(0.05, 4000, 0.3), (0.1, 4000, 1.0), (0.2, 4000, 0.0), (0.2, 1500, 0.3)]
)
def test_the_stated_lift_is_confirmed_in_about_eight_of_ten_worlds(share, n, more):
    """Worlds with the lift planted by winning more often: another road than the formula's. 0.80 within 0.05, and three
    errors of 800 worlds (0.042). Half of the lift (logarithms) is confirmed in fewer than one of ten."""
    worlds = [build_world(9000 + seed, n, more=more)[:4] for seed in range(9)]
    lift = float(np.median([power.detectable_lift(*world, FOUND_AT, shares=[share]) for world in worlds]))
    rate = np.mean([is_confirmed(build_world(seed, n, share, lift, more)) for seed in range(800)])
    assert 0.708 < rate < 0.892
    assert np.mean([is_confirmed(build_world(seed, n, share, np.sqrt(lift), more)) for seed in range(100)]) < 0.1


def test_larger_sets_more_accounts_and_a_lower_bar_need_less():
    world, larger = build_world(1)[:4], build_world(1, n=16_000)[:4]
    lifts = power.detectable_lift(*world, FOUND_AT)
    assert np.all(np.diff(lifts) < 0) and np.all(lifts > 1)
    assert np.all(power.detectable_lift(*larger, FOUND_AT) < lifts)
    assert np.all(power.detectable_lift(*world, 3.0) < lifts)
    assert np.all(power.detectable_lift(*world, FOUND_AT, 5.0) > lifts)
    assert np.all(power.detectable_lift(*world, FOUND_AT, power=0.5) < lifts)


def test_lift_has_no_unit():
    r, is_found, m, account, _ = build_world(2)
    one, two = (power.detectable_lift(r * unit, is_found, m * unit, account, FOUND_AT) for unit in (1, 1000))
    np.testing.assert_allclose(one, two, rtol=1e-6)  # a root search ends where its last step fell


def test_a_set_too_small_for_any_verdict_has_no_lift():
    """1,500 accounts hold 600 newer ones with about 170 wins: a tenth of them has 15, a twentieth has not."""
    lifts = power.detectable_lift(*build_world(3, n=1500)[:4], FOUND_AT)
    assert np.isnan(lifts[0]) and np.all(np.isfinite(lifts[1:]))
    assert np.all(np.isnan(power.detectable_lift(*build_world(3, n=60)[:4], FOUND_AT)))


def test_no_lift_where_nobody_could_win_more():
    """Nine of ten stay: a set cannot stay more than always."""
    rng = np.random.default_rng(4)
    stayed = (rng.random(1000) < 0.9).astype(float)
    arguments = stayed - stayed.mean(), np.arange(1000) < 600, stayed, np.arange(1000)
    assert np.isnan(power.detectable_lift(*arguments, FOUND_AT, shares=[0.1])[0])
    nothing = np.zeros(1000)
    assert np.isnan(power.detectable_lift(nothing, arguments[1], nothing, arguments[3], FOUND_AT, shares=[0.1])[0])


def test_found_wins_that_a_verdict_needs_are_asked_for():
    """A bar of nothing is passed by any lift; the set must still hold 15 wins where it is found."""
    won = np.zeros(4000)
    won[::40], won[2400::4] = 1, 1
    is_found = np.arange(4000) < 2400
    r = won - np.where(is_found, won[is_found].mean(), won[~is_found].mean())
    lift = power.detectable_lift(r, is_found, won, np.arange(4000), -9.0, -9.0, shares=[0.1])[0]
    kappa = 15 / (0.1 * 60)  # 60 wins in the older part, 6 of them in a tenth
    assert lift == pytest.approx(kappa * 0.9 / (1 - 0.1 * kappa))


def test_arguments_out_of_range_are_named():
    world = build_world(5, n=200)[:4]
    with pytest.raises(DataError, match=r"shares: 0\.7 must be between"):
        power.detectable_lift(*world, FOUND_AT, shares=[0.7])
    with pytest.raises(DataError, match="power: 80 must be between"):
        power.detectable_lift(*world, FOUND_AT, power=80)
