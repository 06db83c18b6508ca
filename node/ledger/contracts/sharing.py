"""Sharing of data: an owner registers a data set, says who may receive it, and records each handing over.

The data itself never comes here. What stands on the ledger is a fingerprint that tells nothing of the data: the root
over chunks that are encrypted under a key of their own, or a digest over the data and a secret salt. What all members
see of a data set for ever is its `Description`: kind, size, columns, label, purpose and schema.

A data set is called `owner/name`, so that nobody can take another's name.

=============================================  =================================================
key                                            value
=============================================  =================================================
``data/<owner>/<name>``                        `DataSet`: the newest version
``version/<owner>/<name>/<number>``            `DataSet`: the versions before it
``grant/<owner>/<name>/<recipient>``           `Grant`: in force or withdrawn
``authorization/<transaction>``                `Authorize`: what this transaction, in hex, gave
``share/<owner>/<name>/<recipient>/<digest>``  `Share`: handed over under this commitment, in hex
=============================================  =================================================

Refusals: bad-name, bad-description, unknown-schema, already-registered, unknown-data, not-owner, unknown-recipient,
own-data, already-authorized, not-authorized, revoked, already-shared.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from node.base.codec import decode, encode
from node.base.types import Digest, OrgId, is_data_name
from node.ledger.contracts import schemas
from node.ledger.contracts.contract import Context, Contract, Method, Rejected, View, is_text

NAME = "sharing"

KINDS = frozenset({"csv", "parquet", "jsonl", "npz", "images"})
WORDS_MAX = 500
"""Characters of a label or purpose."""
COLUMNS_MAX = 512
COLUMN_CHARACTERS_MAX = 200
SIZE_MAX = 1 << 62


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name and type, as the owner's vault found them."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Description:
    """What the owner says of a data set to all members, for ever."""

    kind: str
    """One of `KINDS`."""
    label: str
    purpose: str
    """What the data may be used for, in words."""
    plain_bytes: int
    chunks: int
    """Encrypted chunks under the fingerprint, the manifest's too."""
    columns: tuple[Column, ...]
    """The first `COLUMNS_MAX` at most."""
    schema: str | None = None
    """`owner/name/number` of the schema that the owner says the rows fit; None where it says none."""


@dataclass(frozen=True, slots=True)
class Register:
    """`register`: the caller has a data set under this name, or a new version of it."""

    name: str
    commitment: Digest
    description: Description | None = None
    """None for a data set of which the network learns nothing but its name."""


@dataclass(frozen=True, slots=True)
class Authorize:
    """`authorize`: the recipient may receive the caller's data set from now on."""

    data: str
    recipient: OrgId


@dataclass(frozen=True, slots=True)
class Unauthorize:
    """`unauthorize`: it may no longer. What it received before, it has."""

    data: str
    recipient: OrgId


@dataclass(frozen=True, slots=True)
class ShareData:
    """`share`: the caller hands its data set to the recipient; the commitment is over what it hands over."""

    data: str
    recipient: OrgId
    commitment: Digest


@dataclass(frozen=True, slots=True)
class DataSet:
    """One version of a registered data set."""

    owner: OrgId
    number: int
    """Counts up from 1."""
    commitment: Digest
    registered_ms: int
    description: Description | None


@dataclass(frozen=True, slots=True)
class Grant:
    """Whether a recipient may receive a data set."""

    in_force: bool
    since_ms: int
    transaction: Digest
    """Of the `authorize` or `unauthorize` that made it so."""


@dataclass(frozen=True, slots=True)
class Share:
    """One handing over."""

    transaction: Digest
    time_ms: int


def data_set(sharing: View, data: str) -> DataSet | None:
    """The data set called `owner/name`."""
    return sharing.load(DataSet, f"data/{data}")


def versions(sharing: View, data: str) -> Iterator[DataSet]:
    """All versions of the data set called `owner/name`, oldest first."""
    for _, value in sharing.scan(f"version/{data}/"):
        yield decode(DataSet, value)
    if (newest := data_set(sharing, data)) is not None:
        yield newest


def version(sharing: View, data: str, number: int) -> DataSet | None:
    """One version of the data set called `owner/name`."""
    newest = data_set(sharing, data)
    if newest is None or newest.number == number:
        return newest
    return sharing.load(DataSet, f"version/{data}/{number:08}") if 0 < number < newest.number else None


def authorization(sharing: View, transaction: Digest) -> Authorize | None:
    """What the `authorize` with this id gave; `is_authorization_in_force` says whether it still holds."""
    return sharing.load(Authorize, f"authorization/{transaction.hex()}")


def is_authorization_in_force(sharing: View, transaction: Digest) -> bool:
    """Whether what the `authorize` with this id gave has not been taken back, nor given anew by another."""
    given = authorization(sharing, transaction)
    return given is not None and authorized_by(sharing, given.data, given.recipient) == transaction


