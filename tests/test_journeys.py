"""Journeys of a company small enough to follow by hand, through the engine."""

from __future__ import annotations

import ibis
import pandas as pd
import pytest

from icp_lib import journeys
from icp_lib.run import start_run

CUTOFF = pd.Timestamp("2026-01-01")  # deals opened before 2025-01-01 are followed
NONE = {
    "opportunities": {"opportunity_id": "string", "account_id": "string", "created_at": "timestamp",
                      "closed_at": "timestamp", "status": "string", "is_relevant": "boolean"},
    "touches": {"touch_id": "string", "occurred_at": "timestamp", "account_id": "string", "lead_id": "string",
                "contact_id": "string", "opportunity_id": "string", "channel": "string", "campaign_id": "string"},
    "leads": {"lead_id": "string", "created_at": "timestamp", "account_id": "string", "lead_source": "string",
              "campaign_id": "string"},
    "contacts": {"contact_id": "string", "account_id": "string"},
    "campaigns": {"campaign_id": "string", "channel": "string"},
}  # fmt: skip
DEALS = [
    ("o1", "a1", "2024-03-01", "2024-05-01", "won"),
    ("o2", "a2", "2024-03-01", "2024-06-01", "lost"),
    ("o3", "a3", "2024-04-01", None, "open"),
    ("o4", "a4", "2025-06-01", "2025-07-01", "won"),  # too young to be followed
    ("o5", "a5", "2024-02-01", "2024-03-01", "lost"),
    ("o6", "a5", "2024-04-01", "2024-05-01", "won"),  # the second deal made it a customer
    ("o7", "a7", "2024-04-01", "2024-05-01", "won"),  # nothing is known of how
]
TOUCHES = [
    ("t1", "2024-01-01", "a1", None, None, None, "Fair", None),
    ("t2", "2024-02-01", "a1", None, None, None, "Mail", None),
    ("t3", "2024-02-02", "a1", None, None, None, "Mail", None),  # the same visit
    ("t4", "2024-05-01", "a1", None, None, None, "Phone", None),  # on the moment of the win: still counts
    ("t5", "2024-05-02", "a1", None, None, None, "Search", None),  # after the win
    ("t6", "2024-07-01", "a2", None, None, None, "Fair", None),  # after the loss
    ("t7", "2024-05-01", None, None, None, "o2", None, "k1"),  # account by the deal, channel by the campaign
    ("t8", "2025-11-01", None, None, "c3", None, "Phone", None),  # account by the contact; the deal is still open
    ("t9", "2024-12-01", "a4", None, None, None, "Fair", None),
    ("u1", "2025-02-01", "a4", None, None, None, "Mail", None),  # before its young deal, but the following had ended
    ("u2", "2024-01-05", "a5", "l5", None, None, None, None),  # account's own, channel by the lead
    ("u3", "2024-01-06", "a5", None, None, None, None, None),  # no channel at all
    ("u4", "2024-01-07", None, None, None, None, "Fair", None),  # nobody's
    ("u5", "2024-06-01", "a6", None, None, None, "Search", None),
]
LATE = ("l1", "2025-06-01", "a1", "Search", None)  # after the win
LEADS = [
    ("l1", "2024-01-15", "a1", "Search", None),  # no touch of its own: a touch when it came in
    ("l5", "2024-01-04", "a5", "Partner", None),
    ("l3", "2024-02-01", "a3", "Search", "k1"),  # the campaign's channel goes first
]


def build(name: str, rows: list[tuple]):
    schema = NONE[name]
    frame = pd.DataFrame(rows, columns=list(schema)[: len(rows[0])] if rows else list(schema))
    for column, kind in schema.items():
        frame[column] = pd.to_datetime(frame[column]) if kind == "timestamp" else frame.get(column)
    return ibis.memtable(frame, schema=schema)


def build_tables(**changed) -> list:
    rows = {"opportunities": [(*deal, True) for deal in DEALS], "touches": TOUCHES, "leads": LEADS,
            "contacts": [("c3", "a3")], "campaigns": [("k1", "Webinar")]} | changed  # fmt: skip
    return [build(name, rows[name]) for name in journeys.TABLES]


def find(**changed) -> pd.DataFrame:
    return journeys.build_journeys(*build_tables(**changed), cutoff=CUTOFF).set_index("account_id")


