"""`lepton audit`: who had access to what, when, why, under which agreement; exported as a file that anyone checks."""

import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TextColumn

from node.app.auditfile import audit_text, readable_audit
from node.app.auditing import gather
from node.app.settings import Folder
from node.base.types import data_owner
from node.cli.common import CommandError, Json, console, full_name, parse_moment, parse_org, print_json, print_table
from node.edge.storage import SqliteReader
from node.ledger.audit import Subject


def add_to(lepton: typer.Typer) -> None:
    """Add `audit` to the top level."""
    lepton.command()(audit)


def audit(
    context: typer.Context,
    data: Annotated[str | None, typer.Option(help="A data set, owner/name, or the name of your own.")] = None,
    org: Annotated[str | None, typer.Option(help="An organisation: its data, and what it did.")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="Only from this day or moment on, UTC.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="Only before this day or moment, UTC.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Export it for others to verify.")] = None,
    json: Json = False,
) -> None:
    """Who had access to which data, when, why, under which agreement, and every refused attempt; all with its block.

    Reads this member's own ledger; the daemon need not run. The exported file holds the proofs: whoever has the
    genesis file checks it with `lepton verify`, without a node.

    Example: lepton --dir cleveland audit --data patients --out audit.json
    """
    subject = _subject(context, data, org)
    reader = SqliteReader(Folder(context.obj.dir).ledger, frozen=True)
    try:
        with Progress(TextColumn("reading blocks"), BarColumn(), console=console, disable=json) as bar:
            task = bar.add_task("", total=reader.height())
            found = gather(
                reader,
                subject,
                from_ms=0 if from_ is None else parse_moment(from_),
                until_ms=None if to is None else parse_moment(to),
                progress=lambda height: bar.update(task, completed=height),
            )
            bar.update(task, completed=reader.height())
    finally:
        reader.close()
    shown = readable_audit(found)
    if out is not None:
        out.write_text(audit_text(found))
    if json:
        print_json(shown)
        return
    show_audit(shown)
    if out is not None:
        console.print(f"exported to {out}; check it with: lepton verify {out} --genesis genesis.json", soft_wrap=True)


def show_audit(shown: dict[str, Any]) -> None:
    """An audit for a person: who may, what happened, and what that shows."""
    subject = shown["data"] or shown["org"]
    columns = ["who", "operation", "purpose", "agreement", "decided", "ended", "at the end", "fetched", "trained in"]
    if shown["org"]:
        columns.insert(0, "data")
    print_table(f"{subject}: who had access", columns, [_use(use)[-len(columns) :] for use in shown["access"]])
    print_table(
        f"{subject}: what happened",
        ["time (UTC)", "block", "who", "call", "about", "outcome"],
        [_row(row) for row in shown["transactions"]],
    )
    head = shown["head"]
    console.print(f"up to block {head['height']} of {_time(head['time_ms'])}, chain {shown['chain'][:16]}")
    for claim in shown["whole"]:
        words = "all are here" if claim["whole"] else f"{claim['shown']} are here: the audit is NOT whole"
        console.print(f"{claim['what']}: the ledger counts {claim['counted']}, {words}")
    for sentence in shown["not_proven"]:
        console.print(f"not proven: {sentence}", soft_wrap=True)


def _use(use: dict[str, Any]) -> tuple[object, ...]:
    decided, ended = use["decided"], use["ended"]
    return (
        use["data"],
        use["recipient"],
        use["operation"],
        use["purpose"],
        use["agreement"][:12],
        "" if decided is None else f"{use['outcome']}, block {decided['height']}",
        "" if ended is None else f"block {ended['height']}",
        use["at_head"],
        ", ".join(f"block {fetch['height']}" for fetch in use["fetched"]),
        " ".join(f"{job['job'][:12]}" for job in use["trained"]),
    )


def _row(row: dict[str, Any]) -> tuple[object, ...]:
    about = [
        *row["data"],
        row["recipient"] and f"to {row['recipient']}",
        row["operation"],
        row["purpose"],
        row["words"],
    ]
    ids = [f"{what} {row[what][:12]}" for what in ("basis", "agreement", "job") if row[what]]
    outcome = ", ".join(row["events"]) or "accepted" if row["accepted"] else f"refused: {row['reason']} ({row['code']})"
    line = f"; line {row['rule_line']} of the owner's rules" if row["rule_line"] else ""
    words = "; ".join(part for part in (*about, *ids) if part)
    return (_time(row["time_ms"]), row["height"], row["org"], row["call"], words, outcome + line)


def _time(time_ms: int) -> str:
    return datetime.datetime.fromtimestamp(time_ms / 1000, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")


def _subject(context: typer.Context, data: str | None, org: str | None) -> Subject:
    if (data is None) == (org is None):
        raise CommandError("say what the audit is about: --data NAME or --org ORGANISATION")
    if org is not None:
        return Subject("", parse_org(org))
    assert data is not None, "one of the two was given"
    name = full_name(context.obj, data)
    if data_owner(name) is None:
        raise CommandError(f"{data!r} is no data set's name; its form is owner/name")
    return Subject(name, "")
