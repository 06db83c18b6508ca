"""`lepton prove tx | state` and `lepton verify`: proofs that anyone checks with the genesis file alone."""

import datetime
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from node.app.auditfile import FORMAT as AUDIT_FORMAT
from node.app.auditfile import audit_in, check_readable, readable_audit
from node.app.prooffile import key_bytes, proof_in, proof_text, read_shown, readable
from node.app.settings import Folder
from node.cli.audit import show_audit
from node.cli.common import Json, console, parse_digest, print_json, print_table
from node.edge.storage import SqliteReader, read_genesis
from node.ledger.audit import Audit, verify_audit
from node.ledger.offline import StateKeyProof, prove_state, prove_transaction, verify_proof

commands = typer.Typer(
    no_args_is_help=True, help="Make a proof for others, who need only the genesis file to check it."
)

Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file instead of standard output.")]


def add_to(lepton: typer.Typer) -> None:
    """Add `prove` and `verify` to the top level."""
    lepton.add_typer(commands, name="prove")
    lepton.command()(verify)


@commands.command()
def tx(
    context: typer.Context,
    transaction: Annotated[str, typer.Argument(help="The transaction's id, 64 hexadecimal digits.")],
    out: Out = None,
) -> None:
    """Prove that a transaction is final, and what became of it.

    Example: lepton --dir cleveland prove tx 9c1f... > proof.json
    """
    id_ = parse_digest(transaction, "transaction")
    with _reader(context.obj.dir) as reader:
        _give(proof_text(prove_transaction(reader, reader, id_)), out)


@commands.command()
def state(
    context: typer.Context,
    key: Annotated[str, typer.Argument(help="The key: text as in sharing/data/ada/rows, or 0x and hexadecimal.")],
    out: Out = None,
) -> None:
    """Prove what stands under a key after the newest block, or that nothing does.

    Example: lepton --dir cleveland prove state sharing/data/cleveland/rows > proof.json
    """
    with _reader(context.obj.dir) as reader:
        _give(proof_text(prove_state(reader, reader, key_bytes(key))), out)


def verify(
    proof: Annotated[Path, typer.Argument(help="The proof file, or an exported audit.")],
    genesis: Annotated[Path, typer.Option(help="The network's genesis file: all that has to be trusted.")],
    json: Json = False,
) -> None:
    """Check a proof or an audit without a node and without a database; exit code 1 when it does not hold.

    Example: lepton verify proof.json --genesis genesis.json
    """
    read = read_shown(proof)
    if read.get("format") == AUDIT_FORMAT:
        found_audit = audit_in(proof, read)
        verify_audit(read_genesis(genesis), found_audit)
        check_readable(proof, read, found_audit)
        show_verified(found_audit, as_json=json)
        return
    found = proof_in(proof, read)
    verify_proof(read_genesis(genesis), found)
    shown = readable(found)
    if json:
        print_json({"holds": True, **shown})
        return
    moment = datetime.datetime.fromtimestamp(shown["time_ms"] / 1000, datetime.UTC).isoformat(timespec="milliseconds")
    if not isinstance(found, StateKeyProof):
        what = f"{shown['org']} called {shown['contract']}.{shown['method']}"
        console.print(f"The proof holds: {what}, {'accepted' if shown['accepted'] else 'refused'} ({shown['code']}).")
    elif found.value is None:
        console.print(f"The proof holds: nothing stands under {shown['key']}.", soft_wrap=True)
    else:
        console.print(f"The proof holds: {shown['key']} has a value of {len(found.value)} bytes.", soft_wrap=True)
    rows = [(name, " ".join(map(str, value)) if isinstance(value, list) else value) for name, value in shown.items()]
    print_table("", ["", ""], [("time", moment), *rows])


def show_verified(found: Audit, *, as_json: bool) -> None:
    """An audit that holds; one that holds may still leave out what the ledger counts, and then says so last."""
    shown = readable_audit(found)
    if as_json:
        print_json({"holds": True, **shown})
        return
    show_audit(shown)
    count = len(shown["transactions"])
    console.print(f"The audit holds: {count} transactions in {len(found.blocks)} blocks are final, just as shown.")
    missing = ", ".join(claim["what"] for claim in shown["whole"] if not claim["whole"])
    if missing:
        console.print(
            f"It is NOT whole: what it shows is true, but {missing} that the ledger counts were left out of it. "
            "Ask who made it for a whole one, or export it from another member.",
            soft_wrap=True,
        )


def _give(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text)


@contextmanager
def _reader(root: Path) -> Iterator[SqliteReader]:
    reader = SqliteReader(Folder(root).ledger, frozen=True)
    try:
        yield reader
    finally:
        reader.close()
