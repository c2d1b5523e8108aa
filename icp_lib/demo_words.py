"""The demo company's words: settings, playbook, test protocols, company names, what the sales team said."""

from __future__ import annotations

ICP_YML = """\
# Settings of the company Northlane. Copy this file into your company's folder and change what differs.
# Every key has a default, so a short file is enough. A key that is not known stops the run and names the closest one.

name: Northlane             # stands in the head of every page
currency: EUR               # money in the files is in this currency
timezone: Europe/Berlin     # decides when a day, and so a quarter, ends
fiscal_year_start: 1        # month in which your fiscal year starts; 1 is January
quarter: 2026-Q3            # the quarter to report when none is given; without this key, the last complete one

# Which columns describe a company, and how each is cut into levels.
#   {}                  as it is: one level for each word
#   {bins: [1, 5, 21]}  lower edges: 1-4, 5-20, 21 and more
#   {quantiles: 4}      four groups of about equal size
# A column that is known only after the sale (a stage, an amount) is refused here.
traits:
  industry: {}
  employees: {bins: [1, 5, 21, 51, 101, 251]}
  country: {}
  region: {}
  business_model: {}
  technologies: {}          # several values, separated by ; : each of them is a level of its own
  annual_revenue: {quantiles: 4}
  dispatch_method: {}       # how tours are planned today: our own column, any name will do
  web_shop: {}              # our own column too
  buyer_role: {}            # from the account's first deal
  lead_source: {}

# Which deals count. Renewals and expansions say nothing about whom to win next.
relevant: {types: [new], min_amount: 0}

# Who is left out everywhere, counted on the data-check page.
exclude: {account_types: [partner, competitor, test]}

# What "best" means: margin_per_day, margin_per_opportunity, win_rate or retention.
measure: margin_per_day
gross_margin_rate: 0.75     # used for a deal whose margin is not known
max_quarantined: 0.05       # stop when more than this share of a table cannot be read

# Reach: can marketing bring enough of them?
paid_channels: [Paid search, Trade fair, Content syndication]
target_customers: 40        # new customers wanted next quarter
payback_target_months: 12   # a customer should have paid back its cost by then
holdback_share: 0.05        # leads left without sales work, to learn what would happen anyway
"""

PLAYBOOK_YML = """\
# What the sales team knows and the data does not. Used word for word on the profile and journey pages.

goals:
  - The invoice leaves the house on the day of delivery.
  - No delivery note is lost, and no customer can dispute one.
  - The owner is home for dinner; nobody types at night.

current_process:
  - The driver brings paper delivery notes back in the evening, some of them wet, a few never.
  - The office copies them into a spreadsheet and then into the accounting software.
  - Invoices go out once a week. Fuel and tolls are paid long before the first customer pays.

problems:
  - One delivery note in thirty is missing, and the customer does not pay without it.
  - Money comes in eighteen days later than it could.
  - Only one person knows the spreadsheet. When she is ill, nobody plans the tours.

new_process:
  - The driver takes a photo; the photo is the delivery note.
  - The office checks it on one screen, and the invoice leaves the same afternoon.
  - Tours and vehicles stand on one board that everybody sees, the drivers included.

evidence:
  - Customers in the survey with 5 to 20 employees put the value at about three times what they pay.
  - Drivers need no training. In most trials the first photo arrives on the first day.
  - The interface to the usual accounting software is part of every contract.

discovery_questions:
  - Who writes your invoices, and on which day of the week?
  - How many invoices were disputed last month, and what became of them?
  - What happens when the person who plans the tours is ill?
  - How do you find a delivery note from March?
  - Who besides you has to agree?

objections:
  - objection: My drivers won't use it.
    answer: They take one photo a stop, with the telephone they have. Try it with two drivers for a week.
  - objection: We have always done it on paper.
    answer: Keep the paper for a month beside it. Then count how many notes only the telephone has.
  - objection: It costs more than our spreadsheet.
    answer: Take last month's disputed invoices and the hours spent typing. We do the sum with your figures.
  - objection: Our customers want a signature.
    answer: They sign on the telephone. Print one, show it to your largest customer and ask.

personas:
  - role: Owner
    part: Signs. Decides alone, often within two talks.
    wants: Free evenings, and money on the account sooner.
    fears: A project that nobody in the office has time for.
    words: Same-day invoice, no lost notes, cancel any month of the first year.
  - role: Operations manager
    part: Runs the trial and recommends.
    wants: Fewer calls to drivers, a plan that survives ten o'clock in the morning.
    fears: Drivers who refuse, and two systems side by side.
    words: One board, one photo a stop, live in two weeks.
  - role: Office manager
    part: Tries it with real orders. Can stop it without a word.
    wants: To type nothing twice.
    fears: Month's end in a new program.
    words: Goes into your accounting software as it is.
  - role: IT lead
    part: Joins above 50 employees. Asks about interfaces and access.
    wants: A documented interface, one sign-on, data in the EU.
    fears: Another system to look after.
    words: Interfaces, roles, export at any time.
  - role: Purchasing
    part: Joins above 100 employees and asks for three offers.
    wants: A comparison and a lower price.
    fears: A contract without an end.
    words: Price by vehicle, fixed for the term.

journey:
  - stage: Opened
    goal: Find out if others solved it.
    question: How do others prove a delivery?
    objection: No time before the season ends.
  - stage: Qualified
    goal: See if it is meant for a company of this size.
    question: Is this not too big for us?
    objection: We have always done it on paper.
  - stage: Demo
    goal: See an own order go through.
    question: Does it work with our accounting?
    objection: It costs more than our spreadsheet.
  - stage: Trial
    goal: Run ten real jobs with two drivers.
    question: Will my drivers use it?
    objection: My drivers won't use it.
  - stage: Proposal
    goal: Know the price and the day it starts.
    question: What if we want to stop?
    objection: Our customers want a signature.
  - stage: Won
    goal: Be live before the next month's end.
    question: Who helps us on the first Monday?
    objection: Nobody has time to enter the addresses.
"""

