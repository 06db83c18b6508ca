"""`lepton data register | authorize | unauthorize | share | list`: who may have which data set, on the ledger."""

import os
from pathlib import Path
from typing import Annotated

import typer

from node.app.commitments import SALT_BYTES, commit_file, keep
from node.app.settings import Folder, read_settings
from node.base.codec import encode
from node.base.types import Digest, OrgId, is_org_id
from node.cli.common import CommandError, Json, ask, print_json, print_table, submit
from node.ledger.contracts.sharing import Authorize, Register, ShareData, Unauthorize

commands = typer.Typer(
    no_args_is_help=True,
    help="Say on the ledger who may have which data set. All members see names and organisations, for ever; "
    "of the data they see a salted fingerprint and nothing else.",
)

Name = Annotated[str, typer.Argument(help="The data set's name, without the owner.")]
Recipient = Annotated[str, typer.Option("--to", help="The other organisation.")]


@commands.command()
def register(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="The data file; it stays where it is.")],
    name: Annotated[str, typer.Option(help="What the network calls it.")],
    json: Json = False,
) -> None:
    """Put a data set's name and salted fingerprint on the ledger.

    Example: lepton --dir cleveland data register data/patients.csv --name patients
    """
    commitment = _commit(context.obj.dir, file, name)
    submit(context.obj, "sharing", "register", encode(Register(name, commitment)), as_json=json)


@commands.command()
def authorize(context: typer.Context, name: Name, to: Recipient, json: Json = False) -> None:
    """Let another organisation receive your data set.

    Example: lepton --dir cleveland data authorize patients --to budapest
    """
    call = Authorize(_full_name(context, name), _recipient(to))
    submit(context.obj, "sharing", "authorize", encode(call), as_json=json)


@commands.command()
def unauthorize(context: typer.Context, name: Name, to: Recipient, json: Json = False) -> None:
    """Withdraw that. What the other received before, it has.

    Example: lepton --dir cleveland data unauthorize patients --to budapest
    """
    call = Unauthorize(_full_name(context, name), _recipient(to))
    submit(context.obj, "sharing", "unauthorize", encode(call), as_json=json)


@commands.command()
def share(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="What is handed over.")],
    to: Recipient,
    json: Json = False,
) -> None:
    """Record that you hand a data set over; refused unless the recipient is authorised.

    Example: lepton --dir cleveland data share patients data/patients.csv --to budapest
    """
    commitment = _commit(context.obj.dir, file, f"{name}-to-{to}")
    call = ShareData(_full_name(context, name), _recipient(to), commitment)
    submit(context.obj, "sharing", "share", encode(call), as_json=json)


@commands.command(name="list")
def list_data(context: typer.Context, json: Json = False) -> None:
    """All data sets of the network, who may have them, and who was given them.

    Example: lepton --dir cleveland data list --json
    """
    found = ask(context.obj, lambda client: client.sharing())
    if json:
        print_json(found)
        return
    rows = [(d["data"], d["owner"], " ".join(d["authorized"]), len(d["shares"]), d["commitment"][:16]) for d in found]
    print_table("data sets", ["name", "owner", "authorised", "handed over", "commitment"], rows)


def _commit(root: Path, file: Path, name: str) -> Digest:
    try:
        committed = commit_file(file, str(file), os.urandom(SALT_BYTES))
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error
    keep(Folder(root).commitments, f"{name}-{committed.commitment.hex()[:16]}", committed)
    return committed.commitment


def _full_name(context: typer.Context, name: str) -> str:
    return name if "/" in name else f"{read_settings(context.obj.dir).org}/{name}"


def _recipient(text: str) -> OrgId:
    if not is_org_id(text):
        raise CommandError(f"{text!r} is no organisation's name")
    return OrgId(text)
