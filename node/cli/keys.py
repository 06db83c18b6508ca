"""`lepton keys show | rotate | take | address | present`: this member's keys and card, while the daemon runs."""

import asyncio
import enum
import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from node.api import DaemonUnreachable, OperatorClient, Outcome
from node.app.member import TLS_DAYS, member_passphrase
from node.app.rotation import NextCard, move, rotate_key
from node.app.settings import Folder, read_settings
from node.base.codec import decode, encode
from node.base.types import Card, CardBody
from node.cli.common import CommandError, Json, ask, console, print_json, print_table, prompt_passphrase, report
from node.cli.join import hand_card
from node.edge.storage import KeyName, read_card, write_card

commands = typer.Typer(no_args_is_help=True, help="This member's keys and card: show and renew them, without a stop.")

CardOut = Annotated[
    Path | None,
    typer.Option("--card-out", help="Write the new card to this file, for others to hand in; present nothing."),
]


class Kind(enum.Enum):
    """Which key."""

    NODE = "node"
    TLS = "tls"
    DATA = "data"
    ORGANISATION = "organisation"


@commands.command()
def show(context: typer.Context, json: Json = False) -> None:
    """Show this member's keys: which are in force, and which the daemon holds.

    Example: lepton --dir north keys show
    """
    status = ask(context.obj, lambda client: client.status())
    card = ask(context.obj, lambda client: client.card())
    if not card:
        raise CommandError("the ledger has no card of this organisation yet; a motion must admit it")
    body = decode(Card, card).body
    rows = _rows(body, status["keys"])
    if json:
        print_json(
            {"card": body.sequence, "tls_until_ms": body.tls_until_ms, "keys": rows, "notes": status["warnings"]}
        )
        return
    print_table(
        f"keys of {body.org}, card {body.sequence}",
        ["key", "public half", "state", "held"],
        [(row["key"], row["public"], row["state"], "yes" if row["held"] else "no") for row in rows],
    )
    until = datetime.fromtimestamp(body.tls_until_ms / 1_000, UTC)
    console.print(f"The TLS certificate may be used until {until:%Y-%m-%d %H:%M} UTC, by block time.")
    for warning in status["warnings"]:
        console.print(f"Note: {warning}")


@commands.command()
def rotate(
    context: typer.Context,
    key: Annotated[Kind, typer.Argument(help="Which key to renew.")],
    tls_days: Annotated[int, typer.Option(min=1, max=3_650, help="Term of a new TLS certificate.")] = TLS_DAYS,
    card_out: CardOut = None,
    json: Json = False,
) -> None:
    """Renew a key while the daemon runs. An interrupted renewal is taken up by the same command.

    Example: lepton --dir north keys rotate node
    """
    root: Path = context.obj.dir
    passphrase = member_passphrase(root, read_settings(root), prompt_passphrase)
    following = rotate_key(root, KeyName[key.name], _card(root), passphrase, tls_days=tls_days)
    _hand_in(context, following, passphrase, card_out, as_json=json)


@commands.command()
def address(
    context: typer.Context,
    addresses: Annotated[list[str], typer.Argument(help="host:port where others dial this member, best first.")],
    card_out: CardOut = None,
    json: Json = False,
) -> None:
    """Tell the network where this member is dialled from now on.

    Example: lepton --dir north keys address north.example:7400 203.0.113.7:7400
    """
    root: Path = context.obj.dir
    passphrase = member_passphrase(root, read_settings(root), prompt_passphrase)
    _hand_in(context, move(root, _card(root), passphrase, addresses), passphrase, card_out, as_json=json)


@commands.command()
def take(context: typer.Context) -> None:
    """Have the running daemon open key files that were put into the member's folder.

    Example: lepton --dir north keys take
    """
    root: Path = context.obj.dir
    passphrase = member_passphrase(root, read_settings(root), prompt_passphrase)
    taken = ask(context.obj, lambda client: client.take_keys(passphrase))
    console.print(f"taken: {', '.join(taken)}" if taken else "the daemon holds every key of this folder already")


@commands.command()
def present(
    context: typer.Context,
    card: Annotated[Path, typer.Argument(help="The newer card of an organisation of this network.")],
    to: Annotated[str | None, typer.Option(help="host:port of a member's join call, to hand it in there.")] = None,
    member: Annotated[Path | None, typer.Option(help="That member's card, so that nobody else answers for it.")] = None,
    json: Json = False,
) -> None:
    """Hand in an organisation's newer card: for one that cannot connect with its old keys any more.

    Example: lepton --dir north keys present east-card.json
    """
    if (to is None) != (member is None):
        raise CommandError("--to and --member go together: the address of the join call, and that member's card")
    shown = read_card(card)
    if to is not None and member is not None:
        console.print(hand_card(shown, to, member))
        return
    report(ask(context.obj, lambda client: client.present(encode(shown))), as_json=json)


def _hand_in(
    context: typer.Context, following: NextCard, passphrase: str, card_out: Path | None, *, as_json: bool
) -> None:
    async def renew(client: OperatorClient) -> Outcome:
        await client.take_keys(passphrase)
        return await client.present(encode(following.card), following.endorsement or b"")

    if card_out is None:
        report(ask(context.obj, renew), as_json=as_json)
        return
    write_card(card_out, following.card)
    try:
        ask(context.obj, lambda client: client.take_keys(passphrase))
    except DaemonUnreachable:
        console.print("No daemon runs: it finds the new keys when it starts.")
    console.print(f"card {following.card.body.sequence} is in {card_out}: have a member hand it in")
    if following.endorsement is not None:
        console.print("It brings a new organisation key: members must agree to it by a motion.")


def _card(root: Path) -> Card:
    """The ledger's newest, from the daemon; without one, the folder's."""

    async def ask_daemon() -> bytes:
        async with OperatorClient(root) as client:
            return await client.card()

    try:
        card = asyncio.run(ask_daemon())
    except DaemonUnreachable:
        card = b""
    return decode(Card, card) if card else read_card(Folder(root).card)


def _rows(body: CardBody, held: dict[str, list[str]]) -> list[dict[str, Any]]:
    """What the ledger's card names, and what else the daemon holds, newest first."""
    named = {
        Kind.ORGANISATION: body.organisation_key.hex(),
        Kind.NODE: body.node_key.hex(),
        Kind.TLS: hashlib.sha256(body.tls_certificate).hexdigest(),
        Kind.DATA: body.data_key.hex(),
    }
    rows = []
    for kind, public in named.items():
        owned = held.get(kind.value, [])
        shown = owned if public in owned else [public, *owned]
        states = ["next" if shown.index(other) < shown.index(public) else "earlier" for other in shown]
        for other, state in zip(shown, states, strict=True):
            row = {"key": kind.value, "public": other, "state": "on the ledger" if other == public else state}
            rows.append({**row, "held": other in owned})
    return rows
