"""`lepton doctor`: what is wrong with this member, why, and what to do."""

import asyncio
import dataclasses

import typer
from rich.markup import escape
from rich.table import Table

from node.app.doctor import Finding, Severity, Snapshot, examine, gather
from node.app.doctor.snapshot import DaemonReading
from node.app.settings import SettingsError
from node.cli.common import CommandError, Json, console, print_json

CANNOT_RUN = 2
_COLOURS = {Severity.OK: "green", Severity.NOTE: "cyan", Severity.WARNING: "yellow", Severity.PROBLEM: "bold red"}


def doctor(context: typer.Context, json: Json = False) -> None:
    """Look for what is wrong: keys, clocks, disk, ports, versions, links, who blocks the quorum. Say what to do.

    Works with and without a running daemon. Exit code 0: no problem; 1: problems; 2: this is no member's folder.

    Example: lepton --dir north doctor
    """
    try:
        seen = asyncio.run(gather(context.obj.dir))
    except SettingsError as error:
        typer.echo(f"lepton: {error}", err=True)
        raise typer.Exit(CANNOT_RUN) from error
    findings = examine(seen)
    problems = [finding for finding in findings if finding.severity is Severity.PROBLEM]
    if json:
        print_json(as_json(seen, findings))
    else:
        _show(seen, findings)
    if problems:
        raise CommandError(f"{len(problems)} problem{'s' if len(problems) > 1 else ''} found")


def as_json(seen: Snapshot, findings: list[Finding]) -> dict[str, object]:
    """Findings and readings for programs."""
    return {
        "org": seen.org,
        "healthy": all(finding.severity is not Severity.PROBLEM for finding in findings),
        "findings": [{**dataclasses.asdict(found), "severity": found.severity.name.lower()} for found in findings],
        "readings": dataclasses.asdict(seen),
    }


def _show(seen: Snapshot, findings: list[Finding]) -> None:
    table = Table("", "", "what", "what to do", title=f"{seen.org}", title_justify="left", show_lines=False)
    area = ""
    for found in findings:
        colour = _COLOURS[found.severity]
        mark = f"[{colour}]{found.severity.name.lower()}[/]"
        table.add_row("" if found.area == area else found.area, mark, escape(found.says), escape(found.advice))
        area = found.area
    console.print(table)
    if seen.daemon is not None and seen.daemon.peers:
        console.print(peers_table(seen.daemon))


def peers_table(daemon: DaemonReading) -> Table:
    """A row for each peer, as the daemon sees it."""
    at = daemon.agreement
    columns = ("peer", "link", "since", "heard", "height", "round", "clock", "version")
    table = Table(*columns, title="peers", title_justify="left")
    for peer in daemon.peers:
        link = "none" if not peer.connected else "dialled by us" if peer.dialled else "dialled by it"
        round_ = at.rounds.get(peer.org) if at is not None else None
        table.add_row(
            peer.org,
            link,
            *(_seconds(value) for value in (peer.since_s, peer.heard_s)),
            "" if peer.height is None else str(peer.height),
            "" if round_ is None else str(round_),
            "" if peer.clock_ahead_ms is None else f"{peer.clock_ahead_ms:+,} ms",
            peer.software or "",
        )
    return table


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f} s"
