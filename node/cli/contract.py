"""`lepton contract`: an organisation's own rules over its data: written, checked and tested here, then deployed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.app.moments import iso
from node.base.codec import encode
from node.base.types import Height, is_data_name
from node.cli.common import CommandError, Json, Yes, ask, consent, console, full_name, print_json, print_table, submit
from node.ledger.contracts.rules import VARIABLES, Deploy, RuleSet, Upgrade

if TYPE_CHECKING:
    # Imported where it is used: the shape of the file is made at import, for which no other command has a use.
    from node.app.contracts.cases import CaseResult
    from node.app.contracts.rulesfile import RulesFile, Trouble
    from node.ledger.contracts.rules import Compiled

commands = typer.Typer(
    no_args_is_help=True,
    help="Your own contract over your data sets: ordered conditions that decide every request in its block. "
    "All members see deployed contracts, every version, for ever; example cases stay in your file.",
)

File = Annotated[Path, typer.Argument(help="The contract's file (TOML).")]
_CASES_SHOWN_MAX = 1_000


@commands.command()
def new(
    out: Annotated[Path | None, typer.Argument(help="The file to write (default: TEMPLATE.toml).")] = None,
    template: Annotated[str | None, typer.Option(help="Which one to begin with. Without: list them.")] = None,
    name: Annotated[str | None, typer.Option(help="What the contract is called.")] = None,
    data: Annotated[str | None, typer.Option(help="The data set of yours that it decides over.")] = None,
) -> None:
    """Write a contract to begin with, or list what there is.

    Example: lepton contract new patients-access.toml --template by-requester --data patients
    """
    from node.app.contracts.templates import TEMPLATES, template_text

    if template is None:
        print_table("templates", ["template", "who may have the data"], list(TEMPLATES.items()))
        return
    if template not in TEMPLATES:
        raise CommandError(f"there is no template {template!r}; there are: {', '.join(TEMPLATES)}")
    target = out or Path(f"{template}.toml")
    if target.exists():
        raise CommandError(f"{target} exists already; name another file")
    called = name or target.stem.lower()
    for what, text in (("contract", called), ("data set", data)):
        if text is not None and not is_data_name(text):
            raise CommandError(f"{text!r} is no name for a {what}: 1 to 63 of a-z, 0-9, '.', '-' and '_'")
    target.write_text(template_text(template, name=called, data=data), "utf-8")
    console.print(f"wrote {target}. Change it, then: lepton contract test {target}")


@commands.command()
def check(file: File, json: Json = False) -> None:
    """Parse and type-check every condition; point at line and column of what is wrong. Needs no daemon.

    Example: lepton contract check patients-access.toml
    """
    read, compiled = _checked(file, as_json=json)
    if json:
        print_json({"valid": True, "lines": len(read.rules.lines), "cost": compiled.cost, "troubles": []})
        return
    console.print(
        f"{file}: {len(read.rules.lines)} rules and a default hold together; "
        f"a decision takes {compiled.cost:,} steps at the most; {len(read.cases)} cases to test"
    )


@commands.command()
def variables(json: Json = False) -> None:
    """What conditions can read.

    Example: lepton contract variables
    """
    kinds = {name: type(kind).__name__.lower() for name, kind in VARIABLES.items()}
    if json:
        print_json(kinds)
        return
    print_table("what conditions can read", ["variable", "kind"], [*kinds.items(), ("dates.<name>", "number")])
    console.print("Moments are numbers: milliseconds since 1970, as now_ms.")
    console.print(
        "For a request without an agreement only agreement.present can be read. A condition that reads another of "
        "agreement.* then is undecided, which refuses by that line: begin it with agreement.present &&",
        soft_wrap=True,
    )


@commands.command(name="test")
def try_cases(file: File, json: Json = False) -> None:
    """Decide the file's own cases, without a network, and show which line decided. Exit code 1 when one fails.

    Example: lepton contract test patients-access.toml
    """
    read, compiled = _checked(file, as_json=json)
    results = _cases(read, compiled)
    failed = [result for result in results if not result.holds]
    if json:
        print_json(
            {"passed": len(results) - len(failed), "failed": len(failed), "cases": [_case_json(r) for r in results]}
        )
    else:
        _show_cases(read, results)
    if failed:
        raise CommandError(f"{len(failed)} of {len(results)} cases are decided otherwise than they expect")
    if not results:
        raise CommandError(f"{file} has no cases: add a [[case]] for each thing that you expect of it")


@commands.command()
def deploy(context: typer.Context, file: File, yes: Yes = False, json: Json = False) -> None:
    """Put a contract on the ledger, after its own cases have passed; it decides from the next block on.

    Example: lepton --dir cleveland contract deploy patients-access.toml
    """
    found = _ready(file, as_json=json)
    _agree_to_publish(found, "the next block", yes=yes, as_json=json)
    submit(context.obj, "rules", "deploy", encode(Deploy(found)), as_json=json)


@commands.command()
def upgrade(
    context: typer.Context,
    file: File,
    from_height: Annotated[
        int | None, typer.Option(min=1, help="The height from which the new version decides (default: the next block).")
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Put the next version of a contract of yours on the ledger. The versions before it stay there, unchanged.

    Example: lepton --dir cleveland contract upgrade patients-access.toml --from-height 5000
    """
    found = _ready(file, as_json=json)
    when = "the next block" if from_height is None else f"height {from_height:,}"
    _agree_to_publish(found, when, yes=yes, as_json=json)
    submit(context.obj, "rules", "upgrade", encode(Upgrade(found, Height(from_height or 0))), as_json=json)


