"""Every verdict has its words, and every field of every sentence a column to come from."""

from __future__ import annotations

import string

import companies
import discovery as simulated
import numpy as np
import pandas as pd
import pytest

from icp_lib import answers, change, discovery, disguise, groups, notes, offer
from icp_lib.sentences import fill, say

VERDICTS = [word if word != "explained by" else "explained by the rep" for word in groups.VERDICT_ORDER]


@pytest.fixture(scope="module")
def page():
    """Tables of the page of a planted world: one offered segment as every verdict would have it."""
    here = simulated.build_space(0)
    older = discovery.search_part(here, n_draws=99)
    offered = offer.list_offered(here, older)
    within = disguise.compare_within(here, list(offered["rules"]))
    judged = offer.judge_offered(here, offered, within, n_draws=99)
    segments = offer.build_segments(here, older, judged).head(1)
    copies = pd.concat([segments] * len(VERDICTS), ignore_index=True).assign(verdict=VERDICTS)
    copies["explained_by"] = np.where(copies["verdict"] == "explained by the rep", "the rep", "nothing")
    is_small = copies["verdict"] == "not enough data"
    copies["note"] = copies["note"].where(~is_small, "8 won of the 15 needed")
    newer = [name for name in copies if name.startswith("holdout_")]
    copies.loc[copies["verdict"].isin(["untested", "not enough data"]), newer] = np.nan
    tables = {"within": within, "without": disguise.estimate_without(here, list(offered["rules"]))}
    tables["moved"] = change.compare_quarters(here, here, segments)
    tables["searched"] = offer.describe_search(here, older).assign(measure="Margin per selling day")
    return tables | {"segments": copies, "every": offer.list_candidates(here, older)}


def fields(template: str) -> list[str]:
    return [name if name != "interval" else spec for _, name, spec, _ in string.Formatter().parse(template) if name]


@pytest.mark.parametrize("verdict", VERDICTS)
def test_every_verdict_has_its_sentence(page, verdict):
    row = page["segments"][page["segments"]["verdict"] == verdict]
    text = str(say(row, answers.SENTENCES))
    assert text.startswith(row["segment"].iloc[0]) and text.endswith(f"({verdict})")
    assert "nan" not in text.casefold() and "not measured" not in text
    kind = "explained by" if verdict.startswith("explained by") else verdict
    assert text == fill(row, answers.SENTENCES[kind]) + f" ({verdict})"


def test_no_verdict_is_left_out_and_none_is_made_up():
    assert set(answers.SENTENCES) == {*groups.VERDICT_ORDER, ""}


def test_the_facts_and_what_luck_gave_have_their_fields(page):
    row = page["searched"].head(1)
    for template in (*answers.FACTS.values(), *answers.LUCK, *answers.PUBLISHED):
        assert set(fields(template)) <= set(row.columns)
        text = fill(row, template)
        assert text and "nan" not in text.casefold() and "{" not in text
    assert fill(row, answers.FACTS["Searched"]).startswith(f"{row['hypotheses'].iloc[0]:,} groups: 11 traits, up to 3")


def test_the_answer_is_the_first_segments_or_says_that_there_is_none(page):
    assert answers.pick_answers(page["segments"], page["searched"])["verdict"].tolist() == VERDICTS[:5]
    assert len(answers.pick_answers(page["segments"], page["searched"], most=2)) == 2
    nothing = answers.pick_answers(page["segments"].iloc[:0], page["searched"])
    hypotheses = page["searched"]["hypotheses"].iloc[0]
    assert str(say(nothing, answers.SENTENCES)) == f"None of {hypotheses:,} groups has a lead that luck could not give."


def test_a_figure_has_one_range_wherever_it_is_read(page):
    segments = page["segments"]
    claims, held = offer.build_claims(segments), segments["holdout_lift"].notna().to_numpy()
    wide = claims.loc[held, ["conf_low", "conf_high"]].to_numpy(float)
    assert held.any() and (wide[:, 0] < segments.loc[held, "holdout_lift_low"]).all()
    ends = ["holdout_lift_low", "holdout_lift_high"]
    for shown in (answers.pick_answers(segments, page["searched"], most=9), answers.list_limits(segments)):
        assert np.allclose(shown.loc[held, ends].astype(float), wide)
    money = answers.pick_segments(segments).loc[held, ["margin_per_day_low", "margin_per_day_high"]].astype(float)
    assert np.allclose(money, wide * segments.loc[held, ["margin_per_day_rest"]].to_numpy(float))
    bare = segments.drop(columns=["holdout_joint_low", "holdout_joint_high"])
    assert answers.widen_ranges(bare).equals(bare)
    assert answers.widen_ranges(segments.head(0).astype("str")).empty  # as a table without rows is read back


