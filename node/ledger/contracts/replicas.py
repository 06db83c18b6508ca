"""Who keeps an encrypted copy of whose data set: asked by the owner, held by another member, dropped by either.

A holder has the sealed chunks and the owner's sealed record; it reads neither. It serves them to whoever may fetch the
data set, and back to the owner. All of it is seen by all members for ever.

==================================================  =============================================================
key                                                 value
==================================================  =============================================================
``copy/<owner>/<name>/<version>/<holder>``          `Replica`
``at/<holder>/<owner>/<name>/<version>``            empty; what the holder is asked to keep, or keeps
``dropped/<owner>/<name>/<version>/<holder>``       `Dropped`: why it keeps none, until it is asked again
==================================================  =============================================================

Refusals: unknown-data, not-owner, unknown-version, unknown-holder, own-data, already-asked, too-many, not-asked,
already-held, bad-reason.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from node.base.codec import decode, encode
from node.base.types import OrgId, data_owner
from node.ledger.contracts import sharing
from node.ledger.contracts.contract import Context, Contract, Method, Readable, Rejected, View, is_text, view

NAME = "replicas"
REPLICAS_MAX = 16
"""Holders of one version."""
WHY_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True)
class Replicate:
    """`replicate`: the caller asks another member to keep a copy of a version of its data set."""

    data: str
    """`owner/name`."""
    version: int
    holder: OrgId


@dataclass(frozen=True, slots=True)
class Release:
    """`release`: the owner no longer wants the copy kept."""

    data: str
    version: int
    holder: OrgId


@dataclass(frozen=True, slots=True)
class Hold:
    """`hold`: the caller has the whole copy on its disk."""

    data: str
    version: int


@dataclass(frozen=True, slots=True)
class Drop:
    """`drop`: the caller does not keep the copy, or not any more."""

    data: str
    version: int
    why: str


@dataclass(frozen=True, slots=True)
class Replica:
    """One copy."""

    asked_ms: int
    held_ms: int | None
    """Since when it is whole at its holder; None while it is not."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a member said that does not keep a copy, or not any more."""

    why: str
    time_ms: int


@dataclass(frozen=True, slots=True)
class Change:
    """The body of every event: asked, held, dropped, released."""

    data: str
    version: int
    holder: OrgId
    words: str


def replica(replicas: View, data: str, version: int, holder: OrgId) -> Replica | None:
    """The copy at this holder."""
    return replicas.load(Replica, _key(data, version, holder))


def copies(replicas: View, data: str, version: int) -> Iterator[tuple[OrgId, Replica]]:
    """The copies of a version, by holder."""
    for key, value in replicas.scan(f"copy/{data}/{version:08}/"):
        yield OrgId(key.rpartition("/")[2]), decode(Replica, value)


def dropped(replicas: View, data: str, version: int) -> Iterator[tuple[OrgId, Dropped]]:
    """Who was asked for a copy of a version and keeps none."""
    for key, value in replicas.scan(f"dropped/{data}/{version:08}/"):
        yield OrgId(key.rpartition("/")[2]), decode(Dropped, value)


def kept_at(replicas: View, holder: OrgId) -> Iterator[tuple[str, int]]:
    """What the holder is asked to keep, or keeps: data sets with versions."""
    for key, _ in replicas.scan(f"at/{holder}/"):
        _, _, owner, name, version = key.split("/")
        yield f"{owner}/{name}", int(version)


def why_not_copied(ledger: Readable, data: str, version: int, peer: OrgId) -> str | None:
    """Why the peer gets no chunk of this version for keeping it, or for getting its own back; None if it does."""
    if data_owner(data) == peer or replica(view(ledger, NAME), data, version, peer) is not None:
        return None
    return f"{peer} neither owns {data} nor was asked to keep a copy of version {version}."


def _replicate(context: Context, call: Replicate) -> None:
    _require_own_version(context, call.data, call.version)
    if call.holder == context.org:
        raise Rejected("own-data", "A copy is kept by another member than the owner.")
    if call.holder not in context.members.keys:
        raise Rejected("unknown-holder", "The holder is not a member of this network.")
    if replica(context, call.data, call.version, call.holder) is not None:
        raise Rejected("already-asked", "This member was asked to keep this version already.")
    if sum(1 for _ in copies(context, call.data, call.version)) >= REPLICAS_MAX:
        raise Rejected("too-many", f"A version has at most {REPLICAS_MAX} copies; release one first.")
    context.store(_key(call.data, call.version, call.holder), Replica(context.time_ms, None))
    context.put(_at(call.data, call.version, call.holder), b"")
    context.delete(_dropped(call.data, call.version, call.holder))
    _emit(context, "asked", call.data, call.version, call.holder)


def _release(context: Context, call: Release) -> None:
    _require_own_version(context, call.data, call.version)
    _require_asked(context, call.data, call.version, call.holder)
    _forget(context, "released", call.data, call.version, call.holder)


def _hold(context: Context, call: Hold) -> None:
    found = _require_asked(context, call.data, call.version, context.org)
    if found.held_ms is not None:
        raise Rejected("already-held", "The ledger says already that this copy is held.")
    context.store(_key(call.data, call.version, context.org), replace(found, held_ms=context.time_ms))
    _emit(context, "held", call.data, call.version, context.org)


def _drop(context: Context, call: Drop) -> None:
    _require_asked(context, call.data, call.version, context.org)
    if not is_text(call.why, WHY_CHARACTERS_MAX):
        raise Rejected("bad-reason", f"Give the reason in one line of at most {WHY_CHARACTERS_MAX} characters.")
    _forget(context, "dropped", call.data, call.version, context.org, call.why)
    context.store(_dropped(call.data, call.version, context.org), Dropped(call.why, context.time_ms))


def _forget(context: Context, event: str, data: str, version: int, holder: OrgId, words: str = "") -> None:
    context.delete(_key(data, version, holder))
    context.delete(_at(data, version, holder))
    _emit(context, event, data, version, holder, words)


def _require_own_version(context: Context, data: str, version: int) -> None:
    found = sharing.data_set(context.other(sharing.NAME), data)
    if found is None:
        raise Rejected("unknown-data", "No data set is registered under this name; its form is owner/name.")
    if found.owner != context.org:
        raise Rejected("not-owner", "Only the owner of the data set may do this.")
    if sharing.version(context.other(sharing.NAME), data, version) is None:
        raise Rejected("unknown-version", "The data set has no version of this number.")


def _require_asked(context: Context, data: str, version: int, holder: OrgId) -> Replica:
    found = replica(context, data, version, holder)
    if found is None:
        raise Rejected("not-asked", "Nobody asked this member to keep this version.")
    return found


def _emit(context: Context, event: str, data: str, version: int, holder: OrgId, words: str = "") -> None:
    context.emit(event, encode(Change(data, version, holder, words)))


def _key(data: str, version: int, holder: OrgId) -> str:
    return f"copy/{data}/{version:08}/{holder}"


def _dropped(data: str, version: int, holder: OrgId) -> str:
    return f"dropped/{data}/{version:08}/{holder}"


def _at(data: str, version: int, holder: OrgId) -> str:
    return f"at/{holder}/{data}/{version:08}"


REPLICAS = Contract(
    NAME,
    {
        "replicate": Method(Replicate, _replicate),
        "release": Method(Release, _release),
        "hold": Method(Hold, _hold),
        "drop": Method(Drop, _drop),
    },
)