EXPERIMENTS_YML = """\
# Protocols of ICP tests. Each was written, and agreed by sales and marketing, before its first account was assigned.
# Metrics: win_rate, stage_rate, opportunity_rate, margin_per_account, margin_per_opportunity, cycle_days, touch_rate.

experiments:
  - id: owner-message
    written_on: 2026-04-07
    question: Do small carriers meet us more often when the first letter speaks to the owner about unpaid invoices?
    why: The owner buys in most deals we win with carriers of 5 to 20 employees, yet our letters speak about dispatch.
    design: uplift                # worked as the arm says, or business as usual, drawn by lot within each stratum
    candidate: small-carriers
    conditions:                   # which accounts it is about
      - {attribute: industry, op: is, value: Road freight}
      - {attribute: employees, op: between, value: [5, 21]}
    arms: [owner_message, as_usual]
    control: as_usual
    assigned_on: 2026-04-20
    assignment: {n_per_arm: 177, stratify_by: [country, employees]}
    primary: {metric: touch_rate, touch_type: Meeting, window_days: 45}
    secondary:
      - {metric: opportunity_rate, window_days: 90}
      - {metric: win_rate, window_days: 365}
    looks: [0.5, 1.0]             # shares of the accounts whose 45 days are over
    expected_rate: 0.15           # of accounts worked as usual, before the test
    mde: 0.12                     # the smallest difference that this many accounts can show, 4 times in 5
    smallest_worth: 0.05          # less would not be worth a second letter
    guardrails:
      - {metric: opportunity_rate, window_days: 45, not_worse_than: -0.08}
    cost_per_account: 38
    decision:
      ship: The meeting rate is higher beyond luck, and every guardrail holds.
      stop: The likely range ends below +5 points, or a guardrail fails.
      continue: Neither, and windows are still open or accounts are left to assign.
      cannot answer: Neither, and no accounts are left.

  - id: case-study
    written_on: 2026-05-04
    question: Do food wholesalers meet us more often when the first letter carries a customer's story?
    why: Two reps swear by the story of a wholesaler in Linz. Nobody has counted.
    design: uplift
    candidate: food-wholesalers
    conditions:
      - {attribute: industry, op: is, value: Food wholesale}
      - {attribute: employees, op: between, value: [5, 101]}
    arms: [case_study, as_usual]
    control: as_usual
    assigned_on: 2026-05-18
    assignment: {n_per_arm: 177, stratify_by: [country, employees]}
    primary: {metric: touch_rate, touch_type: Meeting, window_days: 45}
    secondary:
      - {metric: opportunity_rate, window_days: 90}
      - {metric: win_rate, window_days: 365}
    looks: [0.5, 1.0]
    expected_rate: 0.15
    mde: 0.12
    smallest_worth: 0.07
    guardrails:
      - {metric: opportunity_rate, window_days: 45, not_worse_than: -0.08}
    cost_per_account: 22
    deviations:
      - {day: 2026-05-18, what: "In the north the letters went out two days late, after a holiday."}
    decision:
      ship: The meeting rate is higher beyond luck, and every guardrail holds.
      stop: The likely range ends below +7 points, or a guardrail fails.
      continue: Neither, and windows are still open or accounts are left to assign.
      cannot answer: Neither, and no accounts are left.

  - id: operations-demo
    written_on: 2026-09-21
    question: Do carriers of 21 to 50 employees meet us more often when a demo with their own orders is offered first?
    why: The operations manager buys there, and asks for the orders of last week in every second call.
    design: uplift
    candidate: mid-size-carriers
    conditions:
      - {attribute: industry, op: is, value: Road freight}
      - {attribute: employees, op: between, value: [21, 51]}
    arms: [own_orders_demo, as_usual]
    control: as_usual
    assigned_on: 2026-10-19
    assignment: {n_per_arm: 120, stratify_by: [country], balance_on: [employees]}
    primary: {metric: touch_rate, touch_type: Meeting, window_days: 45}
    secondary:
      - {metric: stage_rate, stage: Demo, window_days: 90}
      - {metric: win_rate, window_days: 365}
    looks: [0.5, 1.0]
    expected_rate: 0.15
    mde: 0.14
    smallest_worth: 0.05
    guardrails:
      - {metric: opportunity_rate, window_days: 45, not_worse_than: -0.08}
    cost_per_account: 65
    decision:
      ship: The meeting rate is higher beyond luck, and every guardrail holds.
      stop: The likely range ends below +5 points, or a guardrail fails.
      continue: Neither, and windows are still open or accounts are left to assign.
      cannot answer: Neither, and no accounts are left.

  - id: trade-fair-letter
    written_on: 2025-09-01
    question: Do makers meet us more often when a letter comes before the trade fair?
    why: The stand was full, the diary afterwards was not.
    design: uplift
    candidate: makers
    conditions:
      - {attribute: industry, op: in, value: [Machine maker, Furniture maker]}
    arms: [letter_before, as_usual]
    control: as_usual
    assigned_on: 2025-09-15
    primary: {metric: touch_rate, touch_type: Meeting, window_days: 45}
    mde: 0.15
    cost_per_account: 12
    decision:
      ship: The meeting rate is higher beyond luck.
      stop: The likely range ends below 0.
      continue: Neither, and accounts are left to assign.
      cannot answer: Neither, and no accounts are left.
    concluded:
      day: 2025-12-01
      decision: cannot answer
      what: 60 accounts an arm, the difference +4 points (-9 to +17). The list was not kept in the CRM.
      afterwards: Not repeated. Since then no test starts before its page says that it can answer.
"""