def test_a_channel_that_only_touches_know_is_shown_as_other():
    own = ["Ann Roe", "0171 555", "search ", "WEBINAR", "Fair", "Booth", "fair"]
    rows = [(f"t{n}", f"2024-02-0{n}", "a1", None, None, None, each, None) for n, each in enumerate(own, 1)]
    rows += [("t9", "2024-02-20", "a1", None, None, None, "Booth 12", "k1")]  # its campaign knows better
    path = find(touches=rows, leads=[("l9", "2025-06-01", "a1", "Search", None)]).loc["a1", "path"]
    assert path == [journeys.OTHER, "Search", "Webinar", "Fair", journeys.OTHER, "Fair", "Webinar"]
    made = journeys.build_journeys(*build_tables(touches=rows, leads=[]), cutoff=CUTOFF, channels=["booth", "FAIR"])
    assert made.set_index("account_id").loc["a1", "path"][-4:] == ["FAIR", "booth", "FAIR", "Webinar"]


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    return find()


def test_paths_by_hand(found):
    assert found["path"].to_dict() == {
        "a1": ["Fair", "Search", "Mail", "Phone"],
        "a2": ["Webinar"],
        "a3": ["Webinar", "Phone"],
        "a5": ["Partner"],
        "a6": ["Search"],
        "a7": [],
    }
    assert found.index[found["is_won"]].tolist() == ["a1", "a5", "a7"]
    assert found.index[~found["has_deal"]].tolist() == ["a6"]


def test_an_account_whose_first_deal_is_too_young_is_neither_won_nor_lost(found):
    assert "a4" not in found.index  # touched 395 days before as-of, deal opened seven months before it
    first = find(opportunities=[(*deal, deal[0] != "o4") for deal in DEALS])
    assert first.loc["a4", ["is_won", "has_deal"]].tolist() == [False, False]  # its deal is no relevant one
    assert first.loc["a4", "path"] == ["Fair"]
    older = find(opportunities=[*((*deal, True) for deal in DEALS), ("o9", "a4", "2024-12-05", None, "open", True)])
    assert older.loc["a4", "deal_at"] == pd.Timestamp("2024-12-05") and not older.loc["a4", "is_won"]


def test_a_first_lead_after_the_end_is_in_no_visit(found):
    late = find(leads=[LATE, *LEADS[1:]])
    assert late.loc["a1", ["lead_visit", "deal_visit"]].tolist() == [0, 2]
    assert late.loc["a1", "path"] == ["Fair", "Mail", "Phone"]


def test_visits_of_lead_and_deal_by_hand(found):
    assert found.loc["a1", ["lead_visit", "deal_visit"]].tolist() == [2, 3]
    assert found.loc["a5", ["lead_visit", "deal_visit"]].tolist() == [0, 1]  # the lead came before any touch
    assert found.loc["a5", "deal_at"] == pd.Timestamp("2024-04-01")
    assert found.loc["a5", ["n_touches", "n_touches_unnamed"]].tolist() == [2, 1]
    assert found.loc["a7", "n_touches"] == 0


def test_order_of_rows_and_touches_after_the_end_change_nothing(found):
    later = ("z1", "2025-12-31", "a1", None, None, None, "Other", None)
    pd.testing.assert_frame_equal(found, find(touches=[later, *TOUCHES[::-1]], leads=LEADS[::-1]))


def test_leads_alone_are_journeys_and_nothing_is_none():
    assert find(touches=[]).loc["a1", "path"] == ["Search"]
    empty = find(touches=[], leads=[], contacts=[], campaigns=[])
    assert empty["path"].str.len().max() == 0 and len(empty) == 5


def test_contacts_by_hand():
    # contacts count from 2024-10-02 to 2025-10-02, a year that ended 90 days before as-of
    rows = [
        ("t1", "2024-11-01", "a2", None, None, None, "Mail", None),  # its deal was lost in June
        ("t2", "2024-12-01", "a2", None, None, None, "Mail", None),
        ("t3", "2024-11-01", "a1", None, None, None, "Mail", None),  # a customer
        ("t4", "2024-11-01", "a3", None, None, None, "Mail", None),  # a deal is open
        ("t5", "2025-05-01", "a4", None, None, None, "Mail", None),  # before its first deal
        ("t6", "2024-11-01", "a8", "l8", None, None, "Mail", None),  # belongs to a lead
        ("t7", "2025-11-01", "a9", None, None, None, "Mail", None),  # too young
    ]
    found = journeys.build_contacted(*build_tables(touches=rows, leads=[]), cutoff=CUTOFF).set_index("account_id")
    when = found["contacted_at"].dropna().dt.strftime("%Y-%m-%d").to_dict()
    assert when == {"a2": "2024-11-01", "a4": "2025-05-01"}
    assert set(found.index) == {"a1", "a2", "a3", "a4", "a8", "a9"}


def test_a_run_gives_both_from_two_tables_alone(company, tmp_path):
    run = start_run("2026-Q3", str(company()), str(tmp_path / "out"))
    assert len(run.journeys) == 3 and not run.journeys["n_touches"].any()
    assert run.contacted.empty and "contacted_at" in run.contacted
