"""`lepton data request | requests | grant | refuse | revoke | cancel` and `authorize | unauthorize | share`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from node.app.commitments import SALT_BYTES, commit_file, keep
from node.app.settings import Folder, read_settings
from node.base.codec import encode
from node.base.types import Digest
from node.cli.agreement import find_agreement, parse_operation
from node.cli.common import (
    CommandError,
    Json,
    Yes,
    ask,
    consent,
    console,
    full_name,
    parse_org,
    print_json,
    print_table,
    submit,
)
from node.ledger.contracts.access import Ask, Cancel, Grant, Refuse, Revoke
from node.ledger.contracts.sharing import Authorize, ShareData, Unauthorize

NO_RECALL = "Nothing is served on it from now on, at replicas neither. It is no recall: what was received before stays."
PURPOSE_SHOWN = 24
"""Characters of it in the table, which then fits in 120 columns; `--json` has them all."""

Name = Annotated[str, typer.Argument(help="The data set's name, without the owner.")]
Recipient = Annotated[str, typer.Option("--to", help="The other organisation.")]
RequestId = Annotated[str, typer.Argument(help="The request's id: all its 64 hexadecimal digits, or the first.")]
Why = Annotated[str, typer.Option(help="For all members to read, for ever.")]


def add_to(data: typer.Typer) -> None:
    """Add the commands to `lepton data`."""
    for command in (request, requests, grant, refuse, revoke, cancel, authorize, unauthorize, share):
        data.command()(command)


def request(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The data set: owner/name.")],
    purpose: Annotated[str, typer.Option(help="What you want it for; under an agreement one of its purposes.")],
    operation: Annotated[str, typer.Option(help="train, evaluate, statistics, download or compute.")],
    agreement: Annotated[str | None, typer.Option(help="The agreement that covers it: its id, or the first.")] = None,
    words: Annotated[str, typer.Option(help="A word to the owner.")] = "",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ask an owner for the use of its data set. Its rules decide within the block where it has any, else a person.

    Example: lepton --dir budapest data request cleveland/patients --purpose "heart research" --operation train
    """
    under = None if agreement is None else find_agreement(context, agreement)
    asked = Ask(name, purpose, parse_operation(operation), under, words)
    consent(
        [
            ("requester", read_settings(context.obj.dir).org),
            ("data", name),
            ("purpose", purpose),
            ("operation", operation),
            ("agreement", "none" if under is None else under.hex()),
            ("words", words),
        ],
        yes=yes,
        json=json,
    )
    outcome = submit(context.obj, "access", "request", encode(asked), as_json=json)
    if not json:
        _tell(_one(context, outcome.transaction.hex()))


def requests(
    context: typer.Context,
    data: Annotated[str, typer.Option(help="Only those for this data set: owner/name.")] = "",
    everybody: Annotated[bool, typer.Option("--all", help="Also those between other members.")] = False,
    json: Json = False,
) -> None:
    """Requests for your data sets, and yours for others'; the newest first.

    Example: lepton --dir cleveland data requests
    """
    org = "" if everybody else read_settings(context.obj.dir).org
    found = ask(context.obj, lambda client: client.read("access", org=org, data=data))
    if json:
        print_json(found)
        return
    show_requests(found)


def grant(context: typer.Context, request: RequestId, yes: Yes = False, json: Json = False) -> None:
    """Grant a request for your data set. Your daemon then seals the newest version's key to who asked.

    Example: lepton --dir cleveland data grant 7c01
    """
    found = _one(context, request)
    consent([*_rows(found), ("you", "grant this")], yes=yes, json=json)
    submit(context.obj, "access", "grant", encode(Grant(_id_of(found))), as_json=json)
    if not json:
        console.print("Your daemon seals the key now; the recipient fetches with: lepton data fetch")


def refuse(context: typer.Context, request: RequestId, why: Why, yes: Yes = False, json: Json = False) -> None:
    """Refuse a request for your data set.

    Example: lepton --dir cleveland data refuse 7c01 --why "only for members of the study"
    """
    found = _one(context, request)
    consent([*_rows(found), ("you", f"refuse this: {why}")], yes=yes, json=json)
    submit(context.obj, "access", "refuse", encode(Refuse(_id_of(found), why)), as_json=json)


