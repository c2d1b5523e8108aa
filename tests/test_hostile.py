"""The hostile company, every word an attack: nothing runs, nothing is lost, the words are shown, downloads are safe.

One report is made and published; then its files are read, and every page is opened in a browser and used.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import json
import re
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import hostile
import matplotlib
import mistune
import nbformat
import pytest
import yaml
from hostile import COMPANY, HOSTILE, OWN, PEOPLE, PICTURE, SCRIPT, TURNED, Markup, squeeze
from matplotlib.figure import Figure
from screenshots import WIDTHS, list_pages, open_page, set_screen

from icp_lib import approval, charts, execution, publish, segments, svg, timeline
from icp_lib.checks import DataError
from icp_lib.formats import TURNING
from icp_lib.rules import Segment
from icp_lib.saved import FORMULA, plain_cell, read_table, safe_cell

QUIET = "' \xa0"
#: Pages on which no name of a level can be searched for: no table has one, or the page is not measured.
WITHOUT = ("index", "wall", "00_data_check", "07_icp_profile")
RAN = ("ok", "warnings")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?(e[+-]?\d+)?|-?inf")


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """The company's folder (its own name is hostile too) and which level became which."""
    folder = tmp_path_factory.mktemp("hostile") / hostile.FOLDER
    return folder, hostile.write_company(folder)


@pytest.fixture(scope="module")
def report(company):
    """The published report; every page but the company's own, which fails at its last cell, ran."""
    folder, said = str(company[0]), []
    made, _ = publish.make_report(None, folder, f"{folder} reports", say=said.append)
    pages = json.loads((made / "run.json").read_text(encoding="utf-8"))["notebooks"]
    assert {name for name, page in pages.items() if page["status"] not in RAN} == {OWN}, said
    people = "; ".join(", ".join(pair) for pair in PEOPLE)
    return publish.publish_report(None, folder, f"{folder} reports", people, " ".join(HOSTILE), force=True)


@pytest.fixture(scope="module")
def tables(report):
    """Name -> path of every table of the report."""
    found = {path.stem: path for path in (report / "tables").glob("*.csv")}
    assert len(found) > 15
    return found


@pytest.fixture(scope="module")
def offered(tables):
    """Names of the offered segments; the first leads the profile."""
    names = list(read_table(tables["segments"])["segment"])
    assert any(SCRIPT in name for name in names) and any(name.startswith("-2+3") for name in names), names
    return names


def read_pages(report) -> dict[str, Markup]:
    return {
        "all quarters" if path.parent != report else path.stem: Markup(path.read_text(encoding="utf-8"))
        for path in list_pages(report)
    }


@pytest.fixture(scope="module")
def pages(report):
    found = read_pages(report)
    assert {"index", "wall", "glossary", "all quarters", OWN} < set(found)
    return found


def test_no_page_has_markup_made_by_data(pages):
    assert {name: page.faults for name, page in pages.items() if page.faults} == {}
    assert {name for name, page in pages.items() if "img" in page.tags} == {OWN}


def test_every_script_is_one_that_the_policy_names(pages):
    for name, page in pages.items():
        policy = next(value for tag, key, value in page.attributes if tag == "meta" and value.startswith("default-src"))
        for kind, script in page.scripts:
            if kind == "application/json":
                assert {"segments", "facets"} < set(json.loads(script))
                continue
            digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy, f"{name}: {script:.80}"
        assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_every_link_leads_to_a_file_of_the_report(report, pages):
    for name, page in pages.items():
        folder = report if name != "all quarters" else report.parent
        links = [value for tag, key, value in page.attributes if tag == "a" and key == "href"]
        paths = [unquote(urlsplit(link).path) for link in links]
        assert [path for path in paths if path and not (folder / path).exists()] == [], name
    assert f"{quote(OWN)}.html" in [pair[2] for pair in pages["index"].attributes]


