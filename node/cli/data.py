"""`lepton data`: the vault (add, list, show, verify, extract, remove)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from node.app.settings import Folder
from node.app.vaults import open_vault, registration
from node.base.codec import encode
from node.base.types import is_data_name
from node.cli import access, table, transfer
from node.cli.common import (
    CommandError,
    Json,
    Member,
    Yes,
    ask,
    consent,
    console,
    print_json,
    print_table,
    prompt_passphrase,
    submit,
)
from node.cli.table import require_fit
from node.cli.transfer import ask_for_copies, choose_holders, show_arrivals
from node.edge.storage import SqliteReader
from node.edge.vault import AlreadyKept, Busy, Source, Strays, Vault, VaultError, Version, open_source
from node.ledger.contracts import sharing
from node.ledger.contracts.contract import view

commands = typer.Typer(
    no_args_is_help=True,
    help="Keep data encrypted in the vault, and say on the ledger who may have which data set. All members see names, "
    "descriptions and organisations, for ever; of the rows they see a fingerprint that tells nothing.",
)

Name = Annotated[str, typer.Argument(help="The data set's name, without the owner.")]


@commands.command()
def add(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(help="A CSV, Parquet, JSON lines or NPZ file, or a folder of images.")],
    name: Annotated[str, typer.Option(help="What the network calls it; a name of yours again makes a new version.")],
    label: Annotated[str, typer.Option(help="A few words for people.")],
    purpose: Annotated[str, typer.Option(help="What the data may be used for.")],
    place: Annotated[
        str | None,
        typer.Option(help="Where the encrypted chunks lie: a folder or a URL. Default: the member's folder."),
    ] = None,
    schema: Annotated[
        str | None,
        typer.Option(help="A registered schema, owner/name or owner/name/number; rows that do not fit stay out."),
    ] = None,
    replicas: Annotated[
        int, typer.Option(min=0, max=16, help="How many other members are asked to keep an encrypted copy.")
    ] = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Encrypt data into the vault and put its fingerprint and description on the ledger. The file stays where it is.

    Every member sees for ever what is printed before you confirm, and who may have the data; never a row.

    Example: lepton --dir cleveland data add rows.csv --name patients --label "Patients" --purpose "heart research"
    """
    if not is_data_name(name):
        raise CommandError(f"{name!r} is no name for a data set: 1 to 63 of a-z, 0-9, '.', '-' and '_'")
    # Nothing is encrypted for a daemon that does not run.
    ask(context.obj, lambda client: client.status())
    holders = choose_holders(context, replicas)
    with _vault(context) as vault:
        source = open_source(path)
        fitted = None if schema is None else require_fit(context, path, schema, quiet=json)
        consent(_shown_to_all(name, label, purpose, source, fitted), yes=yes, json=json)
        with _progress(source.plain_bytes, "encrypting", json) as advance:
            version = _add(vault, source, name, label, purpose, place, advance)
        payload = encode(registration(version, fitted))
        outcome = submit(context.obj, "sharing", "register", payload, as_json=json)
        vault.published(version, outcome.transaction)
    ask_for_copies(context, name, version.root, holders, quiet=json)


@commands.command()
def show(
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Option(min=1, help="Which version (default: the newest).")] = None,
    json: Json = False,
) -> None:
    """A data set in your vault, your own or one you fetched: its versions, its description, its files; of your own also
    who was asked to keep a copy, and what came of it.

    Example: lepton --dir cleveland data show patients
    """
    with _vault(context) as vault:
        records, own_name = vault.records_of(name)
        shown = records.version(own_name, version)
        files = vault.files(shown)
        numbers = [known.number for known in records.versions(own_name)]
    copies = [] if shown.received is not None else _copies(context.obj, shown)
    described = {
        **_public(shown),
        "versions": numbers,
        "sealed_bytes": shown.sealed_bytes,
        "place": shown.place,
        "transaction": None if shown.transaction is None else shown.transaction.hex(),
        "files": len(files),
        "operation": None if shown.received is None else shown.received.operation,
    }
    if json:
        print_json({**described, "copies": copies})
        return
    columns = described.pop("columns")
    print_table(f"{name}, version {shown.number}", ["", ""], [(key, str(value)) for key, value in described.items()])
    print_table("columns", ["name", "type"], [(column["name"], column["type"]) for column in columns])
    if copies:
        print_table("copies", ["member", "state", "why"], [(c["holder"], c["state"], c["why"]) for c in copies])


