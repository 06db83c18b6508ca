"""Sharing of data: an owner registers a data set, says who may receive it, and records each handing over.

The data itself never comes here. What stands on the ledger is a salted commitment (a digest over salt and data):
without the salt it tells nothing, also of data with few possible values.

A data set is called `owner/name`, so that nobody can take another's name.

=============================================  =================================================
key                                            value
=============================================  =================================================
``data/<owner>/<name>``                        `DataSet`
``grant/<owner>/<name>/<recipient>``           `Grant`: in force or withdrawn
``share/<owner>/<name>/<recipient>/<digest>``  `Share`: handed over under this commitment, in hex
=============================================  =================================================

Refusals: bad-name, already-registered, unknown-data, not-owner, unknown-recipient, own-data, already-authorized,
not-authorized, revoked, already-shared.
"""

import re
from dataclasses import dataclass

from node.base.codec import encode
from node.base.types import Digest, OrgId
from node.ledger.contracts.contract import Context, Contract, Method, Rejected, View

NAME = "sharing"

# [0-9] and not \d: the latter's meaning follows Python's version of Unicode.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}\Z")


@dataclass(frozen=True, slots=True)
class Register:
    """`register`: the caller has a data set under this name."""

    name: str
    commitment: Digest


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
    """A registered data set."""

    owner: OrgId
    commitment: Digest
    registered_ms: int


@dataclass(frozen=True, slots=True)
class Grant:
    """Whether a recipient may receive a data set."""

    in_force: bool
    since_ms: int


@dataclass(frozen=True, slots=True)
class Share:
    """One handing over."""

    transaction: Digest
    time_ms: int


def data_set(sharing: View, data: str) -> DataSet | None:
    """The data set called `owner/name`."""
    return sharing.load(DataSet, f"data/{data}")


def may_receive(sharing: View, data: str, recipient: OrgId) -> bool:
    """Whether the recipient may receive the data set now."""
    grant = sharing.load(Grant, f"grant/{data}/{recipient}")
    return grant is not None and grant.in_force


def _register(context: Context, call: Register) -> None:
    if not _NAME.match(call.name):
        raise Rejected("bad-name", "A data set's name is 1 to 63 of a-z, 0-9, '.', '-' and '_'.")
    data = f"{context.org}/{call.name}"
    if data_set(context, data) is not None:
        raise Rejected("already-registered", "This name is taken by an earlier data set of yours; choose another.")
    context.store(f"data/{data}", DataSet(context.org, call.commitment, context.time_ms))
    context.emit("registered", encode(call))


def _authorize(context: Context, call: Authorize) -> None:
    _own_data_set(context, call.data)
    if call.recipient not in context.members.keys:
        raise Rejected("unknown-recipient", "The recipient is not a member of this network.")
    if call.recipient == context.org:
        raise Rejected("own-data", "The owner needs no authorisation.")
    if may_receive(context, call.data, call.recipient):
        raise Rejected("already-authorized", "The recipient is authorised already.")
    context.store(f"grant/{call.data}/{call.recipient}", Grant(True, context.time_ms))
    context.emit("authorized", encode(call))


def _unauthorize(context: Context, call: Unauthorize) -> None:
    _own_data_set(context, call.data)
    _require_grant(context, call.data, call.recipient)
    context.store(f"grant/{call.data}/{call.recipient}", Grant(False, context.time_ms))
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