def test_the_words_are_on_the_pages(report, pages, tables, offered):
    assert {name for name, page in pages.items() if squeeze(COMPANY) not in page.words} == set()
    levels = list(segments.pick_levels(read_table(tables["segment_levels"]))["segment"])
    assert len(levels) > 40
    for name, words in {
        "01_segment_discovery": [*levels, *offered], "index": [*offered, *HOSTILE], "wall": offered[:1],
        "06_icp_ab_test": HOSTILE, "07_icp_profile": offered[:1], OWN: HOSTILE,
        "all quarters": [*offered[:1], *(who for who, _ in PEOPLE)],
    }.items():  # fmt: skip
        assert [each for each in words if squeeze(each) not in pages[name].words] == [], name


def test_no_page_turns_the_direction_of_its_text(report):
    for path in [*list_pages(report), report / "summary.md", report / "summary.txt"]:
        text = path.read_text(encoding="utf-8")
        assert not set(map(chr, TURNING)) & set(text) and "\\u202e" not in text.casefold(), path.name


def test_no_level_is_lost_on_the_way(company, tables):
    levels = read_table(tables["segment_levels"])
    for trait, own in company[1].items():
        assert set(levels.loc[levels["attribute"] == trait, "level"]) - {"Missing"} == set(own.values()), trait
    assert TURNED in set(levels["level"]) and "line\u2028break" in set(levels["level"])
    for level, conditions in zip(levels["level"], levels["conditions"], strict=True):
        rule = json.loads(conditions)[0]
        assert rule["op"] != "is" or rule["value"] == level


def test_no_cell_and_no_header_of_a_download_is_a_formula(tables):
    prefixed = set()
    for path in tables.values():
        with path.open(encoding="utf-8", newline="") as stream:
            cells = [cell for row in csv.reader(stream) for cell in row if not NUMBER.fullmatch(cell)]
        live = [cell for cell in cells if cell.lstrip(QUIET).startswith(FORMULA)]
        assert [cell for cell in live if cell[0] != "'"] == [], path.name
        assert [cell for cell in cells if cell[:1] == "'" and NUMBER.fullmatch(cell[1:])] == [], path.name
        prefixed |= {plain_cell(cell) for cell in live}
    assert {each for each in HOSTILE if each.startswith(FORMULA)} <= prefixed


def test_a_table_reads_back_as_it_was_saved_headers_too(tables):
    lines = tables["own_words"].read_text(encoding="utf-8").split("\n")
    assert lines[0].startswith("'-2+3,") and lines[1].endswith(",-5")
    frame = read_table(tables["own_words"])
    assert tuple(frame.columns) == (*HOSTILE, "n") and tuple(frame.iloc[0]) == (*HOSTILE, -5)


def test_settings_profile_and_signatures_read_back(company, report, offered):
    manifest = json.loads((report / "run.json").read_text(encoding="utf-8"))
    assert manifest["company"] == COMPANY and manifest["headline"] == offered[0]
    signed = yaml.safe_load((report / "approval.yml").read_text(encoding="utf-8"))
    assert [(each["name"], each["role"]) for each in signed["approved_by"]] == [
        tuple(" ".join(words.split()) for words in pair) for pair in PEOPLE
    ]
    assert signed["note"] == " ".join(" ".join(HOSTILE).split())
    profile = yaml.safe_load((report / "profile.yml").read_text(encoding="utf-8"))
    assert profile["name"] == offered[0]
    assert {rule["value"] for rule in profile["attributes"]} == {"-2+3", SCRIPT}


def test_the_summary_says_it_as_plain_words(report, offered):
    assert squeeze(offered[0]) in squeeze((report / "summary.txt").read_text(encoding="utf-8"))
    page = Markup(mistune.create_markdown(escape=False)((report / "summary.md").read_text(encoding="utf-8")))
    assert page.tags == {"h1", "h2", "p", "strong", "ul", "li"} and not page.attributes
    assert squeeze(offered[0]) in page.words and squeeze(COMPANY) in page.words
    assert "$x$" not in (report / "summary.md").read_text(encoding="utf-8"), "some show that as a formula"


