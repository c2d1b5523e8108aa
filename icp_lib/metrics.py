"""Every figure that readers see: the only source of definitions, glossary and number formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One figure that readers see: its sentence, formula, what it counts, unit, format and window.

    `format` is one of money, rate, days, count, ratio, number, p.
    """

    id: str
    name: str
    sentence: str
    formula: str
    numerator: str
    denominator: str
    unit: str
    format: str
    window: str


METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (
        Metric("margin_per_day", "Margin per selling day",
               "First-year gross margin of won deals, divided by all days spent selling, lost deals included.",
               "lift × the rest's margin per day", "first-year gross margin of deals won within 365 days",
               "days from opening to close, to as-of, or to day 365", "currency a day", "money",
               "deals opened at least 365 days before as-of, for the rest; all deals, for the lift"),
        Metric("lift", "Times the rest",
               "How many times more value per selling day than the rest, like creation quarters compared.",
               "(sum m / sum e in the group) / (sum m / sum e in the rest)",
               "margin (or wins) within 365 days of opening",
               "what the same days would bring at the creation quarter's average", "times", "ratio",
               "all relevant deals up to as-of"),
        Metric("margin_per_opportunity", "Margin per deal",
               "First-year gross margin per deal opened, won or not.",
               "lift per deal × the rest's margin per deal", "first-year gross margin of deals won within 365 days",
               "deals opened", "currency a deal", "money", "as for margin per selling day"),
        Metric("lift_per_opportunity", "Times the rest, per deal",
               "As 'times the rest', but per deal opened: deals that nobody closes do not weigh more.",
               "(sum m / sum e) / the same in the rest, with e the creation quarter's margin per deal",
               "margin within 365 days of opening", "deals opened × the creation quarter's margin per deal", "times",
               "ratio", "all relevant deals up to as-of"),
        Metric("win_rate", "Won within a year",
               "Share of deals won within 365 days of being opened, among deals old enough to tell.",
               "won within 365 days / opened", "deals won within 365 days", "deals opened", "share", "rate",
               "deals opened at least 365 days before as-of"),
        Metric("cycle_median_days", "Sales cycle, won deals",
               "Half of the deals won within a year took no longer than this.",
               "median of days from opening to won", "deals won within 365 days", "", "days", "days",
               "deals opened at least 365 days before as-of"),
        Metric("holdout_lift", "Times the rest, newer deals",
               "The lift among newer accounts, kept aside while the segment was searched: the figure to quote.",
               "lift, on the newest 40 % of accounts", "margin (or wins) within 365 days of opening",
               "what the same days would bring at the creation quarter's average", "times", "ratio",
               "relevant deals of the newest 40 % of accounts"),
        Metric("lift_found", "Times the rest, as found",
               "The lift where the segment was searched. Picked because it was high, so it is too high.",
               "lift, on the oldest 60 % of accounts", "margin (or wins) within 365 days of opening",
               "what the same days would bring at the creation quarter's average", "times", "ratio",
               "relevant deals of the oldest 60 % of accounts"),
        Metric("lift_pooled", "Like with like",
               "The lift when only companies with the same level of another trait are compared.",
               "Mantel-Haenszel ratio over the levels of the trait", "margin within 365 days, capped",
               "expected margin", "times", "ratio", "all relevant deals up to as-of"),
        Metric("share_left_rate", "Lead left", "Share of the lead (on the log scale) that stays, like with like.",
               "log(like with like) / log(lift)", "", "", "share", "rate", "all relevant deals up to as-of"),
        Metric("stability_rate", "Found again", "Share of resampled searches that offer this segment, or a twin of it.",
               "found again / resamples", "resamples with a segment that shares 60 % of its accounts", "100 resamples",
               "share", "rate", "the oldest 60 % of accounts"),
        Metric("share_of_margin", "Share of new margin", "Share of all new margin that the segment brought.",
               "margin of the segment / margin of all", "first-year gross margin of its won deals",
               "first-year gross margin of all won deals", "share", "rate", "all relevant deals up to as-of"),
        Metric("reachable_accounts", "Companies still to win",
               "Companies of this kind that are not customers: in the accounts, and among the prospects.",
               "count", "accounts that are not customers, and prospects", "", "companies", "count",
               "accounts and prospects as of the quarter"),
        Metric("holdout_p_adjusted", "Chance of luck in newer deals",
               "How often luck alone would show such a lead in newer deals, given how many were checked.",
               "adjusted p-value", "", "", "", "p", ""),
        Metric("coverage_rate", "Filled in", "Share of accounts where the attribute has a value.",
               "filled / accounts", "accounts with a value", "accounts", "share", "rate", "accounts as of the quarter"),
        Metric("share_largest", "Largest account's share",
               "Share of the group's margin that its largest account holds.",
               "margin of the largest account / margin of the group", "margin of the largest account",
               "margin of the group", "share", "rate", "all relevant deals up to as-of"),
        Metric("lift_without_largest", "Times the rest, without the largest account",
               "The lift after taking the largest account out.", "lift of the group without its largest account",
               "", "", "times", "ratio", "all relevant deals up to as-of"),
        Metric("stale_rate", "Open for over a year", "Share of open deals opened more than 365 days before as-of.",
               "open deals older than 365 days / open deals", "open deals older than 365 days", "open deals", "share",
               "rate", "open deals as of the quarter"),
        Metric("n_opportunities", "Deals", "Relevant opportunities: new business by the company's definition.",
               "count", "relevant opportunities", "", "deals", "count", "all up to as-of"),
        Metric("n_won", "Won", "Relevant opportunities won by as-of.", "count", "won opportunities", "", "deals",
               "count", "all up to as-of"),
        Metric("close_rate", "Won so far", "Share of all deals that are won by as-of; open ones count as not won yet.",
               "won / opened", "deals won", "deals opened", "share", "rate", "all up to as-of"),
        Metric("n_accounts", "Accounts", "Accounts that belong to the group.", "count", "accounts", "", "accounts",
               "count", "accounts as of the quarter"),
        Metric("stage_rate", "Reached the stage",
               "Share of assigned accounts with a deal that reached the stage, or a later one, within the window.",
               "accounts that reached it / assigned accounts", "accounts with such a deal", "accounts assigned",
               "share", "rate", "the days after the assignment; accounts whose window is over"),
        Metric("touch_rate", "Had the contact",
               "Share of assigned accounts with such a contact within the window.",
               "accounts with it / assigned accounts", "accounts with such a touch", "accounts assigned", "share",
               "rate", "the days after the assignment; accounts whose window is over"),
        Metric("opportunity_rate", "Deal opened",
               "Share of assigned accounts with a relevant deal opened within the window.",
               "accounts with one / assigned accounts", "accounts with a deal opened", "accounts assigned", "share",
               "rate", "the days after the assignment; accounts whose window is over"),
        Metric("margin_per_account", "Margin per account",
               "First-year gross margin of deals won within the window, per assigned account.",
               "sum of margins / assigned accounts", "first-year gross margin of deals won", "accounts assigned",
               "currency an account", "money", "the days after the assignment; accounts whose window is over"),
        Metric("cycle_days", "Sales cycle, won deals",
               "Days from opening to won, of deals won within the window.",
               "sum of days / deals won", "days from opening to won", "deals won", "days", "days",
               "the days after the assignment; accounts whose window is over"),
        Metric("p_best", "Chance to be the best choice",
               "How likely this choice brings most, going on as usual among the choices.",
               "share of draws of the posterior in which it brings most", "", "", "share", "rate",
               "prior: effects around 0, spread as the effect agreed"),
        Metric("expected_regret", "Lost on average by choosing it",
               "What choosing this would lose on average against the best choice, for each account worked.",
               "mean over draws of the posterior of best less this", "", "", "currency an account", "money", ""),
        Metric("p_adjusted", "Chance of luck, adjusted",
               "How often luck alone would show a lead this large somewhere, given how many groups were looked at.",
               "adjusted p-value", "", "", "", "p", ""),
    )
}