#: What reps expected of a profile (better, same, worse than the rest) before they saw the result, and what they said.
FEEDBACK = (
    ("2026-Q2", "small-carriers", "better", "R01 R02 R04 R05 R07 R09 R10", "yes", (
        "The owner decides on the telephone. Two talks, signed.", "They lose a note every week and know what it costs.",
        "Fits what I see in the west.", "Short cycle, and they refer their neighbours.", "",
        "As long as the owner is in the first call.", "Best part of my list since spring.")),
    ("2026-Q2", "small-carriers", "same", "R03 R11", "no", (
        "In my area they are tied to fuel-card bundles.", "Small contracts. I need three for one wholesaler.")),
    ("2026-Q3", "small-carriers", "better", "R01 R02 R04 R05 R07 R08 R09 R10 R12", "yes", (
        "Holds. Nine of my last twenty.", "Yes, but only with own drivers.", "Owners answer between six and seven.", "",
        "They sign before the season, not in it.", "Agreed, with the owner in the room.",
        "Shorter than anything else I have.", "", "New to me, and it held on the first four.")),
    ("2026-Q3", "small-carriers", "same", "R03 R11", "no", (
        "Still tied to the fuel card here.", "The deals are small. Look at the margin a year, not at the win rate.")),
    ("2026-Q3", "food-wholesalers", "better", "R02 R05 R06 R09", "yes", (
        "Own vehicles make the difference.", "Cold-chain papers are their real problem.", "", "Larger contracts.")),
    ("2026-Q3", "food-wholesalers", "same", "R01 R07 R10", "no", (
        "They wait for the accounting interface.", "No better than the rest in the north.", "Too few to say.")),
    ("2026-Q3", "large-retailers", "better", "R04 R08", "yes", (
        "The largest contracts on my list.", "Once they sign, they stay.")),
    ("2026-Q3", "large-retailers", "worse", "R01 R02 R05 R07 R12", "no", (
        "Seven months and a tender at the end.", "Onboarding took two of our people all summer.", "",
        "Purchasing compares price by vehicle and nothing else.", "Never again without a budget.")),
)