def authorized_by(sharing: View, data: str, recipient: OrgId) -> Digest | None:
    """The `authorize` by which the recipient may receive the data set now."""
    grant = sharing.load(Grant, f"grant/{data}/{recipient}")
    return grant.transaction if grant is not None and grant.in_force else None


def may_receive(sharing: View, data: str, recipient: OrgId) -> bool:
    """Whether the recipient may receive the data set now."""
    return authorized_by(sharing, data, recipient) is not None


def _register(context: Context, call: Register) -> None:
    if not is_data_name(call.name):
        raise Rejected("bad-name", "A data set's name is 1 to 63 of a-z, 0-9, '.', '-' and '_'.")
    data = f"{context.org}/{call.name}"
    if call.description is not None:
        _check_description(call.description)
        _check_schema(context, call.description.schema)
    known = data_set(context, data)
    if known is not None and known.commitment == call.commitment:
        raise Rejected("already-registered", "This very version of the data set is registered already.")
    number = 1 if known is None else known.number + 1
    version = DataSet(context.org, number, call.commitment, context.time_ms, call.description)
    if known is not None:
        context.store(f"version/{data}/{known.number:08}", known)
    context.store(f"data/{data}", version)
    context.emit("registered", encode(call))


def _check_description(description: Description) -> None:
    fits = (
        description.kind in KINDS
        and is_text(description.label, WORDS_MAX, lines=True)
        and is_text(description.purpose, WORDS_MAX, lines=True)
        and 0 <= description.plain_bytes < SIZE_MAX
        and 0 < description.chunks < SIZE_MAX
        and len(description.columns) <= COLUMNS_MAX
        and all(is_text(column.name + column.type, COLUMN_CHARACTERS_MAX, lines=True) for column in description.columns)
    )
    if not fits:
        raise Rejected(
            "bad-description", "The description is of no known kind, or a part of it too long or unsafe to show."
        )


def _check_schema(context: Context, reference: str | None) -> None:
    if reference is not None and schemas.schema(context.other(schemas.NAME), reference) is None:
        raise Rejected("unknown-schema", "No schema is registered under this name; its form is owner/name/number.")


def _authorize(context: Context, call: Authorize) -> None:
    _own_data_set(context, call.data)
    if call.recipient not in context.members.keys:
        raise Rejected("unknown-recipient", "The recipient is not a member of this network.")
    if call.recipient == context.org:
        raise Rejected("own-data", "The owner needs no authorisation.")
    if may_receive(context, call.data, call.recipient):
        raise Rejected("already-authorized", "The recipient is authorised already.")
    context.store(f"grant/{call.data}/{call.recipient}", Grant(True, context.time_ms, context.transaction))
    context.store(f"authorization/{context.transaction.hex()}", call)
    context.emit("authorized", encode(call))


def _unauthorize(context: Context, call: Unauthorize) -> None:
    _own_data_set(context, call.data)
    _require_grant(context, call.data, call.recipient)
    context.store(f"grant/{call.data}/{call.recipient}", Grant(False, context.time_ms, context.transaction))
    context.emit("unauthorized", encode(call))


def _share(context: Context, call: ShareData) -> None:
    _own_data_set(context, call.data)
    _require_grant(context, call.data, call.recipient)
    if call.recipient not in context.members.keys:
        raise Rejected("unknown-recipient", "The recipient is no longer a member of this network.")
    key = f"share/{call.data}/{call.recipient}/{call.commitment.hex()}"
    if context.get(key) is not None:
        raise Rejected("already-shared", "This was recorded before; a new handing over takes a new salt.")
    context.store(key, Share(context.transaction, context.time_ms))
    context.emit("shared", encode(call))


def _own_data_set(context: Context, data: str) -> DataSet:
    """The caller's data set called `data`; refuses what is unknown and what is another's."""
    found = data_set(context, data)
    if found is None:
        raise Rejected("unknown-data", "No data set is registered under this name; its form is owner/name.")
    if found.owner != context.org:
        raise Rejected("not-owner", "Only the owner of the data set may do this.")
    return found


def _require_grant(context: Context, data: str, recipient: OrgId) -> None:
    grant = context.load(Grant, f"grant/{data}/{recipient}")
    if grant is None:
        raise Rejected("not-authorized", "The recipient is not authorised; authorise it first.")
    if not grant.in_force:
        raise Rejected("revoked", "The recipient's authorisation was withdrawn; authorise it again first.")


SHARING = Contract(
    NAME,
    {
        "register": Method(Register, _register),
        "authorize": Method(Authorize, _authorize),
        "unauthorize": Method(Unauthorize, _unauthorize),
        "share": Method(ShareData, _share),
    },
)