def test_how_sure_we_are_of_the_first_claim(page):
    first = page["segments"].head(1)
    claim = answers.pick_claim(offer.build_claims(first), first)
    assert claim["claim_id"].tolist() == ["01-" + first["segment_id"].iloc[0]]
    assert claim["stability_rate"].tolist() == first["stability_rate"].tolist()
    empty = page["segments"].iloc[:0]
    assert answers.pick_claim(offer.build_claims(empty), empty).empty


def test_what_was_not_offered_has_a_reason(page):
    rejected = answers.pick_rejected(page["every"], most=5)
    assert rejected.columns.tolist() == ["segment", "lift_found", "p_adjusted", "n_opportunities", "reason"]
    assert len(rejected) == 5 and (rejected["reason"] != "").all()
    assert not set(rejected["segment"]) & set(page["every"].loc[page["every"]["is_offered"], "segment"])


def test_every_verdict_says_what_would_change_it(page):
    limits = answers.list_limits(page["segments"])
    assert limits.columns.tolist() == [
        "segment", "holdout_lift", "holdout_lift_low", "holdout_lift_high", "would_change", "verdict",
    ]  # fmt: skip
    assert limits["would_change"].notna().all() and limits["would_change"].nunique() == len(VERDICTS)


def test_money_is_left_out_where_there_is_none(page):
    segments = page["segments"]
    assert "margin_per_day" in answers.pick_segments(segments)
    bare = answers.pick_segments(segments.assign(margin_per_day=np.nan))
    assert "margin_per_day" not in bare and (bare["holdout_lift_found"] == segments["lift_found"]).all()


def test_the_figure_beside_luck_is_the_capped_one(page):
    shown = answers.pick_noise(page["segments"])
    assert (shown["lift_found"] == page["segments"]["lift_capped"]).all()


def test_the_comparisons_that_leave_least_come_first_in_words(page):
    within = page["within"]
    shown = answers.pick_within(within, most=2)
    assert len(shown) == 2 * within["segment_id"].nunique()
    assert set(shown["judged"]) <= {"stays", "less than half stays", "turns round", "not comparable"}
    for segment, rows in shown.groupby("segment"):
        least = within.loc[within["segment"] == segment, "share_left_rate"].nsmallest(2)
        assert rows["share_left_rate"].tolist() == least.tolist()


def test_what_a_reader_compares_is_in_the_tables(page):
    assert len(answers.pick_without(page["without"])) == len(page["without"]) > 0
    assert answers.pick_moved(page["moved"])["reading"].tolist() == ["Within noise"]


def test_without_a_segment_every_table_is_empty_and_has_its_columns(page):
    empty = offer.build_segments(None, None, pd.DataFrame())
    here = companies.build_space(companies.simulate({"kind": np.resize(["x", "y"], 100)}, 0.3), ["kind"])
    tables = [
        answers.list_limits(empty), answers.pick_segments(empty), answers.pick_noise(empty),
        answers.pick_within(disguise.compare_within(here, [])),
        answers.pick_without(disguise.estimate_without(here, [])),
        answers.pick_moved(change.compare_quarters(here, here, empty)), answers.pick_rejected(page["every"].iloc[:0]),
    ]  # fmt: skip
    assert all(table.empty and len(table.columns) >= 3 for table in tables)


def test_what_luck_gives_is_said_as_it_was_worked_out():
    searched = pd.DataFrame({"null": ["permuted"], "n_draws": 999, "lift_noise": 1.8, "p_adjusted": 0.001})
    assert "999 shuffled searches" in str(notes.aside(searched, "In numbers", *answers.pick_luck(searched)))
    many = searched.assign(null="multipliers", lift_noise=np.nan)
    said = str(notes.aside(many, "In numbers", *answers.pick_luck(many)))
    assert "999 searches without truth" in said and "not measured" not in said and "shuffled searches" not in said


def test_what_no_offered_segment_holds_is_said():
    table = pd.DataFrame({"uncovered_rate": [0.82, 0.82]})
    said = str(say(answers.pick_cover(table, "margin_per_day"), answers.UNCOVERED, by="kind"))
    assert said == "Together they leave 82% of new margin to companies outside of them."
    assert str(say(answers.pick_cover(table.head(0), "win_rate"), answers.UNCOVERED, by="kind")) == answers.NOTHING