@commands.command(name="list")
def list_contracts(context: typer.Context, json: Json = False) -> None:
    """All organisations' contracts.

    Example: lepton --dir cleveland contract list
    """
    found = ask(context.obj, lambda client: client.read("contracts"))
    if json:
        print_json(found)
        return
    rows = [
        (
            one["contract"],
            "-" if one["in_force"] is None else one["in_force"],
            ", ".join(f"{c['version']} from {c['from_height']:,}" for c in one["to_come"]),
            one["lines"],
            ", ".join(one["data"]),
        )
        for one in found["contracts"]
    ]
    print_table(f"contracts at height {found['height']:,}", ["contract", "in force", "to come", "rules", "data"], rows)


Contract = Annotated[str, typer.Argument(help="owner/name; of your own the name alone.")]


@commands.command()
def show(
    context: typer.Context,
    contract: Contract,
    version: Annotated[int | None, typer.Option(min=1, help="Which version (default: the one in force).")] = None,
    json: Json = False,
) -> None:
    """What a contract says: its conditions in their order, and its default.

    Example: lepton --dir cleveland contract show patients-access
    """
    found = _contract(context, contract)
    number = version or found["in_force"] or found["versions"]
    shown = next((one for one in found["history"] if one["version"] == number), None)
    if shown is None:
        raise CommandError(f"{found['contract']} has no version {number}; it has {found['versions']}")
    if json:
        print_json(shown)
        return
    rows = [(str(i), line["when"], line["then"], line["words"]) for i, line in enumerate(shown["lines"], start=1)]
    rows.append(("0", "otherwise", shown["otherwise"]["then"], shown["otherwise"]["words"]))
    title = (
        f"{found['contract']}, version {number}, from height {shown['from_height']:,}, over {', '.join(shown['data'])}"
    )
    print_table(title, ["line", "when", "then", "words"], rows)
    if shown["dates"]:
        print_table("dates", ["name", "moment"], [(f"dates.{name}", iso(ms)) for name, ms in shown["dates"].items()])


@commands.command()
def history(context: typer.Context, contract: Contract, json: Json = False) -> None:
    """Every version of a contract: from which height it decides, when and by which transaction it came.

    Example: lepton --dir cleveland contract history patients-access
    """
    found = _contract(context, contract)
    if json:
        print_json(found)
        return
    coming = {one["version"] for one in found["to_come"]}
    rows = [
        (
            one["version"],
            one["from_height"],
            "in force" if one["version"] == found["in_force"] else "to come" if one["version"] in coming else "past",
            iso(one["deployed_ms"]),
            len(one["lines"]),
            one["transaction"],
        )
        for one in found["history"]
    ]
    columns = ["version", "from height", "", "deployed", "rules", "transaction"]
    print_table(f"{found['contract']} at height {found['height']:,}", columns, rows)


