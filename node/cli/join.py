"""`lepton network applicants`, and handing a card to a member over the network (`lepton network apply --to`)."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import typer

from node.app.applicants import Applicants
from node.app.settings import Folder, read_settings
from node.base.codec import encode
from node.base.types import Card
from node.cli.common import Json, print_json, print_table
from node.edge.storage import read_card, readable_card
from node.edge.transport import show_card


def add_to(network: typer.Typer) -> None:
    """Add the commands to `lepton network`."""
    network.command()(applicants)


def applicants(context: typer.Context, json: Json = False) -> None:
    """Show the cards that came in by the join call (`join_listen` in node.toml).

    Example: lepton --dir north network applicants
    """
    root: Path = context.obj.dir
    read_settings(root)
    waiting = Applicants(Folder(root).applicants).all()
    if json:
        print_json(
            [
                {**readable_card(found.card), "file": str(found.file), "received_ms": found.received_ms}
                for found in waiting
            ]
        )
        return
    rows = [
        (
            found.card.body.org,
            found.card.body.organisation_key.hex(),
            f"{datetime.fromtimestamp(found.received_ms / 1_000, UTC):%Y-%m-%d %H:%M}",
            found.file,
        )
        for found in waiting
    ]
    print_table("applicants", ["organisation", "organisation key", "received (UTC)", "card"], rows)


def hand_over(root: Path, to: str, member: Path) -> str:
    """Show this member's card to the member at `to` (host:port), known by its card; its answer.

    Raises `LinkError`, `FileError`.
    """
    return hand_card(read_card(Folder(root).card), to, member)


def hand_card(card: Card, to: str, member: Path) -> str:
    """Show a card to the member at `to`. Raises as `hand_over` does."""
    trusted = read_card(member)
    return asyncio.run(show_card(to, trusted.body.tls_certificate, encode(card)))
