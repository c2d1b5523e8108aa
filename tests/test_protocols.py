"""experiments.yml: what was agreed can be read, mistakes are named, and any later change shows."""

from __future__ import annotations

import pytest
from experiments_of import write_protocol

from icp_lib.checks import DataError
from icp_lib.protocols import check_protocol, load_protocols

GOOD = """\
experiments:
  - id: letter
    question: Does a letter help?
    candidate: makers
    arms: [letter, as_usual]
    control: as_usual
    assigned_on: 2026-03-02
    primary: {metric: touch_rate, touch_type: Meeting, window_days: 45}
    mde: 0.12
    decision: {ship: a, stop: b, continue: c, cannot answer: d}
"""


@pytest.fixture
def load(tmp_path):
    def write(text):
        (tmp_path / "experiments.yml").write_text(text, encoding="utf-8")
        return load_protocols(tmp_path)

    return write


def test_without_a_file_there_is_no_protocol(tmp_path):
    assert load_protocols(tmp_path) == ({}, {})


def test_defaults_are_the_method_s(load):
    protocol = check_protocol(load(GOOD), "letter")
    assert (protocol.design, protocol.unit, protocol.looks, protocol.max_share) == ("uplift", "account", [1.0], 0.2)
    assert protocol.assignment.best_share == 0.1 and protocol.treated == ["letter"]
    assert (protocol.primary.id, protocol.primary.words) == ("touch_rate_meeting_45d", "Meeting within 45 days")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    mde: 0.12", "    mdee: 0.12", "the key 'mdee' is not known. Did you mean 'mde'?"),
        ("metric: touch_rate", "metric: tuch_rate", "primary.metric"),
        ("touch_type: Meeting, ", "", "touch_type belongs to metric: touch_rate"),
        ("window_days: 45", "window: 45", "Did you mean 'window_days'?"),
        ("control: as_usual", "control: as_usuall", "Did you mean 'as_usual'?"),
        ("    mde: 0.12", "    mde: 0.12\n    unit: lead", "'lead' is refused: accounts were assigned"),
        ("    mde: 0.12", "    mde: 0.12\n    looks: [0.5]", "looks must rise and end at 1.0"),
        ("cannot answer: d", "cannot_answer: d", "decision"),
        ("    mde: 0.12", "    mde: 0.12\n    guardrails: [{metric: win_rate, window_days: 9, not_worse_than: 0.1}]",
         "not_worse_than must be below 0"),
        ("    candidate: makers\n", "", "give candidate: (one profile) or candidates:"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(load, old, new, said):
    found = load(GOOD.replace(old, new))
    assert not found.by_id and said in found.problems["letter"]
    with pytest.raises(DataError, match=r"experiments\.yml, letter"):
        check_protocol(found, "letter")


def test_one_mistake_does_not_take_the_other_protocols_with_it(load):
    second = GOOD.split("experiments:\n")[1].replace("id: letter", "id: call").replace("mde: 0.12", "mde: -1")
    found = load(GOOD + second)
    assert list(found.by_id) == ["letter"] and list(found.problems) == ["call"]


def test_two_protocols_of_one_name_are_none(load):
    found = load(GOOD + GOOD.split("experiments:\n")[1])
    assert not found.by_id and "stands twice" in found.problems["letter"]


def test_an_unknown_experiment_names_the_closest(load):
    with pytest.raises(DataError, match=r"no experiment 'leter'\. Did you mean 'letter'"):
        check_protocol(load(GOOD), "leter")


def test_the_fingerprint_knows_every_rule_and_nothing_else():
    base = write_protocol()
    changed = [write_protocol(mde=0.1), write_protocol(looks=[0.5, 1.0]), write_protocol(cost_per_account=3.0)]
    assert len({base.hash, *(each.hash for each in changed)}) == 4
    later = [write_protocol(deviations=[{"day": base.assigned_on, "what": "late"}]), write_protocol(agreed="x")]
    assert {each.hash for each in later} == {base.hash}


def test_a_sample_test_compares_candidates():
    candidates = [{"id": "makers"}, {"id": "carriers"}]
    protocol = write_protocol(design="sample", candidate=None, candidates=candidates, control="makers", arms=["letter"])
    assert protocol.treated == ["carriers"]
    with pytest.raises(ValueError, match="none of the candidates"):
        write_protocol(design="sample", candidate=None, candidates=candidates, arms=["letter"])