@commands.command()
def verify(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="One data set (default: all).")] = None,
    json: Json = False,
) -> None:
    """Read and open every chunk in your vault, fetched data sets too; what is missing or changed is named, the rest is
    not touched. What an `add` to another place left there when it broke off is deleted.

    Example: lepton --dir cleveland data verify patients
    """
    with _vault(context) as vault:
        strays = _strays(vault, quiet=json)
        versions = _versions(vault, name)
        with _progress(sum(version.plain_bytes for version in versions), "verifying", json) as advance:
            problems = [(version, problem) for version in versions for problem in vault.verify(version, advance)]
    if json:
        print_json(
            {
                "versions": len(versions),
                "strays": [{"place": s.place, "deleted": s.deleted, "fault": s.fault} for s in strays],
                "problems": [
                    {"name": _shown_name(v), "version": v.number, "chunk": p.chunk, "reason": p.reason}
                    for v, p in problems
                ],
            }
        )
    for _, problem in problems:
        typer.echo(problem.reason, err=True)
    if problems:
        raise CommandError(f"{len(problems)} chunks of {len(versions)} versions are damaged; the others are whole")
    if not json:
        console.print(f"{len(versions)} versions are whole")


@commands.command()
def extract(
    context: typer.Context,
    name: Name,
    to: Annotated[Path, typer.Option(help="The folder to write into, in the clear.")],
    version: Annotated[int | None, typer.Option(min=1, help="Which version (default: the newest).")] = None,
    json: Json = False,
) -> None:
    """Write a data set of your vault back as it was added; one that you fetched only where that was for download.

    Example: lepton --dir cleveland data extract patients --to restored
    """
    with _vault(context) as vault:
        chosen = _chosen(vault, name, version)
        with _progress(chosen.plain_bytes, "extracting", json) as advance:
            written = vault.extract(chosen, to, advance)
    if json:
        print_json({"version": chosen.number, "files": [str(path) for path in written]})
    else:
        console.print(f"{len(written)} files of version {chosen.number} written to {to}")


