"""Defined metrics on a page: a mark under the name, and the definition on hover, focus or tap."""

from __future__ import annotations

import re
from html import escape

from icp_lib.metrics import METRICS, Metric

_TERM = re.compile(r'<span class="icp-term" data-metric="([a-z0-9_]+)" title="[^"]*">([^<]*)</span>')


def pick_facts(metric: Metric) -> list[tuple[str, str]]:
    """Return what a metric counts, as (head, words); what does not apply to it is left out.

    Examples
    --------
    >>> from icp_lib.metrics import METRICS
    >>> pick_facts(METRICS["win_rate"])[:2]
    [('Counts', 'deals won within 365 days'), ('Out of', 'deals opened')]
    """
    facts = [("Counts", metric.numerator), ("Out of", metric.denominator), ("From", metric.window)]
    return [(head, words) for head, words in facts if words]


def _definition(name: str) -> str:
    """Return a metric's definition as a popover: hidden until the page's script opens it, and closed by Esc."""
    metric = METRICS[name]
    facts = "".join(f"<dt>{head}</dt><dd>{escape(words)}</dd>" for head, words in pick_facts(metric))
    return (
        f'<div popover id="def-{name}" class="icp-def"><p><b>{escape(metric.name)}</b></p>'
        f"<p>{escape(metric.sentence)}</p><code>{escape(metric.formula)}</code><dl>{facts}</dl>"
        f'<p><a href="glossary.html#{name}">All definitions</a></p></div>'
    )


def _link(name: str, words: str) -> str:
    return (
        f'<a class="icp-term" href="glossary.html#{name}" aria-describedby="def-{name}" data-metric="{name}" '
        f'title="{escape(METRICS[name].sentence)}">{words}</a>'
    )


def define_terms(html: str) -> str:
    """Make every defined metric of a page a link to the glossary, and add its definition once, in the page's footer.

    The page's script shows the definition in place; without it the link leads there, and the title says its sentence.

    Parameters
    ----------
    html : str
        A page made by this package; the metrics' marks are those of `display.show`.
    """
    used = sorted({name for name, _ in _TERM.findall(html) if name in METRICS})
    html = _TERM.sub(lambda m: _link(m[1], m[2]) if m[1] in METRICS else m[2], html)
    return html.replace("</footer>", "".join(map(_definition, used)) + "</footer>", 1)
