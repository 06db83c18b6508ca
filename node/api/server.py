"""Serves the operator's calls on the member's own socket, mode 0600."""

import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

import grpc

from node._proto import operator_pb2, operator_pb2_grpc
from node.api.socket import socket_path
from node.api.types import BlockOutcome, OperatorRefusal, Outcome

SHUTDOWN_GRACE_S = 0.5
CALLS_MAX = 256
"""Of one `SubmitMany`."""


class OperatorBackend(Protocol):
    """What the daemon offers to its operator. Refusals are `OperatorRefusal`."""

    def status(self) -> dict[str, Any]:
        """What `lepton status --json` prints."""
        ...

    def jobs(self, job: bytes | None) -> list[dict[str, Any]]:
        """All training jobs, or the one with this id."""
        ...

    def read(self, topic: str, arguments: dict[str, Any]) -> Any:
        """What the ledger says of a topic, as JSON has it."""
        ...

    async def submit(self, contract: str, method: str, payload: bytes, wait_s: float | None) -> Outcome:
        """Sign and gossip a transaction; with `wait_s`, wait that long at most for its block."""
        ...

    async def submit_many(self, calls: Sequence[tuple[str, str, bytes]]) -> list[Outcome]:
        """Sign and gossip transactions (contract, method, payload); does not wait for their block."""
        ...

    async def approve(self, job: bytes, data: str, data_set: str, basis: bytes) -> Outcome:
        """Check a file or a data set against the job, bind it, approve on the ledger, wait for the block."""
        ...

    async def recover(self) -> dict[str, Any]:
        """End the silence of a member that lost its vote log."""
        ...

    async def halt(self, height: int | None) -> dict[str, Any]:
        """Halt after the block of this height; None ends the halt."""
        ...

    def halting(self) -> dict[str, Any]:
        """At which height this member halts, and whether it has."""
        ...

    def card(self) -> bytes:
        """This organisation's newest card on the ledger; empty before its admission."""
        ...

    async def take_keys(self, passphrase: str) -> list[str]:
        """Open the key files that are new in the member's folder; says which."""
        ...

    async def present(self, card: bytes, endorsement: bytes) -> Outcome:
        """Bring a newer card to the ledger, and wait until its node key is in force."""
        ...

    async def fetch_data(self, data: str, basis: bytes, version: int) -> dict[str, Any]:
        """Begin or go on fetching a version of another's data set; how it stands."""
        ...

    async def arrivals(self) -> list[dict[str, Any]]:
        """Others' data sets: on their way here, stopped, or come."""
        ...

    def restore_data(self, name: str, version: int) -> AsyncGenerator[dict[str, Any], None]:
        """Bring an own version back from copies: how far it is, until it is whole."""
        ...

    def follow(self) -> AsyncIterator[BlockOutcome]:
        """The receipts of each block from now on."""
        ...