@commands.command()
def remove(
    context: typer.Context,
    name: Name,
    version: Annotated[int | None, typer.Option(min=1, help="Which version (default: the newest).")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a version, its key too, from your vault. What stands on the ledger stands there for ever.

    Example: lepton --dir cleveland data remove patients --version 1
    """
    with _vault(context) as vault:
        chosen = _chosen(vault, name, version)
        if not yes and not typer.confirm(f"Delete version {chosen.number} of {name}? Nobody can bring it back."):
            raise CommandError("nothing was deleted")
        vault.remove(chosen)
    console.print(f"version {chosen.number} of {name} is deleted")


@commands.command(name="list")
def list_data(context: typer.Context, json: Json = False) -> None:
    """All data sets of the network, who may have them, who was given them, and which others' are here.

    Example: lepton --dir cleveland data list --json
    """
    found = ask(context.obj, lambda client: client.read("sharing"))
    arrivals = ask(context.obj, lambda client: client.arrivals())
    if json:
        print_json([{**data, "here": [a for a in arrivals if a["data"] == data["data"]]} for data in found])
        return
    print_table(
        "data sets",
        ["name", "version", "kind", "size", "purpose", "authorised", "handed over", "copies", "fingerprint"],
        [_listed(data) for data in found],
    )
    show_arrivals(arrivals)


def _listed(data: dict[str, Any]) -> tuple[object, ...]:
    description = data["description"] or {"kind": "", "plain_bytes": None, "purpose": ""}
    size = "" if description["plain_bytes"] is None else f"{description['plain_bytes']:,}"
    shown = (data["data"], data["version"], description["kind"], size, description["purpose"])
    held = [copy["holder"] for copy in data["history"][-1]["copies"] if copy["state"] == "held"]
    return (*shown, " ".join(data["authorized"]), len(data["shares"]), " ".join(held), data["commitment"][:16])


@contextmanager
def _vault(context: typer.Context) -> Iterator[Vault]:
    try:
        yield open_vault(context.obj.dir, prompt_passphrase)
    except VaultError as error:
        raise CommandError(str(error)) from error


def _chosen(vault: Vault, name: str, version: int | None) -> Version:
    records, own_name = vault.records_of(name)
    return records.version(own_name, version)


def _copies(member: Member, shown: Version) -> list[dict[str, Any]]:
    """What this member's ledger says of copies of an own version; the daemon need not run."""
    # Imported where it is used: the other commands would wait for all that can be read of a ledger.
    from node.app.readings.sharing import read_copies

    folder = Folder(member.dir)
    if not folder.ledger.exists():
        return []
    reader = SqliteReader(folder.ledger, frozen=True)
    try:
        registered = sharing.versions(view(reader, sharing.NAME), shown.data)
        numbers = [found.number for found in registered if found.commitment == shown.root]
        return [copy for number in numbers for copy in read_copies(reader, shown.data, number)]
    finally:
        reader.close()


def _versions(vault: Vault, name: str | None) -> list[Version]:
    """All versions of one data set, or all that the vault holds."""
    if name is not None:
        records, own_name = vault.records_of(name)
        newest = records.version(own_name)
        return [version for version in records.versions(own_name) if version.number < newest.number] + [newest]
    own = [version for known in vault.records.names() for version in vault.records.versions(known)]
    return [*own, *vault.all_received()]


def _strays(vault: Vault, *, quiet: bool) -> list[Strays]:
    """Delete what addings that broke off left in other places, and say so; nothing while another command adds."""
    try:
        found = [strays for strays in vault.sweep() if strays.deleted or strays.fault]
    except Busy:
        return []
    for strays in () if quiet else found:
        if strays.deleted:
            console.print(
                f"an add that broke off left up to {strays.deleted} chunks in {strays.place}: deleted", soft_wrap=True
            )
        if strays.fault:
            console.print(
                f"an add that broke off left chunks that cannot be deleted now: {strays.fault}", soft_wrap=True
            )
    return found


def _shown_name(version: Version) -> str:
    return version.name if version.received is None else version.data


def _add(
    vault: Vault,
    source: Source,
    name: str,
    label: str,
    purpose: str,
    place: str | None,
    progress: Callable[[int], None],
) -> Version:
    """A new version, or the same data from an earlier try that did not get as far as the ledger."""
    now_ms = time.time_ns() // 1_000_000
    try:
        return vault.add(source, name, label=label, purpose=purpose, now_ms=now_ms, place=place, progress=progress)
    except AlreadyKept as same:
        known = vault.records.version(name, same.version)
        if known.transaction is not None:
            raise
        return replace(known, label=label, purpose=purpose)


def _public(version: Version) -> dict[str, Any]:
    """What all members see."""
    return {
        "name": version.name,
        "version": version.number,
        "kind": version.kind,
        "label": version.label,
        "purpose": version.purpose,
        "plain_bytes": version.plain_bytes,
        "chunks": len(version.digests),
        "fingerprint": version.root.hex(),
        "columns": [{"name": column.name, "type": column.type} for column in version.columns],
    }


def _shown_to_all(name: str, label: str, purpose: str, source: Source, schema: str | None) -> list[tuple[str, object]]:
    columns = ", ".join(f"{column.name} ({column.type})" for column in source.columns)
    return [
        ("name", name),
        ("kind", source.kind),
        ("label", label),
        ("purpose", purpose),
        ("size", f"{source.plain_bytes:,} bytes"),
        ("columns", columns),
        ("schema", schema),
    ]


@contextmanager
def _progress(total: int, words: str, quiet: bool) -> Iterator[Callable[[int], None]]:
    bar = Progress(
        TextColumn(words), BarColumn(), DownloadColumn(), TransferSpeedColumn(), console=console, disable=quiet
    )
    with bar:
        task = bar.add_task("", total=total)
        yield lambda count: bar.advance(task, count)


for part in (table, access, transfer):
    part.add_to(commands)
