"""`lepton data fetch | replicate | release | restore`: data sets from vault to vault."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from node.api import OperatorClient
from node.app.settings import read_settings
from node.base.codec import encode
from node.base.types import OrgId
from node.cli.common import (
    CommandError,
    Json,
    Yes,
    ask,
    consent,
    console,
    full_name,
    parse_digest,
    parse_org,
    print_json,
    print_table,
    submit,
)
from node.ledger.contracts.replicas import Release, Replicate

LOOK_S = 0.2

Name = Annotated[str, typer.Argument(help="The data set's name, without the owner.")]
Which = Annotated[int, typer.Option("--version", min=0, help="Which version (default: the newest).")]


def add_to(data: typer.Typer) -> None:
    """Add the commands to `lepton data`."""
    for command in (fetch, replicate, release, restore):
        data.command()(command)


def fetch(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The data set: owner/name.")],
    basis: Annotated[
        str | None, typer.Option(help="The request or authorisation to stand on (default: one that stands).")
    ] = None,
    version: Which = 0,
    background: Annotated[bool, typer.Option("--background", help="Do not wait until it is here.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Fetch another member's data set into your vault, encrypted. The daemon does it, from whoever has it, and goes on
    after any break: leave this command when you like, give it again to see how far it is.

    A revocation, a withdrawal or the end of the agreement stops it at once.

    Example: lepton --dir budapest data fetch cleveland/patients
    """
    chosen = b"" if basis is None else parse_digest(basis, "request or authorisation")
    known = _known(ask(context.obj, lambda client: client.arrivals()), name, version)
    if known is None or known["state"] == "stopped":
        consent([("fetched", name), ("by", read_settings(context.obj.dir).org)], yes=yes, json=json)
    found = ask(context.obj, lambda client: client.fetch_data(name, chosen, version))
    if not background:
        found = asyncio.run(_until_here(context, name, found, quiet=json))
    if json:
        print_json(found)
    if found["state"] == "stopped":
        raise CommandError(f"version {found['version']} of {name} does not come: {found['why']}")
    if not json:
        here = found["state"] == "here"
        where = "is in your vault" if here else "is on its way; give the command again to see how far it is"
        console.print(f"version {found['version']} of {name} {where}")