#: What matplotlib writes into every drawing besides.
DRAWING = ("metadata", "rdf:rdf", "cc:work", "dc:type", "dc:format")


def test_notebooks_in_the_report_hold_no_markup_made_by_data(report):
    n_html = n_drawings = 0
    for path in sorted((report / "notebooks").glob("0*.ipynb")):
        nb, stock = (nbformat.read(each, as_version=4) for each in (path, execution.STOCK / path.name))
        words = [cell.source for cell in nb.cells if cell.cell_type == "markdown"]
        assert words == [cell.source for cell in stock.cells if cell.cell_type == "markdown"]
        for output in (output for cell in nb.cells for output in cell.get("outputs", [])):
            data = output.get("data", {})
            assert set(Markup(data.get("text/html", "")).faults) <= {"br", "small"}, path.name  # a caption
            n_html += "text/html" in data
            for drawing in (data[kind] for kind in data if kind.endswith("xml")):
                found = Markup(drawing)
                assert [each for each in found.faults if each not in DRAWING] == [], path.name
                assert "script" not in found.tags
                n_drawings += 1
    assert n_html > 20 and n_drawings > 5


def test_no_word_becomes_a_path(company, report):
    folder, out = company[0], Path(f"{company[0]} reports")
    assert set(folder.parent.iterdir()) == {folder, out}
    parts = {part for path in out.rglob("*") for part in path.relative_to(out).parts}
    assert [part for part in parts if not re.fullmatch(r"[\w.-]+", part) and not part.startswith(OWN)] == []


# The browser ----------------------------------------------------------------------------------------------------------

#: Runs before a page's own scripts: what would open a dialog is noted; so is what the policy refuses.
WATCH = """window.noted = [];
for (const name of ["alert", "confirm", "prompt", "open"]) window[name] = (words) => noted.push(`${name} ${words}`);
addEventListener("securitypolicyviolation", (event) => noted.push(`${event.violatedDirective} ${event.sample}`));"""
#: Elements that run something, load something or lead out of the report.
MADE = """return [...document.querySelectorAll("*")].filter((each) =>
    [...each.attributes].some((one) => /^on/i.test(one.name))
    || /^(iframe|object|embed|base|link|form|video|audio|foreignObject)$/i.test(each.localName)
    || (each.localName === "img" && !each.src.startsWith("data:image/"))
    || (each.localName === "a" && each.protocol && each.protocol !== "file:"))
    .map((each) => each.outerHTML.slice(0, 200))"""
SCRIPTS = "return [...document.scripts].map((each) => each.textContent)"


@pytest.fixture
def watched(browser):
    """The browser on a laptop's screen; every page that it opens notes what would have run."""
    done = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
    set_screen(browser, WIDTHS["laptop"])
    yield browser
    browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", done)


def open_afresh(driver, path: Path, hash_: str = "") -> None:
    for log in ("performance", "browser"):
        driver.get_log(log)
    open_page(driver, path.as_uri() + hash_)


def check_quiet(driver, path: Path) -> None:
    """Nothing ran, nothing was asked for, no element is there that the page's own code did not make."""
    where = path.name
    assert driver.execute_script("return noted") == [], where
    assert [entry["message"] for entry in driver.get_log("browser")] == [], where
    entries = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [each["params"]["request"]["url"] for each in entries if each["method"] == "Network.requestWillBeSent"]
    assert {unquote(url) for url in asked if not url.startswith(("data:image/", "about:", path.as_uri()))} == set()
    assert driver.execute_script(MADE) == [], where
    known = [script for _, script in Markup(path.read_text(encoding="utf-8")).scripts]
    assert driver.execute_script(SCRIPTS) == known, where


def read_words(driver) -> str:
    return squeeze(driver.execute_script("return document.body.innerText"))


