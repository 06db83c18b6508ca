"""`lepton network found | sign | install | show`: founding a network, and taking its genesis.

Who belongs to a network afterwards is `membership`'s.
"""

from pathlib import Path
from typing import Annotated

import typer

from node.app.member import draft_network, install_network, keep_peers, sign_network
from node.app.settings import Folder
from node.app.versions import installed_cel_version
from node.base.types import Parameters, chain_id
from node.cli import join, membership
from node.cli.common import Json, console, print_json, print_table, prompt_passphrase
from node.edge.storage import GenesisDraft, read_genesis_draft, readable_card

commands = typer.Typer(no_args_is_help=True, help="Found a network with other organisations; decide who belongs to it.")
membership.add_to(commands)
join.add_to(commands)

GenesisFile = Annotated[Path, typer.Argument(help="The genesis file that goes from founder to founder.")]


@commands.command()
def found(
    context: typer.Context,
    cards: Annotated[list[Path], typer.Argument(help="The card files of all founders, your own too.")],
    name: Annotated[str, typer.Option(help="The network's name.")],
    out: Annotated[Path, typer.Option(help="The genesis file to write.")],
    round_timeout_ms: Annotated[
        int, typer.Option(min=50, help="Base of the agreement's time-outs; part of the genesis.")
    ] = Parameters().round_timeout_ms,
    heartbeat_ms: Annotated[
        int, typer.Option(min=1_000, help="An idle network makes an empty block after this long.")
    ] = Parameters().heartbeat_ms,
) -> None:
    """Draft the genesis of a network and sign it.

    Example: lepton --dir north network found --name trio north/card.json east.json west.json --out trio.json
    """
    parameters = Parameters(
        round_timeout_ms=round_timeout_ms, heartbeat_ms=heartbeat_ms, cel_version=installed_cel_version()
    )
    draft_network(name, cards, out, parameters)
    _report(sign_network(context.obj.dir, out, prompt_passphrase), out)


@commands.command()
def sign(context: typer.Context, genesis: GenesisFile) -> None:
    """Sign a drafted genesis. Look at it first: `lepton network show FILE`.

    Example: lepton --dir east network sign trio.json
    """
    _report(sign_network(context.obj.dir, genesis, prompt_passphrase), genesis)


@commands.command()
def install(
    context: typer.Context,
    genesis: GenesisFile,
    peer: Annotated[
        list[Path] | None, typer.Option(help="A newer card of a member whose address changed; may be repeated.")
    ] = None,
) -> None:
    """Take the genesis that all founders signed into this member's folder: as a founder, or to join later.

    Example: lepton --dir north network install trio.json --peer east-2.json
    """
    root: Path = context.obj.dir
    keep_peers(root, peer or [])
    if peer and Folder(root).genesis.exists():
        console.print(f"{len(peer)} cards are kept; they count when the daemon of {root} is started the next time")
        return
    installed, chain, founder = install_network(root, genesis)
    console.print(f"network {installed.body.name}, chain {chain.hex()}, {len(installed.body.cards)} founders")
    if not founder:
        console.print("This organisation is no founder: its daemon waits until the members admit its card.")
    console.print(f"Start the daemon: lepton --dir {context.obj.dir} run")


@commands.command()
def show(genesis: GenesisFile, json: Json = False) -> None:
    """Show what a genesis file says and who has signed it.

    Example: lepton network show trio.json
    """
    draft = read_genesis_draft(genesis)
    chain = chain_id(draft.body).hex()
    members = [{**readable_card(card), "signed": card.body.org in draft.signatures} for card in draft.body.cards]
    if json:
        print_json({"name": draft.body.name, "chain": chain, "time_ms": draft.body.time_ms, "members": members})
        return
    rows = [
        (m["org"], m["organisation_key"], ", ".join(m["addresses"]), "yes" if m["signed"] else "no") for m in members
    ]
    print_table(f"{draft.body.name}, chain {chain}", ["founder", "organisation key", "addresses", "signed"], rows)


def _report(draft: GenesisDraft, path: Path) -> None:
    if draft.missing:
        console.print(f"signed; still missing: {', '.join(draft.missing)}. Pass {path} on to them.")
    else:
        console.print(f"signed by all {len(draft.signatures)} founders. Each runs: lepton network install {path}")
