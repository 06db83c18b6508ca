"""The typed client of the operator's API: what the command line and the scripts speak through."""

import json
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import grpc

from node._proto import operator_pb2, operator_pb2_grpc
from node.api.errors import DaemonRefused, DaemonUnreachable, OperatorError
from node.api.socket import socket_path
from node.api.types import BlockOutcome, Outcome

T = TypeVar("T")

CALL_TIMEOUT_S = 10.0
APPROVE_TIMEOUT_S = 300.0
PRESENT_TIMEOUT_S = 150.0
FETCH_TIMEOUT_S = 90.0


class OperatorClient:
    """One connection to the daemon of the member in `folder`. Every call raises `OperatorError`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._channel = grpc.aio.insecure_channel(
            f"unix:{socket_path(folder)}",
            options=[("grpc.max_receive_message_length", 64 << 20), ("grpc.enable_retries", 0)],
        )
        self._stub = operator_pb2_grpc.OperatorStub(self._channel)  # type: ignore[no-untyped-call]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    async def status(self) -> dict[str, Any]:
        """What `lepton status --json` prints."""
        reply = await self._ask(self._stub.Status(operator_pb2.Empty(), timeout=CALL_TIMEOUT_S))
        found: dict[str, Any] = json.loads(reply.text)
        return found

    async def jobs(self, job: bytes = b"") -> list[dict[str, Any]]:
        """All training jobs, or the one with this id."""
        reply = await self._ask(self._stub.Jobs(operator_pb2.JobQuery(job=job), timeout=CALL_TIMEOUT_S))
        found: list[dict[str, Any]] = json.loads(reply.text)
        return found

    async def read(self, topic: str, **arguments: Any) -> Any:
        """What the ledger says of a topic of `node.app.readings`, as JSON has it."""
        query = operator_pb2.Query(topic=topic, arguments=json.dumps(arguments))
        reply = await self._ask(self._stub.Read(query, timeout=CALL_TIMEOUT_S))
        return json.loads(reply.text)

    async def submit(self, contract: str, method: str, payload: bytes, *, wait_s: float | None = 60.0) -> Outcome:
        """Have the daemon sign and gossip a transaction; with `wait_s`, wait that long at most for its block."""
        call = operator_pb2.Call(
            contract=contract, method=method, payload=payload, wait=wait_s is not None, timeout_seconds=wait_s or 0.0
        )
        return _from_wire(await self._ask(self._stub.Submit(call, timeout=(wait_s or 0) + CALL_TIMEOUT_S)))

    async def submit_many(self, calls: Sequence[tuple[str, str, bytes]]) -> list[Outcome]:
        """Have the daemon sign and gossip up to 256 transactions (contract, method, payload) at once."""
        request = operator_pb2.Calls(
            calls=[
                operator_pb2.Call(contract=contract, method=method, payload=payload)
                for contract, method, payload in calls
            ]
        )
        reply = await self._ask(self._stub.SubmitMany(request, timeout=CALL_TIMEOUT_S))
        return [_from_wire(outcome) for outcome in reply.outcomes]

    async def approve(self, job: bytes, data: str = "", *, data_set: str = "", basis: bytes = b"") -> Outcome:
        """Approve a job with a data file of the member's folder, or a data set of its vault, `owner/name`."""
        asked = operator_pb2.Approval(job=job, data=data, data_set=data_set, basis=basis)
        call = self._stub.Approve(asked, timeout=APPROVE_TIMEOUT_S)
        return _from_wire(await self._ask(call))

    async def recover(self) -> dict[str, Any]:
        """End the silence of a member that lost its vote log."""
        reply = await self._ask(self._stub.Recover(operator_pb2.Empty(), timeout=CALL_TIMEOUT_S))
        found: dict[str, Any] = json.loads(reply.text)
        return found

    async def halt(self, height: int | None = None, *, off: bool = False) -> dict[str, Any]:
        """Halt at a height, or end the halt; with neither, how it stands."""
        reply = await self._ask(self._stub.Halt(operator_pb2.HaltCall(height=height, off=off), timeout=CALL_TIMEOUT_S))
        found: dict[str, Any] = json.loads(reply.text)
        return found

    async def card(self) -> bytes:
        """This organisation's newest card on the ledger, in its byte form; empty before its admission."""
        reply = await self._ask(self._stub.Card(operator_pb2.Empty(), timeout=CALL_TIMEOUT_S))
        found: bytes = reply.card
        return found

    async def take_keys(self, passphrase: str) -> list[str]:
        """Have the daemon open the key files that are new in the member's folder; says which."""
        reply = await self._ask(
            self._stub.TakeKeys(operator_pb2.Passphrase(text=passphrase), timeout=PRESENT_TIMEOUT_S)
        )
        found: list[str] = json.loads(reply.text)
        return found

    async def present(self, card: bytes, endorsement: bytes = b"") -> Outcome:
        """Bring a newer card to the ledger; returns when its node key is in force."""
        call = operator_pb2.CardPresented(card=card, endorsement=endorsement)
        return _from_wire(await self._ask(self._stub.Present(call, timeout=PRESENT_TIMEOUT_S)))

    async def fetch_data(self, data: str, basis: bytes = b"", version: int = 0) -> dict[str, Any]:
        """Begin or go on fetching a version of another's data set; how it stands."""
        call = operator_pb2.FetchCall(data=data, basis=basis, version=version)
        reply = await self._ask(self._stub.FetchData(call, timeout=FETCH_TIMEOUT_S))
        found: dict[str, Any] = json.loads(reply.text)
        return found

    async def arrivals(self) -> list[dict[str, Any]]:
        """Others' data sets: on their way here, stopped, or come."""
        reply = await self._ask(self._stub.Arrivals(operator_pb2.Empty(), timeout=CALL_TIMEOUT_S))
        found: list[dict[str, Any]] = json.loads(reply.text)
        return found

    async def restore_data(self, name: str, version: int = 0) -> AsyncIterator[dict[str, Any]]:
        """Bring an own version back from copies: how far it is, until it is whole."""
        stream = self._stub.RestoreData(operator_pb2.RestoreCall(name=name, version=version))
        try:
            async for reply in stream:
                yield json.loads(reply.text)
        except grpc.aio.AioRpcError as error:
            raise self._explain(error) from error
        finally:
            stream.cancel()

    async def follow(self) -> AsyncIterator[BlockOutcome]:
        """The receipts of each block from now on."""
        stream = self._stub.Receipts(operator_pb2.Empty())
        try:
            async for block in stream:
                yield BlockOutcome(block.height, tuple(block.accepted), block.refused)
        except grpc.aio.AioRpcError as error:
            raise self._explain(error) from error
        finally:
            stream.cancel()

    async def _ask(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            raise self._explain(error) from error

    def _explain(self, error: grpc.aio.AioRpcError) -> OperatorError:
        code = error.code()
        if code is grpc.StatusCode.UNAVAILABLE:
            return DaemonUnreachable(
                f"no daemon answers for {self._folder}; start it with: lepton --dir {self._folder} run"
            )
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DaemonUnreachable(f"the daemon of {self._folder} did not answer in time; look at its log")
        return DaemonRefused(error.details() or code.name)


def _from_wire(outcome: operator_pb2.Outcome) -> Outcome:
    return Outcome(
        transaction=outcome.transaction,
        final=outcome.final,
        height=outcome.height,
        accepted=outcome.accepted,
        code=outcome.code,
        reason=outcome.reason,
        notes=tuple(outcome.notes),
    )
