"""The commands: ``python -m icp_lib report / publish / list / lab / check / assign / demo / codebook / notebooks``."""

from __future__ import annotations

import argparse
import sys

from icp_lib.checks import DataError, hint


class _Parser(argparse.ArgumentParser):
    """argparse that names the closest option."""

    def error(self, message: str):
        known = [option for action in self._actions for option in action.option_strings]
        wrong = message.rsplit(" ", 1)[-1].split("=")[0]
        said = f"{wrong} is not an option. {hint(wrong, known)}" if message.startswith("unrecognized") else message
        raise DataError(f"{self.prog.rsplit(' ', 1)[-1]}: {said}")


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m icp_lib", description="Research on the ideal customer profile.")
    commands = parser.add_subparsers(dest="command")
    for name, help_text, options in (
        ("report", "run a quarter, or several, and put the report in place", ("quarter", "data", "raw", "out")),
        ("publish", "freeze a quarter with its sign-offs", ("quarter", "data", "out", "approved-by", "note")),
        ("list", "list the reports of a company, and write their index again", ("data", "out")),
        ("lab", "open JupyterLab on copies of the notebooks", ("quarter", "data", "out")),
        ("check", "print every problem of an extract", ("data", "raw", "out")),
        ("assign", "draw the arms of an ICP test", ("experiment", "data", "raw", "out")),
        ("demo", "write the demo company", ("data",)),
        ("codebook", "write data/README.md and data/template", ()),
        ("notebooks", "execute the stock notebooks for the demo in place", ()),
    ):
        command = commands.add_parser(name, help=help_text, allow_abbrev=False)
        for option in options:
            command.add_argument(f"--{option}")
        if name in ("report", "publish"):
            command.add_argument("--force", action="store_true")
    known = commands.choices
    if not arguments:
        raise DataError(f"which command? {', '.join(known)}. `make` lists what they do.")
    if arguments and not arguments[0].startswith("-") and arguments[0] not in known:
        raise DataError(f"'{arguments[0]}' is not a command. {hint(arguments[0], known)}")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known[options.command].error(f"unrecognized arguments: {unknown[0]}")
    return options


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return 0, 1 where a page failed or a check found errors, 2 where it was refused."""
    try:
        options = _options(sys.argv[1:] if arguments is None else arguments)
        if options.command == "report":
            return _report(options)
        if options.command == "publish":
            return _publish(options)
        if options.command == "list":
            return _list(options)
        if options.command == "lab":
            from icp_lib import scratch

            scratch.open_lab(options.quarter or None, options.data or None, options.out or None)
        if options.command == "check":
            return _check(options)
        if options.command == "assign":
            return _assign(options)
        if options.command == "demo":
            from icp_lib import demo

            print(demo.write_company(options.data or "data/demo"))
            return 0
        if options.command == "codebook":
            from icp_lib import codebook, run

            print(codebook.write_codebook(run.REPOSITORY / "data"))
            return 0
        from icp_lib import execution

        execution.refresh_notebooks()
        return 0
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: what was not finished was not published.", file=sys.stderr)
        return 130


def _print(words: str) -> None:
    print(words, flush=True)


def _report(options: argparse.Namespace) -> int:
    from icp_lib import publish

    quarters = publish.find_quarters(options.quarter or None, publish.find_data(options.data or None))
    given = (options.data or None, options.out or None, options.raw or None, options.force)
    if len(quarters) == 1:
        folder, whole = publish.make_report(str(quarters[0]), *given, say=_print)
        print(f"\nThe report: {folder / 'index.html'}")
        return 0 if whole else 1
    failed = publish.make_history(quarters, *given, say=_print)
    words = f"failed: {', '.join(map(str, failed))}" if failed else "none failed"
    print(f"\n{len(quarters)} quarters; {words}")
    return 1 if failed else 0


def _publish(options: argparse.Namespace) -> int:
    from icp_lib import publish

    given = (options.quarter or None, options.data or None, options.out or None)
    folder = publish.publish_report(*given, options.approved_by, options.note, options.force, say=_print)
    print(f"Published: {folder / 'index.html'}")
    return 0


def _list(options: argparse.Namespace) -> int:
    from icp_lib import publish

    rows = publish.list_reports(options.data or None, options.out or None)
    for row in rows:
        version = f"version {row['version']}" if "version" in row else ""
        print(f"{row['quarter']}  {version:10s}  {row['status_words']}  {row.get('headline', '')}".rstrip())
        if "attempt" in row and row["href"]:
            print(f"{'':9s}{'':12s}  its last run failed ({row['attempt']['at']}): {row['attempt']['words']}")
    if not rows:
        print("No report yet. Run `make report`.")
    return 0


def _check(options: argparse.Namespace) -> int:
    from icp_lib import extract, publish, shelf

    data = publish.find_data(options.data or None)
    out = shelf.check_out(publish.find_out(options.out or None, data), data, options.raw or None)
    found = extract.load(data, out, options.raw or None, strict=False)
    counts = found.population.groupby(["table", "step"], sort=False)["n_rows"].sum().unstack(fill_value=0)
    for table, row in counts.iterrows():
        print(
            f"{table:16s} {row['read']:>10,} read  {row.get('kept', 0):>10,} kept  "
            f"{row.get('quarantined', 0):>7,} quarantined  {row.get('excluded', 0):>7,} excluded"
        )
    errors = 0
    for severity, title in (
        ("error", "Errors: these rows are in quarantine"),
        ("warning", "Warnings: these rows are kept"),
    ):
        bad = found.checks.query("severity == @severity and n_rows > 0")
        errors += len(bad) if severity == "error" else 0
        print(f"\n{title}" if len(bad) else f"\nNo {severity}s.")
        for words in bad["message"]:
            print(f"  {words}")
    print("\nAssumed while reading")
    for item in found.facts["assumed"]:
        print(f"  {item['table']}, {item['column']}: {item['read_as']}")
    for words in found.facts["not_read"]:
        print(f"  not read: {words}")
    try:
        extract.check_quarantined(found)
    except DataError as refusal:
        print(f"\nA report would be refused. {refusal}")
    return 1 if errors else 0


def _assign(options: argparse.Namespace) -> int:
    from icp_lib import assignment, experiment_answers, experiment_design, extract, outcomes, protocols, publish, shelf
    from icp_lib.run import Quarter, Run

    data = publish.find_data(options.data or None)
    out = shelf.check_out(publish.find_out(options.out or None, data), data, options.raw or None)
    known = protocols.load_protocols(data)
    protocol = protocols.check_protocol(known, options.experiment or "")
    target = out / "assignments" / f"{protocol.id}.csv"
    found = extract.load(data, out, options.raw or None)
    quarter = Quarter.containing(protocol.assigned_on, found.settings.fiscal_year_start)
    run = Run(quarter, data, out, found)
    if target.exists() or (run.assignments["experiment_id"] == protocol.id).any():
        raise DataError(
            f"assign: {protocol.id} has its list already; arms drawn twice would be no lot. Use the list, or write a "
            "new protocol under a new id."
        )
    lists = assignment.read_lists(target.parent, run.assignments)
    moment = assignment.find_moment(protocol, found.settings.timezone)
    taken = assignment.find_taken(lists, known, moment)
    rate = found.settings.gross_margin_rate
    frame, audit = assignment.assign_accounts(protocol, run.accounts, run.opportunities, taken, moment, rate)
    target.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(target, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    audit.to_csv(target.with_name(f"{protocol.id}_audit.csv"), index=False, float_format="%.10g")
    for row in audit.itertuples():
        print(f"{row.candidate}: {row.n_assigned:,} of {row.n_eligible:,} free accounts. {row.note}".rstrip())
    for (candidate, arm), n in frame.groupby(["candidate", "arm"]).size().items():
        print(f"  {candidate}, {arm}: {n:,}")
    sources = outcomes.Sources(*run.outcome_tables, rate)
    design = experiment_design.build_drawn(protocol, frame, run.accounts, sources, moment, taken)
    for row in design.to_dict("records"):
        if words := experiment_answers.say_unable(row, protocol):
            print(f"WARNING: {row['test']} cannot answer with these accounts: {words}. Page 06 says what it takes.")
    print(f"The list: {target}\nRules {protocol.hash}. Write `agreed: {protocol.hash}` into the protocol.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
