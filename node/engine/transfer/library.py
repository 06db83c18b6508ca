"""Finds what this member can serve: own versions by their fingerprint on the ledger, and copies kept for others.

Blocking, for worker threads; so whoever calls reads the ledger. The few that were served last stay open.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from node.base.types import Digest, OrgId
from node.edge.vault import ChunkPlace, Copies, Vault, VaultError, Version
from node.ledger.contracts.sharing import DataSet

OPEN_MAX = 16


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that can be served."""

    digests: tuple[Digest, ...]
    place: ChunkPlace


class Library:
    """What one member has."""

    def __init__(self, org: OrgId, vault: Callable[[], Vault], copies: Copies) -> None:
        """`vault()` is the member's, with the data keys of now."""
        self._org = org
        self._vault = vault
        self._copies = copies
        self._open: OrderedDict[tuple[str, int], Kept] = OrderedDict()
        self._lock = Lock()

    def kept(self, data: str, registered: DataSet) -> Kept | None:
        """The chunks of a version, where this member has it. Raises `OSError`."""
        at = (data, registered.number)
        with self._lock:
            known = self._open.get(at)
        if known is not None:
            return known
        found = self._find(data, registered)
        if found is not None:
            with self._lock:
                self._open[at] = found
                while len(self._open) > OPEN_MAX:
                    self._open.popitem(last=False)
        return found

    def forget(self, data: str, number: int) -> None:
        """It is not kept any more."""
        with self._lock:
            self._open.pop((data, number), None)

    def own(self, data: str, registered: DataSet) -> Version | None:
        """The vault's record of an own version, found by its fingerprint. Raises `OSError`.

        The numbers may differ: an adding that never reached the ledger has taken one of the vault's all the same.
        """
        try:
            versions = self._vault().records.versions(data.partition("/")[2])
        except VaultError:
            return None
        return next((version for version in versions if version.root == registered.commitment), None)

    def _find(self, data: str, registered: DataSet) -> Kept | None:
        if registered.owner == self._org:
            version = self.own(data, registered)
            return None if version is None else Kept(version.digests, ChunkPlace(version.place))
        try:
            copy = self._copies.get(data, registered.number)
        except VaultError:
            return None
        return None if copy is None else Kept(copy.digests, ChunkPlace(self._copies.place))
