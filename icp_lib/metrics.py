"""Every figure that readers see: the only source of definitions, glossary and number formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One figure that readers see: its sentence, formula, what it counts, unit, format and window.

    `format` is one of money, rate, points, days, count, ratio, number, p.
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
        Metric("base_lift", "Times as common",
               "How many times as common the trait is among the best customers as in the base.",
               "share of the best customers with it / share of the base with it",
               "best customers with the trait / best customers", "companies of the base with it / of the base",
               "times", "ratio", "companies whose outcome is old enough to tell"),
        Metric("best_rate", "Of the best", "Share of the best customers that have the trait.",
               "with the trait / best customers", "best customers with the trait", "best customers", "share", "rate",
               "the older 60 % of companies whose outcome is old enough to tell"),
        Metric("base_rate", "Base rate", "Share of those compared with that have the trait: what is usual.",
               "with the trait / companies of the base", "companies of the base with the trait",
               "companies of the base", "share", "rate", "as for the best customers"),
        Metric("gap_base_rate", "Difference", "Share of the best customers with the trait, less the base rate.",
               "share of the best - base rate", "", "", "points", "points", "as for the best customers"),
        Metric("information_value", "Information value",
               "How far the levels of an attribute are spread apart between the best and the base; luck alone adds a "
               "little, shown beside it.", "sum over levels of (difference of the two shares) x weight of evidence",
               "", "", "", "number", "as for the best customers"),
        Metric("marginal_effect", "More likely to be best",
               "How much likelier a company with the trait is to be a best customer, all other traits alike.",
               "mean predicted chance with the trait less without it", "", "", "points", "points",
               "all companies whose outcome is old enough to tell"),
        Metric("gap_alone_rate", "More likely, by itself",
               "How much likelier a company with the trait is to be a best customer than one without, other traits as "
               "they come with it.", "share of best with it less share of best without it", "", "", "points", "points",
               "all companies whose outcome is old enough to tell"),
        Metric("log_score_gain", "Better than the average chance",
               "How much better the attributes foretell the best customers than everybody's average chance does.",
               "mean log score less that of the older companies' rate", "", "", "nats a company", "number",
               "newer companies, which the selection has not seen"),
        Metric("auc", "Telling best from others",
               "How often the attributes rank a best customer above another company; a coin has 0.5.",
               "area under the ROC curve", "pairs ranked right", "pairs of a best customer and another company", "",
               "number", "newer companies, which the selection has not seen"),
        Metric("value_12", "First-year value",
               "Gross margin less support and onboarding, in the month of the win and the eleven after it.",
               "gross margin - support - onboarding", "", "", "currency", "money", "the first twelve months"),
        Metric("received_ratio", "Value for the price",
               "What customers say a year is worth to them, over what they paid. It should be two or more.",
               "value received / paid", "value received a year, by their own estimate", "revenue of that year", "times",
               "ratio", "customers who answered"),
        Metric("won_with_rate", "Won, if there",
               "Share won within 180 days of day 30, where the role was there by day 30; lost deals compete.",
               "cumulative incidence (Aalen-Johansen)", "deals won", "deals open on day 30", "share", "rate",
               "deals still open 30 days after they were opened"),
        Metric("won_without_rate", "Won, if not there", "The same where the role was not there by day 30.",
               "cumulative incidence (Aalen-Johansen)", "deals won", "deals open on day 30", "share", "rate",
               "deals still open 30 days after they were opened"),
        Metric("gap_won_rate", "Won if there, less if not", "The difference of the two: it goes with it, no cause.",
               "won if there - won if not there", "", "", "points", "points",
               "deals still open 30 days after they were opened"),
        Metric("gap_point_rate", "Retention for one point more",
               "How much the share of customers kept after a year changes for one point more of the score.",
               "slope of a linear probability model", "", "", "points", "points",
               "customers followed for 15 months"),
        Metric("p_adjusted", "Chance of luck, adjusted",
               "How often luck alone would show a lead this large somewhere, given how many groups were looked at.",
               "adjusted p-value", "", "", "", "p", ""),
    )
}
