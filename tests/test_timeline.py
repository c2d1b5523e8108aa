"""The timeline of profile versions."""

from __future__ import annotations

from test_front import VERSIONS, render_all, words_of

from icp_lib.timeline import build_timeline


def entries(*versions, status="published") -> list[dict]:
    return [{"quarter": f"20{24 + i // 4}-Q{i % 4 + 1}", "version": version, "status": status}
            for i, version in enumerate(versions)]  # fmt: skip


def test_a_step_is_a_version_only_where_the_profile_changed():
    steps = build_timeline(entries(1, 1, 2, 2), "2024-Q4")
    assert [step["is_version"] for step in steps] == [True, False, True, False]
    assert [step["is_chosen"] for step in steps] == [False, False, True, False]
    assert (
        steps[2]["head"] == "Version 2: what changed against version 1" and steps[0]["head"] == "Version 1: the first"
    )


def test_the_published_version_is_chosen_before_a_draft():
    steps = build_timeline([*entries(1), {"quarter": "2024-Q2", "version": 2, "status": "draft"}], "2024-Q2")
    assert [step["is_chosen"] for step in steps] == [True, False] and steps[1]["label"] == "v2?"
    (only,) = build_timeline([{"quarter": "2024-Q2", "version": 1}], "2024-Q2")
    assert only["is_chosen"] and only["is_draft"]


def test_the_newest_eight_quarters_are_shown_whatever_their_order():
    steps = build_timeline(entries(*range(1, 12))[::-1], "2026-Q3")
    assert [step["quarter"] for step in steps] == [f"202{4 + i // 4}-Q{i % 4 + 1}" for i in range(3, 11)]


def test_a_quarter_without_a_profile_is_no_version():
    assert not build_timeline([{"quarter": "2024-Q1"}], "2024-Q1")[0]["is_version"]


def test_lines_say_what_came_and_what_went():
    kinds = [line["kind"] for line in build_timeline(VERSIONS, "2026-Q3")[1]["changed"]]
    assert kinds == ["kept", "added", "removed"]


def test_the_page_links_other_quarters_and_says_who_agreed_and_why():
    html = render_all()
    assert 'href="../2026-Q2/index.html"' in html and 'class="line added">+ employees: 5 to 20<' in html
    words = words_of(html)
    assert "Why The first. Who agreed Ann Roe, head of sales" in words
    assert "No reason was written down. Who agreed Nobody has signed this version yet." in words