def _contract(context: typer.Context, contract: str) -> dict[str, Any]:
    full = full_name(context.obj, contract)
    found: dict[str, Any] = ask(context.obj, lambda client: client.read("contract", contract=full))
    return found


def _checked(file: Path, *, as_json: bool) -> "tuple[RulesFile, Compiled]":
    """Raises `CommandError` after it has pointed at everything that is wrong."""
    from node.app.contracts.rulesfile import check_rules, read_rules

    read = read_rules(file)
    compiled, troubles = check_rules(read)
    if as_json and troubles:
        print_json({"valid": False, "troubles": [_trouble_json(trouble) for trouble in troubles]})
    elif troubles:
        for trouble in troubles:
            _point(file, trouble)
    if troubles or compiled is None:
        raise CommandError(
            f"{file} may not be deployed: {len(troubles)} thing{'s' if len(troubles) > 1 else ''} to mend"
        )
    return read, compiled


def _point(file: Path, trouble: "Trouble") -> None:
    spot, rule = trouble.spot, f"rule {trouble.rule}: " if trouble.rule else ""
    where = f"{file}:{spot.line}:{spot.column}" if spot is not None else f"{file}"
    typer.echo(f"{where}: {rule}{trouble.words} ({trouble.code})", err=True)
    if spot is not None:
        typer.echo(f"    {spot.text}\n    {' ' * (spot.column - 1)}^", err=True)


def _trouble_json(trouble: "Trouble") -> dict[str, Any]:
    spot = trouble.spot
    return {
        "code": trouble.code,
        "words": trouble.words,
        "rule": trouble.rule or None,
        "line": None if spot is None else spot.line,
        "column": None if spot is None else spot.column,
    }


def _cases(read: "RulesFile", compiled: "Compiled") -> "list[CaseResult]":
    from node.app.contracts.cases import run_cases

    return list(run_cases(read, compiled))


def _show_cases(read: "RulesFile", results: "list[CaseResult]") -> None:
    rows = []
    for result in results[:_CASES_SHOWN_MAX]:
        decision, case = result.decision, result.case
        decided = f"line {decision.line}" if decision.line else "the default"
        when = read.rules.lines[decision.line - 1].when if decision.line else "otherwise"
        expected = case.expect if case.line is None else f"{case.expect}, {case.line}"
        said = decision.outcome.name.lower()
        cells = (case.name, case.requester, expected, said, decided, when, "" if result.holds else "FAILS")
        rows.append(cells)
    columns = ["case", "requester", "expects", "decides", "by", "when", ""]
    print_table(f"{read.path}: {read.rules.name}", columns, rows)


def _case_json(result: "CaseResult") -> dict[str, Any]:
    decision = result.decision
    return {
        "case": result.case.name,
        "expect": result.case.expect,
        "decision": decision.outcome.name.lower(),
        "line": decision.line,
        "code": decision.code,
        "words": decision.words,
        "holds": result.holds,
    }


def _ready(file: Path, *, as_json: bool) -> RuleSet:
    """The file's rules, when it is whole and decides its own cases as it says. Raises `CommandError`."""
    read, compiled = _checked(file, as_json=as_json)
    results = _cases(read, compiled)
    failed = [result.case.name for result in results if not result.holds]
    if failed:
        _show_cases(read, results)
        raise CommandError(f"nothing was published: {len(failed)} of its own cases fail ({', '.join(failed)})")
    return read.rules


def _agree_to_publish(found: RuleSet, when: str, *, yes: bool, as_json: bool) -> None:
    rows = [(str(i), line.when, line.then.name.lower(), line.words) for i, line in enumerate(found.lines, start=1)]
    rows.append(("0", "otherwise", found.otherwise.then.name.lower(), found.otherwise.words))
    what = f"{found.name} decides over {', '.join(found.data)} from {when} on"
    consent(rows, yes=yes, json=as_json, what=what, columns=("line", "when", "then", "words"))
