"""Where the contract keeps its records, and reading them."""

from collections.abc import Iterator
from dataclasses import replace

from node.base.codec import decode, encode
from node.base.types import Digest, OrgId
from node.ledger.contracts.access.types import AccessEvent, Basis, Counts, Fetched, Request, Sealed
from node.ledger.contracts.contract import Context, View

NAME = "access"


def request(access: View, id_: Digest) -> Request | None:
    """One request."""
    return access.load(Request, request_key(id_))


def requests(access: View) -> Iterator[tuple[Digest, Request]]:
    """All requests with their ids, in the order of ids."""
    for key, value in access.scan("request/"):
        yield _id_in(key), decode(Request, value)


def sealed(access: View, basis: Digest, version: int) -> Sealed | None:
    """The envelope of a version for a basis."""
    return access.load(Sealed, sealed_key(basis, version))


def sealed_versions(access: View, basis: Digest) -> list[int]:
    """The numbers of the versions that were sealed for a basis, ascending."""
    return [int(key.rpartition("/")[2]) for key, _ in access.scan(f"sealed/{basis.hex()}/")]


def due(access: View, owner: OrgId) -> Iterator[tuple[Digest, int]]:
    """What the owner has still to seal: bases with versions, ascending. Some may no longer stand."""
    for key, _ in access.scan(f"due/{owner}/"):
        _, _, basis, version = key.split("/")
        yield Digest(bytes.fromhex(basis)), int(version)


def unfetched(access: View, recipient: OrgId) -> Iterator[tuple[Digest, int]]:
    """What was sealed for the recipient and not fetched since: bases with versions, ascending. Some may not stand."""
    for key, _ in access.scan(f"unfetched/{recipient}/"):
        _, _, basis, version = key.split("/")
        yield Digest(bytes.fromhex(basis)), int(version)


def fetch(access: View, id_: Digest) -> Fetched | None:
    """One fetch."""
    return access.load(Fetched, fetch_key(id_))


def fetches(access: View) -> Iterator[tuple[Digest, Fetched]]:
    """All fetches with their ids, in the order of ids."""
    for key, value in access.scan("fetch/"):
        yield _id_in(key), decode(Fetched, value)


def counts(access: View, data: str, org: OrgId | None = None) -> Counts:
    """What came of the data set's requests so far: one member's, or in all."""
    return access.load(Counts, _counts_key(data, org)) or Counts()


def open_count(access: View, data: str, org: OrgId) -> int:
    """One member's requests for a data set that wait or are granted."""
    return sum(1 for _ in access.scan(f"open/{data}/{org}/"))


def add_counts(context: Context, data: str, org: OrgId, *, grants: int = 0, fetches: int = 0) -> None:
    """Count for the member and in all."""
    for key in (_counts_key(data, org), _counts_key(data, None)):
        known = context.load(Counts, key) or Counts()
        context.store(key, replace(known, grants=known.grants + grants, fetches=known.fetches + fetches))


def emit(context: Context, name: str, basis: Basis, version: int = 0, words: str = "", rule_line: int = 0) -> None:
    """Tell daemons, operators and auditors what happened; the body is an `AccessEvent`."""
    context.emit(name, encode(AccessEvent(basis.id, basis.data, basis.recipient, version, words, rule_line)))


def request_key(id_: Digest) -> str:
    """Where a request stands."""
    return f"request/{id_.hex()}"


def open_key(id_: Digest, found: Request) -> str:
    """Stands while the request waits or is granted; the value is empty."""
    return f"open/{found.data}/{found.requester}/{id_.hex()}"


def sealed_key(basis: Digest, version: int) -> str:
    """Where it stands that a version was sealed; the padding keeps the order of keys that of the numbers."""
    return f"sealed/{basis.hex()}/{version:08}"


def due_key(data: str, basis: Digest, version: int) -> str:
    """Stands while the owner has to seal the version; the value is empty."""
    return f"due/{data.partition('/')[0]}/{basis.hex()}/{version:08}"


def unfetched_key(recipient: OrgId, basis: Digest, version: int) -> str:
    """Stands from the sealing to the fetch; the value is empty."""
    return f"unfetched/{recipient}/{basis.hex()}/{version:08}"


def fetch_key(id_: Digest) -> str:
    """Where a fetch stands."""
    return f"fetch/{id_.hex()}"


def _counts_key(data: str, org: OrgId | None) -> str:
    return f"total/{data}" if org is None else f"count/{data}/{org}"


def _id_in(key: str) -> Digest:
    return Digest(bytes.fromhex(key.rpartition("/")[2]))