class OperatorServer(operator_pb2_grpc.OperatorServicer):
    """The gRPC service over one backend."""

    def __init__(self, backend: OperatorBackend, folder: Path) -> None:
        self._backend = backend
        self._path = socket_path(folder)
        self._server = grpc.aio.server()
        operator_pb2_grpc.add_OperatorServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]

    async def start(self) -> None:
        """Bind and serve. Raises `OSError` where the socket cannot be bound."""
        self._path.unlink(missing_ok=True)
        # The socket must never exist with a wider mode, not even for a moment.
        before = os.umask(0o177)
        try:
            self._server.add_insecure_port(f"unix:{self._path}")
        except RuntimeError as error:
            raise OSError(f"cannot bind the operator's socket {self._path}: {error}") from error
        finally:
            os.umask(before)
        await self._server.start()

    async def close(self) -> None:
        """Stop serving and remove the socket."""
        await self._server.stop(SHUTDOWN_GRACE_S)
        self._path.unlink(missing_ok=True)

    async def Status(self, request: operator_pb2.Empty, context: Any) -> operator_pb2.Json:  # noqa: D102
        return operator_pb2.Json(text=json.dumps(self._backend.status()))

    async def Jobs(self, request: operator_pb2.JobQuery, context: Any) -> operator_pb2.Json:  # noqa: D102
        return operator_pb2.Json(text=json.dumps(self._backend.jobs(request.job or None)))

    async def Read(self, request: operator_pb2.Query, context: Any) -> operator_pb2.Json:  # noqa: D102
        try:
            found = self._backend.read(request.topic, _arguments(request.arguments))
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return operator_pb2.Json(text=json.dumps(found))

    async def Submit(self, request: operator_pb2.Call, context: Any) -> operator_pb2.Outcome:  # noqa: D102
        wait_s = request.timeout_seconds if request.wait else None
        try:
            outcome = await self._backend.submit(request.contract, request.method, request.payload, wait_s)
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return _to_wire(outcome)

    async def SubmitMany(self, request: operator_pb2.Calls, context: Any) -> operator_pb2.Outcomes:  # noqa: D102
        if len(request.calls) > CALLS_MAX:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"at most {CALLS_MAX} calls fit one request")
        try:
            outcomes = await self._backend.submit_many(
                [(call.contract, call.method, call.payload) for call in request.calls]
            )
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return operator_pb2.Outcomes(outcomes=[_to_wire(outcome) for outcome in outcomes])

    async def Approve(self, request: operator_pb2.Approval, context: Any) -> operator_pb2.Outcome:  # noqa: D102
        try:
            outcome = await self._backend.approve(request.job, request.data, request.data_set, request.basis)
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return _to_wire(outcome)

    async def Recover(self, request: operator_pb2.Empty, context: Any) -> operator_pb2.Json:  # noqa: D102
        try:
            return operator_pb2.Json(text=json.dumps(await self._backend.recover()))
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
            raise

    async def Halt(self, request: operator_pb2.HaltCall, context: Any) -> operator_pb2.Json:  # noqa: D102
        if not request.off and not request.HasField("height"):
            return operator_pb2.Json(text=json.dumps(self._backend.halting()))
        try:
            return operator_pb2.Json(text=json.dumps(await self._backend.halt(None if request.off else request.height)))
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
            raise

    async def Card(self, request: operator_pb2.Empty, context: Any) -> operator_pb2.CardReply:  # noqa: D102
        return operator_pb2.CardReply(card=self._backend.card())

    async def TakeKeys(self, request: operator_pb2.Passphrase, context: Any) -> operator_pb2.Json:  # noqa: D102
        try:
            taken = await self._backend.take_keys(request.text)
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return operator_pb2.Json(text=json.dumps(taken))

    async def Present(self, request: operator_pb2.CardPresented, context: Any) -> operator_pb2.Outcome:  # noqa: D102
        try:
            outcome = await self._backend.present(request.card, request.endorsement)
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return _to_wire(outcome)

    async def FetchData(self, request: operator_pb2.FetchCall, context: Any) -> operator_pb2.Json:  # noqa: D102
        try:
            found = await self._backend.fetch_data(request.data, request.basis, request.version)
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        return operator_pb2.Json(text=json.dumps(found))

    async def Arrivals(self, request: operator_pb2.Empty, context: Any) -> operator_pb2.Json:  # noqa: D102
        return operator_pb2.Json(text=json.dumps(await self._backend.arrivals()))

    async def RestoreData(  # noqa: D102
        self, request: operator_pb2.RestoreCall, context: Any
    ) -> AsyncIterator[operator_pb2.Json]:
        try:
            async with aclosing(self._backend.restore_data(request.name, request.version)) as told:
                async for found in told:
                    yield operator_pb2.Json(text=json.dumps(found))
        except OperatorRefusal as refusal:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))

    async def Receipts(  # noqa: D102
        self, request: operator_pb2.Empty, context: Any
    ) -> AsyncIterator[operator_pb2.BlockReceipts]:
        async for block in self._backend.follow():
            yield operator_pb2.BlockReceipts(height=block.height, accepted=block.accepted, refused=block.refused)


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise OperatorRefusal(f"the arguments of the query are no JSON: {error}") from error
    if not isinstance(found, dict):
        raise OperatorRefusal("the arguments of a query are a JSON object, {} for none")
    return found


def _to_wire(outcome: Outcome) -> operator_pb2.Outcome:
    return operator_pb2.Outcome(
        transaction=outcome.transaction,
        final=outcome.final,
        height=outcome.height,
        accepted=outcome.accepted,
        code=outcome.code,
        reason=outcome.reason,
        notes=outcome.notes,
    )
