"""`lepton chain blocks | block | tx | verify` (and `backup`'s): read and check this member's copy of the chain."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from node.app.settings import Folder
from node.app.versions import installed_cel_version
from node.base.types import CertifiedBlock, Height, Receipt
from node.cli import backup
from node.cli.common import CommandError, Json, console, parse_digest, print_json, print_table
from node.edge.storage import SqliteReader, read_genesis
from node.ledger.proofs import verify_chain

commands = typer.Typer(no_args_is_help=True, help="Read and check this member's copy of the chain; needs no daemon.")

PROGRESS_EVERY = 50

backup.add_to(commands)


@commands.command()
def blocks(
    context: typer.Context,
    last: Annotated[int, typer.Option(min=1, help="How many of the newest blocks.")] = 20,
    json: Json = False,
) -> None:
    """The newest blocks, newest first.

    Example: lepton --dir cleveland chain blocks --last 5
    """
    with _reader(context.obj.dir) as reader:
        top = reader.height()
        heights = range(top, max(0, top - last), -1)
        found = [_summary(_block(reader, height)) for height in heights]
    if json:
        print_json(found)
        return
    if not found:
        console.print("no block yet: the first is made with the first transaction, or with the first heartbeat")
        return
    rows = [
        (b["height"], b["digest"][:16], _utc(b["time_ms"]), b["author"], b["transactions"], b["round"]) for b in found
    ]
    print_table("blocks", ["height", "digest", "time (UTC)", "author", "transactions", "decided in round"], rows)


@commands.command()
def block(
    context: typer.Context,
    height: Annotated[int, typer.Argument(min=1, help="The block's height.")],
    json: Json = False,
) -> None:
    """One block: header, certificate, transactions with their receipts.

    Example: lepton --dir cleveland chain block 3 --json
    """
    with _reader(context.obj.dir) as reader:
        certified = _block(reader, height)
        receipts = reader.receipts(Height(height)) or ()
    header = certified.block.header
    shown = {
        **_summary(certified),
        "chain": header.chain.hex(),
        "parent": header.parent.hex(),
        "transactions_root": header.transactions_root.hex(),
        "receipts_root": header.receipts_root.hex(),
        "members": header.members.hex(),
        "next_members": header.next_members.hex(),
        "signed_by": [entry.org for entry in certified.certificate.signatures],
        "receipts": [
            {**_receipt(receipt), "org": tx.body.org, "contract": tx.body.contract, "method": tx.body.method}
            for tx, receipt in zip(certified.block.transactions, receipts, strict=True)
        ],
    }
    if json:
        print_json(shown)
        return
    table = [
        (name, " ".join(value) if name == "signed_by" else value) for name, value in shown.items() if name != "receipts"
    ]
    print_table(f"block {height}", ["", ""], table)
    rows = [
        (r["org"], f"{r['contract']}.{r['method']}", r["transaction"][:16], r["code"], r["reason"])
        for r in shown["receipts"]
    ]
    print_table("transactions", ["organisation", "call", "id", "outcome", "reason"], rows)


@commands.command()
def tx(
    context: typer.Context,
    transaction: Annotated[str, typer.Argument(help="The transaction's id, 64 hexadecimal digits.")],
    json: Json = False,
) -> None:
    """Where a transaction stands and what became of it.

    Example: lepton --dir cleveland chain tx 9c1f... --json
    """
    id_ = parse_digest(transaction, "transaction")
    with _reader(context.obj.dir) as reader:
        record = reader.transaction(id_)
        if record is None:
            raise CommandError(f"transaction {transaction} is in no block of this member's chain")
        body = _block(reader, record.height).block.transactions[record.index].body
    shown = {
        **_receipt(record.receipt),
        "height": record.height,
        "index": record.index,
        "org": body.org,
        "nonce": body.nonce,
        "valid_until_ms": body.valid_until_ms,
        "contract": body.contract,
        "method": body.method,
        "payload": body.payload.hex(),
    }
    if json:
        print_json(shown)
        return
    print_table(f"transaction {transaction}", ["", ""], [(name, str(value)) for name, value in shown.items()])


@commands.command()
def verify(context: typer.Context, json: Json = False) -> None:
    """Execute the whole chain again from the genesis file, and check every signature, root, receipt and state entry.

    Works offline. When the database is not what the network agreed on, the height where it stops being true is named.
    Where another version of CEL decided than the one that is installed, it says so and goes no further.
    A chain that was pruned or joined by a snapshot is checked from its base on, which a path of trust from the genesis
    leads to.

    Example: lepton --dir cleveland chain verify
    """
    folder = Folder(context.obj.dir)
    genesis = read_genesis(folder.genesis)
    progress = Progress(TextColumn("blocks"), BarColumn(), MofNCompleteColumn(), console=console, disable=json)
    with _reader(context.obj.dir) as reader, progress:
        task = progress.add_task("", total=reader.height())

        def advance(height: int) -> None:
            if height % PROGRESS_EVERY == 0:
                progress.update(task, completed=height)

        verified = verify_chain(genesis, reader, progress=advance, cel_version=installed_cel_version())
        progress.update(task, completed=verified.height)
    if json:
        print_json(backup.verified_json(verified))
        return
    console.print(
        f"the chain holds up to height {verified.height}: "
        f"{verified.transactions} transactions{backup.from_base(verified)}",
        soft_wrap=True,
    )
    console.print(f"head       {verified.head_digest.hex()}", soft_wrap=True)
    console.print(f"state root {verified.state_root.hex()}", soft_wrap=True)


@contextmanager
def _reader(root: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(Folder(root).ledger, frozen=True)
    try:
        yield reader
    finally:
        reader.close()


def _block(reader: SqliteReader, height: int) -> CertifiedBlock:
    certified = reader.block(Height(height))
    if certified is None:
        raise CommandError(f"there is no block {height}; this member's chain has height {reader.height()}")
    return certified


def _summary(certified: CertifiedBlock) -> dict[str, Any]:
    header = certified.block.header
    return {
        "height": header.height,
        "digest": certified.block.digest.hex(),
        "time_ms": header.time_ms,
        "author": header.author,
        "transactions": len(certified.block.transactions),
        "round": certified.certificate.round,
        "state_root": header.state_root.hex(),
    }


def _utc(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1_000, UTC).isoformat(sep=" ", timespec="milliseconds")[:-6]


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {
        "transaction": receipt.transaction.hex(),
        "accepted": receipt.accepted,
        "code": receipt.code,
        "reason": receipt.reason,
        "events": [f"{event.contract}.{event.name}" for event in receipt.events],
    }
