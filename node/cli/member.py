"""`lepton init | card | run | status | doctor`: one member."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from node.app.doctor import counted, daemon_reading
from node.app.doctor.snapshot import DaemonReading
from node.app.member import TLS_DAYS, create_member, member_passphrase
from node.app.settings import Folder, read_settings
from node.cli.common import (
    Json,
    ask,
    console,
    print_json,
    print_table,
    prompt_new_passphrase,
    prompt_passphrase,
)
from node.cli.doctor import doctor, peers_table
from node.edge.storage import read_card, readable_card


def add_to(lepton: typer.Typer) -> None:
    """Add the member's commands to the top level."""
    for command in (init, card, run, status, doctor):
        lepton.command()(command)


def init(
    context: typer.Context,
    org: Annotated[str, typer.Option(help="The organisation's name in every network: a-z, 0-9, '-' and '_'.")],
    listen: Annotated[
        str, typer.Option(help="host:port to bind; port 0 lets the system choose one, once.")
    ] = "127.0.0.1:0",
    address: Annotated[
        list[str] | None, typer.Option(help="host:port where others dial, when it differs; may be repeated.")
    ] = None,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="A file with the passphrase of the keys, readable by you alone. Default: ask.")
    ] = None,
    tls_days: Annotated[int, typer.Option(min=1, max=36_500, help="Term of the TLS certificate.")] = TLS_DAYS,
) -> None:
    """Make a member's folder: keys, settings, card.

    Example: lepton --dir north init --org north --listen 0.0.0.0:7400 --address north.example:7400
    """
    root: Path = context.obj.dir
    made = create_member(
        root,
        org,
        listen=listen,
        addresses=address or [],
        passphrase_file=passphrase_file,
        prompt=prompt_new_passphrase,
        tls_days=tls_days,
    )
    console.print(f"{made.body.org}: keys and card are in {root}; others dial {', '.join(made.body.addresses)}")
    console.print(f"Hand {Folder(root).card} to the other founders, or to a member of the network you want to join.")


def card(context: typer.Context, json: Json = False) -> None:
    """Show this organisation's card: its public keys and addresses.

    Example: lepton --dir north card --json
    """
    shown = readable_card(read_card(Folder(context.obj.dir).card))
    if json:
        print_json(shown)
    else:
        print_table(f"card of {shown['org']}", ["field", "value"], list(shown.items()))


def run(
    context: typer.Context,
    log_json: Annotated[bool, typer.Option("--log-json", help="Log one JSON object a line.")] = False,
) -> None:
    """Run this member's daemon until it is told to stop (Ctrl-C, SIGTERM).

    Example: lepton --dir north run
    """
    # Imported where it is used: it loads all that a daemon is made of, for which every other command would wait.
    from node.app.daemon import run_daemon

    root: Path = context.obj.dir
    settings = read_settings(root)
    passphrase = member_passphrase(root, settings, prompt_passphrase)
    run_daemon(root, settings, passphrase, log_json=log_json)


def status(context: typer.Context, json: Json = False) -> None:
    """How this member stands: height, peers, training.

    Example: lepton --dir north status --json
    """
    found = ask(context.obj, lambda client: client.status())
    if json:
        print_json(found)
        return
    daemon = daemon_reading(found)
    print_table(f"{found['org']} in network {found['network']}", ["", ""], _facts(found, daemon))
    if daemon.peers:
        console.print(peers_table(daemon))


def _facts(status: dict[str, Any], daemon: DaemonReading) -> list[tuple[str, str]]:
    age_s = max(0, time.time_ns() // 1_000_000 - status["head_time_ms"]) // 1000
    facts = [
        ("chain", status["chain"]),
        ("height", f"{status['height']:,}, {age_s:,} s old"),
        ("head", status["head_digest"]),
        ("state root", status["state_root"]),
    ]
    at = daemon.agreement
    if at is not None:
        linked = {peer.org for peer in daemon.peers if peer.connected} | {status["org"]}
        present = len(linked & set(at.members))
        facts.append(("members", f"{len(at.members)}; {at.quorum} must agree, {present} are linked"))
        what = f"height {at.height:,}, round {at.round}, proposed by {at.proposer}" if at.wanted else "nothing to do"
        facts.append(("agreement", what))
    facts.append(("waiting", counted(status["pending"], "transaction")))
    if status["job"] is not None:
        loss = "" if status["loss"] is None else f", loss {status['loss']:.4f}"
        facts.append(
            ("job", f"{status['job'][:16]}, training round {status['training_round']}, {status['phase']}{loss}")
        )
    if daemon.silent_because is not None:
        facts.append(("silent", daemon.silent_because))
    if daemon.unfit_because is not None:
        facts.append(("does not vote", daemon.unfit_because))
    if daemon.halt_at is not None:
        facts.append(("halts at", f"{daemon.halt_at:,}"))
    held = (
        f"{status['memory_mb']:.0f} MB, {status['open_files']} files, {status['tasks']} tasks, {status['calls']} calls"
    )
    facts.append(
        ("daemon", f"version {status['version']}, pid {status['pid']}, up {status['uptime_s']:,.0f} s; {held}")
    )
    return facts
