"""A company whose every word is an attack, and what may stand in a page: for `test_hostile`."""

from __future__ import annotations

import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pandas as pd
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from icp_lib import demo
from icp_lib.demo_core import LEVELS
from icp_lib.demo_files import to_text
from icp_lib.demo_words import EXPERIMENTS_YML
from icp_lib.formats import TURNING

SCRIPT, PICTURE = "</script><script>alert(1)</script>", "<img src=x onerror=alert(2)>"
TURNED, LONG = "left\u202etfel", "w" * 300
HOSTILE = (
    "-2+3", PICTURE, "=1+1", '"><svg onload=alert(3)>', "@SUM(A1)", "+cmd|' /C calc'!A0", '＝HYPERLINK("x")', "<!--",
    SCRIPT, "{{7*7}}", "{n}", "%s", "$x$", "javascript:alert(4)", "a&b", "'quoted'", "line\u2028break", TURNED, LONG,
    "**bold**", "[x](javascript:alert(5))", "<b>", "]]>", "-->", "../../../etc/passwd", "&lt;b&gt;", "__proto__",
    'id="x" #1F4FA8 href="#y"', "' onfocus=alert(6) autofocus '", "\\", "'=1",
)  # fmt: skip
#: Traits of the demo company: each level becomes another hostile word, so that groups stay groups.
TRAITS = ("industry", "buyer_role", "business_model", "region", "country", "technologies", "dispatch_method",
          "web_shop", "lead_source")  # fmt: skip
WORDS = ("city", "stage", "loss_reason", "owner_id", "channel", "campaign_id", "touch_type", "content", "seniority",
         "department", "rejection_reason", "arm", "candidate", "stratum", "experiment_id")  # fmt: skip
KEPT = "owner-message"  # a protocol's id is a plain word
COMPANY = f"{SCRIPT} {LONG}"
FOLDER = "'=1+1 {n} %s $x$ [a]*&<b>"
OWN = "javascript:alert(7)#8 %41&'<b>"  # the name of the company's own notebook
PEOPLE = [(f"{each} {number}", each) for number, each in enumerate(HOSTILE) if ";" not in each]
TAGS = set(re.findall(r"\w+", """
    a article aside b body button caption circle clippath code col colgroup dd defs details div dl dt em figcaption
    figure footer g h1 h2 h3 head header html i img li line main meta nav ol p path pre rect script section span
    strong style summary svg table tbody td template text th thead title tr ul use"""))  # fmt: skip


def win_more(world: dict[str, pd.DataFrame]) -> None:
    """Turn lost deals of two groups into won ones, so that a search finds them."""
    table, deals, rng = world["accounts"], world["opportunities"], np.random.default_rng(1)
    role = deals.dropna(subset=["buyer_role"]).groupby("account_id")["buyer_role"].first()
    owner = table["account_id"].map(role) == "Owner"
    for group in ((table["industry"] == "Road freight") & owner, table["industry"] == "Food wholesale"):
        inside = deals["account_id"].isin(table.loc[group, "account_id"]) & (deals["type"] == "new")
        turned = inside & (deals["status"] == "lost") & (rng.random(len(deals)) < 0.7)
        deals.loc[turned, ["status", "stage", "loss_reason"]] = ["won", "Won", None]
        deals.loc[turned, "gross_margin"] = 0.75 * deals.loc[turned, "amount"]


def rename(world: dict[str, pd.DataFrame]) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Replace every word and every id of every table by a hostile one; return what they became.

    The words of traits come first, then those of other columns. The test whose protocol is written keeps its id.
    """
    names, words, place = {}, {}, 0
    for trait in TRAITS:
        able = [each for each in HOSTILE if trait != "technologies" or ";" not in each]
        names[trait] = {level: able[(place + i) % len(able)] for i, level in enumerate(LEVELS[trait])}
        place += len(names[trait])
    for frame in world.values():
        for trait in set(TRAITS) & set(frame.columns):
            frame[trait] = frame[trait].map(lambda cell, own=names[trait]: rename_cell(cell, own), na_action="ignore")
        for column in frame.columns[frame.columns.str.endswith(("account_id", "opportunity_id"))]:
            frame[column] = frame[column].map(spoil_id, na_action="ignore")
    history = world["account_history"]
    pairs = zip(history["attribute"], history["value"], strict=True)
    history["value"] = [rename_cell(value, names[trait]) if trait in names else value for trait, value in pairs]
    for column in WORDS:
        frames = [frame for frame in world.values() if column in frame.columns]
        levels = sorted(set(pd.concat([frame[column] for frame in frames]).dropna()))
        spoilt = (f"{HOSTILE[i % len(HOSTILE)]} {i // len(HOSTILE) or ''}".strip() for i in range(len(levels)))
        own = dict(zip(levels, spoilt, strict=True)) | {KEPT: KEPT}
        for frame in frames:
            frame[column] = frame[column].map(own)
        words[column] = own
    return names, words


def build_protocols(words: dict[str, dict[str, str]]) -> dict:
    """Two of the demo's protocols, every sentence and every word hostile; the arms of one stand under another id."""
    tests = yaml.safe_load(EXPERIMENTS_YML)["experiments"][:2]
    for place, test in enumerate(tests):
        test["arms"] = [words["arm"][arm] for arm in test["arms"]]
        test |= {"candidate": words["candidate"][test["candidate"]], "control": words["arm"][test["control"]],
                 "question": " ".join(HOSTILE), "why": f"{SCRIPT} {LONG}"}  # fmt: skip
        test["primary"]["touch_type"] = words["touch_type"][test["primary"]["touch_type"]]
        test["decision"] = {word: HOSTILE[place + i] for i, word in enumerate(test["decision"])}
        test["deviations"] = [{"day": date(2026, 6, 1), "what": each} for each in HOSTILE]
    return {"experiments": tests}