def revoke(context: typer.Context, request: RequestId, why: Why, json: Json = False) -> None:
    """Take a grant back. It stops serving at once, at replicas too, and training leaves the data out.

    It is no recall: what the other received before, it has. A next version has a new key, which it does not get.

    Example: lepton --dir cleveland data revoke 7c01 --why "the study is over"
    """
    payload = encode(Revoke(_id_of(_one(context, request)), why))
    submit(context.obj, "access", "revoke", payload, as_json=json)
    if not json:
        console.print(NO_RECALL)


def cancel(context: typer.Context, request: RequestId, json: Json = False) -> None:
    """Take your own request back, also a granted one.

    Example: lepton --dir budapest data cancel 7c01
    """
    submit(context.obj, "access", "cancel", encode(Cancel(_id_of(_one(context, request)))), as_json=json)


def authorize(context: typer.Context, name: Name, to: Recipient, yes: Yes = False, json: Json = False) -> None:
    """Let another organisation receive your data set, for any use, without a request.

    Example: lepton --dir cleveland data authorize patients --to budapest
    """
    call = Authorize(full_name(context.obj, name), parse_org(to))
    consent([("data", call.data), ("may be received by", call.recipient)], yes=yes, json=json)
    submit(context.obj, "sharing", "authorize", encode(call), as_json=json)


def unauthorize(context: typer.Context, name: Name, to: Recipient, json: Json = False) -> None:
    """Withdraw that. It is no recall: what the other received before, it has.

    Example: lepton --dir cleveland data unauthorize patients --to budapest
    """
    call = Unauthorize(full_name(context.obj, name), parse_org(to))
    submit(context.obj, "sharing", "unauthorize", encode(call), as_json=json)
    if not json:
        console.print(NO_RECALL)


def share(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(help="What is handed over.")],
    to: Recipient,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Record that you hand a data set over; refused unless the recipient is authorised.

    Example: lepton --dir cleveland data share patients data/patients.csv --to budapest
    """
    data, recipient = full_name(context.obj, name), parse_org(to)
    consent(
        [("data", data), ("handed over to", recipient), ("fingerprint", "salted: it tells nothing")], yes=yes, json=json
    )
    commitment = _commit(context.obj.dir, file, f"{name}-to-{to}")
    submit(context.obj, "sharing", "share", encode(ShareData(data, recipient, commitment)), as_json=json)


def _one(context: typer.Context, text: str) -> dict[str, Any]:
    (found,) = ask(context.obj, lambda client: client.read("access", request=text))
    return dict(found)


def _id_of(found: dict[str, Any]) -> Digest:
    return Digest(bytes.fromhex(found["id"]))


def _tell(found: dict[str, Any]) -> None:
    """What became of a request in its own block."""
    words = f": {found['why']}" if found["why"] else ""
    console.print(f"the request is {found['state']}{words}", markup=False, soft_wrap=True)


def _rows(found: dict[str, Any]) -> list[tuple[str, object]]:
    names = ("id", "data", "requester", "purpose", "operation", "agreement", "words")
    return [(name, found[name]) for name in names]


def show_requests(found: list[dict[str, Any]]) -> None:
    """One line for each, and below the table the words of those that were decided or stand no more."""
    columns = ["id", "data", "requester", "operation", "purpose", "agreement", "state", "fetched"]
    print_table("requests", columns, [_listed(one) for one in found])
    for one in found:
        if why := _why(one):
            console.print(f"{one['id'][:8]} is {why}", markup=False, highlight=False, soft_wrap=True)


def _listed(found: dict[str, Any]) -> tuple[object, ...]:
    purpose = found["purpose"]
    if len(purpose) > PURPOSE_SHOWN:
        purpose = purpose[: PURPOSE_SHOWN - 1] + "…"
    state = "lapsed" if _has_lapsed(found) else found["state"]
    shown = (found["id"][:8], found["data"], found["requester"], found["operation"], purpose)
    return (*shown, (found["agreement"] or "")[:8], state, found["fetches"])


def _why(found: dict[str, Any]) -> str:
    if _has_lapsed(found):
        return f"granted, but does not stand: {found['why_not']}"
    return f"{found['state']}: {found['why']}" if found["why"] else ""


def _has_lapsed(found: dict[str, Any]) -> bool:
    """Whether it was granted and stands no more, though nobody took it back."""
    return found["state"] == "granted" and not found["stands"]


def _commit(root: Path, file: Path, name: str) -> Digest:
    try:
        committed = commit_file(file, str(file), os.urandom(SALT_BYTES))
    except OSError as error:
        raise CommandError(f"cannot read {file}: {error.strerror}") from error
    keep(Folder(root).commitments, f"{name}-{committed.commitment.hex()[:16]}", committed)
    return committed.commitment
