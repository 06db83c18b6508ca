"""`lepton chain export | import | verify-backup | prune | repair`: whole chains in and out of a member's folder."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from node.app import backup
from node.app.settings import Folder
from node.cli.common import CommandError, Json, console, print_json
from node.edge.storage import SqliteReader, read_genesis
from node.ledger.stored import Verified

PROGRESS_EVERY = 50

File = Annotated[Path, typer.Argument(help="The exported file.")]


def add_to(chain: typer.Typer) -> None:
    """Add the commands to `lepton chain`."""
    chain.command("export")(export)
    chain.command("import")(import_)
    chain.command("verify-backup")(verify_backup)
    chain.command("prune")(prune)
    chain.command("repair")(repair)


def export(
    context: typer.Context, file: Annotated[Path, typer.Argument(help="The file to write.")], json: Json = False
) -> None:
    """Write this member's chain to one file that proves itself; the daemon may go on running.

    A chain that was pruned or joined by a snapshot is written as the state at its head with its path of trust.

    Example: lepton --dir cleveland chain export cleveland.chain
    """
    folder = Folder(context.obj.dir)
    genesis = read_genesis(folder.genesis)
    with _bar(json, "blocks") as move:
        height = backup.export_chain(folder, genesis, file, move)
    shown = {"height": height, "file": str(file), "bytes": file.stat().st_size}
    _tell(json, shown, f"{file}: the chain up to height {height}, {shown['bytes']} bytes")


def import_(context: typer.Context, file: File, json: Json = False) -> None:
    """Take over an exported chain into a member's folder that has none; everything in it is checked.

    Example: lepton --dir cleveland chain import cleveland.chain
    """
    folder = Folder(context.obj.dir)
    genesis = read_genesis(folder.genesis)
    with _bar(json, "pieces") as move:
        found = backup.import_chain(folder, genesis, file, lambda done: move(done, None))
    _tell_verified(json, found, f"{file} is imported")


def verify_backup(
    context: typer.Context,
    file: File,
    genesis: Annotated[Path | None, typer.Option(help="The genesis file; by default the member's own.")] = None,
    json: Json = False,
) -> None:
    """Check an exported file with the genesis alone: every block and signature, or the state with its path of trust.

    Example: lepton chain verify-backup cleveland.chain --genesis genesis.json
    """
    trusted = read_genesis(genesis or Folder(context.obj.dir).genesis)
    with _bar(json, "pieces") as move:
        found = backup.verify_backup(file, trusted, lambda done: move(done, None))
    _tell_verified(json, found, f"{file} holds")


def prune(
    context: typer.Context,
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest blocks stay whole.")],
    json: Json = False,
) -> None:
    """Of all but the newest blocks keep header and certificate only; stop the daemon first.

    Proofs of the state and of transactions in the kept blocks can still be made; `[snapshots] keep_blocks` in node.toml
    lets the daemon prune by itself.

    Example: lepton --dir cleveland chain prune --keep 10000
    """
    folder = Folder(context.obj.dir)
    old, new = backup.prune_chain(folder, read_genesis(folder.genesis), keep)
    _tell(json, {"base": new, "pruned": new - old}, f"blocks are whole from height {new} on; {new - old} were pruned")


def repair(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Find where this member's chain is damaged; on request put the database aside, so that peers give it anew.

    The vote log stays: this member signs nothing that it may have signed before. Stop the daemon first.

    Example: lepton --dir cleveland chain repair
    """
    folder = Folder(context.obj.dir)
    genesis = read_genesis(folder.genesis)
    with _bar(json, "blocks", _height(folder)) as move:
        damage = backup.damage_of(folder, genesis, lambda done: move(done, None))
    if damage is None:
        _tell(json, {"damaged": False}, "the chain holds: there is nothing to repair")
        return
    if not yes and (json or not typer.confirm(f"{damage}\nPut the database aside and fetch the chain anew?")):
        raise CommandError(f"{damage}; nothing was changed. With --yes the database is put aside and fetched anew")
    place = backup.set_aside(folder)
    shown = {"damaged": True, "height": damage.height, "reason": damage.reason, "aside": str(place)}
    _tell(
        json, shown, f"damaged at {damage}\nthe database lies in {place}; start the daemon: peers give the chain anew"
    )


def _height(folder: Folder) -> int:
    reader = SqliteReader(folder.ledger, frozen=True)
    try:
        return reader.height()
    finally:
        reader.close()


@contextmanager
def _bar(json: bool, what: str, total: int | None = None) -> Iterator[Callable[[int, int | None], None]]:
    progress = Progress(TextColumn(what), BarColumn(), MofNCompleteColumn(), console=console, disable=json)
    with progress:
        task = progress.add_task("", total=total)

        last = 0

        def move(done: int, of: int | None) -> None:
            nonlocal last
            last = done
            if done % PROGRESS_EVERY == 0:
                progress.update(task, completed=done, total=of if of is not None else total)

        yield move
        progress.update(task, completed=last, total=last)


def _tell(json: bool, shown: dict[str, Any], text: str) -> None:
    if json:
        print_json(shown)
    else:
        console.print(text, soft_wrap=True)


def _tell_verified(json: bool, found: Verified, text: str) -> None:
    if json:
        print_json(verified_json(found))
        return
    console.print(f"{text} up to height {found.height}{from_base(found)}", soft_wrap=True)
    console.print(f"head       {found.head_digest.hex()}", soft_wrap=True)
    console.print(f"state root {found.state_root.hex()}", soft_wrap=True)


def verified_json(found: Verified) -> dict[str, Any]:
    """What `chain verify`, `import` and `verify-backup` print with --json."""
    return {
        "height": found.height,
        "head_digest": found.head_digest.hex(),
        "state_root": found.state_root.hex(),
        "transactions": found.transactions,
        "base": found.base,
    }


def from_base(found: Verified) -> str:
    """Says so when a chain does not reach back to its genesis."""
    if found.base == 1:
        return ""
    return f", from height {found.base} on; what came before follows from the genesis by a path of trust"