def rename_cell(cell: str, own: dict[str, str]) -> str:
    return ";".join(own[item] for item in cell.split(";"))


def spoil_id(key: str) -> str:
    return f"{HOSTILE[int(key[1:]) % len(HOSTILE)]}/../{key}"


def write_company(folder: Path) -> dict[str, dict[str, str]]:
    """Write the company's folder and return trait -> level -> what it became."""
    world = demo.build_world(5, 800)
    win_more(world)
    world = {name: to_text(frame) for name, frame in world.items()}
    names, words = rename(world)
    (folder / "notebooks").mkdir(parents=True)
    for name, frame in world.items():
        if name in ("accounts", "prospects"):
            frame.insert(1, "account_name", [f"{HOSTILE[i % len(HOSTILE)]} {i}" for i in range(len(frame))])
        frame.to_csv(folder / f"{name}.csv", index=False)
    sizes = {"employees": {"bins": [1, 5, 21, 51, 101, 251]}, "annual_revenue": {"quantiles": 4}}
    settings = {"name": COMPANY, "quarter": "2026-Q3", "gross_margin_rate": 0.75,
                "traits": sizes | {trait: {} for trait in TRAITS}, "paid_channels": list(HOSTILE)}  # fmt: skip
    text = yaml.safe_dump(settings, allow_unicode=True, sort_keys=False)
    (folder / "icp.yml").write_text(text, encoding="utf-8")
    text = yaml.safe_dump(build_protocols(words), allow_unicode=True, sort_keys=False)
    (folder / "experiments.yml").write_text(text, encoding="utf-8")
    nbformat.write(build_notebook(), folder / "notebooks" / f"{OWN}.ipynb")
    return names


def build_notebook() -> nbformat.NotebookNode:
    """The company's own notebook: hostile headings and words, every kind of output, and a failure at the end."""
    nb = new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    nb.cells = [new_markdown_cell(f"# <b>own</b>: {' '.join(HOSTILE)}?"),
                new_code_cell('quarter: str = ""\ndata: str = ""\nout: str = ""', metadata={"tags": ["parameters"]}),
                *(new_markdown_cell(f"## {each}\n\n{each}\n\n- {each}") for each in HOSTILE)]  # fmt: skip
    nb.cells += map(new_code_cell, (
        f"import pandas as pd\nimport icp_lib as icp\nfrom IPython.display import HTML, SVG, Markdown, display\n\n"
        f"run, words = icp.start_run(quarter, data, out), {HOSTILE!r}",
        'frame = run.save(pd.DataFrame([words] * 7, columns=list(words)).assign(n=-5), "own_words")',
        'icp.show(frame, caption=words[1], name="own_words")',
        "table = pd.DataFrame({words[1]: words, 'segment': words, 'n': -5})",
        "icp.show(table, caption=words[1], rows=99, name=words[1])",
        "icp.say(pd.DataFrame({'a': words, 'verdict': ['explained by ' + each for each in words]}), '{a} **{a}**')",
        "for each in words:\n    print(each)",
        "display(frame, *map(HTML, words), *map(Markdown, words))",
        "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(8)\"><script>alert(9)</script></svg>')",
        "raise icp.checks.DataError(' '.join(words))",
    ))  # fmt: skip
    return nb


def squeeze(text: str) -> str:
    """A text as a reader sees it: without white space, line ends and marks that turn the direction."""
    return re.sub(r"\s", "", text.translate(TURNING))


class Markup(HTMLParser):
    """What stands in a piece of HTML: its tags, its attributes, its scripts, and the text between the tags."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.attributes, self.scripts, self.text, self._open = set(), [], [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self._open = tag
        self.tags.add(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag == "script":
            self.scripts.append([dict(attrs).get("type"), ""])

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open == "script":
            self.scripts[-1][1] += data
        elif self._open != "style":
            self.text.append(data)

    @property
    def words(self) -> str:
        return squeeze(" ".join(self.text))

    @property
    def faults(self) -> list:
        """Tags that no page of ours has, attributes that run something, addresses that lead out."""
        names = [each[:2] for each in self.attributes if not re.fullmatch(r"(?!on)[a-zA-Z][\w:-]*", each[1])]
        links = [each for each in self.attributes if each[1] in ("href", "src", "xlink:href", "action", "formaction")]
        out = [each for each in links if urlsplit(each[2].strip()).scheme or each[2].startswith("//")]
        return [*(self.tags - TAGS), *names, *(each for each in out if not each[2].startswith("data:image/"))]
