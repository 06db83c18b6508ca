"""What the operator asks of transfers: begin one, look at them, bring own data back from copies."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from node.api import OperatorRefusal, Outcome
from node.base.codec import encode
from node.base.ports import StateReader
from node.base.types import Digest, OrgId, data_owner
from node.edge.vault import Arrival, VaultError
from node.engine.transfer import Goal, NoCopy, TransferEngine, shown_goal
from node.ledger.contracts import access, sharing
from node.ledger.contracts.access import Basis, Fetch, State, store
from node.ledger.contracts.agreements import Operation
from node.ledger.contracts.contract import view
from node.ledger.system import head

FETCH_WAIT_S = 60.0
TELL_S = 0.2
"""How far a restoring is, is told so often."""

Submit = Callable[[str, str, bytes, float | None], Awaitable[Outcome]]
"""(contract, method, payload, wait_s): as the operator's own `submit`."""


class Transfers:
    """One member's, for its operator."""

    def __init__(self, org: OrgId, state: StateReader, engine: TransferEngine, submit: Submit) -> None:
        self._org = org
        self._state = state
        self._engine = engine
        self._submit = submit

    async def fetch(self, data: str, basis: bytes, version: int) -> dict[str, Any]:
        """Begin, or say how it stands where it is begun. Raises `OperatorRefusal`."""
        if data_owner(data) in (None, self._org):
            raise OperatorRefusal(f"{data!r} is no data set of another member: give OWNER/NAME")
        newest = sharing.data_set(view(self._state, sharing.NAME), data)
        if newest is None:
            raise OperatorRefusal(f"the ledger has no data set {data}; look with: lepton data list")
        number = version or newest.number
        for known in await self._engine.arrivals():
            if (known["data"], known["version"]) == (data, number) and known["state"] != "stopped":
                return known
        found = self._basis(data, Digest(basis) if basis else None)
        arrival = await self._announce(found, number)
        try:
            await self._engine.begin(arrival)
        except VaultError as error:
            raise OperatorRefusal(str(error)) from error
        fetch = arrival.fetch.hex()
        return next(known for known in await self._engine.arrivals() if known["fetch"] == fetch)

    async def restore(self, name: str, version: int) -> AsyncGenerator[dict[str, Any], None]:
        """Bring an own version back; how far it is. Raises `OperatorRefusal`."""
        data = f"{self._org}/{name}"
        newest = sharing.data_set(view(self._state, sharing.NAME), data)
        if newest is None:
            raise OperatorRefusal(f"the ledger has no data set {data}; look with: lepton data list")
        number, goals = version or newest.number, list[Goal]()
        work = asyncio.ensure_future(self._engine.restore(name, number, goals.append))
        try:
            while not work.done():
                await asyncio.wait((work,), timeout=TELL_S)
                yield {"data": data, "version": number, **shown_goal(goals[-1] if goals else None)}
            restored = await work
        except (NoCopy, VaultError) as error:
            raise OperatorRefusal(str(error)) from error
        except OSError as error:
            raise OperatorRefusal(f"the disk refuses: {error}") from error
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        yield {"data": data, "version": number, **shown_goal(goals[-1]), "place": restored.place}

    async def _announce(self, found: Basis, number: int) -> Arrival:
        outcome = await self._submit(access.NAME, "fetch", encode(Fetch(found.id, number)), FETCH_WAIT_S)
        if not outcome.final:
            raise OperatorRefusal("the fetch is in no block yet: run the command again when the network moves")
        if not outcome.accepted:
            raise OperatorRefusal(f"refused at height {outcome.height}: {outcome.reason} ({outcome.code})")
        operation = "" if found.operation is None else found.operation.name.lower()
        return Arrival(Digest(outcome.transaction), found.id, found.data, number, operation)

    def _basis(self, data: str, id_: Digest | None) -> Basis:
        """The basis of this id, or the best that stands. Raises `OperatorRefusal`."""
        if id_ is not None:
            found = access.basis(self._state, id_)
            if found is None or found.data != data:
                raise OperatorRefusal(f"{id_.hex()} is no request or authorisation for {data}")
            return found
        standing = [basis for basis in bases_of(self._state, self._org, data) if self._stands(basis)]
        if not standing:
            raise OperatorRefusal(
                f"nothing lets {self._org} have {data} now; ask its owner: lepton data request {data} "
                "--operation download --purpose ..."
            )
        # What may be written out comes first.
        return min(standing, key=lambda basis: basis.operation not in (Operation.DOWNLOAD, None))

    def _stands(self, basis: Basis) -> bool:
        return access.refusal_of_basis(self._state, basis.id, time_ms=head(self._state).time_ms) is None


def bases_of(state: StateReader, org: OrgId, data: str) -> list[Basis]:
    """What was granted or authorised to the organisation for another's data set, whether or not it still stands."""
    ids = [
        id_
        for id_, request in store.requests(view(state, access.NAME))
        if (request.data, request.requester, request.state) == (data, org, State.GRANTED)
    ]
    given = sharing.authorized_by(view(state, sharing.NAME), data, org)
    found = (access.basis(state, id_) for id_ in (*ids, *(() if given is None else (given,))))
    return [basis for basis in found if basis is not None]