_GERMAN = (
    "Brandt", "Hoffmann", "Keller", "Vogt", "Lorenz", "Seidel", "Krämer", "Behrens", "Hartmann", "Petersen",
    "Schuster", "Wolters", "Albers", "Thiele", "Bremer", "Engel", "Franke", "Gruber", "Huber", "Lindner", "Maurer",
    "Neumann", "Ostermann", "Pohl", "Reuter", "Sander", "Timm", "Ulrich", "Winkler", "Ziegler", "Jansen", "Kern",
    "Lange", "Marten", "Rieger", "Stahl", "Bauer", "Eckert", "Fink", "Haas",
)
_DUTCH = (
    "de Vries", "Bakker", "Visser", "Smit", "Mulder", "de Boer", "Dekker", "Hendriks", "van Dijk", "Kuipers",
    "Verhoeven", "Schouten", "Hoekstra", "van der Meer", "Postma", "Willems", "van Leeuwen", "Brouwer",
)
_BELGIAN = (
    "Peeters", "Janssens", "Maes", "Claes", "Wouters", "Dubois", "Lambert", "De Smet", "Goossens", "Mertens",
    "Lejeune", "Aerts", "Renard", "Baert",
)
_POLISH = (
    "Kowalski", "Nowak", "Wiśniewski", "Zieliński", "Mazur", "Krawczyk", "Pawlak", "Sikora", "Baran", "Duda", "Wilk",
    "Lis", "Górski", "Kaczmarek",
)
_CZECH = (
    "Novák", "Svoboda", "Dvořák", "Černý", "Procházka", "Kučera", "Veselý", "Horák", "Němec", "Pokorný", "Marek",
    "Pospíšil",
)
SURNAMES = {"Germany": _GERMAN, "Austria": _GERMAN, "Netherlands": _DUTCH, "Belgium": _BELGIAN, "Poland": _POLISH,
            "Czechia": _CZECH}
_GERMAN_FIRMS = {
    "Road freight": ("{} Spedition", "Spedition {} & Sohn", "{} Transporte", "{} Fuhrbetrieb"),
    "Parcel courier": ("{} Kurierdienst", "{} Express"),
    "Food wholesale": ("Frischdienst {}", "{} Lebensmittelgroßhandel", "{} Feinkost"),
    "Building-material wholesale": ("{} Baustoffe", "Baustoffhandel {}"),
    "Machine maker": ("{} Maschinenbau", "{} Fördertechnik"), "Furniture maker": ("{} Möbelwerke", "Tischlerei {}"),
    "Retail": ("{} Märkte", "Kaufhaus {}"), "Waste and recycling": ("{} Entsorgung", "{} Recycling"),
}
_DUTCH_FIRMS = {
    "Road freight": ("{} Transport", "Gebroeders {} Transport"), "Parcel courier": ("{} Koeriers",),
    "Food wholesale": ("{} Versgroothandel", "{} Food"), "Building-material wholesale": ("{} Bouwmaterialen",),
    "Machine maker": ("{} Machinefabriek",), "Furniture maker": ("{} Meubelen",), "Retail": ("{} Winkels",),
    "Waste and recycling": ("{} Recycling",),
}
_POLISH_FIRMS = {
    "Road freight": ("{} Transport", "{} Spedycja"), "Parcel courier": ("{} Kurier",),
    "Food wholesale": ("Hurtownia {}",), "Building-material wholesale": ("{} Materiały Budowlane",),
    "Machine maker": ("{} Maszyny",),
    "Furniture maker": ("{} Meble",), "Retail": ("{} Sklepy",), "Waste and recycling": ("{} Recykling",),
}
_CZECH_FIRMS = {
    "Road freight": ("{} Doprava", "{} Spedice"), "Parcel courier": ("{} Kurýr",),
    "Food wholesale": ("{} Velkoobchod",), "Building-material wholesale": ("{} Stavebniny",),
    "Machine maker": ("{} Strojírny",),
    "Furniture maker": ("{} Nábytek",), "Retail": ("{} Obchody",), "Waste and recycling": ("{} Recyklace",),
}
FIRMS = {"Germany": _GERMAN_FIRMS, "Austria": _GERMAN_FIRMS, "Netherlands": _DUTCH_FIRMS, "Belgium": _DUTCH_FIRMS,
         "Poland": _POLISH_FIRMS, "Czechia": _CZECH_FIRMS}
