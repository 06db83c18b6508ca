"""`lepton recover | halt-at`: what an operator does by hand on rare days."""

from typing import Annotated

import typer

from node.cli.common import CommandError, Json, ask, console, print_json


def add_to(lepton: typer.Typer) -> None:
    """Add the commands to the top level."""
    lepton.command()(recover)
    lepton.command("halt-at")(halt_at)


def recover(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only explain.")] = False,
    json: Json = False,
) -> None:
    """Let a member that lost its vote log sign again at once. Read this first.

    The vote log (votes.log) says what this member signed. When it is missing, the daemon follows the chain but signs
    nothing, asks the others how far they are, and signs again three blocks above the highest answer. That needs no
    command. Use this one only where no such height can come: with 3 members or fewer, or when more than a third lost
    their vote logs, the chain stands until this member signs.

    It may then sign a second time for a height that it had signed before it lost the log. With other members running,
    let them link first: the member refuses while it is behind any of them. The others may see the contradiction, and it
    can be reported as a fault. Do it at one member at a time, and only as many as the chain needs to go on.

    What was done is recorded in the vote log and, with the next block, on the ledger for all members to see.

    Example: lepton --dir north recover --yes
    """
    if not yes:
        raise CommandError("this can make the member sign twice: read `lepton recover --help`, then add --yes")
    done = ask(context.obj, lambda client: client.recover())
    if json:
        print_json(done)
    else:
        console.print(f"recovered at height {done['recovered_at']}: this member signs from {done['votes_from']} on")


def halt_at(
    context: typer.Context,
    height: Annotated[int | None, typer.Argument(min=1, help="The last height before the halt.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Show whether and where this member halts.")] = False,
    off: Annotated[bool, typer.Option("--off", help="End the halt; agreement goes on.")] = False,
    json: Json = False,
) -> None:
    """Halt this member after the block of a height, for an upgrade; it stays halted over restarts until --off.

    Nothing above the height is agreed on, signed or applied; the daemon goes on serving. When all members name one
    height, all stand at the same block; upgrade them, then end the halt everywhere.

    Example: lepton --dir north halt-at 120000
    """
    if (height is not None) + show + off != 1:
        raise CommandError("say one of: a height, --show, --off")
    found = ask(context.obj, lambda client: client.halt(height, off=off))
    if json:
        print_json(found)
    elif found["halt_at"] is None:
        console.print(f"no halt; height {found['height']}")
    else:
        state = "halted" if found["halted"] else "runs"
        console.print(f"halts at height {found['halt_at']}; {state}, height {found['height']}")