def test_every_page_opens_without_running_anything(watched, report, offered):
    for path in list_pages(report):
        open_afresh(watched, path)
        check_quiet(watched, path)
        text = read_words(watched)
        assert squeeze(COMPANY) in text, path.name
        assert squeeze(offered[0]) in text or path.stem not in ("index", "wall", "01_segment_discovery"), path.name


@pytest.mark.parametrize("screen", ["laptop", "phone"])
def test_no_word_makes_a_page_wider_than_the_screen(watched, report, screen):
    set_screen(watched, WIDTHS[screen])
    for path in list_pages(report):
        open_afresh(watched, path)
        assert watched.execute_script("return document.documentElement.scrollWidth") <= WIDTHS[screen] + 1, path.name


def test_the_controls_of_a_page_run_nothing(watched, report, tables):
    """Sort by every column, unfold, search for an attack, open every definition, show the code."""
    for path in list_pages(report):
        open_afresh(watched, path)
        watched.execute_script(
            """document.querySelectorAll(".icp-more").forEach((each) => each.click());
            document.querySelectorAll(".icp-sort").forEach((each) => { each.click(); each.click(); });
            document.querySelectorAll(".icp-term").forEach((each) => each.focus());
            document.querySelectorAll("details").forEach((each) => { each.open = true; });
            document.getElementById("icp-code-switch")?.click();"""
        )
        text = read_words(watched)
        if path.stem == "01_segment_discovery":
            levels = segments.pick_levels(read_table(tables["segment_levels"]))["segment"]
            assert [name for name in levels if squeeze(name) not in text] == []
        sought = watched.execute_script(
            """return [...document.querySelectorAll("input[type=search]")].map((field) => {
                field.value = arguments[0]; field.dispatchEvent(new Event("input"));
                return document.body.innerText.includes(`Nothing matches \u201c${arguments[0]}\u201d.`); })""",
            f"{PICTURE}{SCRIPT}",
        )
        assert all(sought) and (sought or path.stem in WITHOUT), path.name
        check_quiet(watched, path)


def test_a_search_for_a_hostile_level_finds_its_row(watched, report):
    open_afresh(watched, report / "01_segment_discovery.html")
    script = """const table = document.querySelector('.icp-table[data-name="segment_levels"]');
        const field = table.querySelector("input[type=search]");
        field.value = arguments[0]; field.dispatchEvent(new Event("input"));
        return [...table.querySelectorAll("tbody tr:not([hidden])")].map((row) => row.cells[0].textContent)"""
    found = watched.execute_script(script, PICTURE)
    assert found and all(PICTURE in name for name in found)


def test_the_explorer_shows_hostile_names_and_runs_nothing(watched, report, offered):
    path = report / "index.html"
    open_afresh(watched, path)
    data = json.loads(watched.execute_script("return document.getElementById('icp-segments').textContent"))
    shown = watched.execute_script(
        """const shown = new Set();
        const look = () => { shown.add(document.querySelector("#icp-detail h3").innerText); };
        const press = (each) => each.dispatchEvent(new MouseEvent("click", {bubbles: true}));
        const points = [...document.querySelectorAll(".point")].map((each) => each.dataset.id);
        points.forEach((id) => { press(document.querySelector(`.point[data-id="${id}"]`)); look(); });
        document.querySelectorAll("#icp-controls .chip").forEach((chip) => { press(chip); look(); });
        document.querySelector(".tool-back")?.click();
        return [...shown]"""
    )
    assert set(offered) <= set(shown) <= {each["name"] for each in data["segments"]} and len(shown) > 10
    script = "return [...document.querySelectorAll('#icp-controls .chip')].map((chip) => chip.textContent)"
    chips = watched.execute_script(script)
    levels = {level for facet in data["facets"] for level in facet["levels"]}
    assert {"-2+3", SCRIPT} <= levels <= set(chips)
    check_quiet(watched, path)


