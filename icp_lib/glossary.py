"""The glossary of a report: every figure it prints, the words for how sure we are, and its other words."""

from __future__ import annotations

from icp_lib.credits import W_SHARES
from icp_lib.marks import STATUS_WORDS, VERDICTS, range_bar, status_mark, verdict_mark, verdict_sentence
from icp_lib.metrics import METRICS
from icp_lib.pages import render_template, shell
from icp_lib.stats import CALIBRATION, MIN_OPPORTUNITIES, MIN_WON
from icp_lib.svg import make_anchor
from icp_lib.terms import pick_facts

#: Verdict -> when a claim gets it. The rules are those of `stats.verdict`, and the first one that applies holds.
RULES = {
    "not enough data": f"Fewer than {MIN_OPPORTUNITIES} deals, or fewer than {MIN_WON} won, where it was found.",
    "contradicted": "In newer deals it lies on the other side of the rest, by more than luck gives (1 in 20); or it "
    "changes sides once another attribute is compared like with like.",
    "explained by": "Pooled over another attribute, or over the sales representatives, less than half of the lead is "
    "left. That attribute is named.",
    "untested": f"Beats luck where it was found, and fewer than {MIN_WON} wins are expected in the newer deals, or "
    "none were kept aside.",
    "confirmed": "Beats luck where it was found, counting every group that was looked at, and beats luck again in "
    "newer deals, on the same side.",
    "promising": "Beats luck where it was found or in newer deals, not in both, and the other points the same way. A "
    "test: beats luck, but not as clearly as confirmed asks, or its protocol has no date.",
    "not supported": "None of the above: luck could have given it. Not proof of none: the range says what is still "
    "possible.",
}
_STATUS = {
    "ok": "Every cell of the page ran.",
    "warnings": "The page ran, and some of its checks found something.",
    "failed": "A cell of the page raised an error. The page says which, and keeps what it had.",
    "not measured": "The extract lacks a table or a column that the page needs. The page says which.",
    "not produced": "A page that this one needs failed.",
}
_WORDS = {
    "Deal": "An opportunity of new business, by the definition in icp.yml. Expansions and renewals are not counted.",
    "Account": "A company. Accounts of one parent company count as one family wherever luck is judged.",
    "Segment": "A group of accounts that a rule describes, such as an industry and a size. Also: group.",
    "The rest": "All deals outside the group. What a group is compared with, and where the upright line stands.",
    "As of": "The last day of the quarter. Nothing that happened later is in the report.",
    "Where found": "The older accounts, in which groups are searched.",
    "Newer deals": "Deals of the newer accounts, kept aside during the search, on which what was found is checked.",
    "Likely": "A 95% interval: it would hold the true value 19 times in 20. Written 38 to 51.",
    "Widened": "A likely range made longer because the best of many groups was picked.",
    "Chance of luck": "How often luck alone shows a lead this large somewhere, given how many groups were looked at.",
    "Within noise": "A change that luck alone could give. Such a change has no arrow.",
    "Beyond noise": "A change that luck alone gives less than 1 time in 20, counting all headline figures.",
    "Not measured": "The extract lacks what the figure needs. The page says what, and where to add it.",
    "n": "How many deals (or accounts, or customers) a figure counts.",
    "Credit": "A customer shared out among the channels that it met, by a rule. Never proof that a channel won it.",
    "Equal split, Shapley value": "Each channel that a customer met gets the same part. In game theory: the Shapley "
    "value of a customer that it took all of its channels to win.",
    "Markov removal": "How many customers would be missing if every path through a channel ended there, with the steps "
    "between channels as often as they were seen. Named after the chain of such steps.",
    "W-shaped": f"{100 * W_SHARES[0]:.0f}% each to the first visit, the visit in which the lead came in and the one "
    "in which the deal was opened; what is left is spread over the other visits.",
    "MQL": "Marketing qualified lead: one that marketing holds for worth the work of sales.",
    "CAC, customer acquisition cost": "Cost to win a customer, everything counted, deals that were lost included.",
    "LTV, lifetime value": "What a customer brings in so many months from the win, those who leave included.",
    "NRR, GRR": "Net and gross revenue retention: what the paying customers of a year before pay now, over what they "
    "paid then; gross counts nobody for more than then.",
    "ARPA": "Average revenue per account: what a paying customer pays in a month.",
    "Draft, published": "A report is a draft until it is signed; then it is frozen.",
}


def _safe(html: str):
    from markupsafe import Markup

    return Markup(html)


def _verdicts() -> list[dict]:
    """Return the verdicts in the report's order, with mark, dot on a range bar, sentence and rule."""
    bar = (30, 20, 42, "n", (0, 60, [], False))
    return [
        {
            "id": make_anchor(key),
            "name": "Explained by …" if key == "explained by" else key.capitalize(),
            "mark": _safe(verdict_mark(key).replace('role="img"', 'aria-hidden="true"')),
            "bar": _safe(range_bar(*bar, key, rest=10).replace('role="img"', 'aria-hidden="true"')),
            "sentence": verdict_sentence(key),
            "rule": RULES[key],
        }
        for key in VERDICTS
    ]


def render_glossary(context: dict) -> str:
    """Return the glossary of a report as one page, the same for every quarter but for its masthead and footer.

    Every figure has the anchor of its id (``glossary.html#margin_per_day``), every word that of its text.

    Parameters
    ----------
    context : dict
        As for `pages.render_page`.
    """
    page = shell({**context, "name": "glossary"})
    page["title"] = f"What do the words mean? {page['company']}, {page['quarter']}"
    metrics = [
        {"metric": metric, "facts": [("Formula", metric.formula), *pick_facts(metric), ("Unit", metric.unit)]}
        for metric in sorted(METRICS.values(), key=lambda metric: metric.name.casefold())
    ]
    for each in metrics:
        each["facts"] = [(head, words) for head, words in each["facts"] if words]
    statuses = [
        {
            "id": f"page-{make_anchor(key)}",
            "name": word,
            "mark": _safe(status_mark(key).replace('role="img"', 'aria-hidden="true"')),
            "sentence": _STATUS[key],
        }
        for key, word in STATUS_WORDS.items()
    ]
    words = [{"id": make_anchor(name), "name": name, "sentence": text} for name, text in _WORDS.items()]
    return render_template(
        "glossary.html.j2", page, metrics=metrics, verdicts=_verdicts(), statuses=statuses, words=words,
        calibration=CALIBRATION,
    )