async def _until_here(context: typer.Context, name: str, found: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    async with OperatorClient(context.obj.dir) as client:
        with _bar(quiet) as (bar, task):
            while found["state"] not in ("here", "stopped"):
                _advance(bar, task, found)
                await asyncio.sleep(LOOK_S)
                looked = _known(await client.arrivals(), name, found["version"])
                if looked is None:
                    raise CommandError(f"{name} is neither on its way nor in the vault: look at the daemon's log")
                found = looked
            _advance(bar, task, found)
    return found


def replicate(
    context: typer.Context,
    name: Name,
    at: Annotated[str, typer.Option(help="The member that is to keep a copy.")],
    version: Which = 0,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ask another member to keep an encrypted copy of your data set. It cannot read it, serves it to whoever you let
    fetch it, and gives it back to you. It may decline; its own limit stands in its node.toml.

    Example: lepton --dir cleveland data replicate patients --at zurich
    """
    holder = parse_org(at)
    data, number = _own(context, name, version)
    consent([("copy of", f"{data}, version {number}"), ("kept at", holder)], yes=yes, json=json)
    submit(context.obj, "replicas", "replicate", encode(Replicate(data, number, holder)), as_json=json)
    if not json:
        console.print(f"{holder} is asked to keep a copy; see what comes of it: lepton data show {name}")


def release(
    context: typer.Context,
    name: Name,
    at: Annotated[str, typer.Option(help="The member that keeps a copy.")],
    version: Which = 0,
    json: Json = False,
) -> None:
    """End what `replicate` began: the member deletes its copy.

    Example: lepton --dir cleveland data release patients --at zurich
    """
    holder = parse_org(at)
    data, number = _own(context, name, version)
    submit(context.obj, "replicas", "release", encode(Release(data, number, holder)), as_json=json)
    if not json:
        console.print(f"{holder} deletes its copy of version {number} of {data}")


def restore(context: typer.Context, name: Name, version: Which = 0, json: Json = False) -> None:
    """Bring a data set back that your vault lost, from the members that keep copies. Only what is missing is fetched.

    Example: lepton --dir cleveland data restore patients
    """
    owner, _, own_name = full_name(context.obj, name).partition("/")
    if owner != read_settings(context.obj.dir).org:
        raise CommandError(f"only your own data sets are brought back; get {owner}'s with: lepton data fetch {name}")

    async def restored() -> dict[str, Any]:
        found: dict[str, Any] = {}
        async with OperatorClient(context.obj.dir) as client:
            with _bar(json) as (bar, task):
                async for found in client.restore_data(own_name, version):
                    _advance(bar, task, found)
        return found

    found = asyncio.run(restored())
    if json:
        print_json(found)
    else:
        console.print(f"version {found['version']} of {name} is whole: {found['chunks']} chunks in {found['place']}")


def choose_holders(context: typer.Context, count: int) -> list[OrgId]:
    """Members to keep copies: the next ones after this one in the order of names. Raises `CommandError`."""
    own = read_settings(context.obj.dir).org
    members = [
        member["org"]
        for member in ask(context.obj, lambda client: client.read("membership"))["members"]
        if member["votes"] and member["org"] != own
    ]
    if len(members) < count:
        raise CommandError(f"{count} copies need {count} other members; there are {len(members)}")
    after = sorted(members, key=lambda org: (org < own, org))
    return [OrgId(org) for org in after[:count]]


def ask_for_copies(context: typer.Context, name: str, root: bytes, holders: list[OrgId], *, quiet: bool) -> None:
    """Ask each holder to keep a copy of the version with this fingerprint. Raises `CommandError`."""
    if not holders:
        return
    data, number = _own(context, name, 0, root)
    for holder in holders:
        payload = encode(Replicate(data, number, holder))
        outcome = ask(context.obj, lambda client, body=payload: client.submit("replicas", "replicate", body))  # type: ignore[misc]
        if not outcome.accepted:
            raise CommandError(f"{holder} was not asked to keep a copy: {outcome.reason or 'no block yet'}")
        if not quiet:
            console.print(f"{holder} is asked to keep a copy")


def show_arrivals(found: list[dict[str, Any]]) -> None:
    """What is on its way, or came."""
    rows = [(a["data"], a["version"], _state(a), a["operation"] or "any") for a in found]
    if rows:
        print_table("others' data here", ["name", "version", "state", "operation"], rows)


def _state(arrival: dict[str, Any]) -> str:
    if arrival["state"] == "fetching" and arrival["chunks"]:
        return f"fetching, {100 * arrival['done'] // arrival['chunks']} %"
    return ": ".join(part for part in (arrival["state"], arrival["doing"] or arrival["why"]) if part)


def _known(arrivals: list[dict[str, Any]], name: str, version: int) -> dict[str, Any] | None:
    found = [a for a in arrivals if a["data"] == name and version in (0, a["version"])]
    return max(found, key=lambda arrival: int(arrival["version"]), default=None)


@contextmanager
def _bar(quiet: bool) -> Iterator[tuple[Progress, TaskID]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet) as bar:
        yield bar, bar.add_task("waiting", total=None)


def _advance(bar: Progress, task: TaskID, found: dict[str, Any]) -> None:
    if found.get("chunks"):
        is_whole = found["done"] == found["chunks"]
        sources = "all chunks are here" if is_whole else f"chunks from {', '.join(found['sources']) or 'nobody now'}"
        words = found.get("doing") or sources
        bar.update(task, total=found["chunks"], completed=found["done"], description=words)
    else:
        bar.update(task, description=found.get("doing") or "waiting")


def _own(context: typer.Context, name: str, version: int, root: bytes | None = None) -> tuple[str, int]:
    """The full name of an own data set, and the number of the version (of this fingerprint). Raises `CommandError`."""
    data = full_name(context.obj, name)
    for found in ask(context.obj, lambda client: client.read("sharing")):
        if found["data"] == data:
            of_root = [v["version"] for v in found["history"] if root is not None and v["commitment"] == root.hex()]
            return data, version or max(of_root, default=found["version"])
    raise CommandError(f"the ledger has no data set {data}; look with: lepton data list")