@pytest.mark.parametrize("level", [SCRIPT, PICTURE, "-2+3", "javascript:alert(7)", "__proto__"])
def test_an_address_with_an_attack_in_it_runs_nothing(watched, report, level):
    path = report / "index.html"
    hash_ = "&".join(f"{name}={quote(level)}" for name in ("only.industry", "only.buyer_role", "segment", "verdict"))
    open_afresh(watched, path, f"#{hash_}&weights={quote(level)}")
    check_quiet(watched, path)


DOWNLOAD = """const done = arguments[arguments.length - 1], make = URL.createObjectURL;
    const table = [...document.querySelectorAll(".icp-table")].find((each) => each.querySelector("button.icp-csv"));
    HTMLAnchorElement.prototype.click = () => {};
    URL.createObjectURL = (blob) => { blob.text().then(done); return make.call(URL, blob); };
    table.querySelector("button.icp-csv").click();"""


def test_a_download_made_by_the_page_is_as_safe_as_the_file(watched, report):
    open_afresh(watched, report / f"{OWN}.html")
    text = watched.execute_async_script(DOWNLOAD).removeprefix("\ufeff")
    head, *rows = csv.reader(text.strip().split("\r\n"))
    assert [row[1] for row in rows] == [safe_cell(" ".join(each.translate(TURNING).split())) for each in HOSTILE]
    assert {row[-1] for row in rows} == {"−5"} and len(head) == 3


def test_saved_tables_are_downloaded_as_files(watched, report):
    open_afresh(watched, report / "01_segment_discovery.html")
    script = "return [...document.querySelectorAll('a.icp-csv')].map((link) => link.getAttribute('href'))"
    links = watched.execute_script(script)
    assert links and all((report / link).is_file() for link in links)


# What the company found in single functions ---------------------------------------------------------------------------


def test_a_kept_rule_that_begins_with_a_sign_is_no_change():
    rules = [{"attribute": "industry", "op": "is", "value": value} for value in ("-2+3", "+1")]
    profile = {"name": "x", "attributes": rules[:1]}
    held = {"approved_by": [], "is_held": True}
    first = {"quarter": "2026-Q2", "version": 1, "profile": profile, **held}
    second = {"quarter": "2026-Q3", "version": 2, "profile": {"name": "y", "attributes": rules[1:]}, **held}
    steps = timeline.build_timeline(approval.build_versions([first, second], "2026-Q3"), "2026-Q3")
    assert steps[0]["changed"] == [{"kind": "kept", "text": "-2+3 companies"}]
    assert steps[1]["changed"] == [
        {"kind": "added", "text": "+ +1 companies"},
        {"kind": "removed", "text": "− -2+3 companies"},
    ]


def test_a_level_of_blanks_has_a_name():
    assert "buys" in Segment.of({"attribute": "buyer_role", "op": "is", "value": "\u3000"}).name


@pytest.mark.parametrize("word", [*HOSTILE, "#1F4FA8", "font-family: x", 'opacity: 0.3"', "url(#a)"])
def test_a_word_in_a_figure_stays_as_it_is(word):
    with matplotlib.rc_context(charts.RC):
        figure = Figure(figsize=(3, 1))
        figure.text(0.1, 0.5, word)
        drawing = charts.to_svg(figure)
    found = re.findall(r"<text[^>]*>([^<]*)</text>", svg.prepare_svg(drawing, "f", word))
    assert [html.unescape(each) for each in found] == [word]


def test_a_notebook_that_names_no_kernel_is_refused_in_words(tmp_path):
    nb = hostile.build_notebook()
    del nb.metadata["kernelspec"]
    nbformat.write(nb, tmp_path / "08_own.ipynb")
    with pytest.raises(DataError, match=r"^08_own\.ipynb: not readable as a Python notebook\. Open it in JupyterLab"):
        execution.execute(tmp_path / "08_own.ipynb", tmp_path / "done.ipynb", {}, kernels=object())
